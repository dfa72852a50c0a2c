"""Slurm, as a job finds it in its environment, and as a person asks it on a login node."""

import os
import shutil
import subprocess
from collections.abc import Collection
from pathlib import Path

_PATIENCE = 30
"""Seconds to wait for Slurm's answer."""


def job() -> str:
    """The id of the Slurm job that this process belongs to, or ""."""
    return os.environ.get("SLURM_JOB_ID", "")


def has_gpu() -> bool:
    """Whether Slurm granted a GPU to this process's job, or to its step."""
    granted = (os.environ.get(name, "") for name in ("SLURM_STEP_GPUS", "SLURM_JOB_GPUS"))
    return any(granted) or os.environ.get("SLURM_GPUS_ON_NODE", "0") not in ("", "0")


def unfinished(jobs: Collection[str], folder: Path) -> list[str]:
    """Those of ``jobs`` (ids) that Slurm still holds for this user in the working directory ``folder``.

    None of them where Slurm doesn't answer: a machine without Slurm has no jobs of Slurm's.
    """
    if not jobs or shutil.which("squeue") is None:
        return []
    question = ["squeue", "--noheader", "--array", "--user", str(os.getuid()), "--format", "%i|%Z"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True, timeout=_PATIENCE, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return []
    held = [line.partition("|") for line in answer.splitlines()]
    return [name for name, _, place in held if name in jobs and Path(place).resolve() == folder.resolve()]
