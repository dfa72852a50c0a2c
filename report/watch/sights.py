"""The state of each job, by the traces that it has left."""

import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Literal, get_args

from ataka.machine import attempts, progress
from ataka.machine.progress import Line
from report.forecast import progress as forecast
from report.forecast.jobs import Job
from report.watch import traces
from report.watch.traces import STARTS, Notes, Trace

State = Literal["done", "running", "queued", "failed", "stopped", "to come"]
STATES: tuple[State, ...] = get_args(State)
SILENT = 900.0
"""Seconds after which a job on another machine counts as stopped: a working job prints a line every five minutes."""


@dataclass(frozen=True)
class Sight:
    """One job as its files show it; ``name`` is its name in words, ``log`` the path of its log."""

    name: str
    job: Job
    state: State
    last: float = 0.0
    """The time of its last sign of life; 0 without any."""
    since: float = 0.0
    """The time when its process claimed its files; 0 before."""
    line: Line | None = None
    """Its last line of progress."""
    said: float = 0.0
    """The time of its log's last line."""
    words: str = ""
    """The reason why it failed or stopped, or the cluster's job that waits."""
    place: str = ""
    """The other machine that it runs or ran on, and its Slurm job."""
    log: str = ""
    kept: bool = False
    """Whether the job failed or stopped while it was to make a file again, and the previous file is there still."""


class Logs:
    """The logs that were written after their job's result: each is read once until it changes."""

    def __init__(self) -> None:
        self._whole: dict[Path, float] = {}

    def are_whole(self, root: str, job: Job, made: float, started: float) -> bool:
        """Whether no attempt at ``job`` has broken off since its result was ``made``, or since the last start."""
        log = traces.log_of(root, job)
        written = traces.time_of(log)
        if written <= max(made, started) or self._whole.get(log) == written:
            return True
        if whole := not _is_broken_off(traces.read(root, job)):
            self._whole[log] = written
        return whole


def see(root: str, every: Mapping[str, Job], notes: Notes, logs: Logs, now: float) -> dict[str, Sight]:
    """The sight of each of the jobs at the time ``now``."""
    return {output: _sight(root, job, notes, logs, now) for output, job in every.items()}


def name_of(root: str, job: Job) -> str:
    """A job as its log calls it: ``train cifar10/resnet18/natural seed 0``."""
    if job.node:
        about = asdict(job.node)
        seed = about.pop("seed")
        return f"{job.rule} {'/'.join(str(value) for value in about.values() if value != '')} seed {seed}"
    path = Path(job.output).relative_to(root)
    if job.rule == "prepare":
        return f"prepare {path.parent.name}/{path.stem}"
    if job.rule == "select":
        return f"select {'/'.join(path.parent.parts[1:])}"
    return f"{job.rule} {path}"


def _sight(root: str, job: Job, notes: Notes, logs: Logs, now: float) -> Sight:
    path, name, log = Path(job.output), name_of(root, job), str(traces.log_of(root, job))
    result = forecast.result(path, job)
    made = traces.time_of(result) if result else 0.0
    is_current = result is not None and made >= notes.due.get(job.output, 0.0)
    if is_current and logs.are_whole(root, job, made, notes.started):
        return Sight(name, job, "done", last=made)
    trace = traces.read(root, job)
    line = next(filter(None, map(progress.parse, reversed(trace.lines))), None)
    state, words = _state(root, job, trace, notes, now)
    if state == "to come":
        return Sight(name, job, state)
    holder = trace.holder
    since, place = (holder.since, _elsewhere(holder.host, holder.slurm)) if holder else (0.0, "")
    kept = is_current and state in ("failed", "stopped")
    words += "; the previous result is kept" if kept else ""
    return Sight(name, job, state, trace.last, since, line, trace.said, words, place, log, kept)


def _is_broken_off(trace: Trace) -> bool:
    """Whether the latest attempt at a job failed, was interrupted or was killed."""
    killed = trace.holder is not None and trace.holder.is_alive() is False
    return killed or bool(_interrupted(trace.lines) or _error(trace.lines))


def _interrupted(lines: Sequence[str]) -> str:
    """The last line of a log if it says that the job was interrupted, else an empty text."""
    return lines[-1] if lines and lines[-1].startswith("interrupted; ") else ""


def _elsewhere(host: str, slurm: str) -> str:
    if host == platform.node() and not slurm:
        return ""
    return f"{host}, Slurm job {slurm}" if slurm else host


def _state(root: str, job: Job, trace: Trace, notes: Notes, now: float) -> tuple[State, str]:
    """The state of a job whose file isn't there, and the reason."""
    alive = trace.holder.is_alive() if trace.holder else False
    if alive or (alive is None and now - trace.last < SILENT):
        return "running", ""
    cluster_job, handed_over = notes.submitted.get(job.output, ("", 0.0))
    if handed_over > trace.last:
        return "queued", f"cluster job {cluster_job}"
    if not (trace.begun or trace.holder) or trace.last < notes.due.get(job.output, 0.0):
        return "to come", ""
    if error := _error(trace.lines):
        return "failed", error
    ended = _interrupted(trace.lines)
    starts = not ended and not trace.holder and not any(map(progress.parse, trace.lines))
    if starts and now - trace.last < STARTS:
        return "running", ""
    return "stopped", ended or _killed(root, job)


def _after_progress(lines: Sequence[str]) -> Sequence[str]:
    """The lines after the last one of progress."""
    place = next((place for place in range(len(lines), 0, -1) if progress.parse(lines[place - 1])), 0)
    return lines[place:]


def _error(lines: Sequence[str]) -> str:
    """The message of the job that failed, by the lines after its last progress; "" if there is none."""
    message: list[str] = []
    for line in _after_progress(lines):
        if line.startswith(("error: ", "Traceback (most recent call last)")):
            message = [line.removeprefix("error: ")]
        elif message:
            message.append(line)
    if message and message[0].startswith("Traceback"):
        outer = [line for line in message[1:] if not line.startswith((" ", "\t"))]
        return outer[-1] if outer else message[0]
    return " ".join(message)


def _killed(root: str, job: Job) -> str:
    """The words on a job that ended without any: those of a cluster's attempt, where its attempts are noted."""
    past = attempts.read(attempts.file_of(root, job.output))
    return str(past[-1]) if past else "killed, or the machine went down: no last words"


def blocked(sights: Mapping[str, Sight]) -> int:
    """The jobs to come that wait, one way or another, for a job that failed."""
    stuck = {output for output, sight in sights.items() if sight.state == "failed"}
    count = -len(stuck)
    grown = bool(stuck)
    while grown:
        more = {
            output
            for output, sight in sights.items()
            if sight.state not in ("done", "failed") and output not in stuck and not stuck.isdisjoint(sight.job.needs)
        }
        stuck |= more
        grown = bool(more)
    return count + len(stuck)
