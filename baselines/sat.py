"""SAT, standard adversarial training: Madry et al., "Towards deep learning models resistant to ...", 2018.

Eq. 2.1 there: the outer loss is cross-entropy on the adversarial images alone, which PGD from a uniform start makes.
The authors' code (MadryLab/cifar10_challenge) attacks on the training graph, so batch normalisation uses and updates
batch statistics in each attack step: ``batchnorm: train``, the default here; ``eval`` is what later code does. Their
configuration says 10 steps of 2/255; the public model was made with 7. Weight decay there leaves out biases and
normalisation; here it applies to every parameter (G2).
"""

from collections.abc import Iterator, Sequence
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ataka.attacks import pgd
from ataka.probe import budget
from ataka.settings import Budget, StepSize, hyperparameters, number, reading
from ataka.training import Batch


@hyperparameters
class Options:
    """The inner attack."""

    eps: Budget
    step_size: StepSize
    steps: Annotated[int, Field(ge=0)]
    batchnorm: Literal["train", "eval"] = reading(
        "train",
        id="A12",
        sentence="for the benchmark methods we follow their original settings",
        values={"train": "the attack uses and moves batch statistics", "eval": "it uses the running ones"},
    )


def create(options: Options) -> "SAT":
    return SAT(options)


def loss(adversarial_logits: Tensor, labels: Tensor) -> Tensor:
    """Mean cross-entropy of f(x'); logits (B, C), labels (B,)."""
    return functional.cross_entropy(adversarial_logits, labels)


class SAT:
    """The network is trained on the PGD images of itself."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def budgets(self, count: int) -> list[float]:
        return [budget(self.options)]

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        (network,) = networks
        eps = number(self.options.eps)
        x_adv = pgd.attack(
            network,
            batch.x,
            batch.y,
            eps=eps,
            step_size=number(self.options.step_size),
            steps=self.options.steps,
            start=pgd.draw(batch.x, eps=eps, generator=batch.stream("start", 0)),
            clamp_start=True,
            batchnorm=self.options.batchnorm,
        )
        yield loss(network(x_adv), batch.y)
