"""TRADES: Zhang et al., "Theoretically principled trade-off between robustness and accuracy", 2019.

CE(f(x), y) + beta KL(f(x) || f(x')), where x' maximises the same divergence from a start of 0.001 N(0, 1) beside x;
their 1/lambda is beta. The paper leaves the second loss open; this is what the authors' code (yaodongyu/TRADES,
trades.py) takes. As there, no side of the divergence is detached, and the attack leaves batch normalisation alone.

In each attack step they compute f(x) again: in the mode that they attack in it is the same each time, so once is
exact (under ``batchnorm: train`` it moves the running statistics once, not once a step). In the update they forward
x, x' and x again. The third forward has the first one's gradient and only moves the running statistics once more: it
runs without a graph, and ``extra_forward: false`` leaves it out. Their script trains within 0.031 (``eps``), by 10
steps of 0.007.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ataka.attacks.gradient import divergence_from
from ataka.attacks.mode import BatchNorm, attack_mode
from ataka.study.fields import Budget, hyperparameters
from ataka.training import Batch, budget
from baselines import inner
from baselines.divergence import mean_kl


@hyperparameters
class Options(inner.Options):
    """The inner attack, and the weight of the divergence."""

    beta: Annotated[float, Field(ge=0)] = 6.0
    extra_forward: bool = True
    batchnorm: BatchNorm = inner.batchnorm("eval")
    eps: Budget = inner.within_script("0.031")


def heeds(options: Options) -> tuple[str, ...]:
    """The options of a set-up that this loss heeds."""
    return ("smoothing", "awp")


def updates(options: Options) -> float:
    """How often an image is in a step's loss: as x and x'; a forward without a gradient is a third of that."""
    return 2 + options.extra_forward / 3


def create(options: Options) -> "TRADES":
    """The objective with these hyper-parameters."""
    return TRADES(options)


def loss(
    natural_logits: Tensor, adversarial_logits: Tensor, labels: Tensor, *, beta: float, smoothing: float = 0.0
) -> Tensor:
    """CE(f(x), y) + beta KL(f(x) || f(x')), the mean over the batch; logits (B, C), labels (B,)."""
    robust = mean_kl(natural_logits, adversarial_logits, over_classes="sum")
    return functional.cross_entropy(natural_logits, labels, label_smoothing=smoothing) + beta * robust


class TRADES:
    """The network is trained on the images, and held to what it says of them on the images that change it most."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def budgets(self, count: int) -> list[float]:
        return [budget(self.options) if self.options.beta else 0.0]

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        (network,) = networks
        x_adv = batch.once("x_adv", lambda: self.attack(network, batch))
        natural_logits, adversarial_logits = network(batch.x), network(x_adv)
        if self.options.extra_forward:
            with torch.no_grad():
                network(batch.x)
        yield loss(natural_logits, adversarial_logits, batch.y, beta=self.options.beta, smoothing=batch.smoothing)

    def attack(self, network: nn.Module, batch: Batch) -> Tensor:
        with torch.no_grad(), attack_mode(network, batchnorm=self.options.batchnorm):
            natural = functional.log_softmax(network(batch.x), 1)
        return inner.attack(self.options, network, batch, start="gaussian", loss=divergence_from(natural))
