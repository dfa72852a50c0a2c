"""IAD: Zhu et al., "Reliable adversarial distillation with unreliable teachers", 2022.

IAD stands for introspective adversarial distillation. Each image has a trust in the teacher, A = (p_y of the teacher
on x')^beta; with weight 1 - A the student learns from its own output on the clean image. x' is made as in
ARD. With the softmaxes at temperature t, version I is

    alpha (A t^2 KL(T(x) || S(x')) + (1 - A) KL(S(x) || S(x'))) + (1 - alpha) CE(S(x), y)

and version II, which has a second, naturally trained teacher N, and takes both teachers on x',

    a_r t^2 (A KL(T(x') || S(x')) + (1 - A) KL(S(x) || S(x')))
        + a_n t^2 KL(N(x') || S(x')) + (1 - a_r - a_n) CE(S(x'), y).

Where the authors' code (ZFancy/IAD, IAD-I.py, IAD-II.py) differs, it is the default here. In version I it leaves out
the A before the teacher's term (``teacher_term: trusted`` is the paper's). S(x) as a target carries a gradient
(``introspection: detached`` stops it); A doesn't. The student's own divergence is at temperature 1. A is 1 until 60
of 200 epochs have passed in version I, 40 of 200 in version II: give that ``begin`` there. In version I each step
forwards x' once more, and after ``begin`` x once more, in train mode and without any use but for the running
statistics; ``extra_forwards: false`` leaves these two out. In version II x is forwarded only after ``begin``. Their
student is a DataParallel, as RSLAD's (E3).
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ataka.attacks.mode import BatchNorm
from ataka.models.mixture import Mixture
from ataka.study.fields import Share, hyperparameters, number, reading
from ataka.training import Batch, budget
from baselines import inner
from baselines.divergence import kl

TeacherTerm = Literal["whole", "trusted"]
Introspection = Literal["live", "detached"]


@hyperparameters
class Options(inner.Options):
    """The inner attack, the trust in the teacher, and each version's weights."""

    version: Literal["I", "II"] = reading(
        "I",
        id="E3",
        sentence=inner.SENTENCE,
        values={"I": "IAD-I, of robust teachers alone", "II": "IAD-II, with a standard teacher too"},
    )
    beta: Annotated[float, Field(ge=0)] = 0.1
    begin: Share = "60/200"
    temperature: Annotated[float, Field(gt=0)] = 1.0
    alpha: Annotated[float, Field(ge=0, le=1)] = 1.0
    alpha_robust: Annotated[float, Field(ge=0, le=1)] = 0.5
    alpha_standard: Annotated[float, Field(ge=0, le=1)] = 0.25
    extra_forwards: bool = True
    teacher_term: TeacherTerm = reading(
        "whole",
        id="E3",
        sentence=inner.SENTENCE,
        values={
            "whole": "the teacher's term as it is, as in the code",
            "trusted": "the term times the trust in the teacher, as in the paper",
        },
    )
    introspection: Introspection = reading(
        "live",
        id="E3",
        sentence=inner.SENTENCE,
        values={
            "live": "the student's own target is differentiated too, as in the code",
            "detached": "the target is a constant",
        },
    )
    batchnorm: BatchNorm = inner.batchnorm("train")


def teachers(options: Options) -> tuple[str, ...]:
    """The roles that ``create`` wants teachers for."""
    return ("robust",) if options.version == "I" else ("robust", "standard")


def heeds(options: Options) -> tuple[str, ...]:
    """The options of a set-up that this loss heeds."""
    others = options.alpha if options.version == "I" else options.alpha_robust + options.alpha_standard
    return ("awp", "smoothing") if others < 1 else ("awp",)


def forwards(options: Options) -> dict[str, float]:
    """A teacher's forwards of an image in a step: version I shows it x and x'."""
    return {"robust": 2 if options.version == "I" else 1}


def updates(options: Options) -> float:
    """How often an image is in a step's loss after ``begin``; a forward without a gradient is a third of that."""
    return 2 + (2 / 3 if options.version == "I" and options.extra_forwards else 0)


def create(options: Options, *, teachers: Mapping[str, Mixture]) -> "IAD":
    """The teachers are frozen and in evaluation mode; "standard" is the naturally trained one."""
    return IAD(options, teachers)


def trust(teacher_adversarial_logits: Tensor, labels: Tensor, *, beta: float) -> Tensor:
    """A = (p_y of the teacher on x')^beta of each image, (B, C) and (B,) to (B,): no gradient, 1 where beta is 0."""
    log_probabilities = functional.log_softmax(teacher_adversarial_logits.detach(), 1)
    return (beta * log_probabilities.gather(1, labels.unsqueeze(1)).squeeze(1)).exp()


