"""Slurm, as a job finds it in its environment, and as a person asks it on a login node."""

import os
import shutil
import subprocess
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


def unfinished(folder: Path) -> dict[str, str]:
    """The ids of this user's jobs in the working directory ``folder`` that Slurm queues or runs, with their comments.

    None where Slurm doesn't answer: a machine without Slurm has no jobs of Slurm's.
    """
    if shutil.which("squeue") is None:
        return {}
    question = ["squeue", "--noheader", "--array", "--user", str(os.getuid()), "--format", "%i|%Z|%k"]
    try:
        answer = subprocess.run(question, capture_output=True, text=True, timeout=_PATIENCE, check=True).stdout
    except (OSError, subprocess.SubprocessError):
        return {}
    jobs = [line.split("|", 2) for line in answer.splitlines() if line.count("|") >= 2]
    return {name: comment for name, place, comment in jobs if Path(place).resolve() == folder.resolve()}
