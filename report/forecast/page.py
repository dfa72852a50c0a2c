"""`python -m ataka plan`: the jobs, time and tapes of a target in the terminal, and how far they are."""

import argparse
from collections.abc import Iterable, Mapping, Sequence

from ataka import plan
from ataka.errors import UserError
from ataka.machine.progress import duration
from ataka.plan import Tape
from ataka.study import Study, config
from report import targets
from report.forecast import devices, jobs, progress, schedule
from report.forecast.devices import Device
from report.forecast.jobs import RULES, Job
from report.grammar import counted

ELSEWHERE = (("h100", 1), ("a100", 1), ("rtx2080ti", 8))
"""Other devices that a plan names: the paper's are eight RTX 2080 Ti."""


def plan_target(given: argparse.Namespace) -> None:
    """Print the plan of ``given.target``."""
    if given.devices is not None and given.devices < 1:
        raise UserError(f"--devices: {given.devices} can't work; give 1 or more")
    root = targets.root_of(given.target)
    study = config.load(plan.scale_of(root), config.overrides(given.config))
    every = jobs.behind(study, root, [targets.plain(given.target)])
    device = devices.card(study, given.on, given.devices or 1) if given.on else devices.here(study, given.devices)
    others = [] if given.on else [devices.card(study, name, count) for name, count in ELSEWHERE]
    print("\n".join(page(study, targets.plain(given.target), every, device, others)))


def page(
    study: Study, target: str, every: Mapping[str, Job], device: Device, others: Sequence[Device] = ()
) -> Iterable[str]:
    """The lines of a plan: jobs by rule and by table on ``device``, wall times, and what is done."""
    seconds = {name: device.device_seconds(job) for name, job in every.items()}
    finished = progress.done(every)
    tapes = sum(job.tape_bytes for job in every.values())
    hours = f"{_hours(sum(seconds.values()))} device-hours"
    yield f"{target}: {counted(len(every), 'job')}, {hours} on {device.name} ({device.basis}), {_bytes(tapes)} of tape"
    yield ""
    yield from _grid(["rule", "jobs", "done", "device-hours"], _by_rule(every, seconds, finished))
    tables = jobs.by_table(study, every)
    if tables:
        yield ""
        rows = [_row(name, jobs_of_table, seconds, finished, tape=True) for name, jobs_of_table in tables.items()]
        yield from _grid(["table", "jobs", "done", "device-hours", "tape"], rows)
        if len(tables) > 1:
            yield "Tables share jobs: their sum is more than the whole."
    yield ""
    yield from _grid(["devices", "wall time", ""], [_wall(every, one) for one in (device, *others)])
    if finished:
        yield ""
        yield from _progress(every, device, finished)


def wall_seconds(every: Mapping[str, Job], device: Device) -> float:
    """The wall time of all these jobs on a device."""
    seconds = {name: device.job_seconds(job) for name, job in every.items()}
    return schedule.wall_seconds(every, seconds, device.count)


def _progress(every: Mapping[str, Job], device: Device, finished: Mapping[str, float]) -> Iterable[str]:
    """What is done, whether it took as long as planned, and the rest."""
    timed = [name for name, took in finished.items() if took and every[name].work]
    took = sum(finished[name] for name in timed)
    planned = sum(device.job_seconds(every[name]) - device.start for name in timed)
    done = f"{len(finished):,} of {counted(len(every), 'job')}"
    yield f"done: {done} (files that exist; Snakemake decides which are out of date)"
    if planned:
        yield f"they took {duration(took)}, and were planned at {duration(planned)}: {took / planned:.2f} times that"
    rest = {name: job for name, job in every.items() if name not in finished}
    if rest:
        yield f"left: {duration(wall_seconds(rest, device))} on {device.label}, as planned"
    for name, job in rest.items():
        if isinstance(job.node, Tape) and (epochs := progress.recorded(name)):
            yield f"recording: {counted(epochs, 'epoch')} of {name}"


def _by_rule(
    every: Mapping[str, Job], seconds: Mapping[str, float], finished: Mapping[str, float]
) -> Iterable[list[str]]:
    for rule in RULES:
        chosen = {name: job for name, job in every.items() if job.rule == rule}
        if chosen:
            yield _row(rule, chosen, seconds, finished)
    yield _row("together", every, seconds, finished)


def _row(
    title: str,
    chosen: Mapping[str, Job],
    seconds: Mapping[str, float],
    finished: Mapping[str, float],
    *,
    tape: bool = False,
) -> list[str]:
    hours, there = _hours(sum(seconds[name] for name in chosen)), sum(name in finished for name in chosen)
    row = [title, f"{len(chosen):,}", f"{there:,}", hours]
    return [*row, _bytes(sum(job.tape_bytes for job in chosen.values()))] if tape else row


def _wall(every: Mapping[str, Job], device: Device) -> list[str]:
    return [device.label, duration(wall_seconds(every, device)), device.basis]


def _hours(seconds: float) -> str:
    hours = seconds / 3600
    return f"{hours:,.0f}" if hours >= 100 else f"{hours:.3g}"


def _bytes(count: float) -> str:
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"


def _grid(header: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterable[str]:
    """A Markdown table with aligned columns, the first to the left."""
    lines = [list(header), *map(list, rows)]
    widths = [max(3, *(len(line[place]) for line in lines)) for place in range(len(header))]
    ruled = ["-" * widths[0], *(f"{'-' * (width - 1)}:" for width in widths[1:])]
    for line in [lines[0], ruled, *lines[1:]]:
        first, *others = line
        cells = [first.ljust(widths[0]), *(text.rjust(width) for text, width in zip(others, widths[1:], strict=True))]
        yield f"| {' | '.join(cells)} |"
