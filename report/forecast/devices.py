"""Seconds of a job's passes on a device: timed on this machine once, or derived for a kind of GPU.

The time of a GPU is that of counted operations at the rates of docs/performance/gpu.csv, which one card measured: in
trainings, for three networks, in float32 and bfloat16. A network takes the rate of the measured one with the nearest
number of operations. Another kind of card has these rates times the ratio of the peaks that the maker publishes.
"""

import csv
import importlib
import math
import os
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from dataclasses import dataclass
from functools import cache, partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, NamedTuple

from ataka import models
from ataka.errors import UserError, nearest
from ataka.plan import Exchange, Work
from ataka.plan.work import FLOAT_BYTES
from ataka.study import Study, plugins
from ataka.study.config import HOME
from report.forecast.jobs import Job

JOB_SECONDS, WARM_JOB_SECONDS = 3.5, 0.9
"""Seconds that a job takes beside its passes, Snakemake's own included: with Python and torch to load; forked from a
process that has loaded them (the mean of the demo's 308 jobs: their times in Snakemake's log less those of records)."""
UNCOUNTED = 1.2
"""The processor time of the demo's jobs, as a multiple of their passes timed one by one: for the parts that aren't
counted, and for jobs that run side by side."""
LARGE = 10**9
"""Multiply-accumulates of a forward, beyond which a network isn't timed on a CPU, where that takes a minute."""
EXAMPLE = ("resnet18", "cifar10")
"""The network, and its images, that is timed in place of a large one."""
_MEASURED = HOME / "docs/performance/gpu.csv"
_LINE = re.compile(r"(?:recording|replay), (?P<arch>\S+?)(?: x \d+)?, \d+ images(?P<compiled>, compiled)?")


class Unknown(UserError):
    """A fact that an estimate lacks: torch has to find it once, or a file is missing."""


class Kind(NamedTuple):
    """A kind of GPU, and the peaks of the maker's data sheet in TFLOP/s (dense; bfloat16 None where it has none).

    ``link`` is the rate of its PCI Express with 16 lanes, one way, in GB/s.
    """

    label: str
    float32: float
    bfloat16: float | None
    link: float


KINDS = {
    "h100": Kind("H100", 66.9, 989.4, 64.0),  # SXM
    "h200": Kind("H200", 66.9, 989.4, 64.0),
    "a100": Kind("A100", 19.5, 312.0, 32.0),
    "rtx2080ti": Kind("RTX 2080 Ti", 13.4, None, 16.0),  # the paper has eight
}


@dataclass(frozen=True)
class Device:
    """Devices of one kind that take one job at a time; ``seconds`` is the time of passes on one of them."""

    name: str
    count: int
    basis: str
    """The origin of the estimate, in a few words."""
    seconds: Callable[[Work], float]
    start: float
    """Seconds of a job beside its passes."""
    exchange: Callable[[Exchange, int], float] = lambda _exchange, _processes: 0.0
    """Seconds of an exchange between so many processes, which waits for nothing and for which all wait."""

    @property
    def label(self) -> str:
        """Number and name, such as ``2 x A100``."""
        return f"{self.count} x {self.name}"

    def taken(self, job: Job) -> int:
        """The number of these devices that a job takes: one for each process, or all where these are fewer."""
        return min(job.processes, self.count)

    def job_seconds(self, job: Job) -> float:
        """Seconds of a job on the devices that it takes, with the start of its processes."""
        passes = sum(self.seconds(work) * work.busiest(self.taken(job)) for work in job.work)
        return self.start + passes + self.exchange_seconds(job)

    def exchange_seconds(self, job: Job) -> float:
        """Seconds in which the processes of a job pass on numbers."""
        return self.exchange(job.exchange, self.taken(job)) if job.exchange and self.taken(job) > 1 else 0.0

    def device_seconds(self, job: Job) -> float:
        """Seconds of a job, of all devices that it takes together."""
        return self.taken(job) * self.job_seconds(job)


def card(study: Study, name: str, count: int = 1) -> Device:
    """``count`` GPUs of the kind called ``name`` (h100, RTX 2080 Ti); UserError where no peaks of it are known."""
    key = re.sub(r"[^a-z0-9]|nvidia|geforce", "", name.lower())
    key = key if key in KINDS else f"rtx{key}"
    if key not in KINDS:
        raise UserError(f"--on: no rates are known of '{name}'{nearest(name.lower(), KINDS)}")
    kind = KINDS[key]
    seconds, exchange = _card_seconds(study, kind), partial(_exchange_seconds, study, kind)
    return Device(kind.label, count, "counted, not measured", seconds, _start(study), exchange)


