"""The tape: what it spares beside online training, and its memory at the paper's size.

The AT-AKA block of Table 2 has four amalgamations, two networks and a grid of alphas. With the tape the teachers train
once; online they train beside each student. The first table measures one recording, one student on its tape and one
online student, at pocket scale with 500 images and two epochs of real CIFAR-10, and multiplies; docs/growth.md counts
the same at the paper's scale.

The others have a tape of the paper's size (CIFAR-100, 45,000 images, three teachers, 300 epochs) written and
replayed, with logits from a generator of random numbers, and the jobs of one epoch with small networks on all images
and on few: what grows with the number of images is what a recording and a student hold beside their networks.

    ATAKA_DATA=... python -m bench.tape     writes docs/performance/tape.csv

It needs CIFAR-10 and CIFAR-100, and 20 GB of disk.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from ataka.datasets.views import view
from ataka.files.tape import Reader, Writer
from ataka.machine.meter import Meter, Usage
from bench.timing import FOLDER, keep
from tests.workflow.driver import HOME, Checkout

TEACHERS, IMAGES, CLASSES, EPOCHS = 3, 45_000, 100, 300
PSI, NETWORKS, ALPHAS = 4, 2, 5
RUN = "results/pocket/runs/cifar10/resnet10-w16"
ONLINE = {"s-at-aka.online": {"like": "s-at-aka", "label": "online", "online": True}}
SHORT = {
    "data": {"train": 500},
    "setups": {"table2": {"epochs": 2, "milestones": [1]}},
    "methods": ONLINE,
}
"""The pocket scale's networks, batches and steps on fewer images, for fewer epochs."""


@dataclass(frozen=True)
class Row:
    """A line of the CSV; ``memory_mb`` in 10^6 bytes."""

    task: str
    contestant: str
    cpu_seconds: str
    memory_mb: str
    note: str = ""


def block(folder: Path) -> Iterator[Row]:
    """The AT-AKA block with the tape and online, from one job of each kind."""
    checkout = Checkout.of(HOME, folder / "block")
    students = [f"{RUN}/{method}/seed0/alpha0.1/model.safetensors" for method in ("s-at-aka", "s-at-aka.online")]
    make(checkout, students, SHORT)
    (tape,) = checkout.folder.glob("results/pocket/tapes/cifar10/*/seed0/manifest.json")
    record, (replayed, online) = cost(tape), [cost(checkout.folder / path) for path in students]
    weights = [(checkout.folder / path).read_bytes() for path in students]
    same = "the same weights to the bit" if weights[0] == weights[1] else "other weights than on the tape"
    task = "the AT-AKA block of Table 2, pocket scale"
    yield _row(task, "recording of three teachers", record)
    yield _row(task, "a student on the tape", replayed)
    yield _row(task, "a student online", online, same)
    count = PSI * NETWORKS * ALPHAS
    taped, apart = record["cpu_seconds"] + count * replayed["cpu_seconds"], count * online["cpu_seconds"]
    yield Row(task, f"{count} students on one tape", f"{taped:.0f}", "")
    yield Row(task, f"{count} students online", f"{apart:.0f}", "", f"{apart / taped:.1f} times as much")


def size(folder: Path, images: int = IMAGES, epochs: int = EPOCHS) -> Iterator[Row]:
    """A tape of the paper's size, written and replayed in processes of their own."""
    total = 4 * TEACHERS * images * CLASSES * epochs
    task = f"a tape of {total / 1e9:.1f} GB: {epochs} epochs, {TEACHERS} x {images:,} x {CLASSES} logits"
    for contestant in ("written", "replayed"):
        command = [sys.executable, "-m", "bench.tape", "--part", contestant, str(folder), str(images), str(epochs)]
        done = subprocess.run(command, cwd=HOME, stdout=subprocess.PIPE, text=True, check=True)
        yield Row(task, contestant, *json.loads(done.stdout))


def part(contestant: str, folder: Path, images: int, epochs: int) -> tuple[str, str, str]:
    """Write or replay the tape in this process: CPU seconds, peak of memory, and that above what it began with."""
    before, meter = Meter().read(), Meter()
    (_written if contestant == "written" else _replayed)(folder / "tape", images, epochs)
    took = meter.read()
    above = _megabytes(took) - _megabytes(before)
    return f"{took.cpu_seconds:.0f}", f"{_megabytes(took):.0f}", f"{above:.0f} MB above torch itself"


