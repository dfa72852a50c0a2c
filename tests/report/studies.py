"""Synthetic studies: cells and choices as `ataka` writes them, with the digests of the settings in force."""

import csv
import json
import random
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ataka import config, plan
from ataka.plan import Cell, Run
from ataka.study import Study
from report import tables
from report.cells import COLUMNS

_MEAN = {"clean": 90.0, "fgsm": 62.0, "pgd": 55.0, "aa": 48.0}
_GAIN = {"natural": 5.0, "en-sat": 0.0, "n-at-aka": 1.0, "l-at-aka": 1.5, "s-at-aka": 3.0, "p-at-aka": 2.0}


SMALL: dict[str, Any] = {
    "about": "a study for tests: 8x8 digits & small networks",
    "seeds": [0],
    "eps": "26/255",
    "data": {"test": 360},
    "stand_ins": {
        "cifar10": "digits",
        "cifar100": None,
        "resnet18": "resnet10-w8",
        "mobilenetv2": None,
        "wrn34-10": "wrn10-1",
    },
    "generators": {"svgd": {"step_size": "6/255"}},
    "attacks": {"pgd": {"step_size": "2/255", "steps": 20}, "aa": {"images": 32, "version": "standard"}},
    "selection": {
        "alphas": [0.1, 0.5],
        "split": "validation",
        "collapsed": "refuse",
        "attack": {"step_size": "6/255", "steps": 10},
    },
    "methods": {
        "en-sat": {"options": {"step_size": "6/255"}},
        "en-ard": {"objective": None},
        "en-iad": {"objective": None},
        "en-rslad": {"objective": None},
    },
}
"""One data set, student and seed. All that a table shows is stated: tests outlive changes of config/."""
PAPER: dict[str, Any] = SMALL | {
    "seeds": [0, 1, 2],
    "stand_ins": {name: name for name in SMALL["stand_ins"]},
    "data": {"test": None},
}
"""The paper's layout: two data sets, two students, three seeds."""
SCALE = "demo"


def study(settings: Mapping[str, Any] = SMALL, **overrides: Any) -> Study:
    return config.load(SCALE, {**settings, **overrides})


def root(folder: Path) -> Path:
    """The results folder of the tests' scale below ``folder``."""
    return folder / "results" / SCALE


def fields(study: Study, cell: Cell, correct: int | None = None, n: int | None = None) -> dict[str, str]:
    """A valid row for ``cell``; without ``correct``, some plausible number that is always the same."""
    attack = study.attacks[cell.attack]
    n = n or attack.images or study.data.test or 10_000
    if correct is None:
        accuracy = _MEAN[cell.attack] + _GAIN[cell.method] + random.Random(repr(cell)).gauss(0, 0.4)
        broken = cell.method == "natural" and cell.attack in ("pgd", "aa")
        correct = 0 if broken else round(min(accuracy, 100) * n / 100)
    accuracy = 100 * correct / n
    return dict.fromkeys(COLUMNS, "") | {
        "scale": study.scale,
        "dataset": cell.dataset,
        "arch": cell.arch,
        "method": cell.method,
        "seed": str(cell.seed),
        "attack": cell.attack,
        "n": str(n),
        "correct": str(correct),
        "accuracy": f"{accuracy:.4f}",
        "ci_low": f"{max(accuracy - 3, 0):.4f}",
        "ci_high": f"{min(accuracy + 3, 100):.4f}",
        "eps": getattr(attack, "eps", "0"),
        "config_sha256": plan.digest(plan.cell_settings(study, cell)),
        "model_sha256": "1e5" + "0" * 61,
        "git_commit": "0123456789abcdef",
        "git_dirty": "false",
        "extra": "kept",
    }


def write_cell(root: Path, study: Study, cell: Cell, changes: Mapping[str, str] | None = None, **numbers: int) -> Path:
    path = cell.csv(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    row = fields(study, cell, **numbers) | dict(changes or {})
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(row))
        writer.writeheader()
        writer.writerow(row)
    return path


def write_choice(root: Path, study: Study, run: Run, **changes: Any) -> Path:
    path = run.choice(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    first, *others = study.selection.alphas
    grid: list[dict[str, Any]] = [{"alpha": first, "status": "finished", "n": 360, "clean": 95.1, "robust": 60.2}]
    grid += [{"alpha": alpha, "status": "diverged", "n": 0, "clean": None, "robust": None} for alpha in others]
    digest = plan.digest(plan.selection_settings(study))
    choice = {
        "alpha": first,
        "settings_sha256": digest,
        "split": study.selection.split,
        "seed": study.seeds[0],
    }
    path.write_text(json.dumps(choice | {"attack": {}, "grid": grid} | changes))
    return path


def write(root: Path, study: Study, table: str = "table2") -> None:
    """Every cell and choice of a table."""
    for cell in tables.load(table).cells(study):
        write_cell(root, study, cell)
    for run in tables.load(table).tuned_runs(study):
        write_choice(root, study, run)
