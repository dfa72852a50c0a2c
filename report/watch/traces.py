"""What a job leaves in files while it works: its log, its claim and checkpoints, and what Snakemake notes of it.

Every file is read as it is and none is locked, so that no job notices.
"""

import base64
import json
import os
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ataka import plan
from ataka.errors import UserError
from ataka.files import claim
from ataka.files.claim import Holder
from ataka.files.disk import replacing
from report.forecast.jobs import Job

_TAIL = 1 << 16
"""Bytes of the end of a log that are read."""
STARTS = 60.0
"""Seconds that a job may take from the first byte of its log to its claim: it loads torch and images meanwhile."""
_SETTINGS, _TARGETS = "logs/settings.json", "logs/targets.json"
_PARTS = ("evaluate", "shard", "particles", "prepare")
"""The rules whose jobs share a folder, where each claims a part of its own."""


def holds_something(root: Path) -> bool:
    """Whether a results folder holds an artifact, or the log of one."""
    return any((root / name).is_dir() for name in (*plan.ROOMS, "logs"))


def log_of(root: str, job: Job) -> Path:
    """The log of a job, as its rule names it."""
    path = Path(job.output).relative_to(root)
    logs, below = Path(root, "logs", job.rule), Path(*path.parts[1:])
    if job.rule == "train":
        return logs / below.with_name("train.log")
    if job.rule in ("record", "select"):
        return logs / f"{below.parent}.log"
    if job.rule in ("collect", "render", "picture"):
        return logs / f"{path.stem}.log"
    if job.node or job.rule == "prepare":
        return logs / below.with_suffix(".log")
    return logs.with_suffix(".log")


def is_begun(root: str, job: Job) -> bool:
    """Whether a job was started at least once, be it finished or not."""
    return Path(job.output).exists() or log_of(root, job).exists()


def claimed_by(job: Job) -> Path:
    """The folder that a job claims, and in which it keeps its checkpoints."""
    path = Path(job.output)
    return path.parent / ".resume" / (path.stem if job.rule in _PARTS else "")


@dataclass(frozen=True)
class Trace:
    """What an unfinished job has left so far."""

    holder: Holder | None
    lines: tuple[str, ...]
    """The last lines of its log that aren't empty."""
    begun: bool
    """Whether it has a log: one starts with the job."""
    said: float
    """The time of its log's last line; 0 without any."""
    last: float
    """The time of its last sign of life; 0 without any."""


def read(root: str, job: Job) -> Trace:
    """The trace of ``job``; its log counts only if it is not older than the claim, as that of a job by hand may be."""
    log, folder = log_of(root, job), claimed_by(job)
    holder, written = claim.holder(folder), time_of(log)
    signs = [folder / "lock", folder / "0.safetensors", folder / "1.safetensors"]
    is_its = holder is None or written >= holder.since - STARTS
    last = max(written, *map(time_of, signs))
    return Trace(holder, tuple(_lines(log)) if is_its else (), bool(written), written, last)


def _lines(log: Path) -> list[str]:
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(size - _TAIL, 0))
            text = file.read().decode(errors="replace")
    except OSError:
        return []
    return [line.rstrip() for line in text.splitlines() if line.strip()]


def time_of(path: Path) -> float:
    """The time of a file's last change; 0 if it isn't there."""
    with suppress(OSError):
        return path.stat().st_mtime
    return 0.0


# ---- what a start of Snakemake notes


def note_start(root: str, overrides: Mapping[str, Any], targets: Iterable[str]) -> None:
    """Note a start's settings of the command line, and its targets below ``root``: no other file has them."""
    names = sorted(target.removeprefix(f"{root}/") for target in targets)
    for name, content in ((_SETTINGS, overrides), (_TARGETS, names)):
        with suppress(UserError), replacing(Path(root, name)) as part:  # the work matters more
            part.write_text(json.dumps(content), encoding="utf-8")


def settings(root: str) -> dict[str, Any]:
    """The settings of the last start's command line, as far as they are noted."""
    with suppress(OSError, ValueError):
        noted = json.loads(Path(root, _SETTINGS).read_bytes())
        return noted if isinstance(noted, dict) else {}
    return {}


def targets(root: str) -> tuple[str, ...]:
    """The targets of the last start, by their paths below ``root``, as far as they are noted."""
    with suppress(OSError, ValueError):
        noted = json.loads(Path(root, _TARGETS).read_bytes())
        return tuple(f"{root}/{name}" for name in noted if isinstance(name, str)) if isinstance(noted, list) else ()
    return ()


@dataclass(frozen=True)
class Notes:
    """What a start, and Snakemake in `.snakemake`, note about the files of a results folder, by paths from here."""

    due: dict[str, float] = field(default_factory=dict)
    """The files that a start which has not ended is to make, and the time of that start."""
    submitted: dict[str, tuple[str, float]] = field(default_factory=dict)
    """The files of jobs that were handed to a cluster and have not ended: the cluster's job and the time."""
    at_once: tuple[str, int] | None = None
    """How much the last start could do at once: ("cores", 2), or ("jobs", 40) on a cluster."""
    targets: tuple[str, ...] = ()
    """The targets of the last start that had something to do."""
    started: float = 0.0
    """The time of that start; 0 if it isn't noted."""


def notes(checkout: Path | None, root: str, inner: str) -> Notes:
    """The notes below ``checkout`` on the results folder that is ``inner`` there, and ``root`` from here."""
    last = targets(root), time_of(Path(root, _TARGETS))
    if checkout is None:
        return Notes({}, {}, None, *last)
    folder = checkout / ".snakemake"

    def here(path: str) -> str | None:
        below = path.removeprefix(f"{inner}/")
        return f"{root}/{below}" if below != path else None

    due = {
        name: time_of(lock)
        for lock in (folder / "locks").glob("*.output.lock")
        for path in _lines_of(lock)
        if (name := here(path))
    }
    submitted = {name: (job, since) for path, job, since in _submitted(folder / "incomplete") if (name := here(path))}
    return Notes(due, submitted, _at_once(folder / "log"), *last)


def _lines_of(path: Path) -> list[str]:
    with suppress(OSError, ValueError):
        return path.read_text(encoding="utf-8").splitlines()
    return []


def _submitted(folder: Path) -> Iterator[tuple[str, str, float]]:
    """Each file that is marked with a cluster's job: its name is that of the mark, encoded and cut in pieces."""
    for mark in folder.rglob("*"):
        with suppress(OSError, ValueError):
            if mark.is_file() and (job := json.loads(mark.read_bytes())["external_jobid"]):
                coded = "".join(part.removeprefix("@") for part in mark.relative_to(folder).parts)
                yield base64.urlsafe_b64decode(coded).decode(), str(job), time_of(mark)


def _at_once(folder: Path) -> tuple[str, int] | None:
    for log in sorted(folder.glob("*.log"), reverse=True):  # they are named by their time
        with suppress(OSError):
            with log.open("rb") as file:
                head = file.read(_TAIL).decode(errors="replace")
            if stated := re.search(r"^Provided (cores|remote nodes): (\d+)", head, re.MULTILINE):
                return "cores" if stated[1] == "cores" else "jobs", int(stated[2])
    return None
