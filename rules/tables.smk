"""Tables: collect (a table's measurements into one CSV), render (LaTeX and Markdown), cells (all there are), all."""


rule collect:
    input:
        sources=flow.sources,
        choices=flow.choices,
    output:
        table="{root}/{table}.csv",
        choices="{root}/{table}.choices.csv",
    log:
        "{root}/logs/collect/{table}.log",
    wildcard_constraints:
        table=flow.tables,
    params:
        settings=flow.table_settings,
        code=flow.collect_code,
        missing=flow.missing(workflow, "{table}.csv", flow.collected),
    message:
        "collect {wildcards.table}"
    shell:
        '"$PYTHON" -m report collect {wildcards.table} --root {wildcards.root} --config "$SETTINGS" 2>&1 | tee -i {log}'


rule render:
    input:
        table="{root}/{table}.csv",
        choices="{root}/{table}.choices.csv",
    output:
        tex="{root}/{table}.tex",
        markdown="{root}/{table}.md",
    log:
        "{root}/logs/render/{table}.log",
    wildcard_constraints:
        table=flow.tables,
    params:
        layout=flow.layout,
        code=flow.render_code,
    message:
        "render {wildcards.table}"
    shell:
        '"$PYTHON" -m report render {wildcards.table} --root {wildcards.root} --config "$SETTINGS" 2>&1 | tee -i {log}'


rule cells:
    output:
        "{root}/cells.csv",
    log:
        "{root}/logs/cells.log",
    params:
        existing=flow.existing_cells,
    message:
        "collect every cell below {wildcards.root}"
    shell:
        '"$PYTHON" -m report cells --root {wildcards.root} 2>&1 | tee -i {log}'


rule all:
    input:
        flow.all_tables,
    output:
        touch("{root}/all"),
    localrule: True
    message:
        "every table of {wildcards.root}"
