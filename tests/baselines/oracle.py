"""What the tests of the baselines compare with: plain loops over numpy's float64, and difference quotients."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from ataka import streams, training
from ataka.models.mixture import Mixture
from tests import tiny


def logits(seed: int, batch: int = 4, scale: float = 2.0) -> Tensor:
    """Float64, (batch, tiny.CLASSES)."""
    source = torch.Generator().manual_seed(seed)
    return scale * torch.randn(batch, tiny.CLASSES, generator=source, dtype=torch.float64)


def noise(x: Tensor) -> Tensor:
    """N(0, 1) of the first start of an epoch, drawn in float64 and rounded."""
    return torch.randn(x.shape, generator=streams.generator(0, "start", 0), dtype=torch.float64).float()


def softmax(z: Any, temperature: float = 1.0) -> np.ndarray:
    """Rows of exp(z / t) over their sum."""
    powers = np.exp(np.asarray(z, dtype=np.float64) / temperature)
    return powers / powers.sum(axis=-1, keepdims=True)


def cross_entropy(z: Any, labels: Any) -> float:
    p = softmax(z)
    return float(np.mean([-np.log(p[image, label]) for image, label in enumerate(np.asarray(labels))]))


def kl(target: Any, output: Any, temperature: float = 1.0) -> list[float]:
    """KL of the two softmaxes, an image at a time."""
    p, q = softmax(target, temperature), softmax(output, temperature)
    return [
        sum(float(a) * (np.log(a) - np.log(b)) for a, b in zip(*rows, strict=True)) for rows in zip(p, q, strict=True)
    ]


def quotients(function: Callable[[Tensor], Tensor], at: Tensor, step: float = 1e-5) -> Tensor:
    """The gradient of ``function`` by central differences."""
    found = torch.zeros_like(at)
    for place in range(at.numel()):
        shift = torch.zeros_like(at)
        shift.view(-1)[place] = step
        found.view(-1)[place] = (function(at + shift) - function(at - shift)) / (2 * step)
    return found


def gradient(function: Callable[[Tensor], Tensor], at: Tensor) -> Tensor:
    """The gradient of ``function`` as autograd has it; 0 where nothing is connected."""
    at = at.clone().requires_grad_()
    value = function(at)
    return torch.zeros_like(at) if not value.requires_grad else torch.autograd.grad(value, at)[0]


def ensemble(*seeds: int) -> Mixture:
    """Frozen teachers that have views of their own, and running statistics that aren't those of a new network."""
    members = [tiny.convolutional(seed) for seed in seeds or (11, 12, 13)]
    for member in members:
        member[2].weight.data *= 5
        member.train()(tiny.batch(seed=5).x)
    return Mixture(members).requires_grad_(False).eval()


@contextmanager
def forwards(network: nn.Module) -> Iterator[list[tuple[Tensor, bool]]]:
    """The images of each forward of ``network``, and whether batch normalisation used the batch's statistics."""
    seen: list[tuple[Tensor, bool]] = []

    def note(_module: nn.Module, inputs: tuple[Tensor, ...], _output: Tensor) -> None:
        norms = [module for module in network.modules() if isinstance(module, nn.BatchNorm1d | nn.BatchNorm2d)]
        seen.append((inputs[0].detach().clone(), all(norm.training for norm in norms)))

    with network.register_forward_hook(note):
        yield seen


def ascend(
    step: Callable[[Tensor], Tensor], start: Tensor, x: Tensor, *, eps: float, size: float, steps: int
) -> Tensor:
    """Sign ascent of ``step``, clamped as the authors write it: min, max, then [0, 1]."""
    x_adv = start
    for _ in range(steps):
        x_adv = x_adv.detach().requires_grad_()
        slope = torch.autograd.grad(step(x_adv), x_adv)[0]
        x_adv = torch.min(torch.max(x_adv.detach() + size * slope.sign(), x - eps), x + eps).clamp(0, 1)
    return x_adv


def gradients(network: nn.Module) -> dict[str, Tensor]:
    return {
        name: parameter.grad.clone() for name, parameter in network.named_parameters() if parameter.grad is not None
    }


def assert_trains_and_leaves_alone(objective: training.Objective, *teachers: Mixture) -> None:
    """A short training moves the student, and no bit of the teachers."""
    before = [tiny.state(teacher) for teacher in teachers]
    recording: list[bool] = []
    for teacher in teachers:
        for member in teacher.members:
            member[0].register_forward_hook(lambda *_: recording.append(torch.is_grad_enabled()))
    student = tiny.convolutional()
    initial = tiny.state(student)
    rows = training.train([student], objective, tiny.split(), tiny.FACTS, tiny.setup(), seed=0)
    assert all(np.isfinite(row["loss"]) for row in rows)
    moved = [name for name, parameter in student.named_parameters() if not torch.equal(parameter, initial[name])]
    assert moved == [name for name, _ in student.named_parameters()]
    assert len(recording) >= len(teachers)
    assert not any(recording)
    for teacher, state in zip(teachers, before, strict=True):
        assert tiny.same(tiny.state(teacher), state)
        assert not any(module.training for module in teacher.modules())
        assert not any(parameter.requires_grad or parameter.grad is not None for parameter in teacher.parameters())
