"""Data: prepare (cut a data set's splits once, for all jobs)."""


rule prepare:
    output:
        "{root}/data/{dataset}/{split}.safetensors",
    log:
        "{root}/logs/prepare/{dataset}/{split}.log",
    wildcard_constraints:
        split="train|test",
    resources:
        gpu=flow.gpu("prepare"),
        mem_mb=flow.mem_mb("prepare"),
        runtime=flow.runtime("prepare"),
    params:
        settings=flow.data_settings,
        code=flow.data_code,
    message:
        "prepare {wildcards.dataset} {wildcards.split} images"
    shell:
        '"$PYTHON" -m ataka prepare {output} --config "$SETTINGS" 2>&1 | tee -i {log}'
