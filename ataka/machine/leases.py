"""Leases of a machine's GPUs, one job each: file locks, which the system frees when their holder dies.

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
from ataka.machine import slurm

VISIBLE = "CUDA_VISIBLE_DEVICES"
_POLL = 1.0
"""Seconds between two looks for a free GPU."""
_held: list[FileLock] = []
"""This process's GPU, until the process ends."""


def gpu() -> None:
    """Wait for a free GPU among the visible ones, and make it the only GPU that this process sees.

    Call this before anything touches CUDA. Nothing happens without a GPU, or if this process has a lease already. A job
    of Slurm's without a granted GPU sees none: whatever the node has belongs to others.
    """
    if _held:
        return
    if slurm.job() and not slurm.has_gpu():
        os.environ[VISIBLE] = ""
        return
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # counts devices without touching them
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
    devices = (named or [str(index) for index in range(count)])[:count]
    if slurm.job() and len(devices) == 1:
        return
    lock, device = first_free(devices, of=f"job{slurm.job()}-" if slurm.job() else "")
    if lock:
        _held.append(lock)
        os.environ[VISIBLE] = device


def first_free(devices: Sequence[str], *, of: str = "") -> tuple[FileLock | None, str]:
    """A lease on the first free device of ``devices``, after waiting for it; no lease where there are no devices.

    Devices are those of the whole machine, or only those ``of`` a name: the processes that share the name share them.
    UserError where the folder of the leases can't be used.
    """
    if not devices:
        return None, ""
    folder, announced = _folder(), False
    while True:
        for device in devices:
            lock = FileLock(folder / f"{of}{re.sub(r'[^A-Za-z0-9-]', '_', device)}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            except OSError as error:
                raise UserError(_message(folder, error.strerror or str(error))) from None
            return lock, device
        if not announced:
            print(f"waiting for a GPU: other jobs hold {', '.join(devices)}", file=sys.stderr, flush=True)
            announced = True
        time.sleep(_POLL)


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
