"""What bfloat16 does to robust accuracy: SAT at pocket scale on real CIFAR-10, trained in three precisions.

`precision` of a set-up has the attack's steps, or these and the updates, in bfloat16; evaluations are in
float32 always. One seed: the trainings draw the same starts, batches and augmentations. An accuracy has its 95 %
interval, and a verdict of a network differs from that of the float32 network where one of both is right on an image.

    ATAKA_DATA=... python -m bench.precision    writes docs/performance/precision.csv

It needs CIFAR-10, and some 20 minutes of one core.
"""

import argparse
import csv
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy

from bench.tape import cost, make
from bench.timing import FOLDER, keep
from tests.workflow.driver import HOME, Checkout

PRECISIONS: dict[str, dict[str, str]] = {
    "float32": {},
    "attack in bfloat16": {"generate": "bfloat16"},
    "attack and updates in bfloat16": {"generate": "bfloat16", "update": "bfloat16"},
}
NETWORK = "cifar10/resnet10-w16/sat/seed0"
ATTACKS = ("clean", "pgd")


@dataclass(frozen=True)
class Row:
    """A line of the CSV: accuracies in %, with their intervals, and the training's CPU seconds."""

    task: str
    contestant: str
    clean: str
    pgd: str
    cpu_seconds: str
    note: str = ""


def measure() -> Iterator[Row]:
    """A line for each precision; the first is the measure of verdicts."""
    with tempfile.TemporaryDirectory(prefix="precision-") as name:
        verdicts: dict[str, list[numpy.ndarray]] = {}
        for words, precision in PRECISIONS.items():
            checkout = Checkout.of(HOME, Path(name) / words.replace(" ", "-"))
            results = checkout.folder / "results/pocket"
            cells = [results / f"cells/{NETWORK}/{attack}.csv" for attack in ATTACKS]
            targets = [str(path.relative_to(checkout.folder)) for path in cells]
            make(checkout, targets, {"setups": {"sat": {"precision": precision}}} if precision else {})
            verdicts[words] = [numpy.unpackbits(numpy.load(path.with_suffix(".bits.npy"))) for path in cells]
            yield row(words, cells, results / f"runs/{NETWORK}/model.safetensors", verdicts)


def row(words: str, cells: list[Path], network: Path, verdicts: dict[str, list[numpy.ndarray]]) -> Row:
    """The line of one precision, beside the first of ``verdicts``."""
    base = next(iter(verdicts.values()))
    apart = [int((mine != theirs).sum()) for mine, theirs in zip(verdicts[words], base, strict=True)]
    differ = f"verdicts that differ from the first: {apart[0]} on clean images, {apart[1]} under PGD"
    note = differ if verdicts[words] is not base else ""
    seconds = f"{cost(network)['cpu_seconds']:.0f}"
    clean, pgd = (_accuracy(cell) for cell in cells)
    return Row("SAT at pocket scale, 1,000 test images", words, clean, pgd, seconds, note)


def _accuracy(cell: Path) -> str:
    (line,) = csv.DictReader(cell.open(newline=""))
    return f"{float(line['accuracy']):.1f} ({float(line['ci_low']):.1f} to {float(line['ci_high']):.1f})"


def main(arguments: list[str]) -> int:
    """Measure, and write the CSV after each line."""
    parser = argparse.ArgumentParser(prog="python -m bench.precision", description="Robust accuracy and bfloat16.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the CSV goes")
    given = parser.parse_args(arguments)
    keep("precision", measure(), given.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
