"""Pictures: picture (one of report/pictures, as SVG, PDF and caption), gallery (all that the scale has data for).

No part of `all`. A picture is drawn from files alone; each states which it needs.
"""


rule picture:
    input:
        inputs.picture,
    output:
        svg=report(
            "{root}/pictures/{picture}.svg",
            caption="captions/picture.rst",
            category="Pictures",
            labels={"picture": "{picture}"},
        ),
        pdf="{root}/pictures/{picture}.pdf",
        caption="{root}/pictures/{picture}.txt",
    log:
        "{root}/logs/picture/{picture}.log",
    wildcard_constraints:
        picture=scales.any_picture,
    retries: 0  # these fail for what a person mends
    localrule: True
    params:
        settings=params.picture_settings,
        code=params.picture_code,
    message:
        "draw {wildcards.picture} of {wildcards.root}"
    shell:
        '"$PYTHON" -m report picture {wildcards.picture} --root {wildcards.root} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'


rule gallery:
    input:
        inputs.gallery,
    output:
        "{root}/pictures.md",
    log:
        "{root}/logs/gallery.log",
    retries: 0  # these fail for what a person mends
    localrule: True
    params:
        settings=params.gallery_settings,
        code=params.gallery_code,
    message:
        "pictures of {wildcards.root}"
    shell:
        '"$PYTHON" -m report gallery --root {wildcards.root} --config "$SETTINGS" 2>&1 | "$PYTHON" "$TEE" {log}'
