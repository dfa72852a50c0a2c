"""Targeted PGD: towards one class after another; an image counts as robust only if it keeps its label each time.

An attempt descends the cross-entropy of a target (``loss="cross-entropy"``), or climbs z_target - z_label, as the
MultiTargeted attack of Gowal et al. (2019). The targets are the other classes in the order of the clean image's logits,
the likeliest first, as AutoAttack's targeted components have them, or the unlikeliest first, as Kurakin, Goodfellow and
Bengio (2017) chose it; of two equal logits the lower class comes first. A success is any class but the label: the
target need not win. With a target for each other class the order doesn't matter. Each attempt starts at the same
random point, and an image that has fallen is not attacked again.
"""

import math
from functools import partial
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ataka.attacks import ascent
from ataka.attacks.check import checked
from ataka.attacks.gradient import Loss, summed_cross_entropy
from ataka.attacks.mode import attack_mode
from ataka.attacks.restarts import first_success
from ataka.attacks.restarts import forwards as _forwards
from ataka.study.attacks import AttackOptions
from ataka.study.fields import Budget, StepSize

LABEL = "targeted PGD"
draw = ascent.draw

Order = Literal["likely", "unlikely"]
Aim = Literal["cross-entropy", "difference"]


class Options(AttackOptions):
    """PGD towards other classes, one after another; an image is robust if it keeps its label each time."""

    eps: Budget
    step_size: StepSize
    steps: int = Field(ge=0)
    targets: int = Field(9, ge=1, description="classes that an image is driven to; all others, if there are fewer")
    order: Order = Field("likely", description="the clean image's likeliest other class first, or its unlikeliest")
    loss: Aim = Field("cross-entropy", description="of the target; or the target's logit less the label's")
    clamp_start: bool = Field(False, description="clamp the random start to [0, 1] before the first forward")


def sentence(options: Options) -> str:
    """The sentence below a table: the steps, the loss, and the number and order of the targets."""
    first = "" if options.order == "likely" else ", the unlikeliest first"
    by = "" if options.loss == "cross-entropy" else " up the difference of logits"
    return "{heading}: {steps} steps of {step_size}" + by + " towards each of {targets} classes" + first + "."


def forwards(options: Options) -> float:
    """Forwards of the network for an image, over all targets, with the forwards that judge the image."""
    return _forwards(options.steps, options.targets) + 1


def targets_of(logits: Tensor, y: Tensor, *, order: Order) -> Tensor:
    """The other classes than y (B,) in their order, logits (B,K) to (B,K-1)."""
    low = -math.inf if order == "likely" else math.inf
    others = logits.scatter(1, y.unsqueeze(1), low)  # so that the label comes last
    return others.sort(dim=1, descending=order == "likely", stable=True).indices[:, :-1]


def towards(target: Tensor, loss: Aim) -> Loss:
    """The loss to ascend towards ``target`` (B,), summed over the images."""

    def cross_entropy(logits: Tensor, _y: Tensor) -> Tensor:
        return -summed_cross_entropy(logits, target)

    def difference(logits: Tensor, y: Tensor) -> Tensor:
        return (logits.gather(1, target.unsqueeze(1)) - logits.gather(1, y.unsqueeze(1))).sum()

    return cross_entropy if loss == "cross-entropy" else difference


@checked()
def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    targets: int = 9,
    order: Order = "likely",
    loss: Aim = "cross-entropy",
    generator: torch.Generator | None = None,
    start: Tensor | None = None,
    clamp_start: bool = False,
) -> Tensor:
    """``ascent.climb`` towards up to ``targets`` classes, for x (B,C,H,W) with labels y (B,), until one succeeds.

    Raises ValueError for neither start nor generator, and for an unknown order or loss.
    """
    if order not in ("likely", "unlikely") or loss not in ("cross-entropy", "difference"):
        raise ValueError(f"pgd_targeted: there is no order {order!r} with loss {loss!r}")
    if start is None:
        if generator is None:
            raise ValueError("pgd_targeted starts at random: give it a generator, or a start")
        start = draw(x, eps=eps, generator=generator)
    with torch.no_grad(), attack_mode(model):
        aims = targets_of(model(x), y, order=order)[:, :targets]

    def attempt(k: int, left: Tensor) -> Tensor:
        return ascent.climb(
            model,
            x[left],
            y[left],
            eps=eps,
            step_size=step_size,
            steps=steps,
            start=start[left],
            clamp_start=clamp_start,
            loss=towards(aims[left, k], loss),
        )

    return first_success(model, x, y, [partial(attempt, k) for k in range(aims.shape[1])])
