"""AutoAttack through our evaluation beside pyautoattack called plainly on the same chunks, with the same seeds."""

from collections.abc import Iterator, Mapping
from functools import partial

import pyautoattack
import torch
from torch import Tensor, nn

from ataka import evaluation
from ataka.attacks import aa
from ataka.attacks.acceleration import switched
from ataka.datasets.images import Split
from bench.attacks import FAST
from bench.networks import SMOKE, TASKS, Task, build
from bench.timing import Row, in_turn, rows

EPS = "0.2/255"
"""So that a good part of the images stands to the end."""


def measure(*, smoke: bool) -> Iterator[Row]:
    for task in SMOKE if smoke else TASKS:
        yield from _task(task, count=4 if smoke else 2 * task.batch, rounds=1 if smoke else 3, short=smoke)


def _task(task: Task, count: int, rounds: int, *, short: bool) -> Iterator[Row]:
    torch.set_num_threads(task.threads)
    network = build(task.arch)
    source = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (count, 3, 32, 32), generator=source, dtype=torch.uint8)
    with torch.no_grad():
        split = Split(images, network(images / 255).argmax(1))
    attack = {"kind": "aa", "images": None, "eps": EPS, "version": "standard", "chunk": task.batch}
    if short:
        attack |= {"version": "shortened", "iterations": 2, "target_classes": 2, "queries": 2}
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
    for name, run in contestants.items():
        counter = _Counter()
        handle = network.register_forward_pre_hook(counter)
        run()
        handle.remove()
        shown[name] = counter.images
    timings = in_turn(contestants, rounds)
    plain = verdicts["pyautoattack"]
    notes = {
        name: f"{int(found.sum())} of {count} images stand; {int((found != plain).sum())} verdicts differ from "
        f"pyautoattack's; {shown[name] / count:.0f} forwards an image"
        for name, found in verdicts.items()
    }
    yield from rows(f"AutoAttack, {task}", timings, "pyautoattack", notes)


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
        arguments = {"norm": "Linf", "eps": eps, "seed": aa.chunk_seed(0, index), "device": "cpu"}
        if attack["version"] == "standard":
            adversary = pyautoattack.AutoAttack(network, version="standard", **arguments)
        else:
            adversary = aa._adversary(pyautoattack, network, "shortened", arguments)
            cuts = {name: int(str(attack[name])) for name in ("iterations", "target_classes", "queries")}
            aa._adjust(adversary, 10, cuts)
        x_adv, _ = adversary.run_standard_evaluation(x, labels, batch_size=len(x))
        with torch.no_grad():
            correct.append(network(x_adv).argmax(1) == labels)
    return torch.cat(correct)
