"""The numbers that the paper printed, as data (published/paper_tables.csv), never mixed with measured ones.

They were recovered from the paper's text, every decimal number of its tables once. ``certain`` says how
surely a number belongs to its cell: ``yes`` (printed in a labelled row), ``likely`` (assigned by the order of
the rows) or ``no`` (two cells may be swapped). Methods are named as in config/methods.yaml. In Table 1 the
last key is a statistic (distance; mean, deviation, maximum of cross-entropies) and the method a generator.
"""

import csv
import hashlib
from functools import cache
from pathlib import Path
from typing import NamedTuple

from ataka.errors import UserError

PATH = Path(__file__).with_name("published") / "paper_tables.csv"
COUNT = 384
SHA256 = "fe088b150b01c0d97a0b0f7fd779314c1a1a422e7348c1000e13e366a17d27ca"
"""The SHA-256 of the rows' fields, so that line endings don't matter."""
_COLUMNS = ["table", "dataset", "arch", "method", "attack", "value", "certain"]


class Number(NamedTuple):
    """A printed number: its text, 1:1, its value, and how surely it belongs to its cell."""

    text: str
    value: float
    certain: str


Key = tuple[int, str, str, str, str]


def lookup(table: int | None, dataset: str, arch: str, method: str, attack: str) -> Number | None:
    """The number that the paper's ``table`` printed there, or None. Names are the paper's, no stand-ins."""
    return None if table is None else load().get((table, dataset, arch, method, attack))


@cache
def load(path: Path = PATH) -> dict[Key, Number]:
    """Every published number. Raises UserError if the file isn't what the paper printed."""
    try:
        with path.open(encoding="utf-8", newline="") as file:
            header, *rows = csv.reader(file)
    except (OSError, ValueError, csv.Error) as error:
        raise UserError(f"{path}: {error}; {_REMEDY}") from None
    if header != _COLUMNS:
        raise UserError(f"{path}: its columns are {', '.join(header)}, not {', '.join(_COLUMNS)}; {_REMEDY}")
    numbers: dict[Key, Number] = {}
    for line, row in enumerate(rows, start=2):
        key, number = _parse(path, line, row)
        if key in numbers:
            raise UserError(f"{path}, line {line}: {' '.join(map(str, key))} occurs twice; {_REMEDY}")
        numbers[key] = number
    if len(numbers) != COUNT:
        raise UserError(f"{path} has {len(numbers)} numbers, the paper {COUNT}; {_REMEDY}")
    if digest(rows) != SHA256:
        raise UserError(f"{path} was changed: it no longer holds what the paper printed; {_REMEDY}")
    return numbers


def digest(rows: list[list[str]]) -> str:
    """SHA-256 of the rows' fields."""
    return hashlib.sha256("\n".join(map(",".join, rows)).encode()).hexdigest()


_REMEDY = "restore it: git checkout -- report/paper/published"


def _parse(path: Path, line: int, row: list[str]) -> tuple[Key, Number]:
    try:
        table, dataset, arch, method, attack, text, certain = row
        number = Number(text, float(text), certain)
        if not 0 <= number.value <= 100 or certain not in ("yes", "likely", "no"):
            raise ValueError
        return (int(table), dataset, arch, method, attack), number
    except ValueError:
        raise UserError(f"{path}, line {line}: '{','.join(row)}' is no published number; {_REMEDY}") from None
