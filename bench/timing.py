"""Contestants in turn, in one process: medians, quartiles, ratios."""

import csv
import os
import platform
import statistics
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

if TYPE_CHECKING:
    from _typeshed import DataclassInstance

T = TypeVar("T")
FOLDER = Path(__file__).parent.parent / "docs" / "performance"


@dataclass(frozen=True)
class Timing:
    """The seconds that a contestant took: the median, and the quartiles of all rounds."""

    contestant: str
    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Row:
    """A line of a measurement's CSV; ``note`` is a sentence."""

    task: str
    contestant: str
    seconds: str
    low: str
    high: str
    speed: str
    """The speed as a multiple of the speed of the contestant ``measure``."""
    note: str = ""


def in_turn(contestants: Mapping[str, Callable[[], object]], rounds: int) -> list[Timing]:
    """Time each contestant once a round, after a first round that isn't counted; every round begins with another."""
    return clocked({name: partial(seconds_of, work) for name, work in contestants.items()}, rounds)


def clocked(contestants: Mapping[str, Callable[[], float]], rounds: int) -> list[Timing]:
    """``in_turn``, for contestants that take their own time, in seconds."""
    seconds: dict[str, list[float]] = {name: [] for name in contestants}
    for turn, name, took in turns(contestants, rounds + 1):
        if turn:
            seconds[name].append(took)
    return [timing(name, each) for name, each in seconds.items()]


def turns(contestants: Mapping[str, Callable[[], T]], rounds: int) -> Iterator[tuple[int, str, T]]:
    """The round, the contestant, and what it gives, as it comes; every round begins with another."""
    names = list(contestants)
    for turn in range(rounds):
        start = turn % len(names)
        for name in [*names[start:], *names[:start]]:
            yield turn, name, contestants[name]()


def seconds_of(work: Callable[[], object]) -> float:
    """The seconds that ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def timing(contestant: str, seconds: Sequence[float]) -> Timing:
    """The median and the quartiles of ``seconds``."""
    low, middle, high = statistics.quantiles(seconds, n=4, method="inclusive") if len(seconds) > 1 else 3 * [*seconds]
    return Timing(contestant, middle, low, high)


def rows(task: str, timings: Sequence[Timing], measure: str, notes: Mapping[str, str] | None = None) -> list[Row]:
    """The lines of ``task``, as multiples of the speed of the contestant ``measure``."""
    base = next(one.median for one in timings if one.contestant == measure)
    return [
        Row(
            task,
            one.contestant,
            f"{one.median:.4g}",
            f"{one.low:.4g}",
            f"{one.high:.4g}",
            f"{base / one.median:.2f}",
            (notes or {}).get(one.contestant, ""),
        )
        for one in timings
    ]


def write(
    name: str, lines: Sequence["DataclassInstance"], folder: Path = FOLDER, *, packages: Sequence[str] = ()
) -> None:
    """``folder``/NAME.csv; each line states the machine and the versions, also those of ``packages``."""
    versions = [f"Python {platform.python_version()}", *(f"{each} {version(each)}" for each in (*packages, "torch"))]
    about = {"machine": machine(), "versions": ", ".join(versions)}
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / f"{name}.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*(field.name for field in fields(lines[0])), *about])
        writer.writeheader()
        writer.writerows([asdict(line) | about for line in lines])


def keep(name: str, lines: Iterable["DataclassInstance"], folder: Path, *, packages: Sequence[str] = ()) -> None:
    """Print each of ``lines`` as it comes, and ``write`` all that have come."""
    kept = []
    for line in lines:
        print(line, flush=True)
        kept.append(line)
        write(name, kept, folder, packages=packages)


def machine() -> str:
    """The processor's model, and how many cores this process may use."""
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return f"{models[0] if models else platform.processor()}, {len(os.sched_getaffinity(0))} cores"
