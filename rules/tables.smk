"""Tables: collect (a table's measurements into one CSV), render (LaTeX and Markdown), booklet (a PDF), cells (all there are).

And two targets: all (the paper's tables, and those of your own), supplement (our table, no part of all).
"""


rule collect:
    input:
        sources=inputs.sources,
        choices=inputs.choices,
        records=inputs.records,
    output:
        table=report(
            "{root}/{table}.csv",
            caption="captions/table.rst",
            category="Tables",
            labels={"table": "{table}", "as": "numbers"},
        ),
        choices="{root}/{table}.choices.csv",
    log:
        "{root}/logs/collect/{table}.log",
    wildcard_constraints:
        table=scales.any_table,
    retries: 0  # these fail for what a person mends
    localrule: True
    params:
        settings=params.table_settings,
        code=params.collect_code,
        missing=missing(workflow, "{table}.csv", inputs.collected),
    message:
        "collect {wildcards.table}"
    shell:
        '"$PYTHON" -m report collect {wildcards.table} --root {wildcards.root} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'


rule render:
    input:
        table="{root}/{table}.csv",
        choices="{root}/{table}.choices.csv",
    output:
        tex=report(
            "{root}/{table}.tex",
            caption="captions/table.rst",
            category="Tables",
            labels={"table": "{table}", "as": "LaTeX"},
        ),
        standalone="{root}/{table}.standalone.tex",
        numbers="{root}/{table}.numbers.tex",
        markdown=report(
            "{root}/{table}.md",
            caption="captions/table.rst",
            category="Tables",
            labels={"table": "{table}", "as": "Markdown"},
        ),
    log:
        "{root}/logs/render/{table}.log",
    wildcard_constraints:
        table=scales.any_table,
    retries: 0  # these fail for what a person mends
    localrule: True
    params:
        layout=params.layout,
        code=params.render_code,
    message:
        "render {wildcards.table}"
    shell:
        '"$PYTHON" -m report render {wildcards.table} --root {wildcards.root} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'


rule booklet:
    input:
        inputs.all_tables,
    output:
        "{root}/tables.pdf",
    log:
        "{root}/logs/booklet.log",
    retries: 0  # these fail for what a person mends
    localrule: True
    params:
        code=params.booklet_code,
    message:
        "tables of {wildcards.root} as a PDF"
    shell:
        '"$PYTHON" -m report booklet --root {wildcards.root} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'


rule cells:
    output:
        "{root}/cells.csv",
    log:
        "{root}/logs/cells.log",
    retries: 0  # these fail for what a person mends
    localrule: True
    params:
        existing=params.existing_cells,
    message:
        "collect every cell below {wildcards.root}"
    shell:
        '"$PYTHON" -m report cells --root {wildcards.root} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'


rule supplement:
    input:
        "{root}/supplement.tex",
    output:
        touch("{root}/supplement"),
    localrule: True
    message:
        "the supplement of {wildcards.root}: methods of later years"


rule all:
    input:
        inputs.all_tables,
    output:
        touch("{root}/all"),
    localrule: True
    message:
        "every table of {wildcards.root}"
