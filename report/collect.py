"""Measurements to one CSV: the collection of a table, and every cell that there is.

A table takes in only measurements under the settings in force. A measurement of another scale, of other settings, or
with numbers that don't add up is refused by name, so lost or outdated Snakemake metadata can't hide a stale
measurement.
"""

from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any

from ataka.errors import Unusable, UserError
from ataka.files.records import collected, read_rows, require_collected, require_sealed, write_rows
from ataka.plan import commands
from ataka.study import Study
from report import candidates
from report.accuracies import measurements
from report.problems import Problems
from report.sources import Source, identity
from report.table import Table


@dataclass
class Collection(Problems):
    """The measurements of a table and the choices of alpha behind them, beside the problems of the others."""

    measurements: list[Any] = field(default_factory=list)
    choices: list[dict[str, object]] = field(default_factory=list)


def gather(table: Table, study: Study, root: str) -> Collection:
    """Every valid measurement and choice of ``table`` below ``root``, and the reason against each of the others."""
    collection = Collection()
    for source in table.sources(study):
        measurement = collection.attempt(source.csv(root), partial(_measurement, table, study, source, root))
        if measurement is not None:
            collection.measurements.append(measurement)
    needed = table.records(study, [source for source in table.sources(study) if source.csv(root).exists()])
    collection.missing += [path for path in (Path(root, name) for name in needed) if not path.exists()]
    examined = table.examined(collection.measurements, study, root)
    collection.measurements, unsound = table.sound(examined, study, root)
    collection.refused += unsound
    for run in table.tuned_runs(study):
        collection.choices += collection.attempt(run.choice(root), partial(candidates.rows, root, study, run)) or []
    return collection


def target(table: Table, root: str) -> str:
    """Snakemake's name for the table."""
    return f"{root}/{table.name}.tex"


def write(collection: Collection, table: Table, stem: Path) -> tuple[Path, Path]:
    """``{stem}.csv``, unless there is nothing to write, and ``{stem}.choices.csv``."""
    path, chosen = Path(f"{stem}.csv"), Path(f"{stem}.choices.csv")
    rows = [row for measurement in collection.measurements for row in measurement.rows]
    if rows:
        write_rows(path, collected(rows), table.csv_columns)
    else:
        path.unlink(missing_ok=True)
    write_rows(chosen, collected(collection.choices), candidates.COLUMNS)
    return path, chosen


def read(path: Path, table: Table, study: Study, root: str) -> list[Any]:
    """The measurements of a collection, checked once more against the settings in force."""
    expected = {tuple(identity(source).values()): source for source in table.sources(study)}
    columns = list(identity(next(iter(expected.values()))))
    by_key: dict[tuple[str, ...], list[dict[str, str]]] = {}
    rows = read_rows(path, table.csv_columns)
    for line, fields in enumerate(rows, start=2):
        key = tuple(fields[name] for name in columns)
        if key not in expected:
            raise Unusable(f"{path}, line {line}, is none of {table.name}'s {table.noun}: {' '.join(key)}")
        by_key.setdefault(key, []).append(fields)
    measurements = [
        table.check(by_key[key], study, source, f"{path}: {' '.join(key)}")
        for key, source in expected.items()
        if key in by_key
    ]
    require_collected(rows, path)
    return measurements


def write_all(study: Study, root: str) -> tuple[Path, int]:
    """``{root}/cells.csv``: every cell below ``root``, as it was measured, and their number."""
    problems, rows = Problems(), []
    for path in sorted(Path(root, "cells").rglob("*.csv")):
        rows += problems.attempt(path, partial(_sealed, path)) or []
    problems.insist(study)
    if not rows:
        made = commands.snakemake(study, f"{root}/table2.tex")
        raise UserError(f"there are no cells below {root}; make some: {made}")
    target = Path(root, "cells.csv")
    write_rows(target, collected(rows), measurements.COLUMNS)
    return target, len(rows)


def _sealed(path: Path) -> list[dict[str, str]]:
    rows = read_rows(path, measurements.COLUMNS)
    require_sealed(rows, path)
    return rows


def _measurement(table: Table, study: Study, source: Source, root: str) -> Any:
    path = source.csv(root)
    rows = read_rows(path, table.csv_columns)
    measurement = table.check(rows, study, source, str(path))
    require_sealed(rows, path)
    table.verify(measurement, root)
    return measurement
