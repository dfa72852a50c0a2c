"""Files that are whole or not there, their checksums, and the room that they need. Imports no torch."""

import hashlib
import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

from ataka.errors import Unusable, UserError


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
    """Remove half-written files of killed processes from ``folder``: our parts, and those of safetensors."""
    for pattern in (".*.part", ".tmp*"):
        for left in folder.glob(pattern):
            with suppress(OSError):
                left.unlink()


def require_space(folder: Path, needed: int) -> None:
    """UserError unless the free bytes of the disk and the bytes already in ``folder`` make up ``needed`` bytes."""
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


def sha256(path: Path) -> str:
    """SHA-256 of a file's bytes; Unusable if the file is missing."""
    try:
        with path.open("rb") as content:
            return hashlib.file_digest(content, "sha256").hexdigest()
    except FileNotFoundError:
        raise Unusable(f"{path} is missing", "make it first") from None
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror}") from None
