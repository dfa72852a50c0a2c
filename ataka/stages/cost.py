"""How fast this machine computes: passes of a network, timed for the estimate of a study's time."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka import models
from ataka.attacks import acceleration, pgd
from ataka.datasets import Specification
from ataka.plan.work import ATTACK_STEP, UPDATE
from ataka.study import Setup, Speed
from ataka.training.sgd import SGD

FEW, MANY = 8, 64
"""Images in the two batches that are timed."""
STEPS = 4
"""Steps of the attack that is timed, PGD."""
SLOW = 0.02
"""Seconds of a step on two images, beyond which the larger batch isn't timed: then a call costs its images alone."""
PATIENCE = 0.5
"""Seconds in which a step is repeated; the fastest counts."""
_SETUP = Setup.model_validate(
    {"epochs": 1, "batch_size": MANY, "learning_rate": 0.1, "momentum": 0.9, "weight_decay": 2e-4, "milestones": []}
)


def device_name(asked_for: str) -> str:
    """The name of the GPU that torch takes for a study's ``device``; empty for a CPU."""
    return torch.cuda.get_device_name() if asked_for != "cpu" and torch.cuda.is_available() else ""


def forward_seconds(
    arch: str, facts: Specification, *, speed: Speed, threads: int, asked_for: str
) -> dict[str, tuple[float, float]]:
    """For each kind of pass the seconds of a forward: those of a call, and those that each of its images adds.

    A forward is the share of an attack's step, or of an update, that ``plan.work`` counts as one. They are timed in
    float32, with the study's switches but ``compile``, and leave torch's random numbers and threads as they were. On a
    CPU one thread is timed, since several wait for each other where others are at work; ``threads`` share the images.
    """
    device = torch.device("cuda" if device_name(asked_for) else "cpu")
    switches = acceleration.Switches(fold=speed.fold, channels_last=speed.channels_last)
    with _one_thread(), torch.random.fork_rng(), acceleration.switched(switches):
        network = models.build(arch, classes=facts.classes, channels=facts.channels, size=facts.size).to(device)
        x = torch.rand(MANY, facts.channels, facts.size, facts.size, device=device)
        y = torch.zeros(MANY, dtype=torch.int64, device=device)
        acceleration.left_alone(network, x)  # looks for what can be folded, once
        attack = partial(pgd.attack, network, eps=8 / 255, step_size=2 / 255)
        attacked = _line(lambda n, steps: attack(x[:n], y[:n], start=x[:n], steps=steps), STEPS, device)
        acceleration.arrange(network.train(), x)
        optimiser = SGD(network, _SETUP)
        updated = _line(lambda n, _: _update(network, optimiser, x[:n], y[:n]), 1, device)
    share = 1 if device.type == "cuda" else min(threads, os.cpu_count() or 1)
    return {
        kind: (call / forwards, image / forwards / share)
        for kind, forwards, (call, image) in (("attack", ATTACK_STEP, attacked), ("update", UPDATE, updated))
    }


def _update(network: nn.Module, optimiser: SGD, x: Tensor, y: Tensor) -> None:
    optimiser.zero_grad()
    functional.cross_entropy(network(x), y).backward()  # type: ignore[no-untyped-call]
    optimiser.step(0.0)


def _line(work: Callable[[int, int], object], steps: int, device: torch.device) -> tuple[float, float]:
    """The seconds of a step of ``work`` (images, steps) as a straight line through two numbers of images.

    The line's value at 0, and its slope. Where two images take long, the share of a few is the slope.
    """
    _once(lambda: work(2, 1), device)  # loads kernels
    if _once(lambda: work(2, 1), device) > SLOW:
        return 0.0, _once(lambda: work(FEW, 1), device) / FEW
    few = _fastest(lambda: work(FEW, steps), device) / steps
    many = _fastest(lambda: work(MANY, steps), device) / steps
    slope = max(many - few, 0.0) / (MANY - FEW)
    return max(few - FEW * slope, 0.0), slope


def _fastest(work: Callable[[], object], device: torch.device) -> float:
    """The seconds of the fastest of some rounds."""
    began = time.perf_counter()
    seconds = [_once(work, device)]
    while time.perf_counter() - began < PATIENCE:
        seconds.append(_once(work, device))
    return min(seconds)


def _once(work: Callable[[], object], device: torch.device) -> float:
    """Seconds of one round: on a CPU of processor time, which others at work on this machine don't lengthen."""
    clock = time.perf_counter if device.type == "cuda" else time.process_time
    _wait(device)
    began = clock()
    work()
    _wait(device)
    return clock() - began


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()


@contextmanager
def _one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
