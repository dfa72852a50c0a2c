"""No attack: natural accuracy is the column of this one."""

from torch import Tensor, nn

from ataka.attacks.check import checked
from ataka.study.attacks import AttackOptions

LABEL = "Clean"
BEATS = ()


class Options(AttackOptions):
    """The images as they are."""


def forwards(_options: Options) -> float:
    return 1.0


@checked()
def attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """``x`` itself."""
    return x.detach()
