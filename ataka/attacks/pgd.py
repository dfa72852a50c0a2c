"""PGD: projected gradient descent in l_inf (Madry et al., 2018); 20 steps of .003 are the paper's PGD_TRADES.

The loop is ``ascent.ascend``, which the methods' inner maximisations share.
"""

from pydantic import Field

from ataka.attacks.ascent import ascend as attack
from ataka.attacks.ascent import draw as draw
from ataka.study.attacks import AttackOptions, Check
from ataka.study.fields import Budget, StepSize, reading

__all__ = ["Options", "attack", "draw", "sentence"]

LABEL = "PGD"
BEATS = ("fgsm", "clean")
CHECKS = (
    Check("gap", "more than 6 points above AutoAttack on the same images", "points", above=6, against="aa"),
    Check("random", "the network's outputs are random: they differ for the same image", "random_share", above=0),
    Check("zero-gradient", "no gradient at more than 1% of the images", "zero_gradient_share", above=0.01),
    Check(
        "clamped",
        "no gradient at more than 1% of the pixels that are exactly 0 or 1, though there is one a hair further in: the "
        "network clamps its images, and torch lets no gradient pass at a bound",
        "clamped_share",
        above=0.01,
    ),
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
    """The sentence below a table: the steps and their size."""
    return "{heading}: {steps} steps of {step_size}."
