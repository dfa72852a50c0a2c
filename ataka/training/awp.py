"""AWP: Wu, Xia and Wang, "Adversarial weight perturbation helps robust generalization", 2020.

A step attacks at the weights w, ascends its loss to w + v, descends there, and takes v back. For each weight of two
dimensions and more v is gamma |w| g / |g|, g the gradient of the loss at w on the step's adversarial images; norms are
over the whole tensor, and biases and normalisation stay. As in the authors' code (csdongxian/AWP, utils_awp.py), weight
decay and momentum see w + v, and the forwards of the ascent leave no trace in batch statistics, which those of the
descent, at w + v, and of the attack do.

The authors ascend in a copy of the network (the proxy) by a step of SGD, whose rate cancels. Their TRADES-AWP forwards
x', x and x, in this order, where TRADES here forwards x, x' and x. Their AT-AWP forwards x once more in training mode,
for a log, which is left out here. More than one ascent is an option of ours: their logs show one, their code has none.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from ataka.study import Setup
from ataka.study.fields import number
from ataka.training.objective import Batch, Objective, ignore, losses_of, stay

T = TypeVar("T")


class Perturbation:
    """The perturbation added to the weights of ``networks`` in a step, if the set-up adds any."""

    def __init__(self, networks: Sequence[nn.Module], setup: Setup) -> None:
        self.networks, self.awp = networks, setup.awp
        self._weights = [_perturbed(network) for network in networks]
        self._added: list[list[Tensor]] = [[] for _ in networks]

    def add(self, objective: Objective, batch: Batch) -> Batch:
        """Move the weights up the losses of ``batch``; returns the batch to descend on, whose images are made."""
        if self.awp is None or batch.progress < number(self.awp.begin):
            return batch
        once = _Once(self.networks)
        silent = replace(batch, once=once, log=ignore, record=ignore, update=stay)
        norms = [[weight.detach().norm() for weight in weights] for weights in self._weights]
        self._added = [[torch.zeros_like(weight) for weight in weights] for weights in self._weights]
        for _ in range(self.awp.steps):
            ascents = []
            for weights, loss in zip(self._weights, losses_of(objective, self.networks, silent), strict=True):
                ascents.append(torch.autograd.grad(loss, weights, allow_unused=True))
            once.restore()
            for position, gradients in enumerate(ascents):
                self._move(position, gradients, norms[position], self.awp.gamma / self.awp.steps)
        return replace(batch, once=once)

    @torch.no_grad()
    def _move(self, position: int, gradients: Sequence[Tensor | None], norms: Sequence[Tensor], gamma: float) -> None:
        for place, (weight, gradient) in enumerate(zip(self._weights[position], gradients, strict=True)):
            if gradient is not None:
                move = gamma * norms[place] / (gradient.norm() + 1e-20) * gradient
                weight.add_(move)
                self._added[position][place].add_(move)

    @torch.no_grad()
    def remove(self, position: int) -> None:
        """Take back what was added to the network at ``position``."""
        for weight, added in zip(self._weights[position], self._added[position], strict=False):
            weight.sub_(added)
        self._added[position] = []


def _perturbed(network: nn.Module) -> list[nn.Parameter]:
    """The weights of convolutions and linear layers, by their names and dimensions, as the authors' code has them."""
    named = network.named_parameters()
    return [weight for name, weight in named if "weight" in name and weight.ndim > 1 and weight.requires_grad]


class _Once:
    """Makes each thing of a step once, at the weights w, and undoes what later forwards did to batch statistics."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self._networks = networks
        self._made: dict[str, Any] = {}
        self._note()

    def __call__(self, name: str, make: Callable[[], T]) -> T:
        if name not in self._made:
            self._made[name] = make()
            self._note()
        made: T = self._made[name]
        return made

    def _note(self) -> None:
        self._buffers = [[buffer.clone() for buffer in network.buffers()] for network in self._networks]

    def restore(self) -> None:
        for network, buffers in zip(self._networks, self._buffers, strict=True):
            for buffer, before in zip(network.buffers(), buffers, strict=True):
                buffer.copy_(before)
