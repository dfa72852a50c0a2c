"""The settings that decide an artifact's bytes, and their digest."""

import hashlib
import json
from functools import lru_cache
from pathlib import Path
from typing import Any

from ataka.errors import UserError, nearest
from ataka.files import formats
from ataka.files.disk import sha256
from ataka.plan.artifacts import Cell, Node, Particles, Run, Shard, Tape
from ataka.plan.lineage import (
    checkpoint,
    ensemble_name,
    ensemble_of,
    frozen_teachers,
    members,
    tape_of,
    together,
    tuned,
)
from ataka.study import Study, config
from ataka.study.fields import plain


def digest(settings: Any) -> str:
    """SHA-256 of settings in canonical JSON."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def data_settings(study: Study, dataset: str, split: str) -> dict[str, Any]:
    """The settings that decide one prepared split: ``train`` (with validation) or ``test``."""
    data = study.data
    settings: dict[str, Any] = {"dataset": dataset, "split": split, "split_seed": data.split_seed}
    source = study.dataset(dataset)
    if source.file:
        settings |= {"sha256": _content(source.file), **source.options}
    if split == "train":
        return settings | {"train": data.train, "validation": data.validation}
    return settings | {"test": data.test}


def _content(path: Path) -> str:
    """SHA-256 of a file, or of a folder's images."""
    if not path.is_dir():
        return _sha256(path, path.stat().st_mtime_ns)
    from ataka.datasets import folders  # loads NumPy

    return folders.digest(path)


@lru_cache
def _sha256(file: Path, _mtime: int) -> str:
    return sha256(file)


def facts_settings(study: Study, dataset: str) -> dict[str, Any]:
    """Facts of a data set that decide a training, beside the images: views, the networks' shape and normalisation."""
    facts = study.dataset(dataset).specification
    names = ("classes", "channels", "shift", "flip", "mean", "std")
    return {name: getattr(facts, name) for name in names}


def tape_settings(study: Study, tape: Tape) -> dict[str, Any]:
    """The settings that decide a tape. They are the same for each student that replays the tape."""
    ensemble = ensemble_of(study, tape)
    return {
        "format": formats.TAPE,
        "arch": study.teacher(tape.dataset),
        "n": ensemble.n,
        "generator": generator_settings(study, ensemble.generator),
        "setup": setup_settings(study, ensemble.setup, tape.dataset, study.teacher(tape.dataset)),
        "data": data_settings(study, tape.dataset, "train"),
        "facts": facts_settings(study, tape.dataset),
        "seed": tape.seed,
        **speed_settings(study),
    }


def generator_settings(study: Study, generator: str) -> dict[str, Any]:
    """Every setting of a generator that decides its particles."""
    return _without(plain(study.generators[generator]), "like")


def speed_settings(study: Study) -> dict[str, Any]:
    """The switches that are on, whose roundings a result has; empty where all are off."""
    switches = plain(study.speed)
    return {"speed": switches} if switches else {}


def setup_settings(study: Study, setup: str, dataset: str, arch: str) -> dict[str, Any]:
    """A set-up as it is for one data set and network; whether overfitting stops it decides no byte of what finishes."""
    settings = _without(plain(study.setup(setup, dataset, arch)), "where", "like")
    if settings.get("probe"):
        settings["probe"] = _without(settings["probe"], "overfitted")
    return settings


def _without(settings: dict[str, Any], *names: str) -> dict[str, Any]:
    return {name: value for name, value in settings.items() if name not in names}


