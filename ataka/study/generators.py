"""The generators of the teachers' particles."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ataka.study.fields import Budget, Factor, Settings, StepSize, nested, reading


class _AlongSigns(Settings):
    """The limits of a generator's steps along signs."""

    step_size: StepSize


class Generator(Settings):
    """The generator of the teachers' particles, eq. 2 and appendix A."""

    kind: Literal["svgd", "pgd"] = Field(
        "svgd", description="pgd: independent runs from the same starts, the paper's first ablation"
    )
    like: str | None = Field(None, description="the generator that this one is a variant of")
    eps: Budget
    step_size: Factor = Field(
        description="eta: along signs in units of [0, 1]; update says the unit along another direction"
    )
    steps: int = Field(ge=0)
    start: Literal["uniform", "gaussian"] = reading(
        "uniform",
        id="A11",
        sentence="we use uniform prior distribution in our experiments",
        values={
            "uniform": "x + U(-eps, eps)",
            "gaussian": "x + 0.001 N(0, 1), as TRADES starts: the particles begin, and stay, much nearer to each other",
        },
    )
    clamp_start: bool = reading(
        True,
        id="A11",
        sentence="we use uniform prior distribution in our experiments",
        values={
            "true": "the start is clamped to [0, 1] before the first gradient",
            "false": "the networks see the start as drawn, and the first projection follows the first step",
        },
    )
    update: Literal["sign", "raw", "normalised"] = reading(
        "sign",
        id="A7",
        sentence="x'_{t+1} = pi_C(x'_t + eta phi(x'_t)), eta = 0.003",
        values={
            "sign": "the sign of phi, so that 20 steps of 0.003 are PGD_TRADES'; eta is in units of [0, 1]",
            "raw": "phi itself, the gradient of a sum over the batch: with this eta most pixels hardly move. phi is "
            "in nats "
            "per unit of [0, 1], and eta times phi in units of [0, 1]",
            "normalised": "phi divided by the largest pixel of |phi| in the image: that pixel moves by eta, in units "
            "of "
            "[0, 1], and the others by less",
        },
    )
    bandwidth: Annotated[float, Field(gt=0)] | Literal["median"] = reading(
        1e-3,
        id="A1",
        sentence="we use Gaussian RBF kernel ... with sigma = 1e-3",
        values="sigma in units of [0, 1], or 'median', for each image sigma^2 = median(d^2) / (2 log(n + 1)) over its "
        "pairs of different particles (Liu and Wang's code counts a particle's distance to itself, too). At 1e-3 the "
        "kernel of any two particles that differ visibly is exactly 0, and SVGD is n independent PGDs",
    )
    gamma: float = reading(
        1.0,
        id="A3",
        sentence="gamma is a hyper-parameter",
        values="the weight of the repulsion; without effect where the kernel is the identity",
        ge=0,
    )
    one_over_n: Literal["repulsion", "both"] = reading(
        "repulsion",
        id="A6",
        sentence="phi(x) = sum_j [k(x'_j, x) grad L(f_{T_i}(x'_j), y) gamma/n grad k(x'_j, x)]",
        values={
            "repulsion": "1/n on the second term only, as printed",
            "both": "1/n on both terms, as in Liu and Wang's algorithm and in ALD-Regularization",
        },
    )
    repulsion: Literal["away", "towards"] = reading(
        "away",
        id="A5",
        sentence="the second term behaves as a repulsive force",
        values={
            "away": "a '+' where eq. 2 prints no sign [A4], and the gradient by x'_j: particles repel each other",
            "towards": "a '-', or the gradient by x: particles attract each other; without effect where the kernel is "
            "the "
            "identity",
        },
    )
    loss: Literal["sum", "mean"] = reading(
        "sum",
        id="A8",
        sentence="grad_{x'_j} L(f_{T_i}(x'_j), y)",
        values={
            "sum": "the loss is summed over the batch: the gradient of an image does not depend on the batch",
            "mean": "the loss is averaged over the batch: the first term is divided by the number of images. Signs are "
            "the same, so PGD does not change, nor do signed steps where the kernel is the identity",
        },
    )
    interact: Literal["image", "batch"] = reading(
        "image",
        id="A10",
        sentence="the empirical distribution of these samples tends to that of adversarial samples for x",
        values={
            "image": "x'_1 to x'_n are the particles of one image",
            "batch": "they are the particles of all images of a batch. n is then their number N in 1/n and in the "
            "median "
            "heuristic, whose median is over all pairs. With one_over_n: both, phi is (K grad L + grad K) / N, as in "
            "ALD-Regularization's code",
        },
    )
    gradient_of: Literal["own", "particle", "ensemble"] = reading(
        "own",
        id="A9",
        sentence="grad_{x'_j} L(f_{T_i}(x'_j), y)",
        values={
            "own": "teacher i's gradient at every particle j, as printed",
            "particle": "teacher j's gradient at its own particle j",
            "ensemble": "the gradient of all teachers' averaged probabilities at particle j",
        },
    )
    batchnorm: Literal["eval", "train"] = reading(
        "eval",
        id="A12",
        sentence="(the mode of batch normalisation while generating is not stated)",
        values={
            "eval": "running statistics, which generating does not change",
            "train": "the statistics of the batch; each step of generating moves the running statistics",
        },
    )
    channels: tuple[Literal["train_adv", "eval_adv", "updated"], ...] = Field(
        ("train_adv",), min_length=1, description="the teachers' logits that the tape keeps"
    )
    assignment: Literal["fixed", "shuffled"] = reading(
        "fixed",
        id="G10",
        sentence="we feed each of these distinct samples into distinct teacher models",
        values={
            "fixed": "teacher i gets x'_i, which its gradient made",
            "shuffled": "each step assigns the particles to the teachers at random",
        },
    )

    @property
    def signed(self) -> bool:
        """Whether the generator's steps are along signs, of ``step_size`` in units of [0, 1]."""
        return self.kind == "pgd" or self.update == "sign"

    @model_validator(mode="after")
    def _steps_along_signs_are_small(self) -> "Generator":
        if self.signed:
            nested(_AlongSigns, {"step_size": self.step_size})
        return self
