"""A job's log: what the job prints goes to the terminal and into a file, up to the job's last word.

``tee -i`` ends at SIGTERM, by which a cluster ends a whole job, and the job's last line would be lost: the point from
which the next start resumes. And Snakemake removes a log before each attempt: when a second job for the same files
starts and is turned away, the log of the job that works would be lost. This program ignores both signals, and writes
the log as a whole again once somebody has removed or replaced the file.

Rules start this file by its path, so that it imports nothing of the package.
"""

import os
import signal
import sys
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

_CHUNK = 1 << 16


def main(path: Path) -> None:
    """Copy standard input to standard output and to the file ``path``, until the input ends."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    content, log = bytearray(), None
    with suppress(OSError):
        log = _create(path)
    while chunk := os.read(0, _CHUNK):
        content += chunk
        with suppress(OSError):  # nobody looks at the terminal any more
            sys.stdout.buffer.write(chunk)
            sys.stdout.buffer.flush()
        with suppress(OSError):  # a full disk costs lines of the log, not the job
            if log is None or not _is_at(log, path):
                log, chunk = _create(path), bytes(content)
            log.write(chunk)
            log.flush()


def _create(path: Path) -> BinaryIO:
    """A new, empty file in place of ``path``."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    log = part.open("wb")
    part.replace(path)
    return log


def _is_at(log: BinaryIO, path: Path) -> bool:
    """Whether ``path`` is still the open file ``log``."""
    try:
        return os.path.samestat(os.fstat(log.fileno()), path.stat())
    except OSError:
        return False


if __name__ == "__main__":
    main(Path(sys.argv[1]))
