"""FGSM: the fast gradient sign method (Goodfellow, Shlens and Szegedy, 2015).

One step of eps from the clean image, without a random start: the paper says nothing of one, and the standard
attack has none (ambiguities F3).
"""

from torch import Tensor, nn

from ataka.attacks.acceleration import accelerated
from ataka.attacks.check import checked
from ataka.attacks.gradient import input_gradient
from ataka.attacks.mode import attack_mode
from ataka.study.attacks import AttackOptions
from ataka.study.fields import Budget

LABEL = "FGSM"


class Options(AttackOptions):
    """One signed step of eps, no random start."""

    eps: Budget


@checked()
def attack(model: nn.Module, x: Tensor, y: Tensor, *, eps: float) -> Tensor:
    """clamp(x + eps sign(d CE / dx), 0, 1); x and the result (B,C,H,W) in [0,1], y (B,)."""
    with attack_mode(model), accelerated(model, images=x):
        gradient = input_gradient(model, x, y)
    return (x + eps * gradient.sign()).clamp(0.0, 1.0)
