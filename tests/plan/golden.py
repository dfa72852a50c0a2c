"""The digests that decide what is made again: of the paper's study, one of each kind, code and settings apart.

``make golden`` writes them to golden_digests.json; ``python -m tests.plan.golden --print`` prints them. The message of
a commit that changes the file says which results are made again, and why.
"""

import json
import sys
from itertools import product
from pathlib import Path

from ataka import plan, psi
from ataka.plan import Cell, Particles, Run, Tape
from ataka.plan.code import Code
from ataka.study import Study, config

FILE = Path(__file__).with_name("golden_digests.json")
DATASET, ARCH, SEED = "cifar10", "resnet18", 0


def nodes(study: Study) -> dict[str, Run | Tape | Particles]:
    """A run of each method that is trained and no variant, the tapes that these replay, and Table 1's particles."""
    trained = [name for name, method in study.methods.items() if method.objective and "." not in name]
    runs = {name: Run(DATASET, ARCH, name, SEED) for name in trained}
    tapes = [tape for run in runs.values() if (tape := plan.tape_of(study, run))]
    return {
        **{f"run {name}": run for name, run in runs.items()},
        **{f"tape {tape.ensemble}": tape for tape in tapes},
        **{f"particles {name}": Particles(DATASET, ARCH, "natural", SEED, name) for name in ("svgd", "pgd")},
    }


def attacks(study: Study) -> list[str]:
    return [name for name, attack in study.attacks.items() if attack]


def settings(study: Study) -> dict[str, str]:
    """The digest of the settings of each artifact, attack and prepared file, by name."""
    digests = {name: plan.digest(plan.settings_of(study, node)) for name, node in nodes(study).items()}
    for attack in attacks(study):
        cell = plan.cell_settings(study, Cell(DATASET, ARCH, "natural", SEED, attack))
        digests[f"attack {attack}"] = plan.digest(cell["attack"])
    for dataset, split in product(study.teachers, ("train", "test")):
        digests[f"data {dataset} {split}"] = plan.digest(plan.data_settings(study, dataset, split))
    return digests


def modules(study: Study) -> dict[str, tuple[str, ...]]:
    """The modules whose code decides each artifact, attack, psi and prepared file, by name."""
    return {
        **{name: plan.code_of(study, node) for name, node in nodes(study).items()},
        **{f"attack {name}": plan.attack_code(study, name) for name in attacks(study)},
        **{f"psi {name}": (psi.source(name),) for name in psi.names()},
        **{f"data {dataset}": plan.data_code(study, dataset) for dataset in study.teachers},
    }


def golden() -> dict[str, dict[str, str]]:
    study, code = config.load(), Code()
    return {
        "code": {name: code.digest(used)[:16] for name, used in modules(study).items()},
        "settings": {name: digest[:16] for name, digest in settings(study).items()},
    }


def written(digests: dict[str, dict[str, str]]) -> str:
    return json.dumps(digests, indent=2, sort_keys=True) + "\n"


if __name__ == "__main__":
    if sys.argv[1:] == ["--print"]:
        print(written(golden()), end="")
    else:
        FILE.write_text(written(golden()))
