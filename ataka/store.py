"""Files that are whole or not there: atomic writes, safetensors, JSON, checksums."""

import csv
import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ataka.data import Split
from ataka.errors import UserError


@contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A sibling to write to; when the block ends well it is flushed to disk and moved in place of ``path``.

    Raises UserError if the disk can't take it; ``path`` is then as it was.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield part
        with part.open("rb") as written:
            os.fsync(written.fileno())
        part.replace(path)
    except (OSError, SafetensorError) as error:
        raise UserError(f"can't write {path}: {getattr(error, 'strerror', None) or error}") from None
    finally:
        with suppress(OSError):
            part.unlink(missing_ok=True)


def sweep(folder: Path) -> None:
    """Remove what a killed process left half-written in ``folder``: our parts, and safetensors' own."""
    for pattern in (".*.part", ".tmp*"):
        for left in folder.glob(pattern):
            with suppress(OSError):
                left.unlink()


def write_json(path: Path, content: Any) -> None:
    text = json.dumps(content, indent=2, sort_keys=True) + "\n"
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")


def read_json(path: Path) -> Any:
    """The content of a JSON file; UserError if it is missing or damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path} is missing: make it first") from None
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}") from None
    except ValueError as error:
        raise UserError(f"{path} is damaged: {error}; delete it and run again") from None


def write_rows(path: Path, rows: Sequence[Mapping[str, Any]]) -> None:
    """A CSV file with a header; the columns are the first row's keys."""
    with replacing(path) as part, part.open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def read_rows(path: Path) -> list[dict[str, str]]:
    """The rows of a CSV file, as text."""
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None = None) -> None:
    """Write tensors with ``about`` as JSON metadata. Equal content gives equal bytes."""
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"about": json.dumps(about or {}, sort_keys=True)}  # one key: safetensors keeps no order of keys
    with replacing(path) as part:
        save_file(content, part, metadata)


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
    with path.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest()


def load_into(network: nn.Module, path: Path) -> None:
    """Load a network's weights; UserError if the file holds another network's."""
    try:
        network.load_state_dict(load_tensors(path), strict=True)
    except RuntimeError as error:
        raise UserError(f"{path} holds another network: {error}") from None


def save_splits(path: Path, splits: Mapping[str, Split], about: Mapping[str, Any]) -> None:
    """Write prepared splits into one file."""
    tensors: dict[str, Tensor] = {}
    for name, part in splits.items():
        tensors |= {f"{name}.images": part.images, f"{name}.labels": part.labels}
    save_tensors(path, tensors, about)


def load_split(path: Path, name: str) -> Split:
    """One split of a prepared file."""
    tensors = load_tensors(path)
    try:
        return Split(tensors[f"{name}.images"], tensors[f"{name}.labels"])
    except KeyError:
        raise UserError(f"{path} has no split '{name}'; delete it and run again") from None