def loss(
    teacher_natural_logits: Tensor,
    teacher_adversarial_logits: Tensor,
    student_natural_logits: Tensor,
    student_adversarial_logits: Tensor,
    labels: Tensor,
    *,
    beta: float,
    temperature: float = 1.0,
    alpha: float = 1.0,
    teacher_term: TeacherTerm = "whole",
    introspection: Introspection = "live",
    smoothing: float = 0.0,
) -> Tensor:
    """Version I, the mean over the batch; logits (B, C), labels (B,)."""
    certainty = trust(teacher_adversarial_logits, labels, beta=beta)
    guidance = temperature**2 * kl(teacher_natural_logits, student_adversarial_logits, temperature=temperature)
    if teacher_term == "trusted":
        guidance = certainty * guidance
    introspected = student_natural_logits.detach() if introspection == "detached" else student_natural_logits
    distance = guidance + (1 - certainty) * kl(introspected, student_adversarial_logits)
    cross_entropy = functional.cross_entropy(student_natural_logits, labels, label_smoothing=smoothing)
    return alpha * distance.mean() + (1 - alpha) * cross_entropy


def loss_ii(
    robust_adversarial_logits: Tensor,
    standard_adversarial_logits: Tensor,
    student_natural_logits: Tensor,
    student_adversarial_logits: Tensor,
    labels: Tensor,
    *,
    beta: float,
    temperature: float = 1.0,
    alpha_robust: float = 0.5,
    alpha_standard: float = 0.25,
    introspection: Introspection = "live",
    smoothing: float = 0.0,
) -> Tensor:
    """Version II, the mean over the batch; logits (B, C), labels (B,)."""
    certainty = trust(robust_adversarial_logits, labels, beta=beta)
    introspected = student_natural_logits.detach() if introspection == "detached" else student_natural_logits
    robust = certainty * kl(robust_adversarial_logits, student_adversarial_logits, temperature=temperature)
    robust = robust + (1 - certainty) * kl(introspected, student_adversarial_logits)
    standard = kl(standard_adversarial_logits, student_adversarial_logits, temperature=temperature)
    distance = temperature**2 * (alpha_robust * robust + alpha_standard * standard)
    cross_entropy = functional.cross_entropy(student_adversarial_logits, labels, label_smoothing=smoothing)
    return (1 - alpha_robust - alpha_standard) * cross_entropy + distance.mean()


class IAD:
    """The student follows the teacher on its PGD images, and itself where the teacher errs."""

    def __init__(self, options: Options, teachers: Mapping[str, Mixture]) -> None:
        self.options, self.teachers = options, teachers

    def budgets(self, count: int) -> list[float]:
        return [budget(self.options) if self.options.version == "II" or self.options.alpha else 0.0]

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        (student,) = networks
        x_adv = inner.attack(self.options, student, batch, start="uniform")
        yield self.first(student, x_adv, batch) if self.options.version == "I" else self.second(student, x_adv, batch)

    def begun(self, batch: Batch) -> bool:
        return batch.progress >= number(self.options.begin)

    def first(self, student: nn.Module, x_adv: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            on_clean = batch.once("on_clean", lambda: self.teachers["robust"](batch.x))
            on_adversarial = batch.once("on_adversarial", lambda: self.teachers["robust"](x_adv))
        student_adversarial_logits = student(x_adv)
        if self.options.extra_forwards:
            _pass_by(student, x_adv)
        student_natural_logits = student(batch.x)
        if self.options.extra_forwards and self.begun(batch):
            _pass_by(student, batch.x)
        return loss(
            on_clean,
            on_adversarial,
            student_natural_logits,
            student_adversarial_logits,
            batch.y,
            beta=self.options.beta if self.begun(batch) else 0.0,
            temperature=self.options.temperature,
            alpha=self.options.alpha,
            teacher_term=self.options.teacher_term,
            introspection=self.options.introspection,
            smoothing=batch.smoothing,
        )

    def second(self, student: nn.Module, x_adv: Tensor, batch: Batch) -> Tensor:
        with torch.no_grad():
            robust = batch.once("taught", lambda: self.teachers["robust"](x_adv))
            standard = batch.once("standard", lambda: self.teachers["standard"](x_adv))
        adversarial_logits = student(x_adv)
        return loss_ii(
            robust,
            standard,
            student(batch.x) if self.begun(batch) else adversarial_logits,  # until then its weight is 0
            adversarial_logits,
            batch.y,
            beta=self.options.beta if self.begun(batch) else 0.0,
            temperature=self.options.temperature,
            alpha_robust=self.options.alpha_robust,
            alpha_standard=self.options.alpha_standard,
            introspection=self.options.introspection,
            smoothing=batch.smoothing,
        )


@torch.no_grad()
def _pass_by(student: nn.Module, x: Tensor) -> None:
    """A forward whose only effect is on the running statistics."""
    student(x)
