"""AT-AKA's tables as a workflow: the table of contents.

    snakemake --cores all results/table2.tex            the paper's protocol (config/paper.yaml)
    snakemake --cores all results/demo/table2.tex       the same at another scale: pocket, demo, smoke
    snakemake --cores 1 --force results/demo/cells/.../pgd.csv     one cell again

Data flows as the includes are listed. What a rule runs is a verb of `python -m ataka` or `python -m report`.
"""

import gc
import sys

sys.path.insert(0, str(workflow.current_basedir))
# Jobs stay: a fifth of a dry run went into the search for garbage among them.
gc.set_threshold(50_000, 20, 20)


include: "rules/packages.smk"


from rules.announcement import announce, note_what_a_module_lacks
from rules.constraints import constrained
from rules.hooks import chain_hooks
from rules.inputs import RuleInputs
from rules.orphans import refuse_orphans
from rules.params import RuleParams, missing
from rules.resources import RuleResources
from rules.retries import Retries
from rules.rollback import Rollback
from rules.scales import Scales
from rules.shards import Shards
from rules.signatures import all_signed
from rules.overrides import settings_for
from rules.targets import menu, refuse_unknown
from rules.unrecorded import Unrecorded

chain_hooks(workflow)
scales = Scales(settings_for(workflow, config))
params = all_signed(RuleParams(scales))
retries, rollback = Retries(workflow, scales.roots), Rollback(scales.roots)
unrecorded = Unrecorded(scales, params, workflow)
inputs = all_signed(RuleInputs(scales, unrecorded))
shards = all_signed(Shards(scales, workflow))
resources = all_signed(RuleResources(scales, retries, workflow))


with constrained(
    workflow,
    root=scales.any_root,
    dataset=r"[^/]+",
    ensemble=r"[^/]+",
    arch=r"(timm/)?[^/]+",
    method=r"[^/]+",
    seed=r"0|[1-9]\d*",
    part=r"(/(member\d+|alpha[\d.]+))?",
    attack=r"[^/]+",
    shard=r"[1-9]\d*of[1-9]\d*",
    generator=r"[^/]+",
):

    rule menu:  # where no target is named
        message:
            menu(scales)

    include: "rules/data.smk"
    include: "rules/teachers.smk"
    include: "rules/train.smk"
    include: "rules/evaluate.smk"
    include: "rules/particles.smk"
    include: "rules/tables.smk"
    include: "rules/report.smk"
    include: "rules/pictures.smk"


refuse_unknown(scales, workflow)
note_what_a_module_lacks(workflow)
rollback.recover(workflow)


onstart:
    refuse_orphans(workflow)
    unrecorded.refuse()
    announce(scales, workflow)
    retries.begin()
    rollback.begin(workflow)


onsuccess:
    rollback.settle(workflow)


onerror:
    retries.report()
    rollback.settle(workflow)
