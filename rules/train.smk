"""Training: train (a network; a member of an average and the average; a candidate and the chosen one), select (alpha)."""


rule train:
    input:
        data="{root}/data/{dataset}/train.safetensors",
        made_from=inputs.made_from,
    output:
        model="{root}/runs/{dataset}/{arch}/{method}/seed{seed}{part}/model.safetensors",
        history="{root}/runs/{dataset}/{arch}/{method}/seed{seed}{part}/history.csv",
        run="{root}/runs/{dataset}/{arch}/{method}/seed{seed}{part}/run.json",
    log:
        "{root}/logs/train/{dataset}/{arch}/{method}/seed{seed}{part}/train.log",
    threads: resources.threads
    resources:
        gpu=resources.gpu("train"),
        mem_mb=resources.mem_mb("train"),
        runtime=resources.runtime("train"),
        nodes=resources.nodes,
    params:
        settings=params.settings,
        code=params.code,
    message:
        "train {wildcards.dataset} {wildcards.arch} {wildcards.method}{wildcards.part} seed {wildcards.seed}"
    shell:
        '"$PYTHON" -m ataka train {output.model} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'


rule select:
    input:
        data=inputs.selection_data,
        candidates=inputs.candidates,
    output:
        "{root}/runs/{dataset}/{arch}/{method}/choice.json",
    log:
        "{root}/logs/select/{dataset}/{arch}/{method}.log",
    threads: resources.threads
    resources:
        gpu=resources.gpu("select"),
        mem_mb=resources.mem_mb("select"),
        runtime=resources.runtime("select"),
    params:
        settings=params.selection_settings,
        code=params.selection_code,
    message:
        "select alpha for {wildcards.dataset} {wildcards.arch} {wildcards.method}"
    shell:
        '"$PYTHON" -m ataka select {output} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'