def _written(folder: Path, images: int, epochs: int) -> None:
    writer = Writer(folder, ["adversarial"], count=images)
    source = torch.Generator().manual_seed(0)
    for epoch in range(epochs):
        seen = view(0, epoch, images, shift=4, flip=True)
        for index in torch.split(seen.order, 128):
            writer.record(index, "adversarial", torch.rand(TEACHERS, len(index), CLASSES, generator=source))
        writer.end_epoch(epoch, seen)
    writer.finish({"settings_sha256": "", "data_sha256": ""})


def _replayed(folder: Path, images: int, epochs: int) -> None:
    reader = Reader(folder / "manifest.json", settings_sha256="", data_sha256="")
    for epoch in range(epochs):
        seen = view(0, epoch, images, shift=4, flip=True)
        logits = reader.epoch(epoch, seen, torch.device("cpu"))["adversarial"]
        for index in torch.split(seen.order, 128):
            assert logits[:, index].isfinite().all()


def jobs(folder: Path) -> Iterator[Row]:
    """One epoch of CIFAR-100 recorded and replayed, on all images and on few."""
    for images in (IMAGES, 450):
        checkout = Checkout.of(HOME, folder / f"jobs{images}")
        student = "results/pocket/runs/cifar100/wrn10-1/s-at-aka/seed0/alpha0.1/model.safetensors"
        settings = {
            "data": {"train": images},
            "stand_ins": {"cifar100": "cifar100", "wrn70-16": "wrn10-1", "resnet18": "wrn10-1"},
            "setups": {"table2": {"epochs": 1, "milestones": []}},
            "generators": {"svgd": {"steps": 1}},
        }
        make(checkout, [student], settings)
        (tape,) = checkout.folder.glob("results/pocket/tapes/cifar100/*/seed0/manifest.json")
        task = f"jobs on {images:,} images of CIFAR-100, one epoch, small networks"
        yield _row(task, "recording of three teachers", cost(tape))
        yield _row(task, "a student on the tape", cost(checkout.folder / student))


def make(checkout: Checkout, targets: list[str], settings: dict[str, Any]) -> None:
    """``targets`` by Snakemake on one core, under ``settings`` in place of the scale's; SystemExit if it fails."""
    overrides = [f"{name}={json.dumps(value)}" for name, value in settings.items()]
    done = subprocess.run(
        [sys.executable, "-m", "snakemake", "--cores", "1", *targets, "--config", *overrides],
        cwd=checkout.folder,
        env=checkout.environment | {"ATAKA_DATA": os.environ.get("ATAKA_DATA", str(HOME / "data"))},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    if done.returncode:
        raise SystemExit(f"exit code {done.returncode}:\n{done.stdout}")


def cost(artifact: Path) -> dict[str, Any]:
    """What the record beside a tape's manifest or a network says of its job."""
    record: dict[str, Any] = json.loads(artifact.with_name("run.json").read_text())
    return record


def _row(task: str, contestant: str, took: dict[str, Any], note: str = "") -> Row:
    return Row(task, contestant, f"{took['cpu_seconds']:.1f}", f"{took['memory_mb']:.0f}", note)


def _megabytes(usage: Usage) -> float:
    assert usage.memory_mb is not None, "this system doesn't tell a process's memory"
    return usage.memory_mb


def measure() -> Iterator[Row]:
    """All lines."""
    with tempfile.TemporaryDirectory(prefix="tape-") as name:
        yield from block(Path(name))
        yield from size(Path(name))
        yield from jobs(Path(name))


def main(arguments: list[str]) -> int:
    """Measure, and write the CSV after each line."""
    parser = argparse.ArgumentParser(prog="python -m bench.tape", description="What the tape spares and holds.")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the CSV goes")
    parser.add_argument("--part", nargs=4, metavar=("WHAT", "FOLDER", "IMAGES", "EPOCHS"), help=argparse.SUPPRESS)
    given = parser.parse_args(arguments)
    if given.part:
        what, folder, images, epochs = given.part
        print(json.dumps(part(what, Path(folder), int(images), int(epochs))))
        return 0
    keep("tape", measure(), given.folder)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
