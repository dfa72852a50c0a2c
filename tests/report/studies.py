"""Synthetic studies: cells, particles and choices as `ataka` writes them, with the digests of the settings in force."""

import random
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy

from ataka import plan
from ataka.files.cells import COLUMNS, numbers
from ataka.files.disk import sha256
from ataka.files.records import sealed, write_json, write_rows
from ataka.plan import Cell, Particles, Run, Tape
from ataka.study import Study, config
from ataka.study.fields import number
from report import catalogue
from report.accuracies.measurements import Bits
from report.particles.particle_rows import COLUMNS as PARTICLE_COLUMNS

_MEAN = {"clean": 90.0, "fgsm": 62.0, "pgd": 55.0, "aa": 54.5, "cw": 51.0, "fog": 70.0, "fog-256": 60.0}
_DIAGNOSTICS = {
    "pgd": {
        "zero_gradient_share": "0.0",
        "loss_rise": "0.03",
        "accuracy_at_eps_1": "0.0",
        "chance": "10.0",
    },
    "aa": {"warnings": ""},
}
_GAIN = {"natural": 5.0, "en-sat": 0.0, "n-at-aka": 1.0, "l-at-aka": 1.5, "s-at-aka": 3.0, "p-at-aka": 2.0}


FOG: dict[str, Any] = {"kind": "fog", "step_size": "0.01", "steps": 20}
SMALL: dict[str, Any] = {
    "about": "a study for tests: 8×8 digits & small networks",
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
    "generators": {"svgd": {"step_size": "6/255", "steps": 10}},
    "attacks": {
        "pgd": {"step_size": "2/255", "steps": 20},
        "aa": {"images": 32, "version": "standard"},
        "cw": {"step_size": "2/255", "steps": 30},
        "fog": FOG | {"strength": 128},
        "fog-256": FOG | {"strength": 256},
        "fog-512": None,
        "fog-2048": None,
        "fog-4096": None,
        "fog-8192": None,
        "pgd-eps-25": None,
        "pgd-eps-50": {"eps": "13/255", "step_size": "1/255", "steps": 20},
        "pgd-eps-150": None,
        "pgd-eps-200": {"eps": "52/255", "step_size": "4/255", "steps": 20},
        "pgd-eps-800": None,
        "pgd-steps-1": None,
        "pgd-steps-5": {"step_size": "2/255", "steps": 5},
        "pgd-steps-10": None,
        "pgd-steps-50": None,
    },
    "particles": {
        "count": 10,
        "images": 4,
        "networks": [
            {"arch": "resnet10-w8", "method": "natural"},
            {"arch": "resnet10-w16", "method": "en-sat"},
        ],
    },
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
    "attacks": SMALL["attacks"] | {f"fog-{at}": FOG | {"strength": at} for at in (256, 512, 2048, 4096, 8192)},
}
"""The paper's layout: two data sets, two students, three seeds."""
WHOLE: dict[str, Any] = SMALL | {"methods": {}}
"""Nothing is planned."""
SCALE = "demo"


def study(settings: Mapping[str, Any] = SMALL, **overrides: Any) -> Study:
    return config.load(SCALE, {**settings, **overrides})


def root(folder: Path) -> Path:
    """The results folder of the tests' scale below ``folder``."""
    return folder / "results" / SCALE


def fields(study: Study, cell: Cell, correct: int | None = None, n: int | None = None) -> dict[str, str]:
    """A valid row for ``cell``; without ``correct``, some plausible number that is always the same."""
    attack = study.attack(cell.attack)
    n = n or attack.images or study.data.test or 10_000
    if correct is None:
        accuracy = _MEAN.get(cell.attack, 40.0) + _GAIN.get(cell.method, 0.5) + random.Random(repr(cell)).gauss(0, 0.4)
        broken = cell.method == "natural" and cell.attack in ("pgd", "aa")
        correct = 0 if broken else round(min(accuracy, 100) * n / 100)
    return dict.fromkeys(COLUMNS, "") | {
        "scale": study.scale,
        "dataset": cell.dataset,
        "arch": cell.arch,
        "method": cell.method,
        "seed": str(cell.seed),
        "attack": cell.attack,
        "n": str(n),
        "correct": str(correct),
        **numbers(correct, n),
        "eps": attack.eps or "0",
        "config_sha256": plan.digest(plan.cell_settings(study, cell)),
        "model_sha256": "1e5" + "0" * 61,
        "git_commit": "0123456789abcdef",
        "git_dirty": "false",
        "threads": "1",
        "seconds": "1.5",
        "cpu_seconds": "1.4",
        "memory_mb": "300.5",
        "extra": "kept",
        **_DIAGNOSTICS.get(attack.kind, {}),
        **({"before_square": str(correct), "square_gain": "0.0", "warned": "0"} if attack.kind == "aa" else {}),
    }


def verdicts(correct: int, n: int) -> Bits:
    """``correct`` of ``n`` images are right: the easiest, the same ones whatever the attack and evenly spread."""
    order = sorted(range(n), key=lambda image: f"{image:016b}"[::-1])
    bits = numpy.zeros(n, bool)
    bits[order[:correct]] = True
    return bits


