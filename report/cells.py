"""One cell's CSV, read as text and checked: whole, adding up, and made under the settings in force."""

import csv
from dataclasses import dataclass
from pathlib import Path

from ataka import plan
from ataka.errors import UserError
from ataka.plan import Cell
from ataka.study import Study

# fmt: off
COLUMNS = [
    "scale", "dataset", "arch", "method", "seed", "attack",
    "n", "correct", "accuracy", "ci_low", "ci_high",
    "eps", "steps", "step_size",
    "model_sha256", "config_sha256",
    "git_commit", "git_dirty",
    "device", "torch", "threads", "seconds", "finished_at",
]
# fmt: on
"""What every cell states; it may state more."""
_ROUNDING = 0.005 + 1e-9
"""Accuracies may be written with two decimals."""


@dataclass(frozen=True)
class Measurement:
    """A cell that may stand in a table. ``fields`` is its row, as it was written."""

    cell: Cell
    n: int
    accuracy: float
    ci_low: float
    ci_high: float
    eps: str
    fields: dict[str, str]


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV of cells, every field as text; UserError if it is none."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"{path} can't be read: {error}") from None
    except ValueError:
        raise UserError(f"{path} is empty") from None
    missing = [name for name in COLUMNS if name not in header]
    if missing:
        raise UserError(f"{path} is no CSV of cells: it lacks the column {missing[0]}")
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(f"{path}, line {line}: {len(row)} fields under {len(header)} column names")
    return [dict(zip(header, row, strict=True)) for row in rows]


def read(root: str | Path, study: Study, cell: Cell, remedy: str) -> Measurement:
    """The checked measurement in ``cell``'s own file; ``remedy`` says how to make it again."""
    path = cell.csv(root)
    rows = read_rows(path)
    if len(rows) != 1:
        raise UserError(f"{path} has {len(rows)} rows, a cell has one; {remedy}")
    return check(rows[0], study, cell, str(path), remedy)


def check(fields: dict[str, str], study: Study, cell: Cell, where: str, remedy: str) -> Measurement:
    """``fields`` as a measurement of ``cell``; UserError, naming ``where``, if it can't be one."""
    if fields["scale"] != study.scale:
        raise UserError(f"{where} is of scale '{fields['scale']}', the table of '{study.scale}'; {remedy}")
    expected = {"dataset": cell.dataset, "arch": cell.arch, "method": cell.method, "attack": cell.attack}
    for name, value in (expected | {"seed": str(cell.seed)}).items():
        if fields[name] != value:
            raise UserError(f"{where}: its {name} is '{fields[name]}', '{value}' was expected; {remedy}")
    settings = plan.digest(plan.cell_settings(study, cell))
    if fields["config_sha256"] != settings:
        raise UserError(
            f"{where} was made under other settings (config_sha256 {fields['config_sha256'][:12]}, "
            f"in force: {settings[:12]}); {remedy}"
        )
    try:
        return _measurement(cell, fields)
    except ValueError as error:
        raise UserError(f"{where} doesn't add up: {error}; was it edited? {remedy}") from None


def _measurement(cell: Cell, fields: dict[str, str]) -> Measurement:
    n, correct = int(fields["n"]), int(fields["correct"])
    accuracy, low, high = (float(fields[name]) for name in ("accuracy", "ci_low", "ci_high"))
    if not 0 <= correct <= n or n < 1:
        raise ValueError(f"{correct} of {n} images can't be correct")
    if not abs(accuracy - 100 * correct / n) <= _ROUNDING:
        raise ValueError(f"accuracy {fields['accuracy']} with {correct} of {n} correct")
    if not -_ROUNDING <= low <= accuracy + _ROUNDING <= high + 2 * _ROUNDING <= 100 + 3 * _ROUNDING:
        raise ValueError(f"accuracy {fields['accuracy']} within [{fields['ci_low']}, {fields['ci_high']}]")
    return Measurement(cell, n, accuracy, low, high, fields["eps"], fields)
