"""AutoAttack through our evaluation beside pyautoattack called plainly on the same chunks, with the same seeds.

Where a heading states iterations, target classes and queries, they are fewer than AutoAttack's 100, 9 and 5,000: for
all contestants alike. The last table, of 1,000 images, was timed once.
"""

from collections.abc import Iterator, Mapping
from functools import partial

import pyautoattack
import torch
from torch import Tensor, nn

from ataka import evaluation
from ataka.attacks import aa_parts
from ataka.attacks.acceleration import switched
from ataka.datasets.images import Split
from bench.networks import FAST, Task, build
from bench.timing import Row, in_turn, rows, seconds_of, timing

EPS = "0.2/255"
"""So that a good part of the images stands to the end."""


STANDARD: dict[str, object] = {"version": "standard"}
SHORT: dict[str, object] = {"version": "shortened", "iterations": 20, "target_classes": 3, "queries": 200}
SHORTEST: dict[str, object] = {"version": "shortened", "iterations": 2, "target_classes": 2, "queries": 2}


def measure(*, smoke: bool) -> Iterator[Row]:
    """AutoAttack beside its package: a row for each contestant. ``smoke`` takes the smallest size."""
    if smoke:
        yield from _task(Task("resnet10-w8", 4, 1), SHORTEST, count=4, rounds=1)
        return
    yield from _task(Task("resnet18", 16, 1), SHORT, count=16, rounds=2)
    yield from _task(Task("resnet10-w8", 32, 1), STANDARD, count=32, rounds=2)
    yield from _task(Task("resnet10-w8", 128, 1), SHORT, count=1000, rounds=0)


def _task(task: Task, version: Mapping[str, object], count: int, rounds: int) -> Iterator[Row]:
    torch.set_num_threads(task.threads)
    network = build(task.arch)
    source = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=source, dtype=torch.uint8)
    with torch.no_grad():
        split = Split(images, network(images / 255).argmax(1))
    attack = {"kind": "aa", "images": None, "eps": EPS, "chunk": task.batch, **version}
    through = partial(evaluation.evaluate, network, attack, split, seed=0)
    verdicts: dict[str, Tensor] = {}
    shown: dict[str, int] = {}

    def ours() -> None:
        with switched(FAST):
            verdicts["ours"] = through().correct

    def unswitched() -> None:
        verdicts["ours, switches off"] = through().correct

    def plainly() -> None:
        verdicts["pyautoattack"] = _plainly(network, split, attack)

    contestants = {"ours": ours, "ours, switches off": unswitched, "pyautoattack": plainly}
    once = []
    for name, run in contestants.items():
        counter = _Counter()
        handle = network.register_forward_pre_hook(counter)
        once.append(timing(name, [seconds_of(run)]))
        handle.remove()
        shown[name] = counter.images
    timings = in_turn(contestants, rounds) if rounds else once
    plain = verdicts["pyautoattack"]
    notes = {
        name: f"{int(correct.sum())} of {count} images stand; {int((correct != plain).sum())} verdicts differ from "
        f"pyautoattack's; {shown[name] / count:.0f} forwards an image"
        for name, correct in verdicts.items()
    }
    cut = "".join(f", {value} {name.replace('_', ' ')}" for name, value in version.items() if name != "version")
    yield from rows(f"AutoAttack{cut}, {count} images in chunks: {task}", timings, "pyautoattack", notes)


class _Counter:
    def __init__(self) -> None:
        self.images = 0

    def __call__(self, _network: nn.Module, given: tuple[Tensor, ...]) -> None:
        self.images += len(given[0])


def _plainly(network: nn.Module, split: Split, attack: Mapping[str, object]) -> Tensor:
    """As its README calls it, chunk by chunk."""
    correct = []
    size = int(str(attack["chunk"]))
    for index, (images, labels) in enumerate(
        zip(torch.split(split.images, size), torch.split(split.labels, size), strict=True)
    ):
        x = images / 255
        eps = float(EPS.split("/")[0]) / 255
        arguments = {"norm": "Linf", "eps": eps, "seed": aa_parts.chunk_seed(0, index), "device": "cpu"}
        adversary = pyautoattack.AutoAttack(network, version="standard", **arguments)
        if attack["version"] != "standard":
            aa_parts.adjust(adversary, 10, {name: int(str(attack[name])) for name in aa_parts.SHORTENED})
        x_adv, _ = adversary.run_standard_evaluation(x, labels, batch_size=len(x))
        with torch.no_grad():
            correct.append(network(x_adv).argmax(1) == labels)
    return torch.cat(correct)
