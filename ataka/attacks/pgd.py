"""PGD: projected gradient descent in l_inf (Madry et al., 2018); 20 steps of .003 are the paper's PGD_TRADES.

As in the authors' code (yaodongyu/TRADES, pgd_attack_cifar10.py): a uniform start that is not clamped to
[0,1] before the first forward, sign steps, clamped first to the eps box and then to [0,1], one restart, and
the result is what the last step leaves (not the best on the way). They average the cross-entropy where we sum
it: the same signs.

The other methods' inner maximisations are this function too: SAT clamps its start, TRADES and RSLAD bring a
start and a loss of their own (a divergence from logits computed beforehand), CW_inf a margin loss.
"""

import torch
from pydantic import Field
from torch import Tensor, nn

from ataka.attacks.check import checked
from ataka.attacks.gradient import Loss, input_gradient, summed_cross_entropy
from ataka.attacks.linf import project, uniform_start
from ataka.attacks.mode import BatchNorm, attack_mode
from ataka.study.attacks import AttackOptions, Check
from ataka.study.fields import Budget, StepSize, reading

LABEL = "PGD"
BEATS = ("fgsm", "clean")
CHECKS = (
    Check("gap", "more than 6 points above AutoAttack on the same images", "points", above=6, against="aa"),
    Check("zero-gradient", "no gradient at more than 1% of the images", "zero_gradient_share", above=0.01),
    Check(
        "rising",
        "the loss still rises: the last tenth of the steps brings more than 5% of its gain",
        "loss_rise",
        above=0.05,  # a loss that grows evenly brings 0.1
        at_zero=False,
    ),
    Check("unbounded", "an attack without a bound leaves more than chance", "accuracy_at_eps_1", above="chance"),
)
DIAGNOSIS = "ataka.attacks.diagnostics"


class Options(AttackOptions):
    """Projected gradient descent; with step 0.003 and 20 steps it is the paper's PGD_TRADES."""

    eps: Budget
    step_size: StepSize
    steps: int = Field(ge=0)
    clamp_start: bool = reading(
        False,
        id="F3",
        sentence="PGD_TRADES differs from the original PGD attack ... in its step-size",
        values="whether the random start is clamped to [0, 1] before the first forward; the authors of TRADES don't",
    )


def sentence(_options: Options) -> str:
    return "{heading}: {steps} steps of {step_size}."


def draw(x: Tensor, *, eps: float, generator: torch.Generator) -> Tensor:
    """The random starts for ``x`` (B,C,H,W): draw them for a whole set, then attack it in whatever pieces."""
    return uniform_start(x, eps=eps, generator=generator)


@checked()
def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    generator: torch.Generator | None = None,
    start: Tensor | None = None,
    clamp_start: bool = False,
    loss: Loss = summed_cross_entropy,
    batchnorm: BatchNorm = "eval",
) -> Tensor:
    """``steps`` ascents of ``loss`` from ``start``, or else from a start drawn from ``generator``.

    x, start and the result (B,C,H,W), y (B,); eps and step_size in pixel units of [0,1]. ``clamp_start``
    brings the start into the ball and [0,1] before the first forward. ``loss`` sums over the batch.
    ``batchnorm``: attack_mode. Raises ValueError when there is neither a start nor a generator, or the start
    is not of the shape of x.
    """
    if start is None:
        if generator is None:
            raise ValueError("pgd starts at random: give it a generator, or a start")
        start = draw(x, eps=eps, generator=generator)
    if start.shape != x.shape:
        raise ValueError(f"pgd: start is of shape {tuple(start.shape)}, x of {tuple(x.shape)}")
    x_adv = project(start, x, eps) if clamp_start or steps == 0 else start
    with attack_mode(model, batchnorm=batchnorm):
        for _ in range(steps):
            gradient = input_gradient(model, x_adv, y, loss)
            x_adv = project(x_adv + step_size * gradient.sign(), x, eps)
    return x_adv.detach()
