"""The CSV of a measurement, read as text and checked: whole, of this study, made under the settings in force."""

import csv
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from ataka import plan
from ataka.errors import UserError
from ataka.files.records import seal
from ataka.plan import Cell, Particles
from ataka.study import Study

Source = Cell | Particles
"""An artifact whose CSV a table collects."""


def read_rows(path: Path, columns: Sequence[str]) -> list[dict[str, str]]:
    """The rows of a CSV that has ``columns`` and perhaps more, every field as text; UserError if it is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} can't be read: {error}") from None
    except ValueError:
        raise UserError(f"{path} is empty") from None
    missing = [name for name in columns if name not in header]
    if missing:
        raise UserError(f"{path} isn't what it should be: it lacks the column {missing[0]}")
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(f"{path}, line {line}: {len(row)} fields under {len(header)} column names")
    return [dict(zip(header, row, strict=True)) for row in rows]


def require_sealed(rows: Sequence[dict[str, str]], path: Path, remedy: str) -> None:
    """Raise UserError unless every row of a measurement is as it was written."""
    for line, row in enumerate(rows, start=2):
        if "seal" not in row:
            raise UserError(f"{path} has no seal: an older version made it, or a hand; {remedy}")
        if row["seal"] != seal(row):
            raise UserError(f"{path}, line {line}, was changed after it was written: its seal doesn't hold; {remedy}")


def identity(source: Source) -> dict[str, str]:
    """The columns that name ``source``, and what they hold."""
    return {name: str(value) for name, value in asdict(source).items()}


def require_in_force(fields: dict[str, str], study: Study, source: Source, where: str, remedy: str) -> None:
    """Raise UserError, naming ``where``, unless a row is ``source``'s, of this scale and of the settings in force."""
    if fields["scale"] != study.scale:
        raise UserError(f"{where} is of scale '{fields['scale']}', the table of '{study.scale}'; {remedy}")
    for name, value in identity(source).items():
        if fields[name] != value:
            raise UserError(f"{where}: its {name} is '{fields[name]}', '{value}' was expected; {remedy}")
    settings = plan.digest(plan.settings_of(study, source))
    if fields["config_sha256"] != settings:
        raise UserError(
            f"{where} was made under other settings (config_sha256 {fields['config_sha256'][:12]}, "
            f"in force: {settings[:12]}); {remedy}"
        )
