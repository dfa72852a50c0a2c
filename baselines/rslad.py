"""RSLAD: Zi et al., "Revisiting adversarial robustness distillation: robust soft labels make student better", 2021.

(1 - w) KL(T(x) || S(x')) + w KL(T(x) || S(x)), w = 1/6: no label, no temperature. x' maximises KL(T(x) || S(x')) for
the same T(x) on clean images, from a start of 0.001 N(0, 1) beside x, with the student in evaluation mode.

The authors' code (zibojia/RSLAD, rslad_loss.py, resnet18_rslad_cifar10.py) averages over all B * C elements, so that
theirs is the formula's divided by C (``kl: sum`` is the formula's), and multiplies by 10 on CIFAR-100: ``scale``. It
computes T log T as p log(p + 1e-5): a constant, which moves no gradient; here the divergence is the true one, 0 where
S says what T says. Their CIFAR-100 teacher computes in half precision in the script of ResNet-18, not in that of
MobileNetV2; ours never does. In all their scripts the student is a DataParallel: on several GPUs each part of a batch
has batch statistics of its own, also in the attack. Nothing says how many they had; here a batch is one part (E3).

"en-RSLAD" distils from the average of several teachers. In the paper's Table 3 its amalgamations take the average's
place: any psi (``amalgamation``; null is the average itself), with weights lambda for each image. H2 is where lambda
comes from. ``clean``: from the teachers on x, once a step, before x' is made; one soft label serves x' and the loss. A
psi that needs the student's outputs, as pareto, is given those on x, in evaluation mode and without a gradient, so that
no running statistic moves. ``adversarial``: x' is made with that same label, as it must exist first; for the loss
lambda is taken anew from the teachers (and the student, likewise) on x', and weighs the teachers' outputs on x.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn
from torch.nn import functional

from ataka.attacks.gradient import divergence_from
from ataka.attacks.mode import BatchNorm, attack_mode
from ataka.models.mixture import Mixture
from ataka.psi import Amalgamation, average, outputs
from ataka.study.fields import Share, hyperparameters, number, reading
from ataka.training import Batch, budget
from baselines import inner
from baselines.divergence import Reduction, mean_kl, over_classes


@hyperparameters
class Options(inner.Options, Amalgamation):
    """The inner attack, the loss, and how several teachers become one soft label."""

    natural_weight: Share = "1/6"
    scale: Annotated[float, Field(gt=0)] = 1.0
    kl: Reduction = over_classes()
    amalgamate_on: Literal["clean", "adversarial"] = reading(
        "clean",
        id="H2",
        sentence="deploying our four amalgamation methods over en-RSLAD (instead of a typical averaging ...)",
        values={
            "clean": "the weights come from the teachers' outputs on x, as RSLAD's labels do",
            "adversarial": "the weights of the loss come from the teachers' outputs on the student's x'",
        },
    )
    batchnorm: BatchNorm = inner.batchnorm("eval")

    @model_validator(mode="after")
    def _has_weights_to_take_elsewhere(self) -> "Options":
        if self.amalgamate_on == "adversarial" and self.amalgamation and not self.weights:
            raise ValueError(f"amalgamate_on: adversarial needs weights, and psi '{self.amalgamation}' has none")
        return self

    @property
    def unused(self) -> tuple[str, ...]:
        """The average of the teachers takes no weights from anywhere."""
        return () if self.amalgamation else ("psi", "amalgamate_on")


def teachers(options: Options) -> tuple[str, ...]:
    """The roles that ``create`` wants teachers for."""
    return ("robust",)


def heeds(options: Options) -> tuple[str, ...]:
    """The options of a set-up that this loss heeds."""
    return ("awp",)


def forwards(options: Options) -> dict[str, float]:
    """The teachers' forwards of an image in a step: x, and x' where weights come from there."""
    return {"robust": 2 if options.amalgamate_on == "adversarial" else 1}


def updates(options: Options) -> float:
    """How often an image is in a step's loss: as x and x'."""
    return 2


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
        x_adv, label = batch.once("lesson", lambda: self.lesson(student, batch))
        yield loss(
            label,
            student(x_adv),
            student(batch.x),
            natural_weight=number(self.options.natural_weight),
            scale=self.options.scale,
            kl=self.options.kl,
        )

    def lesson(self, student: nn.Module, batch: Batch) -> tuple[Tensor, Tensor]:
        """x' (B, channels, H, W) and the soft label, logits (B, C)."""
        taught = self.taught(batch.x)
        label = self.soft_label(taught, taught, student, batch.x, batch.y)
        leaving = divergence_from(functional.log_softmax(label, 1))
        x_adv = inner.attack(self.options, student, batch, start="gaussian", loss=leaving)
        if self.options.amalgamate_on == "adversarial":
            label = self.soft_label(taught, self.taught(x_adv), student, x_adv, batch.y)
        return x_adv, label

    @torch.no_grad()
    def taught(self, x: Tensor) -> Tensor:
        """The teachers' logits on x, (n, B, C), or those of their average, (B, C)."""
        return self.teacher.each(x) if self.options.amalgamation else self.teacher(x)

    @torch.no_grad()
    def soft_label(self, taught: Tensor, seen: Tensor, student: nn.Module, x: Tensor, labels: Tensor) -> Tensor:
        """The teachers' ``taught`` logits as one label, logits (B, C).

        lambda comes from ``seen``, the teachers' logits (n, B, C) on x, and from the student on x. A psi without lambda
        amalgamates ``seen`` itself.
        """
        if not self.options.amalgamation:
            return taught
        psi, weights = self.options.function, self.options.weights
        given = outputs(psi, seen), labels, self.student_outputs(student, x), self.options.psi
        label = average(weights(*given), outputs(psi, taught)) if weights else psi.amalgamate(*given)
        return label if psi.OUTPUTS == "logits" else label.clamp_min(torch.finfo(label.dtype).tiny).log()

    def student_outputs(self, student: nn.Module, x: Tensor) -> Tensor | None:
        """The student's outputs on x, (B, C), where psi needs them."""
        psi = self.options.function
        if not psi.NEEDS_STUDENT:
            return None
        with attack_mode(student):
            return outputs(psi, student(x))
