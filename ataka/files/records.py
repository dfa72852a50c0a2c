"""Records of what was made: JSON objects and rows of CSV, each with a seal. Imports no torch.

A *seal* is the SHA-256 of all other fields of the object or row, and reveals damage and edits. A seal is no signature:
anybody can compute a new seal.
"""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ataka.errors import Unusable, UserError
from ataka.files.disk import replacing

COST = ".cost.json"
"""The suffix of the record of what a job took, beside an output that must be the same bytes in every run."""


def seal(content: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON object, or of a row of a CSV as text, without its seal."""
    rest = {name: value for name, value in content.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


# ---- JSON


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """A JSON object, with its seal."""
    text = _json(json.loads(json.dumps(content)))
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps({**content, "seal": seal(content)}, indent=2, sort_keys=True) + "\n"


def read_json(path: Path, *wanted: str) -> dict[str, Any]:
    """The object that ``write_json`` wrote, without its seal.

    Unusable if the file is missing, damaged, changed since, or lacks a key of ``wanted``.
    """
    try:
        text = path.read_bytes().decode()
        content = json.loads(text)
    except FileNotFoundError:
        raise Unusable(f"{path} is missing", "make it first") from None
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise Unusable(f"{path} is damaged: {error}") from None
    if not isinstance(content, dict) or "seal" not in content:
        raise Unusable(f"{path} has no seal: an older version made it, or a hand")
    if text != _json(content):
        raise Unusable(f"{path} was changed after it was written: its seal doesn't hold")
    for name in wanted:
        if name not in content:
            raise Unusable(f"{path} is another's file: it has no '{name}'")
    return {name: value for name, value in content.items() if name != "seal"}


# ---- rows


def sealed(row: Mapping[str, Any]) -> dict[str, str]:
    """A row of a CSV with its seal, every field as the text that ``read_rows`` gives."""
    text = _as_read(row)
    return text | {"seal": seal(text)}


def write_rows(path: Path, rows: Iterable[Mapping[str, Any]], columns: Sequence[str] = ()) -> None:
    """A CSV file: a header of ``columns``, then of every other name that a row has, and the rows below it."""
    rows = list(rows)
    header = list(dict.fromkeys([*columns, *(name for row in rows for name in row)]))
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=header, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path, columns: Iterable[str] = ()) -> list[dict[str, str]]:
    """The rows of a CSV file that ``write_rows`` wrote, every field as text.

    Unusable if the file is missing, damaged, or lacks one of ``columns``.
    """
    try:
        text, again = path.read_bytes().decode(), io.StringIO()
        header, *rows = [*csv.reader(io.StringIO(text, newline=""), strict=True)] or [[]]
        csv.writer(again, lineterminator="\n").writerows([header, *rows])
        if text and text != again.getvalue():
            raise ValueError("it isn't laid out as it was written")
        _check_table(header, rows)
    except FileNotFoundError:
        raise Unusable(f"{path} is missing", "make it first") from None
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        raise Unusable(f"{path} is damaged: {error}") from None
    for name in columns:
        if name not in header:
            raise Unusable(f"{path} lacks the column '{name}': an older version made it, or a hand")
    return [dict(zip(header, row, strict=True)) for row in rows]


def _check_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    if not header or len(set(header)) < len(header):
        raise ValueError("a column stands twice" if header else "it has no columns")
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise ValueError(f"line {line} has {len(row)} fields under {len(header)} column names")


def require_sealed(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Unusable unless every row of a measurement is as ``sealed`` left it."""
    for line, row in enumerate(rows, start=2):
        if "seal" not in row:
            raise Unusable(f"{path} has no seal: an older version made it, or a hand")
        if row["seal"] != seal(row):
            raise Unusable(f"{path}, line {line}, was changed after it was written: its seal doesn't hold")


# ---- collections: rows that were measured elsewhere, or computed from such


def collected(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, str]]:
    """The rows of a collection, every field as the text that ``read_rows`` gives.

    Each row gets a seal ``collected`` of its fields, its place and the number of rows, so that no row can be edited,
    lost or added unnoticed.
    """
    texts = [_as_read(row) for row in rows]
    return [{**row, "collected": its} for row, its in zip(texts, _seals(texts), strict=True)]


def require_collected(rows: Sequence[Mapping[str, str]], path: Path) -> None:
    """Unusable unless the rows of a collection are as ``collected`` left them."""
    if any("collected" not in row for row in rows):
        raise Unusable(f"{path} has rows without a seal: an older version made it, or a hand")
    lines = enumerate(zip(rows, _seals(rows), strict=True), start=2)
    edited = [line for line, (row, its) in lines if row["collected"] != its]
    if len(edited) == len(rows):  # their number is part of every seal
        raise Unusable(f"{path} is not what was collected: a row is missing, or all were edited")
    if edited:
        raise Unusable(f"{path}, line {edited[0]}, is not what was collected: it was edited or is damaged")


def _seals(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """Empty fields don't count: a collection has the columns of all its rows."""
    stated = [{name: value for name, value in row.items() if value and name != "collected"} for row in rows]
    return [seal({**row, "collected": f"{place} of {len(rows)}"}) for place, row in enumerate(stated, start=1)]


def _as_read(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: "" if value is None else str(value) for name, value in row.items()}
