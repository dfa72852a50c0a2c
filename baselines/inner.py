"""The inner attack, which all baselines but natural training share: PGD on the network that is being trained.

The baselines differ in the attack's start and loss, and in whether batch statistics move meanwhile (A12).
"""

from typing import Annotated, Any, Literal

from pydantic import Field
from torch import Tensor, nn

from ataka.attacks import ascent, linf
from ataka.attacks.gradient import Loss, summed_cross_entropy
from ataka.attacks.mode import BatchNorm
from ataka.study.fields import Budget, StepSize, hyperparameters, number, reading
from ataka.training import Batch

SENTENCE = "for the benchmark methods we follow their original settings"
"""The paper's sentence about all of them."""


@hyperparameters
class Options:
    """The attack's budget and steps; each baseline says by ``batchnorm`` what its authors' code does."""

    eps: Budget
    step_size: StepSize
    steps: Annotated[int, Field(ge=0)]
    batchnorm: BatchNorm


def batchnorm(default: BatchNorm) -> Any:
    """The reading of how batch normalisation works while x' is made."""
    return reading(
        default,
        id="A12",
        sentence=SENTENCE,
        values={
            "train": "the attack uses batch statistics and moves the running ones",
            "eval": "the attack uses running statistics",
        },
    )


def within_script(epsilon: str) -> Any:
    """The reading of the budget that x' is made within, where the authors' script has another than this paper."""
    return reading(
        ...,
        id="E3",
        sentence=SENTENCE,
        values=f"the budget that the network is trained within: the study's, as it is evaluated; the authors' script "
        f"says {epsilon}",
    )


def attack(
    options: Options,
    network: nn.Module,
    batch: Batch,
    *,
    start: Literal["uniform", "gaussian"],
    clamp_start: bool = False,
    loss: Loss = summed_cross_entropy,
) -> Tensor:
    """x' (B, channels, H, W), up ``loss`` from x + U(-eps, eps), as SAT and ARD start, or x + 0.001 N(0, 1), as TRADES.

    ``clamp_start`` and ``loss`` are ascent.ascend's. A step makes x' once.
    """

    def make() -> Tensor:
        eps, source = number(options.eps), batch.stream("start", 0)
        if start == "uniform":
            begun = linf.uniform_start(batch.x, eps=eps, generator=source)
        else:
            begun = linf.gaussian_start(batch.x, deviation=0.001, generator=source)
        return ascent.ascend(
            network,
            batch.x,
            batch.y,
            eps=eps,
            step_size=number(options.step_size),
            steps=options.steps,
            start=begun,
            clamp_start=clamp_start,
            loss=loss,
            batchnorm=options.batchnorm,
        )

    return batch.once("x_adv", make)
