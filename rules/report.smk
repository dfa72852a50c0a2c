"""Beyond the tables: union (each network's worst case over all attacks), claims (verdicts on the paper's sentences).

Both read every image's bit. Neither is part of `all`: claims needs the cells that its comparisons name, union those of
every table.
"""


rule union:
    input:
        flow.union_inputs,
    output:
        "{root}/union.csv",
    log:
        "{root}/logs/union.log",
    params:
        settings=flow.union_settings,
        code=flow.union_code,
        missing=flow.missing(workflow, "union.csv", flow.union_inputs),
    message:
        "union of attacks in {wildcards.root}"
    shell:
        '"$PYTHON" -m report union --root {wildcards.root} --config "$SETTINGS" 2>&1 | tee -i {log}'


rule claims:
    input:
        flow.claims_inputs,
    output:
        csv="{root}/claims.csv",
        tex="{root}/claims.tex",
        markdown="{root}/claims.md",
    log:
        "{root}/logs/claims.log",
    params:
        settings=flow.claims_settings,
        code=flow.claims_code,
        missing=flow.missing(workflow, "claims.csv", flow.claims_inputs),
    message:
        "claims in {wildcards.root}"
    shell:
        '"$PYTHON" -m report claims --root {wildcards.root} --config "$SETTINGS" 2>&1 | tee -i {log}'
