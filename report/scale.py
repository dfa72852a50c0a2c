"""What the paper's whole protocol asks of one card, of eight and of a cluster, counted (docs/scale.md)."""

from collections.abc import Iterator, Mapping
from functools import cache
from itertools import product
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
TOGETHER = (1, 2, 4, 8)
"""Numbers of the first of these kinds that one recording may take."""
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
            recordings=[*_recordings()],
            most=_most(),
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
def study_of(*, half: bool = False, seeds: int = 0, processes: int = 1) -> Study:
    """The paper's scale, with ``seeds`` of its seeds or all; ``half`` trains in bfloat16 and compiles attacks."""
    overrides: dict[str, Any] = {"processes": processes}
    if seeds:
        overrides["seeds"] = config.load().seeds[:seeds]
    if half:
        setups = {name: {"precision": HALF} for name in config.load().setups}
        overrides |= {"setups": setups, "speed": {"compile": True}}
    return config.load(overrides=overrides)


@cache
def jobs_of(target: str, *, half: bool = False, seeds: int = 0, processes: int = 1) -> Mapping[str, Job]:
    """The jobs behind a target of the paper's scale, by the names of their files."""
    return jobs.behind(study_of(half=half, seeds=seeds, processes=processes), ROOT, [f"{ROOT}/{target}"])


def seconds_of(every: Mapping[str, Job], device: Device) -> dict[str, float]:
    """Seconds of each job on a device, by the names of the jobs' files."""
    return {name: device.job_seconds(job) for name, job in every.items()}


def _times() -> Iterator[list[str]]:
    for target, seeds in TARGETS:
        for (kind, count), processes in product(CARDS, (1, _most())):
            if processes > count:
                continue
            row = [target.removesuffix(".tex"), str(seeds or len(study_of().seeds))]
            row += [devices.card(study_of(), kind, count).label, str(processes)]
            row += [f"{len(jobs_of(target, seeds=seeds)):,}", *_time(target, seeds, kind, count, processes, half=False)]
            half = devices.KINDS[kind].bfloat16
            yield row + (_time(target, seeds, kind, count, processes, half=True) if half else ["", ""])


def _time(target: str, seeds: int, kind: str, count: int, processes: int, *, half: bool) -> list[str]:
    """Days of all devices together, and the wall time."""
    every = jobs_of(target, half=half, seeds=seeds, processes=processes)
    device = devices.card(study_of(half=half), kind, count)
    days = sum(map(device.device_seconds, every.values())) / DAY
    return [f"{days:,.1f}", duration(schedule.wall_seconds(every, seconds_of(every, device), count))]


def _most() -> int:
    """The most teachers of a recording: more processes than that are never started."""
    return max(method.ensemble.n for method in study_of().methods.values() if method.ensemble)


def _recordings() -> Iterator[list[str]]:
    """The first seed's tape of docs/growth.md, and the longest recording, on several cards each."""
    alone = devices.card(study_of(), CARDS[0][0])
    every = sorted(name for name, job in jobs_of(EVERYTHING).items() if job.rule == "record")
    longest = max(every, key=lambda name: alone.job_seconds(_job(name, 1)))
    for name, count in product((str(growth.tape(study_of()).manifest(ROOT)), longest), TOGETHER):
        row = [name.removeprefix(f"{ROOT}/tapes/").removesuffix("/manifest.json"), str(count)]
        row.append(str(devices.card(study_of(), CARDS[0][0], count).taken(_job(name, count))))
        yield row + [text for half in (False, True) for text in _shared_out(name, count, half=half)]


def _shared_out(name: str, count: int, *, half: bool) -> list[str]:
    """The time of a recording on ``count`` cards, its speed beside one card's, and its exchange in per cent of it."""
    job = _job(name, count, half=half)
    one, some = (devices.card(study_of(half=half), CARDS[0][0], cards) for cards in (1, count))
    seconds = some.job_seconds(job)
    share = f"{100 * some.exchange_seconds(job) / seconds:.2g} %" if some.taken(job) > 1 else ""
    return [duration(seconds), f"{one.job_seconds(job) / seconds:.2f}", share]


def _job(name: str, processes: int, *, half: bool = False) -> Job:
    return jobs_of(EVERYTHING, half=half, processes=processes)[name]


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
