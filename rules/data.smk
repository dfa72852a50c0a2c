"""Data: prepare (cut a data set's splits once, for all jobs)."""


rule prepare:
    input:
        inputs.nothing,
    output:
        "{root}/data/{dataset}/{split}.safetensors",
    log:
        "{root}/logs/prepare/{dataset}/{split}.log",
    wildcard_constraints:
        split="train|test",
    resources:
        gpu=resources.gpu("prepare"),
        mem_mb=resources.mem_mb("prepare"),
        runtime=resources.runtime("prepare"),
    params:
        settings=params.data_settings,
        code=params.data_code,
    message:
        "prepare {wildcards.dataset} {wildcards.split} images"
    shell:
        '"$PYTHON" -m ataka prepare {output} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'
