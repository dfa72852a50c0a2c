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
    """Wait for a free GPU among the visible ones, and make it the only GPU that this process sees.

    Call this before anything touches CUDA. Nothing happens without a GPU, or if this process has a lease already.
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
    """A lease on the first free device of ``devices``, after waiting for it; no lease where there are no devices."""
    folder = Path(tempfile.gettempdir(), f"ataka-gpus-{os.getuid()}")
    folder.mkdir(exist_ok=True)
    announced = False
    while devices:
        for device in devices:
            lock = FileLock(folder / f"{re.sub(r'[^A-Za-z0-9-]', '_', device)}.lock")
            try:
                lock.acquire(timeout=0)
            except Timeout:
                continue
            return lock, device
        if not announced:
            print(f"waiting for a GPU: other jobs hold {', '.join(devices)}", file=sys.stderr, flush=True)
            announced = True
        time.sleep(_POLL)
    return None, ""
