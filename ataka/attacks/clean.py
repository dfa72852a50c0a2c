"""No attack: the column of natural accuracy, on clean images."""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from ataka.attacks.check import checked
from ataka.attacks.mode import attack_mode
from ataka.attacks.verdicts import Verdicts
from ataka.datasets.images import Split, to_unit
from ataka.study.attacks import AttackOptions, Check

LABEL = "Clean"
BEATS = ()
CHECKS = (
    Check(
        "chance",
        "its 95% interval reaches down to chance (100% / classes): weights, order of the classes or normalisation may "
        "be others than the network's",
        "chance",
        above="ci_low",
    ),
)
DIAGNOSIS = "ataka.attacks.clean"


class Options(AttackOptions):
    """The images as they are."""


def forwards(_options: Options) -> float:
    """Forwards of the network for an image: the forward that judges the image."""
    return 1.0


@checked()
def attack(model: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """The images x (B,C,H,W) themselves, detached."""
    return x.detach()


def diagnose(
    run: Callable[[], Verdicts], network: nn.Module, _attack: Mapping[str, Any], split: Split, *, seed: int
) -> tuple[Verdicts, dict[str, float]]:
    """The verdicts, and ``chance``: the accuracy of guessing, 100 / classes, in per cent."""
    verdicts = run()
    with torch.no_grad(), attack_mode(network):
        return verdicts, {"chance": 100 / network(to_unit(split.images[:1])).shape[1]}
