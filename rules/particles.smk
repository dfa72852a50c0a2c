"""Particles: particles (how far apart a generator's particles lie and how strong they are: a row of Table 1)."""


rule particles:
    input:
        data="{root}/data/{dataset}/test.safetensors",
        model=inputs.network,
        run="{root}/runs/{dataset}/{arch}/{method}/seed{seed}/run.json",
    output:
        "{root}/particles/{dataset}/{arch}/{method}/seed{seed}/{generator}.csv",
    log:
        "{root}/logs/particles/{dataset}/{arch}/{method}/seed{seed}/{generator}.log",
    threads: resources.threads
    resources:
        gpu=resources.gpu("particles"),
        mem_mb=resources.mem_mb("particles"),
        runtime=resources.runtime("particles"),
    params:
        settings=params.settings,
        code=params.code,
    message:
        "particles of {wildcards.generator} on {wildcards.dataset} {wildcards.arch} {wildcards.method} seed {wildcards.seed}"
    shell:
        '"$PYTHON" -m ataka particles {output} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'
