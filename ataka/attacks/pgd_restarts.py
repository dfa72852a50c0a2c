"""PGD with restarts: an image counts as robust only if it withstands PGD from each of several random starts.

With one restart it is ``pgd``: the verdict on an attempt is that on its last step, and an image that is misclassified
without an attack is attacked like the others. Wong, Rice and Kolter (2020) evaluate so, with 50 steps and 10 restarts.
They keep the image of the highest loss; here it is the first that the network gets wrong, which decides the same
verdict, and an image that has fallen is not attacked again. All starts are drawn beforehand, 4 bytes a pixel and
restart, so that an image's starts don't depend on the verdicts on others.
"""

from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn

from ataka.attacks import ascent
from ataka.attacks.check import checked
from ataka.attacks.restarts import first_success, generators, starts
from ataka.attacks.restarts import forwards as _forwards
from ataka.study.attacks import AttackOptions
from ataka.study.fields import Budget, StepSize

LABEL = "PGD, restarted"
BEATS = ("pgd", "fgsm", "clean")


class Options(AttackOptions):
    """PGD from several random starts; an image is robust if it withstands all."""

    eps: Budget
    step_size: StepSize
    steps: int = Field(ge=0)
    restarts: int = Field(10, ge=1, description="random starts of an image")
    clamp_start: bool = Field(False, description="clamp the random starts to [0, 1] before the first forward")


def sentence(_options: Options) -> str:
    """The sentence below a table: the steps, their size and the restarts."""
    return "{heading}: {steps} steps of {step_size} from each of {restarts} random starts; the worst counts."


def forwards(options: Options) -> float:
    """Forwards of the network for an image, over all restarts, with the forwards that judge the image."""
    return _forwards(options.steps, options.restarts)


def draw(x: Tensor, *, eps: float, restarts: int, generator: torch.Generator) -> Tensor:
    """The random starts of x (B,C,H,W), restart by restart: (B,restarts,C,H,W)."""
    return torch.stack([ascent.draw(x, eps=eps, generator=one) for one in generators(generator, restarts)], 1)


@checked()
def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    restarts: int = 10,
    generator: torch.Generator | None = None,
    start: Tensor | None = None,
    clamp_start: bool = False,
) -> Tensor:
    """``ascent.climb`` from each start of x (B,C,H,W) with labels y (B,), until the class is another.

    start  (B,restarts,C,H,W), as ``draw`` gives them; without it, they are drawn from ``generator``

    Raises ValueError for neither start nor generator, and for a start of another shape.
    """
    drawn = partial(draw, x, eps=eps, restarts=restarts)
    begun = starts("pgd_restarts", x, start, restarts=restarts, generator=generator, draw=drawn)
    climb = partial(ascent.climb, eps=eps, step_size=step_size, steps=steps, clamp_start=clamp_start)

    def attempt(k: int, left: Tensor) -> Tensor:
        return climb(model, x[left], y[left], start=begun[left, k])

    return first_success(model, x, y, [partial(attempt, k) for k in range(restarts)])
