"""ARD: Goldblum et al., "Adversarially robust distillation", 2020.

alpha t^2 KL(T(x) || S(x')) + (1 - alpha) CE(S(x), y), both softmaxes at temperature t; x' is PGD's on the student's
cross-entropy with the label, from a uniform start. The teacher sees clean images.

The authors' code (goldblum/AdversariallyRobustDistillation, main.py) averages the divergence over all B * C elements,
as torch's KLDivLoss does when not told otherwise: the formula's divided by C. ``kl: sum`` is the formula's. At its
alpha of 1 there are no labels in the loss; S(x) is forwarded all the same, and moves the batch statistics. It attacks
in train mode, on and beyond [0, 1] in the first step: the start isn't clamped. "en-ARD" distils from the average of
several teachers, whose log-probabilities take the place of logits; the paper has one.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ataka.attacks.mode import BatchNorm
from ataka.models.mixture import Mixture
from ataka.study.fields import hyperparameters
from ataka.training import Batch, budget
from baselines import inner
from baselines.divergence import Reduction, mean_kl, over_classes


@hyperparameters
class Options(inner.Options):
    """The inner attack, and how the teacher is followed."""

    temperature: Annotated[float, Field(gt=0)] = 30.0
    alpha: Annotated[float, Field(ge=0, le=1)] = 1.0
    kl: Reduction = over_classes()
    batchnorm: BatchNorm = inner.batchnorm("train")


def teachers(options: Options) -> tuple[str, ...]:
    """The roles that ``create`` wants teachers for."""
    return ("robust",)


def heeds(options: Options) -> tuple[str, ...]:
    """The options of a set-up that this loss heeds."""
    return ("awp", "smoothing") if options.alpha < 1 else ("awp",)


def updates(options: Options) -> float:
    """How often an image is in a step's loss: as x and x'."""
    return 2


def create(options: Options, *, teachers: Mapping[str, Mixture]) -> "ARD":
    """``teachers["robust"]`` is frozen and in evaluation mode."""
    return ARD(options, teachers["robust"])


def loss(
    teacher_logits: Tensor,
    student_adversarial_logits: Tensor,
    student_natural_logits: Tensor,
    labels: Tensor,
    *,
    temperature: float,
    alpha: float,
    kl: Reduction = "mean",
    smoothing: float = 0.0,
) -> Tensor:
    """alpha t^2 KL(T(x) || S(x')) + (1 - alpha) CE(S(x), y), the mean over the batch; logits (B, C), labels (B,)."""
    distance = mean_kl(teacher_logits, student_adversarial_logits, temperature=temperature, over_classes=kl)
    cross_entropy = functional.cross_entropy(student_natural_logits, labels, label_smoothing=smoothing)
    return alpha * temperature**2 * distance + (1 - alpha) * cross_entropy


class ARD:
    """The student is to say of its PGD images what the teacher says of the images themselves."""

    def __init__(self, options: Options, teacher: Mixture) -> None:
        self.options, self.teacher = options, teacher

    def budgets(self, count: int) -> list[float]:
        return [budget(self.options) if self.options.alpha else 0.0]

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        (student,) = networks
        x_adv = inner.attack(self.options, student, batch, start="uniform")
        with torch.no_grad():
            teacher_logits = batch.once("taught", lambda: self.teacher(batch.x))
        adversarial_logits = student(x_adv)
        yield loss(
            teacher_logits,
            adversarial_logits,
            student(batch.x),
            batch.y,
            temperature=self.options.temperature,
            alpha=self.options.alpha,
            kl=self.options.kl,
            smoothing=batch.smoothing,
        )
