"""Records of what was made: JSON objects and rows of CSV, each with a seal. Imports no torch.

A *seal* is the SHA-256 of the rest of the object or row. It tells damage and edits from what was written. It is no
signature: whoever wants to can write another.
"""

import csv
import hashlib
import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ataka.errors import UserError
from ataka.files.disk import replacing


def seal(content: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON object, or of a row of a CSV as text, without its seal."""
    rest = {name: value for name, value in content.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def sealed(row: Mapping[str, Any]) -> dict[str, str]:
    """A row of a CSV as it will be read, with its seal."""
    text = {name: "" if value is None else str(value) for name, value in row.items()}
    return text | {"seal": seal(text)}


def write_json(path: Path, content: Mapping[str, Any]) -> None:
    """A JSON object, with its seal."""
    text = _json(json.loads(json.dumps(content)))
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def _json(content: Mapping[str, Any]) -> str:
    return json.dumps({**content, "seal": seal(content)}, indent=2, sort_keys=True) + "\n"


def read_json(path: Path, *wanted: str) -> dict[str, Any]:
    """What ``write_json`` wrote; UserError if it is missing, damaged, changed since, or lacks a key of ``wanted``."""
    try:
        text = path.read_bytes().decode()
        content = json.loads(text)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: make it first") from None
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is damaged: {error}; delete it and run again") from None
    if not isinstance(content, dict) or "seal" not in content:
        raise UserError(f"{path} has no seal: an older version made it, or a hand; delete it and run again")
    if text != _json(content):
        raise UserError(f"{path} was changed after it was written: its seal doesn't hold; delete it and run again")
    for name in wanted:
        if name not in content:
            raise UserError(f"{path} is another's file: it has no '{name}'; delete it and run again")
    return {name: value for name, value in content.items() if name != "seal"}


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A CSV file with a header; the columns are the first row's keys."""
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file that a machine wrote, as text; UserError if it is missing, or damaged."""
    try:
        text, again = path.read_bytes().decode(), io.StringIO()
        header, *rows = [*csv.reader(io.StringIO(text, newline=""), strict=True)] or [[]]
        csv.writer(again, lineterminator="\n").writerows([header, *rows])
        if text and text != again.getvalue():
            raise ValueError("it isn't laid out as it was written")
    except FileNotFoundError:
        raise UserError(f"{path} is missing: make it first") from None
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}") from None
    except (ValueError, csv.Error) as error:
        raise UserError(f"{path} is damaged: {error}; delete it and run again") from None
    if not header or len(set(header)) < len(header):
        what = "a column stands twice" if header else "it has no columns"
        raise UserError(f"{path} is damaged: {what}; delete it and run again")
    for line, row in enumerate(rows, start=2):
        if len(row) != len(header):
            raise UserError(
                f"{path}, line {line}, is damaged: {len(row)} fields under {len(header)} column names; "
                "delete it and run again"
            )
    return [dict(zip(header, row, strict=True)) for row in rows]


def seals(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """The seal, ``collected``, of each row of a collection: of what it states, its place and their number.

    So no row can be edited, lost or added. Fields that only other rows have are left out.
    """
    stated = [{name: value for name, value in row.items() if value and name != "collected"} for row in rows]
    return [seal({**row, "collected": f"{place} of {len(rows)}"}) for place, row in enumerate(stated, start=1)]


_COMMENT = {".tex": "% sealed: {}", ".md": "<!-- sealed: {} -->"}


def sealed_page(text: str, suffix: str) -> str:
    """``text`` with a last line that LaTeX or Markdown doesn't show: the SHA-256 of what stands before it."""
    return f"{text}{_COMMENT[suffix].format(hashlib.sha256(text.encode()).hexdigest())}\n"


def holds(page: str, suffix: str) -> bool | None:
    """Whether a page is as ``sealed_page`` wrote it; None if it has no seal at all."""
    text = "".join(page.splitlines(keepends=True)[:-1])
    if _COMMENT[suffix].split("{}")[0] not in page:
        return None
    return page == sealed_page(text, suffix)
