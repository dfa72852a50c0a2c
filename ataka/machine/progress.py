"""Progress that a person can follow, in a terminal as in a log file: a line now and then, each with its job's name."""

import re
import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, NamedTuple, TextIO

if TYPE_CHECKING:
    from torch import Tensor


class Progress:
    """Says what a job is doing: epochs, images a second, losses, time left.

    A line every few seconds at first, and every few minutes of a job that takes days.
    """

    def __init__(self, job: str, stream: TextIO | None, every: float = 5.0) -> None:
        self.job, self.stream, self.every = job, stream, every
        self._begun = self._said = time.monotonic()
        self._done = self._total = self._per_epoch = self._before = self._forwards = 0
        self.doing = ""
        """The name of the work inside a long step, for ``alive``; empty where nobody knows."""

    @classmethod
    def silent(cls) -> "Progress":
        """A progress that prints nothing."""
        return cls("", None)

    def say(self, text: str) -> None:
        """Print a line that opens with the job's name."""
        if self.stream is not None:
            print(f"{self.job}: {text}", file=self.stream, flush=True)
            self._said = time.monotonic()

    def start(self, epochs: int, images: int, done: int = 0) -> None:
        """Begin with ``images`` in each of ``epochs``; ``done`` of them were done before an interruption."""
        self._begun, self._done, self._before = time.monotonic(), done, done
        self._per_epoch, self._total = images, epochs * images

    def step(self, images: int, loss: "Tensor | None" = None) -> None:
        """Count ``images`` as done; the loss is read (and the device waited for) only when a line is due."""
        self._done += images
        self._forwards = 0
        if self._due():
            loss_text = f"  loss {float(loss):.4g}" if loss is not None else ""
            self.say(self._where() + loss_text + self._speed())

    def alive(self) -> None:
        """Print a line if due, at each forward of a long step."""
        self._forwards += 1
        if self._due():
            self.say(f"{self._where()}  {self.doing or f'forward {self._forwards:,}'}{self._speed()}")

    def end_epoch(self, epoch: int, row: Mapping[str, float]) -> None:
        """Print the epoch's losses, if a line is due or the training has ended."""
        self._done = epoch * self._per_epoch
        if self._due() or self._done == self._total:
            losses = "  ".join(f"{name} {value:.4g}" for name, value in row.items() if name.startswith("loss"))
            self.say(f"{self._where()}  {losses}{self._speed()}")

    def _due(self) -> bool:
        now = time.monotonic()
        interval = max(self.every, min((now - self._begun) / 20, 60 * self.every))
        return self.stream is not None and now - self._said >= interval

    def _where(self) -> str:
        if self._total == self._per_epoch:
            return f"image {self._done}/{self._total}"
        return f"epoch {self._done / self._per_epoch:.1f}/{self._total // self._per_epoch}"

    def _speed(self) -> str:
        seconds = max(time.monotonic() - self._begun, 1e-9)
        rate = (self._done - self._before) / seconds
        left = (self._total - self._done) / rate if rate else 0.0
        if not rate:
            return ""
        speed = f"{rate:,.0f} images/s" if rate >= 1 or not rate else f"{1 / rate:.1f} s/image"
        return f"  {speed}  {duration(left)} left" if left else f"  {speed}"


def duration(seconds: float) -> str:
    """Such as ``45 s``, ``12 min``, ``3.4 h``, ``21 days``."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size or (unit == "min" and seconds >= 60):
            value = seconds / size
            return f"{value:.1f} {unit}" if value < 10 and unit != "min" else f"{value:,.0f} {unit}"
    return f"{seconds:.0f} s"


# ---- lines of progress, as a log holds them

_LINE = re.compile(r".+?: (?P<unit>epoch|image) (?P<done>\d+(?:\.\d+)?)/(?P<total>\d+)(?:  (?P<rest>.*))?")
_SIZES = {"s": 1.0, "min": 60.0, "h": 3600.0, "days": 86400.0}


class Line(NamedTuple):
    """A line that ``Progress`` printed."""

    where: str
    """Such as ``epoch 4.4/10``."""
    share: float
    """The share of the job's images that was done, 0 to 1."""
    facts: tuple[str, ...]
    """Losses, the work inside a long step, and the speed, where the line has them."""
    left: float | None
    """Seconds that the job expected to take from there on."""


def parse(text: str) -> Line | None:
    """The progress that a line of a log states; None for any other line."""
    match = _LINE.fullmatch(text.rstrip())
    if match is None or not int(match["total"]):
        return None
    facts = [fact for fact in (match["rest"] or "").split("  ") if fact]
    left = _seconds(facts.pop()) if facts and facts[-1].endswith(" left") else None
    where = f"{match['unit']} {match['done']}/{match['total']}"
    return Line(where, min(float(match["done"]) / int(match["total"]), 1.0), tuple(facts), left)


def _seconds(text: str) -> float | None:
    """The seconds of a duration as ``duration`` prints it, followed by ``left``."""
    number, unit, _ = text.split(" ")
    return float(number.replace(",", "")) * _SIZES[unit] if unit in _SIZES else None
