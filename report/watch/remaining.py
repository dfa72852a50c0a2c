"""The time left: the plan's, times the pace of the finished jobs, and for running jobs their own word."""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from ataka.plan import Cell, Particles, Run, Shard
from ataka.study import Study
from report.forecast import devices, progress, schedule
from report.forecast.devices import Device, Unknown
from report.forecast.jobs import Job
from report.grammar import counted
from report.watch import traces
from report.watch.sights import Sight
from report.watch.traces import Notes

Kin = tuple[str, ...]


class Remaining(NamedTuple):
    """The time left in seconds, and its ``basis`` in words; None where no plan has been made here."""

    seconds: float | None
    basis: str
    each: Mapping[str, float] = {}
    """The seconds that each unfinished job still takes; without a plan, those of running jobs that say so."""


class Records:
    """The times that the records of finished jobs state, each read once until its file changes."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[float, float]] = {}

    def seconds(self, job: Job) -> float:
        changed = traces.time_of(Path(job.output))
        if self._known.get(job.output, (None,))[0] != changed:
            self._known[job.output] = changed, progress.seconds(Path(job.output), job)
        return self._known[job.output][1]


def of(study: Study, sights: Mapping[str, Sight], notes: Notes, records: Records, now: float) -> Remaining:
    """The time left at the time ``now`` for all that is not done."""
    rest = {output: sight for output, sight in sights.items() if sight.state != "done"}
    if not rest:
        return Remaining(0.0, "")
    if (device := _planned_on(study, [sight.job for sight in sights.values()])) is None:
        words = {output: left for output, sight in rest.items() if (left := _own_word(sight, now)) is not None}
        return Remaining(None, "", words)
    took = {output: records.seconds(sight.job) for output, sight in sights.items() if sight.state == "done"}
    pace, timed = _pace(device, sights, took)
    each = {output: _left(sight, device, pace, now) for output, sight in rest.items()}
    at_once = _at_once(study, notes, sights)
    wall = schedule.wall_seconds({output: _counted(sight.job, notes) for output, sight in rest.items()}, each, at_once)
    planned = f"at the pace of {timed:,} finished jobs" if timed else f"as planned for {device.name} ({device.basis})"
    return Remaining(wall, f"{counted(at_once, 'job')} at once, {planned}", each)


def _planned_on(study: Study, jobs: Sequence[Job]) -> Device | None:
    """The device that the plan knows the times of all jobs on, without torch; None if there is none."""
    with devices.from_kept_facts():
        for make in (devices.here, lambda study: devices.card(study, "h100", study.processes)):
            try:
                device: Device = make(study)
                for job in jobs:
                    device.job_seconds(job)
            except Unknown:
                continue
            return device
    return None


def _kin(job: Job) -> Iterator[Kin]:
    """The kinds that a job belongs to, the closest first: jobs of a kind take alike multiples of the plan."""
    node, kind = job.node, ""
    if isinstance(node, Cell | Shard):
        kind = node.attack
    elif isinstance(node, Run):
        kind = node.method
    elif isinstance(node, Particles):
        kind = node.generator
    arch = getattr(node, "arch", "")
    yield (job.rule, arch, kind)
    yield (job.rule, "", kind)
    yield (job.rule, arch)
    yield (job.rule,)
    yield ()


def _pace(device: Device, sights: Mapping[str, Sight], took: Mapping[str, float]) -> tuple[dict[Kin, float], int]:
    """For each kind of jobs the time of the finished ones as a multiple of the plan, and how many were timed."""
    taken: dict[Kin, float] = defaultdict(float)
    planned: dict[Kin, float] = defaultdict(float)
    timed = [output for output, seconds in took.items() if seconds and sights[output].job.work]
    for output in timed:
        for kin in _kin(sights[output].job):
            taken[kin] += took[output]
            planned[kin] += device.job_seconds(sights[output].job) - device.start
    return {kin: taken[kin] / planned[kin] for kin in taken if planned[kin]}, len(timed)


def _left(sight: Sight, device: Device, pace: Mapping[Kin, float], now: float) -> float:
    """The seconds that an unfinished job still takes."""
    if (left := _own_word(sight, now)) is not None:
        return left
    line, running = sight.line, sight.state == "running"
    multiple = next((pace[kin] for kin in _kin(sight.job) if kin in pace), 1.0)
    whole = device.start + multiple * (device.job_seconds(sight.job) - device.start)
    if running and line and line.share:
        return whole * (1 - line.share)
    return max(whole - (now - sight.since), 0.0) if running and sight.since else whole


def _own_word(sight: Sight, now: float) -> float | None:
    """The seconds that a running job's log still gives it, if it says so."""
    if sight.state != "running" or not sight.line or sight.line.left is None:
        return None
    return max(sight.line.left - (now - sight.said), 0.0)


def _counted(job: Job, notes: Notes) -> Job:
    """A job as the last start counts it: by its processes where that shares out cores, and else as one."""
    return job if notes.at_once and notes.at_once[0] == "cores" else job._replace(processes=1)


def _at_once(study: Study, notes: Notes, sights: Mapping[str, Sight]) -> int:
    """The jobs at once: as many as run, or as the last start could let run."""
    running = sum(sight.state == "running" for sight in sights.values())
    kind, count = notes.at_once or ("jobs", 1)
    return max(running, count // study.threads if kind == "cores" else count, 1)
