"""AdaAD: Huang et al., "Boosting accuracy and robustness of student models via adaptive adversarial ...", 2023.

x' maximises KL(T(x') || S(x')): the teacher's target moves with x', and the gradient passes through both networks. The
start is 0.001 N(0, 1) beside x, and both networks are in evaluation mode. The loss, with constants as targets, is

    lambda KL(T(x') || S(x')) + (1 - lambda) KL(T(x) || S(x)).

lambda is 1 in the authors' code (boyellow/AdaAD, main.py), so that neither a label nor T(x) matters. The code forwards
x in training mode all the same: running statistics see x and x'. It averages the divergences over all B * C elements on
CIFAR-10 and sums them over classes on CIFAR-100, so that beside weight decay the loss of CIFAR-10 weighs ten times
less: ``kl``.

``version: AdaIAD`` makes x' in the same way for IAD's loss, version I, with the teacher on x' in both its terms:

    t^2 KL(T(x') || S(x')) + (1 - A) KL(S(x) || S(x')),  A = p_y(T(x'))^beta,

summed over classes; the teacher's divergence is at temperature t, 30 unless the script is told otherwise, the student's
own at 1. A is 1 until ``begin``. As in the code, S(x) as a target carries a gradient, and A doesn't weigh the teacher's
term. The code forwards x twice in a step, and three times after ``begin``, of which the loss needs one, and that after
``begin``; ``extra_forwards: false`` leaves the others out.

The script's budget is 16/255, by steps of 4/255, unless told otherwise; the README's commands say 8/255 and 2/255
(``eps``). Its teachers are those of Chen et al., "Robust overfitting may be mitigated by properly learned smoothening",
of which RobustBench has the weights, and its result the best epoch by PGD-10 on test images.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ataka.attacks import linf
from ataka.attacks.acceleration import accelerated
from ataka.attacks.check import checked
from ataka.attacks.gradient import input_gradient
from ataka.attacks.mode import BatchNorm, attack_mode
from ataka.models.mixture import Mixture
from ataka.study.fields import Budget, Share, hyperparameters, number, reading
from ataka.training import Batch, budget
from baselines import iad, inner
from baselines.divergence import Reduction, kl, mean_kl


@hyperparameters
class Options(inner.Options):
    """The inner attack, and each version's loss."""

    version: Literal["AdaAD", "AdaIAD"] = "AdaAD"
    weight: Annotated[float, Field(ge=0, le=1, description="lambda, of the divergence on x'")] = 1.0
    kl: Reduction = reading(
        "mean",
        id="E3",
        sentence=inner.SENTENCE,
        values={
            "mean": "the divergence averaged over classes, as the authors' code on CIFAR-10",
            "sum": "summed over them, as on CIFAR-100",
        },
    )
    temperature: float = reading(
        30.0,
        id="E3",
        sentence=inner.SENTENCE,
        values="AdaIAD's temperature of the teacher's divergence: the script's default; IAD's own is 1",
        gt=0,
    )
    beta: Annotated[float, Field(ge=0)] = 0.1
    begin: Share = "60/200"
    extra_forwards: bool = True
    batchnorm: BatchNorm = inner.batchnorm("eval")
    eps: Budget = inner.within_script("16/255")

    @property
    def unused(self) -> tuple[str, ...]:
        """The options of the other version."""
        if self.version == "AdaAD":
            return "temperature", "beta", "begin", "extra_forwards"
        return "weight", "kl"


def teachers(options: Options) -> tuple[str, ...]:
    """The roles that ``create`` wants teachers for."""
    return ("robust",)


def heeds(options: Options) -> tuple[str, ...]:
    """The options of a set-up that this loss heeds."""
    return ("awp",)


def forwards(options: Options) -> dict[str, float]:
    """A teacher's forwards of an image in a step: two in each step of the attack, whose gradient it passes on."""
    return {"robust": 2 * options.steps + (2 if options.version == "AdaAD" else 1)}


def updates(options: Options) -> float:
    """How often an image is in a step's loss after ``begin``; a forward without a gradient is a third of that."""
    return 2 + (2 / 3 if options.version == "AdaIAD" and options.extra_forwards else 0)


def create(options: Options, *, teachers: Mapping[str, Mixture]) -> "AdaAD":
    """``teachers["robust"]`` is frozen and in evaluation mode."""
    return AdaAD(options, teachers["robust"])


