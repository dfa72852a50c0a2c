"""Measurements: cells and particles, checked as the collection of a table checks them."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from ataka import plan
from ataka.files.records import read_rows, require_sealed
from ataka.plan import Cell, Particles, Shard
from report.accuracies import measurements
from report.particles import particle_rows
from report.verify.inspection import Inspection


def cell(at: Inspection, node: Cell) -> Iterator[str]:
    """Faults of a cell: its record, its origin, and its verdicts image by image."""
    path, bits = node.csv(at.root), node.bits(at.root)
    at.explained.add(bits)
    rows = read_rows(path, measurements.COLUMNS)
    measurement = measurements.check(rows, at.study, node, str(path))
    problems = [*_origin(at, node, path, rows[0]), *at.file(bits, rows[0]["bits_sha256"], path)]
    if not problems:
        require_sealed(rows, path)
        measurements.bits(measurement, at.root)
    yield from problems


def shard(at: Inspection, node: Shard) -> Iterator[str]:
    """A part of a cell that isn't made yet."""
    from ataka.files.resume import read  # needs torch

    path = node.file(at.root)
    content, _ = read(path)
    made = content["identity"]
    if made["settings"] != plan.digest(plan.settings_of(at.study, node)):
        yield f"{path} was made under other settings than those in force"
    digests = {f"{name}_sha256": made[name] for name in ("model", "data", "code")}
    yield from _origin(at, node, path, digests)


def particles(at: Inspection, node: Particles) -> Iterator[str]:
    """Faults of a measurement of particles: its record and its origin."""
    path = node.csv(at.root)
    rows: Sequence[dict[str, str]] = read_rows(path, particle_rows.COLUMNS)
    particle_rows.check(rows, at.study, node, str(path))
    require_sealed(rows, path)
    yield from _origin(at, node, path, rows[0])


def _origin(at: Inspection, node: Cell | Shard | Particles, path: Path, row: Mapping[str, str]) -> Iterator[str]:
    """The problem of a measurement whose network or images are no longer those that were measured."""
    model = node.run.model(at.root)
    if not model.is_file():
        at.missing[model].append(path)
    elif at.sha256(model) != row["model_sha256"]:
        yield f"{path} was measured on another network than {model} is now"
    yield from at.images(path, node.dataset, "test", row["data_sha256"])
    at.code(path, row["code_sha256"], plan.code_of(at.study, node))
