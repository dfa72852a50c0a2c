"""What the paper's whole protocol asks of one card, of eight and of a cluster, counted (docs/scale.md)."""

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

from ataka import plan
from ataka.machine.progress import duration
from ataka.plan.work import FLOAT_BYTES
from ataka.study import Study, config
from report import growth, render
from report.forecast import devices, jobs, schedule
from report.forecast.devices import Device
from report.forecast.jobs import Job

PAGE = config.HOME / "docs/scale.md"
ROOT, EVERYTHING = "results", "all"
TARGETS = (("table2.tex", 1), (EVERYTHING, 0))
"""Files, and the number of seeds; 0 for all of the scale's."""
CARDS = (("h100", 1), ("h100", 8), ("h100", 64), ("rtx2080ti", 8))
"""Kinds and numbers of GPUs; the paper has the last."""
HALF = {"generate": "bfloat16", "update": "bfloat16"}
IMAGES, CLASSES, SIZE = 1_281_167, 1000, 224
"""ILSVRC 2012's training images, and the usual crop."""
DAY = 86_400


def page() -> str:
    """The text of docs/scale.md."""
    study = study_of()
    ensemble = plan.ensemble_of(study, growth.tape(study))
    channels = len(study.generators[ensemble.generator].channels)
    return (
        render.environment()
        .get_template("scale.md")
        .render(
            seeds=len(study.seeds),
            times=[*_times()],
            rules=[*_rules()],
            chain=[*_chain()],
            teachers=ensemble.n,
            images=f"{IMAGES:,}",
            classes=f"{CLASSES:,}",
            size=SIZE,
            tape_gb=f"{IMAGES * CLASSES * ensemble.n * channels * FLOAT_BYTES / 1e9:.1f}",
            images_gb=f"{IMAGES * SIZE**2 * 3 / 1e9:.0f}",
        )
    )


@cache
def study_of(*, half: bool = False, seeds: int = 0) -> Study:
    """The paper's scale, with ``seeds`` of its seeds or all; ``half`` trains in bfloat16 and compiles attacks."""
    overrides: dict[str, Any] = {"seeds": config.load().seeds[:seeds]} if seeds else {}
    if half:
        setups = {name: {"precision": HALF} for name in config.load().setups}
        overrides |= {"setups": setups, "speed": {"compile": True}}
    return config.load(overrides=overrides)


@cache
def jobs_of(target: str, *, half: bool = False, seeds: int = 0) -> Mapping[str, Job]:
    """The jobs behind a target of the paper's scale, by the names of their files."""
    return jobs.behind(study_of(half=half, seeds=seeds), ROOT, [f"{ROOT}/{target}"])


def seconds_of(every: Mapping[str, Job], device: Device) -> dict[str, float]:
    """Seconds of each job on a device, by the names of the jobs' files."""
    return {name: device.job_seconds(job) for name, job in every.items()}


def _times() -> Iterator[list[str]]:
    for target, seeds in TARGETS:
        for kind, count in CARDS:
            row = [target.removesuffix(".tex"), str(seeds or len(study_of().seeds))]
            row += [devices.card(study_of(), kind, count).label, f"{len(jobs_of(target, seeds=seeds)):,}"]
            row += _time(target, seeds, kind, count, half=False)
            yield row + (_time(target, seeds, kind, count, half=True) if devices.KINDS[kind].bfloat16 else ["", ""])


def _time(target: str, seeds: int, kind: str, count: int, *, half: bool) -> list[str]:
    """Days of all devices together, and the wall time."""
    every = jobs_of(target, half=half, seeds=seeds)
    seconds = seconds_of(every, devices.card(study_of(half=half, seeds=seeds), kind, count))
    return [f"{sum(seconds.values()) / DAY:,.1f}", duration(schedule.wall_seconds(every, seconds, count))]


def _rules() -> Iterator[list[str]]:
    every, card = jobs_of(EVERYTHING), CARDS[0][0]
    plain = seconds_of(every, devices.card(study_of(), card))
    half = seconds_of(jobs_of(EVERYTHING, half=True), devices.card(study_of(half=True), card))
    for rule in jobs.ARTIFACTS:
        names = [name for name, job in every.items() if job.rule == rule]
        if not names:  # no scale shards its cells unless it is told to
            continue
        tape = sum(every[name].tape_bytes for name in names) / 1e9
        days = [f"{sum(seconds[name] for name in names) / DAY:,.2f}" for seconds in (plain, half)]
        longest = duration(max(plain[name] for name in names))
        yield [rule, f"{len(names):,}", *days, longest, f"{tape:.1f}" if tape else ""]


def _chain() -> Iterator[list[str]]:
    every = jobs_of(EVERYTHING)
    seconds = seconds_of(every, devices.card(study_of(), CARDS[0][0]))
    for name in schedule.longest_chain(every, seconds):
        if every[name].work:
            yield [f"{every[name].rule} {name.removeprefix(f'{ROOT}/')}", duration(seconds[name])]
