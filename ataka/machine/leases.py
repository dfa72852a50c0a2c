"""Leases of a machine's GPUs, one job each: file locks, which the system frees when their holder dies."""

import os
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

from filelock import FileLock, Timeout

VISIBLE = "CUDA_VISIBLE_DEVICES"
_POLL = 1.0
"""Seconds between two looks for a free GPU."""
_held: list[FileLock] = []
"""This process's GPU, until the process ends."""


def gpu() -> None:
    """Make one free GPU of those that are visible the only one that this process sees; wait until one is free.

    To be called before anything touches CUDA. Does nothing where there is none, or where this process has one already.
    """
    if _held:
        return
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # counts devices without touching them
    import torch

    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    named = [name for name in os.environ.get(VISIBLE, "").split(",") if name]
    lock, device = first_free((named or [str(index) for index in range(count)])[:count])
    if lock:
        _held.append(lock)
        os.environ[VISIBLE] = device


def first_free(devices: Sequence[str]) -> tuple[FileLock | None, str]:
    """A lease on the first of ``devices`` that nobody holds, once there is one; none where there are no devices."""
    folder = Path(tempfile.gettempdir(), f"ataka-gpus-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    told = False
    while devices:
        for device in devices:
            lock = FileLock(folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', device)}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            return lock, device
        if not told:
            print(f"waiting for a GPU: other jobs hold {', '.join(devices)}", file=sys.stderr, flush=True)
            told = True
        time.sleep(_POLL)
    return None, ""
