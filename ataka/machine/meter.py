"""The time and memory that one job takes, measured by the process that does its work.

A warm job is a fork, so Snakemake's own benchmarks would describe the command that waits for it. One process may also
do several jobs after each other. Each is measured from its own start.
"""

import re
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import torch

_MEGABYTE = 1e6


@dataclass(frozen=True)
class Usage:
    """The time and memory that a job has taken so far.

    seconds        of work, without interruptions
    cpu_seconds    of processor time, of all threads
    memory_mb      the most memory that the process held, in 10^6 bytes, with the libraries that it had loaded; None
                   where the system doesn't tell
    gpu_memory_mb  the most memory that torch's tensors held on a GPU, in 10^6 bytes; None where no GPU was used
    """

    seconds: float
    cpu_seconds: float
    memory_mb: float | None
    gpu_memory_mb: float | None

    def followed_by(self, later: "Usage") -> "Usage":
        """Both parts of a job that was interrupted: times add up, and the larger memory counts."""
        return Usage(
            round(self.seconds + later.seconds, 3),
            round(self.cpu_seconds + later.cpu_seconds, 3),
            _larger(self.memory_mb, later.memory_mb),
            _larger(self.gpu_memory_mb, later.gpu_memory_mb),
        )


class Meter:
    """Measures from its creation on: one job of this process, whatever the process did before."""

    def __init__(self) -> None:
        _forget_peaks()
        self._began, self._cpu_began = time.monotonic(), time.process_time()

    def read(self) -> Usage:
        """Seconds, processor seconds and peaks of memory since the meter was made."""
        return Usage(
            round(time.monotonic() - self._began, 3),
            round(time.process_time() - self._cpu_began, 3),
            _peak_memory(),
            _megabytes(torch.cuda.max_memory_allocated()) if _on_gpu() else None,
        )


def _forget_peaks() -> None:
    """Let the peaks begin anew from the memory that is held now.

    The system's own `ru_maxrss` can't be reset. A new process also inherits it from the process that started it.
    """
    with suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5")
    if _on_gpu():
        torch.cuda.reset_peak_memory_stats()


def _on_gpu() -> bool:
    """Whether this process uses a GPU."""
    return bool(torch.cuda.is_initialized())  # type: ignore[no-untyped-call]


def _peak_memory() -> float | None:
    try:
        stated = re.search(r"^VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(), re.MULTILINE)
    except OSError:
        return None
    return _megabytes(1024 * int(stated[1])) if stated else None


def _megabytes(count: int) -> float:
    return round(count / _MEGABYTE, 1)


def _larger(*peaks: float | None) -> float | None:
    return max((peak for peak in peaks if peak is not None), default=None)
