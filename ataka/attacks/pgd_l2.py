"""PGD within an l_2 ball (Madry et al., 2018): steps of a given length along the gradient, brought back into the ball.

    x' = clamp(ball(x' + step_size g / |g|), 0, 1),   g = d CE / dx'

From a point drawn uniformly from the ball (``begin="ball"``), or from the image itself, as the robustness package of
Madry's group does. The start is brought into [0,1] before the first forward. The result is that of the last step; with
several restarts it is the first that the network gets wrong, as in ``pgd_restarts``.
"""

from functools import partial
from typing import Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ataka.attacks import l2
from ataka.attacks.acceleration import accelerated
from ataka.attacks.check import checked
from ataka.attacks.gradient import input_gradient
from ataka.attacks.mode import attack_mode
from ataka.attacks.restarts import first_success, generators, starts
from ataka.attacks.restarts import forwards as _forwards
from ataka.study.attacks import AttackOptions
from ataka.study.fields import Factor

LABEL = "PGD ℓ₂"

Begin = Literal["ball", "image"]


class Options(AttackOptions):
    """PGD within an l_2 ball: normalised steps, from random points of the ball or from the image."""

    radius: Factor = Field(description="how far in l_2 an image may go, as 128/255")
    step_size: Factor = Field(description="the l_2 length of a step")
    steps: int = Field(ge=0)
    restarts: int = Field(1, ge=1, description="random starts of an image")
    begin: Begin = Field("ball", description="start at a random point of the ball, or at the image")

    @model_validator(mode="after")
    def _one_image(self) -> "Options":
        if self.begin == "image" and self.restarts > 1:
            raise ValueError("begin: image has a single start; restarts are for begin: ball")
        return self


def sentence(options: Options) -> str:
    """The sentence below a table: steps, radius, and the restarts if there are several."""
    starts = " from each of {restarts} random starts; the worst counts." if options.restarts > 1 else "."
    return "{heading}: {steps} steps of {step_size} within {radius} in ℓ₂" + starts


def forwards(options: Options) -> float:
    """Forwards of the network for an image, over all restarts, with the forwards that judge the image."""
    return _forwards(options.steps, options.restarts)


def draw(x: Tensor, *, radius: float, restarts: int, begin: Begin, generator: torch.Generator) -> Tensor:
    """The starts of x (B,C,H,W), restart by restart: (B,restarts,C,H,W)."""
    if begin == "image":
        return torch.stack([x] * restarts, 1)
    return torch.stack([l2.ball_start(x, radius=radius, generator=one) for one in generators(generator, restarts)], 1)


def climb(
    model: nn.Module, x: Tensor, y: Tensor, *, radius: float, step_size: float, steps: int, start: Tensor
) -> Tensor:
    """``steps`` ascents of the cross-entropy from ``start``; x, start and the result (B,C,H,W), y (B,)."""
    x_adv = l2.project(start, x, radius)
    with attack_mode(model), accelerated(model, images=x):
        for _ in range(steps):
            gradient = input_gradient(model, x_adv, y)
            x_adv = l2.project(x_adv + step_size * l2.unit(gradient), x, radius)
    return x_adv.detach()


@checked(linf=False)
def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    radius: float,
    step_size: float,
    steps: int,
    restarts: int = 1,
    begin: Begin = "ball",
    generator: torch.Generator | None = None,
    start: Tensor | None = None,
) -> Tensor:
    """``climb`` from each start of x (B,C,H,W) with labels y (B,), until the class is another.

    radius and step_size are l_2 distances of pixels in [0,1], summed over all. ``start`` is (B,restarts,C,H,W), as
    ``draw`` gives it; without it, it is drawn from ``generator``.

    Raises ValueError for neither start nor generator, for a start of another shape, and for a radius that is negative.
    """
    if not 0 <= radius < float("inf"):
        raise ValueError(f"pgd_l2: radius must be finite and not negative, not {radius}")
    drawn = partial(draw, x, radius=radius, restarts=restarts, begin=begin)
    begun = starts("pgd_l2", x, start, restarts=restarts, generator=generator, draw=drawn)

    def attempt(k: int, left: Tensor) -> Tensor:
        return climb(model, x[left], y[left], radius=radius, step_size=step_size, steps=steps, start=begun[left, k])

    return first_success(model, x, y, [partial(attempt, k) for k in range(restarts)])