def here(study: Study, count: int | None = None, cores: int | None = None) -> Device:
    """This machine: its GPU where torch takes one, else its CPU cores; the networks of a study are timed there once.

    ``count`` is the number of jobs at once, by default that of the CPU cores, or of ``cores`` of these, by threads.
    """
    name = gpu(study)
    for kind in KINDS.values():
        if kind.label in name:
            return card(study, kind.label, count or 1)
    if name:
        return Device(name, count or 1, "timed here in float32", _timed_seconds(study), _start(study))
    at_once = count or max((cores or os.cpu_count() or 1) // study.threads, 1)
    name = "CPU core" if study.threads == 1 else f"{study.threads} threads ({os.cpu_count()} CPU cores)"
    return Device(name, at_once, "timed here", _timed_seconds(study), _start(study))


def gpu(study: Study) -> str:
    """The name of the GPU that torch takes on this machine for the study; empty where it takes the CPU."""
    name: str = _asked("device_name", (study.device,), lambda cost: cost.device_name(study.device))
    return name


def operations(study: Study, arch: str, dataset: str) -> int:
    """Multiply-accumulates of an image's forward. Counted once by torch, then kept (plugins.py)."""
    return _operations(arch, *_shape(study, dataset))


def weight_bytes(study: Study, arch: str, dataset: str) -> int:
    """Bytes of a network's weights and running statistics. Counted once by torch, then kept (plugins.py)."""
    return _weight_bytes(arch, *_shape(study, dataset))


def exchanged(study: Study, exchange: Exchange, processes: int) -> float:
    """The bytes that pass between the first of so many processes and the others."""
    _, channels, size = _shape(study, exchange.dataset)
    weights = exchange.elsewhere(processes) * exchange.weights
    images = exchange.images * channels * size**2 * FLOAT_BYTES
    return weights * weight_bytes(study, exchange.arch, exchange.dataset) + images


def _shape(study: Study, dataset: str) -> tuple[int, int, int]:
    """Classes, channels and side of a data set's images."""
    facts = study.dataset(dataset).specification
    return facts.classes, facts.channels, facts.size


@cache
def _operations(arch: str, classes: int, channels: int, size: int) -> int:
    return _counted("multiply-accumulates", "multiply_accumulates", arch, classes, channels, size)


@cache
def _weight_bytes(arch: str, classes: int, channels: int, size: int) -> int:
    return _counted("bytes", "weight_bytes", arch, classes, channels, size)


def _counted(fact: str, counter: str, arch: str, classes: int, channels: int, size: int) -> int:
    """What a function of models/operations.py counts of a network."""

    def count() -> Any:
        counters = _with_torch("ataka.models.operations")
        return getattr(counters, counter)(arch, classes=classes, channels=channels, size=size)

    counted: int = plugins.facts(models.sources(arch)[0], (fact, arch, classes, channels, size), count)
    return counted


def _start(study: Study) -> float:
    return WARM_JOB_SECONDS if study.warm_start else JOB_SECONDS


# ---- a kind of GPU


def _card_seconds(study: Study, kind: Kind) -> Callable[[Work], float]:
    image = cache(partial(_card_image_seconds, study, kind))  # thousands of jobs share a few networks
    return lambda work: work.forwards * image(work.arch, work.dataset, work.precision)


def _exchange_seconds(study: Study, kind: Kind, exchange: Exchange, processes: int) -> float:
    return exchanged(study, exchange, processes) / (kind.link * 1e9)


def _card_image_seconds(study: Study, kind: Kind, arch: str, dataset: str, precision: str) -> float:
    precision = precision if kind.bfloat16 else "float32"
    card, rates = measured()
    ratio = _peak(kind, precision) / _peak(card, precision)
    size = operations(study, arch, dataset)
    fitting = [rate for rate in rates if rate.precision == precision and rate.compiled <= study.speed.compile]
    near = min(fitting, key=lambda rate: (abs(math.log(rate.operations / size)), -rate.rate))
    return size / (near.rate * ratio)


def _peak(kind: Kind, precision: str) -> float:
    return kind.bfloat16 if precision == "bfloat16" and kind.bfloat16 else kind.float32


class Rate(NamedTuple):
    """A measured rate of training a network: ``rate`` in multiply-accumulates a second, ``operations`` of a forward."""

    operations: int
    precision: str
    compiled: bool
    rate: float


@cache
def lines(path: Path = _MEASURED) -> list[dict[str, str]]:
    """The lines of a CSV that bench/gpu.py wrote."""
    try:
        with path.open(newline="", encoding="utf-8") as file:
            return list(csv.DictReader(file))
    except OSError as error:
        raise Unknown(f"can't read {path}, a GPU's measured rates: {error.strerror}") from None


@cache
def measured(path: Path = _MEASURED) -> tuple[Kind, list[Rate]]:
    """The kind of card that ``path`` was measured on, and the rates there."""
    kind = next(kind for kind in KINDS.values() if kind.label in lines(path)[0]["device"])
    best = next(float(line["value"]) for line in lines(path) if line["unit"] == "TFLOP/s")
    rates = []
    for line in lines(path):
        if (match := _LINE.fullmatch(line["name"])) and line["kind"] == "speed":
            size = _operations(match["arch"], 10, 3, 32)
            fast = float(line["peak"]) * best * 1e12 / 2  # a multiplication and an addition are two
            plain = fast * float(line["plain"]) / float(line["value"])
            compiled = bool(match["compiled"])
            rates.append(Rate(size, "bfloat16", compiled, fast))
            rates += [] if compiled else [Rate(size, "float32", False, plain)]
    return kind, rates


# ---- this machine


def _timed_seconds(study: Study) -> Callable[[Work], float]:
    forward = cache(partial(_forward_seconds, study))

    def seconds(work: Work) -> float:
        call, image = forward(work.arch, work.dataset)[work.kind]
        return UNCOUNTED * (work.calls * call + work.forwards * image)

    return seconds


def _forward_seconds(study: Study, arch: str, dataset: str) -> dict[str, tuple[float, float]]:
    """For each kind of pass the seconds of a call and of an image; of a large network on a CPU by its operations."""
    if not gpu(study) and (size := operations(study, arch, dataset)) > LARGE:
        like, its_dataset = EXAMPLE
        share = size / operations(study, like, its_dataset)
        return {kind: (call, share * image) for kind, (call, image) in _timed(study, like, its_dataset).items()}
    return _timed(study, arch, dataset)


def _timed(study: Study, arch: str, dataset: str) -> dict[str, tuple[float, float]]:
    facts, speed = study.dataset(dataset).specification, study.speed
    settings = {"speed": speed, "threads": study.threads, "asked_for": study.device}
    shape = facts.classes, facts.channels, facts.size
    seconds: dict[str, tuple[float, float]] = _asked(
        "forward_seconds",
        (arch, shape, speed.fold, speed.channels_last, study.threads, study.device),
        lambda cost: cost.forward_seconds(arch, facts, **settings),
    )
    return seconds


_answers: dict[object, Any] = {}


def _asked(name: str, question: tuple[object, ...], answer: Callable[[Any], Any]) -> Any:
    """What this machine answers, by torch once, and then from the store of facts (plugins.py)."""
    asked = (name, question, _machine())
    if asked not in _answers:
        module = "ataka.stages.cost"
        _answers[asked] = plugins.facts(module, asked, lambda: answer(_with_torch(module)))
    return _answers[asked]


_may_load_torch = ContextVar("_may_load_torch", default=True)


@contextmanager
def from_kept_facts() -> Iterator[None]:
    """A context in which nothing is timed or counted anew: an answer that no earlier plan has kept is Unknown."""
    before = _may_load_torch.set(False)
    try:
        yield
    finally:
        _may_load_torch.reset(before)


def _with_torch(module: str) -> Any:
    """A module that imports torch."""
    if not _may_load_torch.get():
        raise Unknown("run `python -m ataka plan` once in this checkout")
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        raise Unknown(
            f"{error.name} isn't installed here. Run `python -m ataka plan` once where it is: what it finds is kept in "
            f"{plugins.STORE}"
        ) from None


def _version(package: str) -> str:
    with suppress(PackageNotFoundError):
        return version(package)
    return ""


@cache
def _machine() -> tuple[object, ...]:
    """What tells one machine from another, and from itself with other GPUs or another torch."""
    nodes = tuple(sorted(str(path) for path in Path("/dev").glob("nvidia*")))
    return platform.node(), os.cpu_count(), _version("torch"), nodes, os.environ.get("CUDA_VISIBLE_DEVICES")
