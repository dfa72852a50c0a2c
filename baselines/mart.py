"""MART: Wang et al., "Improving adversarial robustness requires revisiting misclassified examples", 2020.

BCE(p(x'), y) + beta KL(p(x) || p(x')) (1 - p_y(x)), with the boosted cross-entropy BCE(p, y) = -log p_y - log(1 - max
p_k) over the k other than y; their lambda is beta. x' is PGD's on cross-entropy, from a start of 0.001 N(0, 1) beside
x.

The authors' code (YisenWang/MART, mart.py) adds constants that keep logarithms finite, 1.0001 and 1.0000001 in place
of 1 and 1e-12 inside logarithms; so do we, and with them the loss of a perfect network is -1e-4, not 0. As there,
nothing is detached, the weight 1 - p_y(x) included, and the attack leaves batch normalisation alone. beta is 5 for
their ResNet-18 and 6 for WRN-34-10. Their scripts train within 0.031 (``eps``), by 10 steps of 0.007.
"""

from collections.abc import Iterator, Sequence
from typing import Annotated

from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ataka.attacks.mode import BatchNorm
from ataka.study.fields import Budget, hyperparameters
from ataka.training import Batch, budget
from baselines import inner


@hyperparameters
class Options(inner.Options):
    """The inner attack, and the weight of the divergence."""

    beta: Annotated[float, Field(ge=0)] = 5.0
    batchnorm: BatchNorm = inner.batchnorm("eval")
    eps: Budget = inner.within_script("0.031")


def heeds(options: Options) -> tuple[str, ...]:
    """The options of a set-up that this loss heeds; smoothing is that of the cross-entropy in BCE."""
    return ("smoothing", "awp")


def updates(options: Options) -> float:
    """How often an image is in a step's loss: as x and x'."""
    return 2


def create(options: Options) -> "MART":
    """The objective with these hyper-parameters."""
    return MART(options)


def loss(
    natural_logits: Tensor, adversarial_logits: Tensor, labels: Tensor, *, beta: float, smoothing: float = 0.0
) -> Tensor:
    """BCE(p(x'), y) + beta KL(p(x) || p(x')) (1 - p_y(x)), the mean over the batch; logits (B, C), labels (B,)."""
    label = labels.unsqueeze(1)
    natural, adversarial = natural_logits.softmax(1), adversarial_logits.softmax(1)
    runner_up = adversarial.scatter(1, label, -1.0).max(1).values  # max p_k(x') over k other than y
    cross_entropy = functional.cross_entropy(adversarial_logits, labels, label_smoothing=smoothing)
    boosted = cross_entropy - (1.0001 - runner_up + 1e-12).log().mean()
    log_ratio = functional.log_softmax(natural_logits, 1) - (adversarial + 1e-12).log()
    divergence = (natural * log_ratio).sum(1)
    unsure = 1.0000001 - natural.gather(1, label).squeeze(1)
    return boosted + beta * (divergence * unsure).mean()


class MART:
    """The network is trained on the PGD images of itself, the more so the less sure it is of the image itself."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def budgets(self, count: int) -> list[float]:
        return [budget(self.options)]

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        (network,) = networks
        x_adv = inner.attack(self.options, network, batch, start="gaussian")
        yield loss(network(batch.x), network(x_adv), batch.y, beta=self.options.beta, smoothing=batch.smoothing)
