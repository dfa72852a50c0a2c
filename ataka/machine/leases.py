"""Leases of a machine's GPUs, one job each: file locks, which the system frees when their holder dies.

A job of several processes leases a GPU for each (machine/torchrun.py), all at once.

Slurm grants GPUs itself, so that within a job of Slurm's the job's one GPU needs no lease. Where a job holds several,
its own processes lease these from each other alone: with cgroups each job numbers its GPUs from 0.
"""

import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

from ataka.errors import UserError
from ataka.machine import slurm, torchrun

VISIBLE = "CUDA_VISIBLE_DEVICES"
_POLL = 1.0
"""Seconds between two looks for a free GPU."""
_held: list[FileLock] = []
"""This process's GPUs, until the process ends."""


def gpu() -> None:
    """Wait for a free GPU among the visible ones, and make it the only GPU that this process sees.

    Call this before anything touches CUDA. Nothing happens without a GPU, or if this process has a lease already. A job
    of Slurm's without a granted GPU sees none: whatever the node has belongs to others.
    """
    if _held:
        return
    if not torchrun.is_rank():
        several(1)
    elif len(named := _named()) > 1:  # those that the command has leased for all of the job's processes
        os.environ[VISIBLE] = named[torchrun.local_rank()]


def several(count: int) -> int:
    """Wait for ``count`` free GPUs, or all where fewer are visible, and make them the only ones that this process sees.

    Returns their number, 0 without a GPU.
    """
    if slurm.job() and not slurm.has_gpu():
        os.environ[VISIBLE] = ""
        return 0
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # counts devices without touching them
    import torch

    there = torch.cuda.device_count() if torch.cuda.is_available() else 0
    devices = (_named() or [str(index) for index in range(there)])[:there]
    if slurm.job() and len(devices) == 1:
        return 1
    leased = free(devices, count, of=f"job{slurm.job()}-" if slurm.job() else "")
    if leased:
        _held.extend(leased.values())
        os.environ[VISIBLE] = ",".join(leased)
    return len(leased)


def _named() -> list[str]:
    """The GPUs that the environment names."""
    return [name for name in os.environ.get(VISIBLE, "").split(",") if name]


def free(devices: Sequence[str], count: int = 1, *, of: str = "") -> dict[str, FileLock]:
    """Leases on the first ``count`` free devices of ``devices``, or on all of fewer, by their names, after waiting.

    Whoever waits holds none, so that two jobs never wait for each other. Devices are those of the whole machine, or
    only those ``of`` a name: the processes that share the name share them. UserError where the folder of the leases
    can't be used.
    """
    if not devices:
        return {}
    folder, announced = _folder(), False
    while True:
        leased = _free_now(folder, devices, count, of)
        if len(leased) == min(count, len(devices)):
            return leased
        for lock in leased.values():
            lock.release()
        if not announced:
            print(f"waiting for a GPU: other jobs hold {', '.join(devices)}", file=sys.stderr, flush=True)
            announced = True
        time.sleep(_POLL)


def _free_now(folder: Path, devices: Sequence[str], count: int, of: str) -> dict[str, FileLock]:
    """Leases on those of the ``devices`` that are free now, ``count`` at most."""
    leased: dict[str, FileLock] = {}
    for device in devices:
        lock = FileLock(folder / f"{of}{re.sub(r'[^A-Za-z0-9-]', '_', device)}.lock")
        try:
            lock.acquire(timeout=0)
        except Timeout:
            continue
        except OSError as error:
            raise UserError(_message(folder, error.strerror or str(error))) from None
        leased[device] = lock
        if len(leased) == count:
            break
    return leased


def _folder() -> Path:
    """This user's folder of leases, which all jobs on this machine share."""
    folder = Path(tempfile.gettempdir(), f"ataka-gpus-{os.getuid()}")
    try:
        folder.mkdir(exist_ok=True)
        owner = folder.stat().st_uid
    except OSError as error:
        reason = "it is a file" if folder.is_file() else error.strerror
        raise UserError(_message(folder, str(reason))) from None
    if owner != os.getuid():
        raise UserError(_message(folder, f"it belongs to user {owner}"))
    return folder


def _message(folder: Path, reason: str) -> str:
    return f"can't lease a GPU in {folder}: {reason}; remove it, or set TMPDIR to a folder that all your jobs share"
