"""Evaluation: evaluate (a run under an attack gives a cell, and one bit for each test image), shard (a part of it)."""


rule shard:
    input:
        data="{root}/data/{dataset}/test.safetensors",
        model=inputs.network,
        run="{root}/runs/{dataset}/{arch}/{method}/seed{seed}/run.json",
    output:
        temp(
            "{root}/cells/{dataset}/{arch}/{method}/seed{seed}/{attack}.{shard}.safetensors"
        ),
    log:
        "{root}/logs/shard/{dataset}/{arch}/{method}/seed{seed}/{attack}.{shard}.log",
    threads: resources.threads
    resources:
        gpu=resources.gpu("evaluate"),
        mem_mb=resources.mem_mb("evaluate"),
        runtime=resources.runtime("evaluate"),
    params:
        settings=params.settings,
        code=params.code,
    message:
        "shard {wildcards.shard} of {wildcards.dataset} {wildcards.arch} {wildcards.method} seed {wildcards.seed} under {wildcards.attack}"
    shell:
        '"$PYTHON" -m ataka shard {output} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'


rule evaluate:
    input:
        data="{root}/data/{dataset}/test.safetensors",
        model=inputs.network,
        run="{root}/runs/{dataset}/{arch}/{method}/seed{seed}/run.json",
        shards=shards.of,
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
        '"$PYTHON" -m ataka evaluate {output.cell} --config "$SETTINGS" --shards {input.shards} 2>&1 | "$PYTHON" "$TEE" {log}'
