"""Teachers: record (train an ensemble on its own particles and keep what it says, once for every student).

A smaller ensemble's tape, or PGD's, is made from a recorded one where their teachers are the same (A1).
"""


rule record:
    input:
        data="{root}/data/{dataset}/train.safetensors",
        made_from=flow.made_from,
    output:
        "{root}/tapes/{dataset}/{ensemble}/seed{seed}/manifest.json",
    log:
        "{root}/logs/record/{dataset}/{ensemble}/seed{seed}.log",
    benchmark:
        "{root}/benchmarks/record/{dataset}/{ensemble}/seed{seed}.tsv"
    priority: 1  # every student waits for it
    threads: flow.threads
    resources:
        gpu=flow.gpu("record"),
        mem_mb=flow.mem_mb("record"),
        runtime=flow.runtime("record"),
    params:
        settings=flow.settings,
        code=flow.code,
    message:
        "record {wildcards.dataset} {wildcards.ensemble} seed {wildcards.seed}"
    shell:
        '"$PYTHON" -m ataka record {output} --config "$SETTINGS" 2>&1 | tee -i {log}'
