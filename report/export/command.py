"""`python -m ataka export`: weights, program, model card and RobustBench entry of one network of a study."""

import argparse
import shutil
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ataka import plan
from ataka.errors import Unusable, UserError, remedied
from ataka.files.disk import replacing
from ataka.files.locate import expanded
from ataka.files.records import read_json, read_rows, require_sealed
from ataka.plan import Cell, Run
from ataka.study import Study, config, words
from report import names, sweeps
from report.accuracies import health, measurements
from report.accuracies.measurements import Bits, Measurement
from report.audit.robustbench import write_entry
from report.grammar import counted
from report.watch import traces

WEIGHTS, RECORD, SETTINGS, PROGRAM = "model.safetensors", "run.json", "config.json", "network.pt2"
CARD, ENTRY = "README.md", "robustbench.json"


def export(given: argparse.Namespace) -> None:
    """Write the network of the run ``given.path``, with what was measured on it, to ``given.folder``."""
    from report.export import card, network

    root, run = _run(given.path)
    study = config.load(plan.scale_of(root), config.overrides(given.config) or traces.settings(root))
    plan.require_known(study, run)
    folder = Path(expanded(given.folder or f"exports/{name_of(run)}"))
    loaded = network.load(study, root, run)  # refuses a run that is damaged, or of other settings
    record = read_json(run.folder(root) / RECORD, "model_sha256")
    _require_its_own(folder, record)
    measured, problems = results(study, root, run, record["model_sha256"])
    for name in (RECORD, WEIGHTS):  # as they are, so that their digests hold
        with replacing(folder / name) as part:
            shutil.copyfile(run.folder(root) / name, part)
    network.write_settings(folder / SETTINGS, study, run, loaded)
    problem = network.write_program(folder / PROGRAM, study, run, loaded)
    if problem:
        (folder / PROGRAM).unlink(missing_ok=True)
        problems.append(f"{PROGRAM} is left out: {problem}")
    card.write(folder / CARD, study, run, record, measured, program=not problem)
    label = words.plain(names.method(run.method, study))
    about = {"name": label, "dataset": run.dataset, "checkpoint": {"arch": run.arch}}
    write_entry(folder / ENTRY, study, about, measured)
    for text in problems:
        print(f"note: {text}", file=sys.stderr)
    written = [name for name in (CARD, WEIGHTS, PROGRAM, SETTINGS, RECORD, ENTRY) if (folder / name).exists()]
    print(f"{counted(len(measured), 'result')}; written: {' '.join(str(folder / name) for name in written)}")


def name_of(run: Run) -> str:
    """A run in one word: ``cifar10-resnet18-s-at-aka-seed0``."""
    parts = (run.dataset, run.arch, run.method, f"seed{run.seed}", run.part)
    return "-".join(part.replace("/", "-") for part in parts if part)


def _run(path: str) -> tuple[str, Run]:
    """The results folder and the run that ``path``, its folder or its weights, names."""
    file = Path(path) if Path(path).name == WEIGHTS else Path(path, WEIGHTS)
    try:
        root, node = plan.parse(file)
    except UserError:
        node = None
    if not isinstance(node, Run):
        raise UserError(
            f"'{path}' is no network of a study; name the folder of a run: results/SCALE/runs/DATASET/ARCH/METHOD/seedN"
            + ("; an audit has its model card already, card.md" if (Path(path) / "audit.json").exists() else "")
        )
    return root, node


def _require_its_own(folder: Path, record: Mapping[str, Any]) -> None:
    """UserError where ``folder`` holds anything but an earlier export of the same network."""
    if not folder.exists():
        return
    if not folder.is_dir():
        raise UserError(f"{folder} is a file; name a folder to export to")
    if not (folder / RECORD).exists():
        if any(folder.iterdir()):
            raise UserError(f"{folder} holds other files: export to a folder of its own")
        return
    with remedied("delete the folder, or export to another"):
        there = read_json(folder / RECORD, "model_sha256")["model_sha256"]
        if there != record["model_sha256"]:
            raise Unusable(f"{folder} holds another network, of SHA-256 {there[:12]}")


def results(study: Study, root: str, run: Run, model_sha256: str) -> tuple[list[Measurement], list[str]]:
    """The measurements of the run's network in the order of the settings, and why others can't be shown.

    Points of a curve are left out: an attack that is made weak on purpose would only mark the network as unreliable.
    """
    held: dict[Cell, Measurement] = {}
    bits: dict[Cell, Bits] = {}
    problems, points = [], sweeps.points(study)
    for attack, entry in study.attacks.items():
        cell = Cell(run.dataset, run.arch, run.method, run.seed, attack)
        if entry is None or attack in points or run.part or not cell.csv(root).exists():
            continue
        try:
            held[cell], bits[cell] = _read(study, root, cell, model_sha256)
        except UserError as error:
            held.pop(cell, None)
            problems.append(f"left out: {error}")
    return health.examine(list(held.values()), study, bits), problems


def _read(study: Study, root: str, cell: Cell, model_sha256: str) -> tuple[Measurement, Bits]:
    path = cell.csv(root)
    rows = read_rows(path, measurements.COLUMNS)
    measured = measurements.check(rows, study, cell, str(path))
    require_sealed(rows, path)
    if measured.fields["model_sha256"] != model_sha256:
        raise Unusable(f"{path} is of another network than the run's")
    return measured, measurements.bits(measured, root)
