"""Teachers: record (train an ensemble on its own particles and keep what it says, once for every student).

A smaller ensemble's tape, or PGD's, is made from a recorded one where their teachers are the same (A1).
"""


rule record:
    input:
        data="{root}/data/{dataset}/train.safetensors",
        made_from=inputs.made_from,
    output:
        "{root}/tapes/{dataset}/{ensemble}/seed{seed}/manifest.json",
    log:
        "{root}/logs/record/{dataset}/{ensemble}/seed{seed}.log",
    priority: 1  # every student waits for it
    threads: resources.threads
    resources:
        gpu=resources.gpu("record"),
        mem_mb=resources.mem_mb("record"),
        runtime=resources.runtime("record"),
        nodes=resources.nodes,
    params:
        settings=params.settings,
        code=params.code,
    message:
        "record {wildcards.dataset} {wildcards.ensemble} seed {wildcards.seed}"
    shell:
        '"$PYTHON" -m ataka record {output} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'
