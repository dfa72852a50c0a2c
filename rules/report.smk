"""Beyond the tables: union (each network's worst case), claims (verdicts on the paper's sentences), html (one page).

Union and claims read every image's bit. None is part of `all`: claims needs the cells that its comparisons name, union
those of every table, and html, which shows everything on one page, every table, the claims and every picture.
"""


rule union:
    input:
        inputs.union,
    output:
        report(
            "{root}/union.csv",
            caption="captions/union.rst",
            category="Worst cases",
            labels={"as": "numbers"},
        ),
    log:
        "{root}/logs/union.log",
    retries: 0  # these fail for what a person mends
    localrule: True
    params:
        settings=params.union_settings,
        code=params.union_code,
        missing=missing(workflow, "union.csv", inputs.union),
    message:
        "union of attacks in {wildcards.root}"
    shell:
        '"$PYTHON" -m report union --root {wildcards.root} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'


rule claims:
    input:
        inputs.claims,
    output:
        csv="{root}/claims.csv",
        tex="{root}/claims.tex",
        standalone="{root}/claims.standalone.tex",
        markdown=report(
            "{root}/claims.md",
            caption="captions/claims.rst",
            category="Claims",
            labels={"as": "Markdown"},
        ),
    log:
        "{root}/logs/claims.log",
    retries: 0  # these fail for what a person mends
    localrule: True
    params:
        settings=params.claims_settings,
        code=params.claims_code,
        missing=missing(workflow, "claims.csv", inputs.claims),
    message:
        "claims in {wildcards.root}"
    shell:
        '"$PYTHON" -m report claims --root {wildcards.root} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'


rule html:
    input:
        inputs.html,
        claims="{root}/claims.csv",
    output:
        report(
            "{root}/report.html",
            caption="captions/page.rst",
            category="Page",
            labels={"as": "page"},
        ),
    log:
        "{root}/logs/html.log",
    retries: 0  # these fail for what a person mends
    localrule: True
    params:
        settings=params.html_settings,
        code=params.html_code,
    message:
        "page of {wildcards.root}"
    shell:
        '"$PYTHON" -m report html --root {wildcards.root} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'
