"""Files that are whole or not there: atomic writes, safetensors, JSON, CSV, checksums.

Every JSON file, and every row of a measurement's CSV, has a *seal*: the SHA-256 of the rest of it. It tells damage and
edits from what was written; it is no signature, and whoever wants to can write another.
"""

import csv
import hashlib
import io
import json
import shutil
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ataka.atomic import replacing as replacing
from ataka.data import Split
from ataka.errors import UserError
from ataka.provenance import seal as seal


def require_space(folder: Path, needed: int) -> None:
    """UserError unless the disk of ``folder`` has ``needed`` bytes, what ``folder`` holds already included."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        held = sum(path.stat().st_size for path in folder.iterdir() if path.is_file())
        free = shutil.disk_usage(folder).free
    except OSError as error:
        raise UserError(f"can't write {folder}: {error.strerror}") from None
    if free + held < needed:
        raise UserError(
            f"{folder} needs {needed / 1e9:,.1f} GB, but its disk has {free / 1e9:,.1f} GB left: make room, or put the "
            "results folder on another disk (a symbolic link will do)"
        )


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written in ``folder``: our parts, and safetensors' own."""
    for pattern in (".*.part", ".tmp*"):
        for left in folder.glob(pattern):
            with suppress(OSError):
                left.unlink()


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


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None = None) -> None:
    """Write tensors with ``about`` as JSON metadata. Equal content gives equal bytes."""
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"about": json.dumps(about or {}, sort_keys=True)}  # one key: safetensors keeps no order of keys
    with replacing(path) as part:
        part.touch()
        mode = part.stat().st_mode
        save_file(content, part, metadata)
        part.chmod(mode)  # safetensors lets nobody but its owner read


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU; UserError if it is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise UserError(f"{path} is missing: make it first") from None
    except (OSError, SafetensorError) as error:
        raise UserError(f"can't read {path}: {error}; delete it and run again") from None


def load_about(path: Path) -> Any:
    """What ``save_tensors`` was told about its tensors; UserError if the file is damaged."""
    try:
        with safe_open(path, "pt") as file:
            return json.loads(file.metadata()["about"])
    except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
        raise UserError(f"can't read {path}: {error}") from None


def sha256(path: Path) -> str:
    """Of a file's bytes; UserError if it is missing."""
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        raise UserError(f"{path} is missing: make it first") from None
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}") from None


def load_into(network: nn.Module, path: Path) -> None:
    """Load a network's weights; UserError if the file holds another network's."""
    try:
        network.load_state_dict(load_tensors(path), strict=True)
    except RuntimeError as error:
        raise UserError(f"{path} holds another network: {error}") from None


def save_splits(path: Path, splits: Mapping[str, Split], about: Mapping[str, Any]) -> None:
    """Write prepared splits into one file, with the settings that they were cut under and their digests."""
    tensors: dict[str, Tensor] = {}
    for name, part in splits.items():
        tensors |= {f"{name}.images": part.images, f"{name}.labels": part.labels}
    digests = {name: part.digest() for name, part in splits.items()}
    save_tensors(path, tensors, {"settings": about, "sha256": digests})


def load_split(path: Path, name: str, about: Mapping[str, Any] | None = None) -> Split:
    """One split of a prepared file; UserError if it isn't what was prepared, or was cut under others than ``about``."""
    tensors, found = load_tensors(path), load_about(path)
    if not isinstance(found, dict) or not isinstance(found.get("sha256"), dict):
        raise UserError(f"{path} has no digests of its splits; delete it and run again")
    if about is not None and found.get("settings") != about:
        raise UserError(
            f"{path} was cut under other settings than those in force; prepare it again: snakemake --force {path}"
        )
    try:
        split = Split(tensors[f"{name}.images"], tensors[f"{name}.labels"])
    except KeyError:
        raise UserError(f"{path} has no split '{name}'; delete it and run again") from None
    if (split.images.dtype, split.labels.dtype) != (torch.uint8, torch.int64) or split.digest() != found["sha256"].get(
        name
    ):
        raise UserError(f"{path} is damaged: the images of '{name}' are not those prepared; delete it and run again")
    return split
