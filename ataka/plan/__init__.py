"""The artifacts of a study: the path of each, its sources, and the settings and code that decide its bytes.

Five kinds of artifact have a name of their own: a `Tape` (the teachers' recorded logits), a `Run` (one training), a
`Cell` (one number of a table), a `Shard` (some chunks of a cell), and `Particles` (the measurements behind Table 1).
Each knows its path below the results folder and its settings; Snakemake watches the SHA-256 of those settings, and a
table compares that digest before it takes a cell in.
"""

from ataka.plan.artifacts import (
    BEFORE,
    ROOMS,
    Cell,
    Node,
    OtherName,
    Particles,
    Run,
    Shard,
    Tape,
    data_file,
    file_of,
    forms,
    parse,
    root_of,
    scale_of,
)
from ataka.plan.digests import attack_code, code_of, data_code, run_code, selection_code, tape_code
from ataka.plan.lineage import (
    candidates,
    checkpoint,
    ensemble_of,
    frozen_teachers,
    made_from,
    members,
    needs,
    require_known,
    source_of,
    tape_of,
    together,
    trained_on,
    tuned,
    tuned_run,
)
from ataka.plan.readings import all_readings, readings_in
from ataka.plan.settings import (
    cell_settings,
    data_settings,
    digest,
    particles_settings,
    run_settings,
    selection_settings,
    settings_of,
    tape_settings,
)
from ataka.plan.sharding import shards_of
from ataka.plan.work import Work, selection_work, tape_bytes, work_of

__all__ = [
    "BEFORE",
    "ROOMS",
    "Cell",
    "Node",
    "OtherName",
    "Particles",
    "Run",
    "Shard",
    "Tape",
    "Work",
    "all_readings",
    "attack_code",
    "candidates",
    "cell_settings",
    "checkpoint",
    "code_of",
    "data_code",
    "data_file",
    "data_settings",
    "digest",
    "ensemble_of",
    "file_of",
    "forms",
    "frozen_teachers",
    "made_from",
    "members",
    "needs",
    "parse",
    "particles_settings",
    "readings_in",
    "require_known",
    "root_of",
    "run_code",
    "run_settings",
    "scale_of",
    "selection_code",
    "selection_settings",
    "selection_work",
    "settings_of",
    "shards_of",
    "source_of",
    "tape_bytes",
    "tape_code",
    "tape_of",
    "tape_settings",
    "together",
    "trained_on",
    "tuned",
    "tuned_run",
    "work_of",
]