def write_cell(
    root: Path,
    study: Study,
    cell: Cell,
    changes: Mapping[str, str] | None = None,
    bits: Bits | None = None,
    **counts: int,
) -> Path:
    """A cell and its bits; with ``bits`` alone, the cell is theirs."""
    if bits is not None and not counts:
        counts = {"correct": int(bits.sum()), "n": len(bits)}
    path = cell.csv(root)
    path.parent.mkdir(parents=True, exist_ok=True)
    whole = fields(study, cell, **counts)
    numpy.save(cell.bits(root), verdicts(int(whole["correct"]), int(whole["n"])) if bits is None else bits)
    row = whole | {"bits_sha256": sha256(cell.bits(root))} | dict(changes or {})
    write_rows(path, [sealed(row)])
    return path


def particle_rows(study: Study, source: Particles) -> list[dict[str, str]]:
    """Valid rows of ``source``, an image each; some plausible numbers that are always the same."""
    draw = random.Random(repr(source))
    gaussian, eps = source.generator.endswith("gaussian"), number(study.generators[source.generator].eps)
    rows = []
    for image in range(study.particles.images):
        ce = 35 + draw.gauss(0, 2) if source.method == "natural" else 1.5 + abs(draw.gauss(0, 0.2))
        numbers = {
            "l1": (26.8 if gaussian else 63.6) + draw.gauss(0, 1),
            "l2": (1.2 if gaussian else 1.9) + draw.gauss(0, 0.05),
            "linf": 2 * eps * draw.uniform(0.98, 1),
            "ce_mean": ce,
            "ce_std": ce / 10,
            "ce_max": ce * 1.2,
            "ce_min": ce * 0.8,
            "ce_clean": 0.5,
            "kernel_offdiagonal_mean": 0.0,
            "kernel_offdiagonal_max": 0.0,
        }
        rows.append(
            dict.fromkeys(PARTICLE_COLUMNS, "")
            | {"scale": study.scale, **{name: str(value) for name, value in asdict(source).items()}}
            | {"count": str(study.particles.count), "image": str(image), "fooled": str(study.particles.count)}
            | {name: repr(value) for name, value in numbers.items()}
            | {"config_sha256": plan.digest(plan.particles_settings(study, source))}
            | {"model_sha256": "1e5" + "0" * 61, "git_commit": "0123456789abcdef", "git_dirty": "false"}
        )
    return rows


def write_particles(root: Path, source: Particles, rows: Sequence[Mapping[str, str]]) -> Path:
    path = source.csv(root)
    write_rows(path, map(sealed, rows))
    return path


def write_choice(root: Path, study: Study, run: Run, **changes: Any) -> Path:
    first, *others = study.selection.alphas
    grid: list[dict[str, Any]] = [{"alpha": first, "status": "finished", "n": 360, "clean": 95.1, "robust": 60.2}]
    grid += [{"alpha": alpha, "status": "diverged", "n": 0, "clean": None, "robust": None} for alpha in others]
    content = {
        "alpha": first,
        "grid": grid,
        "split": study.selection.split,
        "seed": study.seeds[0],
        "attack": {},
        "settings_sha256": plan.digest(plan.selection_settings(study, run.method)),
        "made_from": {},
        "data_sha256": "",
        "code_sha256": "",
    }
    write_json(run.choice(root), content | changes)
    return run.choice(root)


def write_history(root: Path, study: Study, training: Run | Tape, rows: Sequence[Mapping[str, Any]]) -> Path:
    """A training's history, and the part of its record that says which settings it is of."""
    folder = training.folder(root)
    write_rows(folder / "history.csv", rows)
    record = {
        **asdict(training),
        "settings_sha256": plan.digest(plan.settings_of(study, training)),
        "history_sha256": sha256(folder / "history.csv"),
    }
    write_json(folder / "run.json", record)
    return folder / "history.csv"


def write(root: Path, study: Study, table: str = "table2") -> None:
    """Every measurement and choice of a table."""
    for source in catalogue.load(table, catalogue.folders(study)).sources(study):
        if isinstance(source, Cell):
            write_cell(root, study, source)
        else:
            write_particles(root, source, particle_rows(study, source))
    for run in catalogue.load(table, catalogue.folders(study)).tuned_runs(study):
        write_choice(root, study, run)


def write_bits(root: Path, study: Study, cell: Cell, right: Bits) -> None:
    """A cell, and whether each image is right."""
    write_cell(root, study, cell, bits=right)


def draw_bits(study: Study, cell: Cell, accuracy: float) -> Bits:
    """Images of which about this share is right: the hardest are wrong for every network, but for some chance."""
    attack = study.attack(cell.attack)
    n = attack.images or study.data.test or 10_000
    luck = numpy.random.default_rng(list(repr(cell).encode())).normal(0, 0.02, n)
    hardness = numpy.random.default_rng(len(cell.dataset)).permutation((numpy.arange(n) + 0.5) / n)
    right: Bits = hardness + luck < accuracy
    return right
