"""The demo's five tables from nothing, beside commit 6c62ef6, the last before the speed switches.

Each contestant is a Snakemake on all cores, from a folder without results; they take turns. CPU minutes are those of
Snakemake and all processes below it, read every tenth of a second, so that a process's last tenth may be missing.
`tests/bench/test_demo.py` compares images, epochs and steps of both commits' settings. The last table compares the
cells of both commits, without the speed switches first: what then still differs, differs for other reasons.

    python -m bench.demo                writes docs/performance/demo.csv

It needs git's history, and an idle machine.
"""

import argparse
import csv
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy
import psutil

from bench.jobs import BEFORE, commit
from bench.timing import FOLDER, keep, turns
from tests.workflow.driver import HOME, Checkout

TABLES = tuple(f"results/demo/table{number}.tex" for number in range(1, 6))
OFF = ("--config", 'speed={"fold": false, "channels_last": false}')
_TICK = 0.1


@dataclass(frozen=True)
class Row:
    """A line of the CSV: minutes of the clock and of the processors, as shares of ``BEFORE``'s, or a comparison."""

    task: str
    contestant: str
    minutes: str
    share: str
    cpu_minutes: str
    cpu_share: str
    note: str = ""


@dataclass(frozen=True)
class Took:
    """Seconds of the clock and of the processors."""

    seconds: float
    cpu_seconds: float


def build(checkout: Checkout, *more: str) -> Took:
    """Make the tables from nothing; the results stay."""
    for folder in ("results", ".snakemake"):
        shutil.rmtree(checkout.folder / folder, ignore_errors=True)
    command = [sys.executable, "-m", "snakemake", "--profile", "profiles/demo", *TABLES, *more]
    log = checkout.folder.parent / f"{checkout.folder.name}.log"
    with log.open("wb") as output:
        began = time.monotonic()
        root = psutil.Popen(
            command, cwd=checkout.folder, env=checkout.environment, stdout=output, stderr=subprocess.STDOUT
        )
        cpu_seconds = _watched(root)
    if root.returncode:
        raise SystemExit(f"exit code {root.returncode}:\n{log.read_text()}")
    return Took(time.monotonic() - began, cpu_seconds)


def _watched(root: psutil.Popen) -> float:
    """CPU seconds of ``root`` and of all processes below it, when it has ended."""
    seconds: dict[tuple[int, float], float] = {}
    while root.poll() is None:
        with suppress(psutil.NoSuchProcess):
            for process in (root, *root.children(recursive=True)):
                with suppress(psutil.NoSuchProcess):  # it ended while it was read
                    times = process.cpu_times()
                    seconds[process.pid, process.create_time()] = times.user + times.system
        time.sleep(_TICK)
    return sum(seconds.values())


def rows(task: str, took: Mapping[str, Took]) -> Iterator[Row]:
    """The lines of ``task``; the first contestant is the measure of the shares."""
    base = next(iter(took.values()))
    for name, each in took.items():
        yield Row(
            task,
            name,
            f"{each.seconds / 60:.1f}",
            f"{each.seconds / base.seconds:.2f}",
            f"{each.cpu_seconds / 60:.1f}",
            f"{each.cpu_seconds / base.cpu_seconds:.2f}",
        )


@dataclass
class Compared:
    """Cells of one attack in two results folders."""

    cells: int = 0
    verdicts: int = 0
    apart: int = 0
    """How many verdicts differ."""
    beyond: int = 0
    """How many cells differ by more than the 95 % interval of the older one."""


def compare(before: Path, now: Path) -> dict[str, Compared]:
    """Cells that lie in both results folders, by attack."""
    found: dict[str, Compared] = {}
    for path in sorted(before.glob("cells/**/*.csv")):
        other = now / path.relative_to(before)
        if not other.exists():
            continue
        (old,), (new,) = (list(csv.DictReader(each.open(newline=""))) for each in (path, other))
        bits = [numpy.load(each.with_suffix(".bits.npy")) for each in (path, other)]
        attack = found.setdefault(path.stem, Compared())
        attack.cells += 1
        attack.verdicts += int(old["n"])
        attack.apart += int(numpy.unpackbits(bits[0] ^ bits[1]).sum())
        attack.beyond += not float(old["ci_low"]) <= float(new["accuracy"]) <= float(old["ci_high"])
    return found


def _differences(title: str, found: Mapping[str, Compared]) -> Iterator[Row]:
    for attack, each in found.items():
        note = f"{each.apart} of {each.verdicts} verdicts differ; cells outside the other's interval: {each.beyond}"
        yield Row(title, f"{attack}, {each.cells} cells", "", "", "", "", note)


def measure(rounds: int) -> Iterator[Row]:
    """Times of both commits in turn, and what differs in the last round's cells."""
    with tempfile.TemporaryDirectory(prefix="demo-") as temporary:
        folder = Path(temporary)
        before, now = commit(BEFORE, folder / "before"), Checkout.of(HOME, folder / "now")
        contestants: dict[str, Callable[[], Took]] = {
            BEFORE: partial(build, before),
            "now": partial(build, now),
            "now, switches off": partial(build, Checkout.of(HOME, folder / "off"), *OFF),
        }
        took: dict[str, dict[int, Took]] = {name: {} for name in contestants}
        for turn, name, each in turns(contestants, rounds):
            took[name][turn] = each
            print(f"{name}: {each}", flush=True)
        for turn in range(rounds):
            yield from rows(f"five tables, round {turn + 1}", {name: took[name][turn] for name in contestants})
        for words, other in (("switches off", "off"), ("switches on", "now")):
            found = compare(before.folder / "results/demo", folder / other / "results/demo")
            yield from _differences(f"cells beside those of {BEFORE}, {words}", found)


def main(arguments: list[str]) -> int:
    """Measure, and write the CSV after each line."""
    parser = argparse.ArgumentParser(prog="python -m bench.demo", description="The demo's five tables.")
    parser.add_argument("--rounds", type=int, default=1, help="how often each contestant has its turn (1)")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the CSV goes")
    given = parser.parse_args(arguments)
    keep("demo", measure(given.rounds), given.folder, packages=["snakemake"])
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