def run_settings(study: Study, run: Run) -> dict[str, Any]:
    """The settings that decide a trained network: method, readings, set-up, data, seed, and whatever it learns from."""
    method = study.method(run.method)
    settings: dict[str, Any] = {"arch": run.arch, "part": run.part, "facts": facts_settings(study, run.dataset)}
    if method.members > 1 and (method.joint or not run.part):
        settings |= {"members": method.members, "average": method.average}
        if method.average_of is not None:
            settings["average_of"] = run_settings(study, members(study, run)[0])
    if joint := together(study, run):
        settings |= {"of": run_settings(study, joint), "member": method.member}
        return settings | ({"selection": selection_settings(study, run.method)} if method.member == "chosen" else {})
    if method.checkpoints:
        parts = members(study, run) or [run]
        return settings | {"checkpoints": [one.content for part in parts if (one := checkpoint(study, part))]}
    settings |= {
        "objective": method.objective,
        "options": config.facts(study, run.method, run.dataset, run.arch).settings,
        "setup": setup_settings(study, method.setup, run.dataset, run.arch),
        "data": data_settings(study, run.dataset, "train"),
        "seed": run.seed,
        **speed_settings(study),
    }
    tape = tape_of(study, run)
    if tape is not None:
        settings["tape"] = tape_settings(study, tape)
    elif method.ensemble:
        online = Tape(run.dataset, ensemble_name(study, run.dataset, method.ensemble), run.seed)
        settings["teachers"] = tape_settings(study, online)
    if method.generator is not None:
        settings["generator"] = generator_settings(study, method.generator)
    if method.teachers:
        frozen = frozen_teachers(study, run)
        settings["frozen"] = {role: run_settings(study, teacher) for role, teacher in frozen.items()}
    if tuned(method) and not run.part:
        settings["selection"] = selection_settings(study, run.method)
    elif not tuned(method):
        settings["alpha"] = method.alpha
    if tuned(method):  # a candidate that was stopped is kept, as one
        probe = study.setup(method.setup, run.dataset, run.arch).probe
        settings["overfitted"] = probe.overfitted if probe else None
    return settings


def selection_settings(study: Study, method: str) -> dict[str, Any]:
    """The settings that decide which alpha of a method is chosen."""
    selection = study.selection_of(method)
    settings: dict[str, Any] = plain(selection) | {"seed": study.seeds[0]}
    if selection.split == "test":
        settings["test"] = study.data.test
    return settings


def cell_settings(study: Study, cell: Cell, run: dict[str, Any] | None = None) -> dict[str, Any]:
    """The settings that decide a cell: the run, the test images and the attack; ``run`` are those of its run."""
    method = study.method(cell.method)
    settings = {
        "run": run or run_settings(study, cell.run),
        "test": data_settings(study, cell.dataset, "test"),
        "attack": plain(study.attack(cell.attack)),
        **speed_settings(study),
    }
    if study.attack(cell.attack).files:
        settings["files"] = attack_files(study, cell)
    return settings | ({"attacked": method.attacked} if method.members > 1 else {})


def attack_files(study: Study, cell: Cell) -> dict[str, str]:
    """SHA-256 of the files that a cell's attack reads beside the test images, by their names; UserError without one."""
    paths = study.attack_on(cell.attack, cell.dataset).paths
    for path in paths.values():
        if not path.is_file():
            where = f"attacks.{cell.attack}.folder below data.folder, or ATAKA_DATA"
            near = nearest(path.name, [file.name for file in path.parent.glob("*")])
            raise UserError(f"attack '{cell.attack}' on {cell.dataset}: there is no file {path} ({where}){near}")
    return {name: _content(path) for name, path in paths.items()}


def particles_settings(study: Study, node: Particles) -> dict[str, Any]:
    """The settings that decide the measurements of a generator's particles: network, images and generator."""
    if node.generator not in study.generators:
        raise UserError(f"no generator '{node.generator}' in config/{nearest(node.generator, study.generators)}")
    return {
        "run": run_settings(study, node.run),
        "test": data_settings(study, node.dataset, "test"),
        "generator": generator_settings(study, node.generator),
        "count": study.particles.count,
        "images": study.particles.images,
        **speed_settings(study),
    }


def settings_of(study: Study, node: Node) -> dict[str, Any]:
    """The settings that decide an artifact's bytes."""
    if isinstance(node, Tape):
        return tape_settings(study, node)
    if isinstance(node, Run):
        return run_settings(study, node)
    if isinstance(node, Shard):
        return cell_settings(study, node.cell)
    return cell_settings(study, node) if isinstance(node, Cell) else particles_settings(study, node)
