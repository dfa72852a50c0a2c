"""Natural training: cross-entropy on clean images. The paper's "conventional training with no adversarial samples"."""

from collections.abc import Iterator, Sequence

from torch import Tensor, nn
from torch.nn import functional

from ataka.study.fields import hyperparameters
from ataka.training import Batch


@hyperparameters
class Options:
    """Natural training has no hyper-parameters of its own."""


def heeds(options: Options) -> tuple[str, ...]:
    """The options of a set-up that this loss heeds."""
    return ("smoothing", "awp")


def create(options: Options) -> "Natural":
    """The objective, which has no hyper-parameters."""
    return Natural()


class Natural:
    """Mean cross-entropy of f(x)."""

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        (network,) = networks
        yield functional.cross_entropy(network(batch.x), batch.y, label_smoothing=batch.smoothing)
