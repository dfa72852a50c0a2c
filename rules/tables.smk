"""Tables: collect (a table's cells into one CSV), render (LaTeX and Markdown), cells (all there are), all."""


rule collect:
    input:
        cells=flow.cells,
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
        code=flow.report_code("report.collect"),
        missing=flow.missing,
    message:
        "collect {wildcards.table}"
    shell:
        "{flow.report} collect {wildcards.table} --root {wildcards.root} {flow.overrides} 2>&1 | tee {log}"


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
        code=flow.report_code("report.render"),
    message:
        "render {wildcards.table}"
    shell:
        "{flow.report} render {wildcards.table} --root {wildcards.root} {flow.overrides} 2>&1 | tee {log}"


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
        "{flow.report} cells --root {wildcards.root} 2>&1 | tee {log}"


rule all:
    input:
        flow.all_tables,
    output:
        touch("{root}/all"),
    localrule: True
    message:
        "every table of {wildcards.root}"
