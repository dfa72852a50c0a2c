"""A job's claim on its output folder: no other process makes the same files meanwhile."""

import fcntl
import os
import platform
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, NamedTuple

from ataka.errors import UserError
from ataka.files.disk import sweep
from ataka.machine import slurm

PATIENCE = 10.0
"""Seconds to wait for another process on the same files: a killed process may take a moment to end."""
PATIENCE_ON_A_CLUSTER = 300.0
"""The same in a job of Slurm's: a disk that nodes share may free the lock of a lost node only after some minutes."""
_OF = ", Slurm job "


@contextmanager
def claimed(folder: Path) -> Iterator[None]:
    """The claim alone, for a job without checkpoints: inside the context no other process writes the same files."""
    lock = claim(folder)
    try:
        yield
    finally:
        release(folder, lock)


def claim(folder: Path) -> IO[str] | None:
    """A lock in ``folder``, which the system frees when its holder dies; None on a disk without locks or room.

    Raises UserError if another process still holds the lock when patience is over.
    """
    deadline = time.monotonic() + (PATIENCE_ON_A_CLUSTER if slurm.job() else PATIENCE)
    while True:
        try:
            folder.mkdir(parents=True, exist_ok=True)
            lock = (folder / "lock").open("a+")
        except FileNotFoundError:  # the holder was just leaving, and took the folder along
            continue
        except OSError:
            return None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.path.samestat(os.fstat(lock.fileno()), (folder / "lock").stat()):
                break
        except FileNotFoundError:  # the lock of one that has just left, which nobody else will look at
            pass
        except BlockingIOError:
            if time.monotonic() > deadline:
                lock.seek(0)
                holder = lock.read() or "another process"
                lock.close()
                raise UserError(f"{folder}: {holder} is at this; wait for it, or end it{_way(holder)}") from None
            time.sleep(0.1)
        except OSError:
            lock.close()
            return None
        lock.close()
    sweep(folder)
    with suppress(OSError):  # at once, so that a full disk is not met again when the lock is closed
        lock.truncate(0)
        os.write(lock.fileno(), name().encode())
    return lock


def name() -> str:
    """This process, for whoever wants to wait for it or to end it."""
    process = f"process {os.getpid()} on {platform.node()}"
    return f"{process}{_OF}{slurm.job()}" if slurm.job() else process


class Holder(NamedTuple):
    """The process that claims a folder, as it signed its lock, and the time when it did."""

    process: int
    host: str
    slurm: str
    """The id of its Slurm job, or ""."""
    since: float

    def is_alive(self) -> bool | None:
        """Whether the process still runs; None where only another machine could tell."""
        if self.host != platform.node():
            return None
        try:
            os.kill(self.process, 0)  # no signal is sent
        except ProcessLookupError:
            return False
        except PermissionError:  # somebody else's
            return True
        return _began(self.process) <= self.since + 2  # else a later process has got the number


def holder(folder: Path) -> Holder | None:
    """The process that claims ``folder``, from the lock's text alone; None if there is none, or it hasn't signed."""
    try:
        text, since = (folder / "lock").read_text(encoding="utf-8"), (folder / "lock").stat().st_mtime
    except (OSError, ValueError):
        return None
    signed = re.fullmatch(rf"process (\d+) on (.+?)(?:{_OF}(.+))?", text.strip())
    return Holder(int(signed[1]), signed[2], signed[3] or "", since) if signed else None


def _began(process: int) -> float:
    """The time when a process of this machine began; 0 where the system doesn't tell."""
    try:
        boot = re.search(r"^btime (\d+)", Path("/proc/stat").read_text(), re.MULTILINE)
        ticks = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return 0.0
    return int(boot[1]) + int(ticks) / os.sysconf("SC_CLK_TCK") if boot else 0.0


def _way(holder: str) -> str:
    """The command that ends the holder of a lock, where Slurm started it."""
    job = holder.partition(_OF)[2]
    return f": scancel {job}" if job else ""


def release(folder: Path, lock: IO[str] | None) -> None:
    """Release the claim of a folder, and remove the folder if no checkpoint is left in there."""
    with suppress(OSError):  # the folder is not empty where states are left
        (folder / "lock").unlink(missing_ok=True)
        for level in (folder, folder.parent):
            if ".resume" in level.parts:
                level.rmdir()
    if lock:
        lock.close()
