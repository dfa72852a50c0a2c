"""Standard streams that can't take everything: no program ends for a character, or for a reader that went away."""

import errno
import io
import sys
from typing import Any, TextIO

_UNASKED = ("strict", "surrogateescape")
"""What Python sets, the latter under ``LC_ALL=C`` without UTF-8; others are the user's (``PYTHONIOENCODING``)."""


def print_what_is_read() -> None:
    """Let standard output and standard error lose what nobody can read.

    A question mark stands for each character that the encoding of standard output lacks (a Latin-1 terminal,
    ``LC_ALL=C``). Once a reader is gone (``| head``, a closed terminal), lines are dropped and the work goes on.
    """
    if sys.stdout is sys.__stdout__:  # else it is no stream of the system's, but a test's
        sys.stdout = _lossy(sys.stdout, errors="replace")
    if sys.stderr is sys.__stderr__:
        sys.stderr = _lossy(sys.stderr)


class _Lossy(io.FileIO):
    """A stream that takes what nobody reads, too; a full disk is an error as ever."""

    def __init__(self, descriptor: int) -> None:
        super().__init__(descriptor, "w", closefd=False)
        self._is_lost = {errno.EPIPE, errno.EIO} if self.isatty() else {errno.EPIPE}

    def write(self, data: Any, /) -> int:
        try:
            return super().write(data)
        except OSError as error:
            if error.errno not in self._is_lost:
                raise
            return memoryview(data).nbytes


def _lossy(stream: TextIO | None, errors: str | None = None) -> Any:
    """The same stream over ``_Lossy``, with other ``errors`` unless its own were asked for; what is no file is left.

    It is a new stream, since one that began on a file can't be reconfigured once a pipe has the file's place, as in a
    warm job.
    """
    if not isinstance(stream, io.TextIOWrapper):
        return stream
    stream.flush()
    raw = _Lossy(stream.fileno())
    return io.TextIOWrapper(
        raw if isinstance(stream.buffer, io.RawIOBase) else io.BufferedWriter(raw),  # python -u has no buffer
        encoding=stream.encoding,
        errors=errors if errors and stream.errors in _UNASKED else stream.errors,
        line_buffering=stream.line_buffering,
        write_through=stream.write_through,
    )
