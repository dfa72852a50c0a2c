"""RSLAD: Zi et al., "Revisiting adversarial robustness distillation: robust soft labels make student better", 2021.

(1 - w) KL(T(x) || S(x')) + w KL(T(x) || S(x)), w = 1/6: no label, no temperature. x' maximises KL(T(x) || S(x')) for
the same T(x) on clean images, from a start of 0.001 N(0, 1) beside x, with the student in evaluation mode.

The authors' code (zibojia/RSLAD, rslad_loss.py, resnet18_rslad_cifar10.py) averages over all B * C elements, so that
theirs is the formula's divided by C (``kl: sum`` is the formula's), and multiplies by 10 on CIFAR-100: ``scale``. It
computes T log T as p log(p + 1e-5): a constant, which moves no gradient; here the divergence is the true one, 0 where
S says what T says. Their CIFAR-100 teacher computes in half precision; ours doesn't.

"en-RSLAD" distils from the average of several teachers. In the paper's Table 3 its amalgamations take the average's
place (``amalgamation``): naive, linear and soft average the teachers' logits on x, pareto their probabilities, with
weights lambda for each image. H2 is where lambda comes from. ``clean``: from the teachers on x, once a step, before
x' is made; one soft label serves x' and the loss. pareto's p^S is then the student's on x, in evaluation mode and
without a gradient, so that no running statistic moves. ``adversarial``: x' is made with that same label, as it must
exist first; for the loss lambda is taken anew from the teachers (pareto: and the student, likewise) on x', and weighs
what they say of x.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ataka import amalgamation
from ataka.attacks.gradient import divergence_from
from ataka.attacks.mode import BatchNorm, attack_mode
from ataka.models.mixture import Mixture
from ataka.study.fields import Share, hyperparameters, number, reading
from ataka.training import Batch, budget
from baselines import inner
from baselines.divergence import Reduction, mean_kl


@hyperparameters
class Options(inner.Options, amalgamation.OfLogits, amalgamation.OfProbabilities):
    """The inner attack, the loss, and how several teachers become one soft label."""

    natural_weight: Share = "1/6"
    scale: Annotated[float, Field(gt=0)] = 1.0
    kl: Reduction = reading(
        "mean",
        id="E3",
        sentence=inner.SENTENCE,
        values={"mean": "the divergence averaged over classes, as the authors' code", "sum": "summed over them"},
    )
    amalgamation: Literal["mean", "naive", "linear", "soft", "pareto"] = "mean"
    amalgamate_on: Literal["clean", "adversarial"] = reading(
        "clean",
        id="H2",
        sentence="deploying our four amalgamation methods over en-RSLAD (instead of a typical averaging ...)",
        values={
            "clean": "the weights come from the teachers on x, where RSLAD takes its labels",
            "adversarial": "for the loss they come from the teachers on the student's x'",
        },
    )
    batchnorm: BatchNorm = inner.batchnorm("eval")


def teachers(options: Options) -> tuple[str, ...]:
    """The roles that ``create`` wants teachers for."""
    return ("robust",)


def create(options: Options, *, teachers: Mapping[str, Mixture]) -> "RSLAD":
    """``teachers["robust"]`` is frozen and in evaluation mode."""
    return RSLAD(options, teachers["robust"])


def loss(
    teacher_logits: Tensor,
    student_adversarial_logits: Tensor,
    student_natural_logits: Tensor,
    *,
    natural_weight: float = 1 / 6,
    scale: float = 1.0,
    kl: Reduction = "mean",
) -> Tensor:
    """(1 - w) KL(T(x) || S(x')) + w KL(T(x) || S(x)), times ``scale``, the mean over the batch; logits (B, C)."""
    adversarial = mean_kl(teacher_logits, student_adversarial_logits, over_classes=kl)
    natural = mean_kl(teacher_logits, student_natural_logits, over_classes=kl)
    return scale * ((1 - natural_weight) * adversarial + natural_weight * natural)


class RSLAD:
    """The student learns the teachers' soft labels of the images, on them and on PGD images that leave these labels."""

    def __init__(self, options: Options, teacher: Mixture) -> None:
        self.options, self.teacher = options, teacher

    def budgets(self, count: int) -> list[float]:
        return [budget(self.options) if number(self.options.natural_weight) < 1 else 0.0]

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        (student,) = networks
        taught = self.taught(batch.x)
        label = self.soft_label(taught, self.weights(student, batch.x, batch.y, taught))
        leaving = divergence_from(functional.log_softmax(label, 1))
        x_adv = inner.attack(self.options, student, batch, start="gaussian", loss=leaving)
        if self.options.amalgamate_on == "adversarial":
            label = self.soft_label(taught, self.weights(student, x_adv, batch.y, self.taught(x_adv)))
        yield loss(
            label,
            student(x_adv),
            student(batch.x),
            natural_weight=number(self.options.natural_weight),
            scale=self.options.scale,
            kl=self.options.kl,
        )

    @torch.no_grad()
    def taught(self, x: Tensor) -> Tensor:
        """The teachers' logits on x, (n, B, C), or those of their average, (1, B, C)."""
        return self.teacher(x).unsqueeze(0) if self.options.amalgamation == "mean" else self.teacher.each(x)

    @torch.no_grad()
    def weights(self, student: nn.Module, x: Tensor, labels: Tensor, teacher_logits: Tensor) -> Tensor:
        """lambda (n, B) of eqs. 4 to 7, from the teachers' logits (n, B, C) on x, their labels (B,) and the student."""
        match self.options.amalgamation:
            case "mean":
                return torch.ones_like(teacher_logits[..., 0])
            case "naive":  # 1 for the teacher that is followed
                followed = amalgamation.naive_teacher(teacher_logits, labels, self.options.naive)
                return functional.one_hot(followed, len(teacher_logits)).T.to(teacher_logits.dtype)
            case "linear":
                return amalgamation.linear_weights(teacher_logits, labels, self.options.floor)
            case "soft":
                return amalgamation.soft_weights(teacher_logits, labels, self.options.beta)
            case "pareto":
                with attack_mode(student):
                    student_probabilities = student(x).softmax(1)
                return amalgamation.pareto(
                    teacher_logits.softmax(-1),
                    student_probabilities,
                    ridge=self.options.ridge,
                    weights_per=self.options.weights_per,
                )[1].T

    def soft_label(self, teacher_logits: Tensor, weights: Tensor) -> Tensor:
        """The teachers' logits (n, B, C), or for pareto their probabilities, weighed by (n, B): logits (B, C)."""
        if self.options.amalgamation != "pareto":
            return (weights.unsqueeze(-1) * teacher_logits).sum(0)
        probabilities = (weights.unsqueeze(-1) * teacher_logits.softmax(-1)).sum(0)
        return probabilities.clamp_min(torch.finfo(probabilities.dtype).tiny).log()
