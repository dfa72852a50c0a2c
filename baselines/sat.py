"""SAT, standard adversarial training: Madry et al., "Towards deep learning models resistant to ...", 2018.

Eq. 2.1 there: the outer loss is cross-entropy on the adversarial images alone, which PGD from a uniform start makes.
The authors' code (MadryLab/cifar10_challenge) attacks on the training graph, so batch normalisation uses and updates
batch statistics in each attack step: ``batchnorm: train``, the default here; ``eval`` is what later code does. Their
configuration says 10 steps of 2/255; the public model was made with 7. The set-up differs from theirs in three things:
they crop from images that are padded by 2 pixels, here by 4 (G6); they decay the weights of convolutions and of the
linear layer alone, here every parameter decays (G2); their network standardises each image by itself and has leaky
ReLUs, here it is the row's.
"""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn import functional

from ataka.attacks.mode import BatchNorm
from ataka.study.fields import hyperparameters
from ataka.training import Batch, budget
from baselines import inner


@hyperparameters
class Options(inner.Options):
    """The inner attack."""

    batchnorm: BatchNorm = inner.batchnorm("train")


def heeds(options: Options) -> tuple[str, ...]:
    """The options of a set-up that this loss heeds."""
    return ("smoothing", "awp")


def create(options: Options) -> "SAT":
    """The objective with these hyper-parameters."""
    return SAT(options)


def loss(adversarial_logits: Tensor, labels: Tensor, *, smoothing: float = 0.0) -> Tensor:
    """Mean cross-entropy of f(x'); logits (B, C), labels (B,)."""
    return functional.cross_entropy(adversarial_logits, labels, label_smoothing=smoothing)


class SAT:
    """The network is trained on the PGD images of itself."""

    def __init__(self, options: Options) -> None:
        self.options = options

    def budgets(self, count: int) -> list[float]:
        return [budget(self.options)]

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        (network,) = networks
        x_adv = inner.attack(self.options, network, batch, start="uniform", clamp_start=True)
        yield loss(network(x_adv), batch.y, smoothing=batch.smoothing)
