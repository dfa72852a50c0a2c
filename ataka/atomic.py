"""Files that are whole or not there. Knows no torch, so that whoever only writes text needn't wait for it."""

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from safetensors import SafetensorError

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
