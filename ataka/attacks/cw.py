"""CW_inf: PGD on Carlini and Wagner's margin loss, the "CW" of adversarial training's tables (ambiguities F1).

Signs of the gradient of sum -max(z_y - max_{k != y} z_k + confidence, 0), with a confidence of 50 (Madry et al.,
cifar10_challenge, pgd_attack.py; IAD, attack_generator.py, with 30 steps of 2/255; RSLAD). As in both, the uniform
start is clamped to [0,1] before the first forward. Carlini and Wagner's own attack is ``cw_l2``.
"""

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from ataka.attacks import ascent
from ataka.attacks.bounds import clamped
from ataka.attacks.check import checked
from ataka.attacks.gradient import Loss
from ataka.study.attacks import AttackOptions
from ataka.study.fields import Budget, StepSize

LABEL = "CW"
draw = ascent.draw


class Options(AttackOptions):
    """CW_inf: PGD on Carlini and Wagner's margin loss (F1)."""

    eps: Budget
    step_size: StepSize
    steps: int = Field(ge=0)
    confidence: float = Field(50.0, ge=0, description="how far a margin is still widened")


def sentence(_options: Options) -> str:
    """The sentence below a table: the loss, the steps and their size."""
    return "{heading}: CW∞, PGD on the margin loss, {steps} steps of {step_size}."


def margin(logits: Tensor, y: Tensor) -> Tensor:
    """z_y - max_{k != y} z_k, the label's lead over the best of the others; logits (B,C) and y (B,) to (B,)."""
    label = y.unsqueeze(1)
    others = logits.scatter(1, label, -math.inf)
    return logits.gather(1, label).squeeze(1) - others.amax(1)


def margin_loss(confidence: float) -> Loss:
    """sum -max(margin + confidence, 0): an image whose label trails by more than ``confidence`` is pushed no further.

    At exactly that margin the gradient passes, as in IAD's and RSLAD's torch.clamp; Madry's relu lets none pass there.
    """

    def loss(logits: Tensor, y: Tensor) -> Tensor:
        return -clamped(margin(logits, y) + confidence, 0.0).sum()

    return loss


@checked()
def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    confidence: float = 50.0,
    generator: torch.Generator | None = None,
    start: Tensor | None = None,
    clamp_start: bool = True,
) -> Tensor:
    """Images (B,C,H,W) that ``ascent.climb`` makes of x (B,C,H,W) with labels y (B,) by ``margin_loss(confidence)``.

    ``confidence`` is a difference of logits; the other arguments are those of ``ascent.climb``.

    Raises ValueError for a negative confidence, and where ``ascent.climb`` does.
    """
    if not 0 <= confidence < math.inf:
        raise ValueError(f"cw: confidence must be finite and not negative, not {confidence}")
    return ascent.climb(
        model,
        x,
        y,
        eps=eps,
        step_size=step_size,
        steps=steps,
        generator=generator,
        start=start,
        clamp_start=clamp_start,
        loss=margin_loss(confidence),
    )
