"""Evaluation: evaluate (a run under an attack gives a cell, and one bit for each test image)."""


rule evaluate:
    input:
        data="{root}/data/{dataset}/test.safetensors",
        model=inputs.network,
        run="{root}/runs/{dataset}/{arch}/{method}/seed{seed}/run.json",
    output:
        cell="{root}/cells/{dataset}/{arch}/{method}/seed{seed}/{attack}.csv",
        bits="{root}/cells/{dataset}/{arch}/{method}/seed{seed}/{attack}.bits.npy",
    log:
        "{root}/logs/evaluate/{dataset}/{arch}/{method}/seed{seed}/{attack}.log",
    group:
        resources.group
    threads: resources.threads
    resources:
        gpu=resources.gpu("evaluate"),
        mem_mb=resources.mem_mb("evaluate"),
        runtime=resources.runtime("evaluate"),
    params:
        settings=params.settings,
        code=params.code,
    message:
        "evaluate {wildcards.dataset} {wildcards.arch} {wildcards.method} seed {wildcards.seed} under {wildcards.attack}"
    shell:
        '"$PYTHON" -m ataka evaluate {output.cell} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'