@checked(name="adaad")
def ascend(
    networks: Sequence[nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    start: Tensor,
    batchnorm: BatchNorm = "eval",
) -> Tensor:
    """``steps`` signed steps up KL(T(x') || S(x')) from ``start``, for ``networks`` (S, T) and whatever the labels.

    x, start and the result (B,C,H,W), y (B,); eps and step_size in pixel units of [0,1]. ``batchnorm`` is that of S in
    the attack (attack_mode); T is in evaluation mode.
    """
    student, teacher = networks

    def apart(images: Tensor) -> Tensor:
        return kl(teacher(images), student(images))

    x_adv = start if steps else linf.project(start, x, eps)
    with (
        attack_mode(teacher),
        attack_mode(student, batchnorm=batchnorm),
        accelerated(student, teacher, images=x),
    ):
        for _ in range(steps):
            gradient = input_gradient(apart, x_adv, y, _summed)
            x_adv = linf.project(x_adv + step_size * gradient.sign(), x, eps)
    return x_adv.detach()


def _summed(divergences: Tensor, _labels: Tensor) -> Tensor:
    return divergences.sum()


def loss(
    teacher_adversarial_logits: Tensor,
    student_adversarial_logits: Tensor,
    teacher_natural_logits: Tensor,
    student_natural_logits: Tensor,
    *,
    weight: float = 1.0,
    kl: Reduction = "mean",
) -> Tensor:
    """lambda KL(T(x') || S(x')) + (1 - lambda) KL(T(x) || S(x)), the mean over the batch; logits (B, C)."""
    adversarial = mean_kl(teacher_adversarial_logits, student_adversarial_logits, over_classes=kl)
    natural = mean_kl(teacher_natural_logits, student_natural_logits, over_classes=kl)
    return weight * adversarial + (1 - weight) * natural


class AdaAD:
    """The student follows the teacher on the images on which the two differ most."""

    def __init__(self, options: Options, teacher: Mixture) -> None:
        self.options, self.teacher = options, teacher

    def budgets(self, count: int) -> list[float]:
        return [budget(self.options) if self.options.version == "AdaIAD" or self.options.weight else 0.0]

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        (student,) = networks
        x_adv = batch.once("x_adv", lambda: self.attack(student, batch))
        with torch.no_grad():
            taught = batch.once("taught", lambda: self.teacher(x_adv))
        step = self.plain if self.options.version == "AdaAD" else self.introspective
        yield step(student, x_adv, taught, batch)

    def attack(self, student: nn.Module, batch: Batch) -> Tensor:
        start = linf.gaussian_start(batch.x, deviation=0.001, generator=batch.stream("start", 0))
        return ascend(
            (student, self.teacher),
            batch.x,
            batch.y,
            eps=number(self.options.eps),
            step_size=number(self.options.step_size),
            steps=self.options.steps,
            start=start,
            batchnorm=self.options.batchnorm,
        )

    def plain(self, student: nn.Module, x_adv: Tensor, taught: Tensor, batch: Batch) -> Tensor:
        """AdaAD's loss; x is forwarded whatever its weight."""
        with torch.no_grad():
            on_clean = batch.once("on_clean", lambda: self.teacher(batch.x))
        student_natural_logits = student(batch.x)
        return loss(
            taught,
            student(x_adv),
            on_clean,
            student_natural_logits,
            weight=self.options.weight,
            kl=self.options.kl,
        )

    def introspective(self, student: nn.Module, x_adv: Tensor, taught: Tensor, batch: Batch) -> Tensor:
        """AdaIAD's loss. Until ``begin`` the student's own target has a weight of 0."""
        begun = batch.progress >= number(self.options.begin)
        self.pass_by(student, batch.x)
        adversarial_logits = student(x_adv)
        natural_logits = student(batch.x) if begun else adversarial_logits
        self.pass_by(student, batch.x)
        return iad.loss(
            taught,
            taught,
            natural_logits,
            adversarial_logits,
            batch.y,
            beta=self.options.beta if begun else 0.0,
            temperature=self.options.temperature,
        )

    @torch.no_grad()
    def pass_by(self, student: nn.Module, x: Tensor) -> None:
        """A forward whose only effect is on the running statistics, if the options have such."""
        if self.options.extra_forwards:
            student(x)
