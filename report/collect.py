"""Measurements to one CSV: the collection of a table, and every cell that there is.

A table takes in only measurements under the settings in force. A measurement of another scale, of other settings, or
with numbers that don't add up is refused by name, so lost or outdated Snakemake metadata can't hide a stale
measurement.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from ataka.errors import UserError
from ataka.files.records import collected, read_rows, require_collected, require_sealed, write_rows
from ataka.study import Study
from report import candidates
from report.accuracies import measurements
from report.sources import Source, identity
from report.table import Table

T = TypeVar("T")
_LISTED = 10
"""Problems named one by one in an error; the rest are counted."""


@dataclass
class Collection:
    """The measurements of a table; ``refused`` holds reasons, ``missing`` the paths of missing measurements."""

    measurements: list[Any] = field(default_factory=list)
    choices: list[dict[str, object]] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)


def gather(table: Table, study: Study, root: str) -> Collection:
    """Every valid measurement and choice of ``table`` below ``root``, and the reason against each of the others."""
    collection = Collection()
    for source in table.sources(study):
        path = source.csv(root)
        remedy = f"re-run it: {_snakemake(root, table)} --forcerun {path}"
        measurement = _attempt(path, partial(_measurement, table, study, source, root, remedy), collection)
        if measurement is not None:
            collection.measurements.append(measurement)
    collection.measurements = table.examined(collection.measurements, study, root)
    for run in table.tuned_runs(study):
        path = run.choice(root)
        remedy = f"choose again: {_snakemake(root, table)} --forcerun {path}"
        collection.choices += _attempt(path, partial(candidates.rows, root, study, run, remedy), collection) or []
    return collection


def insist(collection: Collection, table: Table, root: str) -> None:
    """Raise UserError unless everything is there and valid."""
    problems = collection.refused + [f"{path} is missing" for path in collection.missing]
    if not problems:
        return
    remedy = (
        [f"measure what is missing: {_snakemake(root, table)} (or see what there is: --partial)"]
        if collection.missing
        else []
    )
    more = [f"... and {len(problems) - _LISTED} more"] if len(problems) > _LISTED else []
    raise UserError("\n".join([*problems[:_LISTED], *more, *remedy]))


def write(collection: Collection, table: Table, stem: Path) -> tuple[Path, Path]:
    """``{stem}.csv``, unless there is nothing to write, and ``{stem}.choices.csv``."""
    path, chosen = Path(f"{stem}.csv"), Path(f"{stem}.choices.csv")
    rows = [row for one in collection.measurements for row in one.rows]
    if rows:
        write_rows(path, collected(rows), table.csv_columns)
    else:
        path.unlink(missing_ok=True)
    write_rows(chosen, collected(collection.choices), candidates.COLUMNS)
    return path, chosen


def read(path: Path, table: Table, study: Study, root: str, *, remedy: str = "") -> list[Any]:
    """The measurements of a collection, checked once more against the settings in force."""
    if not path.exists():
        raise UserError(f"{path} doesn't exist yet; make it: {_snakemake(root, table)} (or see --partial)")
    remedy = remedy or f"collect again: python -m report collect {table.name} --root {root}"
    expected = {tuple(identity(source).values()): source for source in table.sources(study)}
    columns = list(identity(next(iter(expected.values()))))
    by_key: dict[tuple[str, ...], list[dict[str, str]]] = {}
    rows = read_rows(path, table.csv_columns, remedy)
    for line, fields in enumerate(rows, start=2):
        key = tuple(fields[name] for name in columns)
        if key not in expected:
            raise UserError(f"{path}, line {line}, is none of {table.name}'s {table.noun}: {' '.join(key)}; {remedy}")
        by_key.setdefault(key, []).append(fields)
    measurements = [
        table.check(by_key[key], study, source, f"{path}: {' '.join(key)}", remedy)
        for key, source in expected.items()
        if key in by_key
    ]
    require_collected(rows, path, remedy)
    return measurements


def write_all(root: str) -> tuple[Path, int]:
    """``{root}/cells.csv``: every cell below ``root``, as it was measured, and their number."""
    paths = sorted(Path(root, "cells").rglob("*.csv"))
    rows = []
    for path in paths:
        remedy = f"re-run it: snakemake --cores all --force {path}"
        sealed = read_rows(path, measurements.COLUMNS, remedy)
        require_sealed(sealed, path, remedy)
        rows += sealed
    if not rows:
        raise UserError(f"there are no cells below {root}; make some: snakemake --cores all {root}/table2.tex")
    target = Path(root, "cells.csv")
    write_rows(target, collected(rows), measurements.COLUMNS)
    return target, len(rows)


def _measurement(table: Table, study: Study, source: Source, root: str, remedy: str) -> Any:
    path = source.csv(root)
    rows = read_rows(path, table.csv_columns, remedy)
    measurement = table.check(rows, study, source, str(path), remedy)
    require_sealed(rows, path, remedy)
    table.verify(measurement, root, remedy)
    return measurement


def _attempt(path: Path, read_one: Callable[[], T], collection: Collection) -> T | None:
    if not path.exists():
        collection.missing.append(str(path))
        return None
    try:
        return read_one()
    except UserError as error:
        collection.refused.append(str(error))
        return None


def _snakemake(root: str, table: Table) -> str:
    return f"snakemake --cores all {root}/{table.name}.tex"
