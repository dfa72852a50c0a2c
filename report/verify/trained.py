"""Trainings and their inputs: prepared images, tapes, runs, choices of alpha."""

import os
from collections.abc import Iterator
from dataclasses import asdict
from pathlib import Path

from ataka import plan
from ataka.files.records import COST, read_json
from ataka.plan import Run, Tape
from report import candidates
from report.verify.inspection import Inspection


def data(at: Inspection, path: Path) -> Iterator[str]:
    """Faults of prepared images, as errors that ``load_split`` raises."""
    from ataka.files.prepared import load_split  # needs torch

    dataset, part = path.parent.name, path.stem
    for name in ("train", "validation", "all") if part == "train" else ("test",):
        load_split(path, name, plan.data_settings(at.study, dataset, part))
    _cost(at, path)
    yield from ()


def tape(at: Inspection, node: Tape) -> Iterator[str]:
    """Faults of a tape: its settings, its images, and the files of its epochs and teachers."""
    path, folder = node.manifest(at.root), node.folder(at.root)
    manifest = read_json(path)
    yield from at.settings(path, manifest["settings"], plan.tape_settings(at.study, node))
    yield from at.images(path, node.dataset, plan.trained_on(at.study, node), manifest["data_sha256"])
    epochs = manifest["settings"]["setup"]["epochs"]
    if (len(manifest["epochs"]), len(manifest["teachers"])) != (epochs, manifest["settings"]["n"]):
        yield f"{path} lists {len(manifest['epochs'])} epochs of {epochs}"
    for entry in (*manifest["epochs"], *manifest["teachers"]):
        yield from at.file(Path(os.path.normpath(folder / entry["file"])), entry["sha256"], path)
    if origin := manifest.get("shared"):
        yield from at.file(Path(os.path.normpath(folder / origin["of"])), origin["sha256"], path)
        _cost(at, path)
    else:
        yield from _record(at, node, path)


def run(at: Inspection, node: Run) -> Iterator[str]:
    """Faults of a trained network's record and weights."""
    path = node.model(at.root)
    yield from _record(at, node, path)
    if node.alpha is not None and node.alpha not in at.study.selection.alphas:
        at.note(f"{path} is no candidate any more (selection.alphas)")


def _record(at: Inspection, node: Tape | Run, path: Path) -> Iterator[str]:
    """A training's run.json, and what it says of the files beside it and of those that it was made from."""
    folder, file = node.folder(at.root), node.folder(at.root) / "run.json"
    at.explained.add(file)
    record = read_json(file)
    for name, value in asdict(node).items():
        if record[name] != value:
            yield f"{file}: its {name} is '{record[name]}', where it lies it must be '{value}'"
    yield from at.settings(path, record["settings"], plan.settings_of(at.study, node))
    for key, name in (("model_sha256", "model.safetensors"), ("history_sha256", "history.csv")):
        if key in record:
            yield from at.file(folder / name, record[key], path, file)
    if "data_sha256" in record:
        yield from at.images(path, node.dataset, plan.trained_on(at.study, node), record["data_sha256"])
    yield from at.sources(path, record["made_from"])
    at.code(path, record["code_sha256"], plan.code_of(at.study, node))


def _cost(at: Inspection, path: Path) -> None:
    """Check the record of what the job took, if it is there: nothing depends on it."""
    record = path.with_suffix(COST)
    at.explained.add(record)
    if record.is_file():
        read_json(record)


def choice(at: Inspection, path: Path, node: Run) -> Iterator[str]:
    """Faults of a choice of alpha: its candidates, its images and its sources."""
    chosen = candidates.load(at.root, at.study, node)
    if [candidate.alpha for candidate in chosen.grid] != list(at.study.selection.alphas):
        yield f"{path}: its candidates are not those of selection.alphas"
    yield from at.images(path, node.dataset, chosen.split, chosen.data_sha256)
    yield from at.sources(path, chosen.made_from)
    at.code(path, chosen.code_sha256, plan.selection_code(at.study))
    _cost(at, path)
