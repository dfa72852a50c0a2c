"""MTARD: Zhao et al., "Enhanced accuracy and robustness via multi-teacher adversarial distillation", 2022.

Two teachers, R trained adversarially and N trained naturally, each teach what they are good at:

    w_r KL(R(x') || S(x')) + w_n KL(N(x) || S(x)),  w_r = 1 - w_n,

no label, no temperature. x' is PGD's on the student's cross-entropy with the label, from a start of 0.001 N(0, 1)
beside x, with the student in evaluation mode. R sees x' alone, N sees x alone.

The weights follow the training (adaptive normalization loss). In each step l is a loss divided by its value in the very
first step of the training, and w_n moves by ``rate`` of the way to l_n^beta / (l_r^beta + l_n^beta), from 1/2 on: the
loss that has fallen least weighs most. w_n moves before the loss is formed, and has no gradient. ``rate`` falls to a
tenth with each of ``drops``, as the learning rate does.

``version: B-MTARD`` (Zhao et al., "Mitigating accuracy-robustness trade-off via balanced multi-teacher adversarial
distillation", 2024) divides the logits of R by t_r and those of N by t_n, both 1 at first. After each step, by
``temperature_rate``, which falls with the drops, too, the teacher of the smaller entropy gets warmer and the other one
colder, within [1, 10]. Entropies are means of -p log(p + 1e-5) on the images that a teacher sees. The student stays at
1, and no square of a temperature scales the loss. Its weights are those above (zhaoshiji123/MTARD-extension,
resnet18_mtard_cifar10.py; there is no script for CIFAR-100, where ``scale`` is MTARD's).

The authors' code (zhaoshiji123/MTARD, mtard_resnet18_cifar10.py) averages each divergence over all B * C elements, as
RSLAD's does (``kl: sum`` is the formula's), and multiplies both by 10 on CIFAR-100: ``scale``. It computes p log p as p
log(p + 1e-5): here this constant counts, as the weights depend on the losses' values. The poster's alpha is w_r.

The paper's clean teacher for CIFAR-10 is a ResNet-56, where the script has a second WRN-34-10; ours is a network of the
study's teachers. The script measures each epoch on test images and leaves the choice of one to its user. Where a
teacher is an average of several networks, log-probabilities take the place of logits; the paper has one network each.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ataka.attacks.mode import BatchNorm
from ataka.models.mixture import Mixture
from ataka.study.fields import Share, hyperparameters, number
from ataka.training import Batch, budget
from baselines import inner
from baselines.divergence import Reduction, over_classes


@hyperparameters
class Options(inner.Options):
    """The inner attack, the loss, and how its weights follow the training."""

    rate: Annotated[float, Field(ge=0, le=1)] = 0.025
    drops: tuple[Share, ...] = ("215/300", "260/300", "285/300")
    beta: Annotated[float, Field(ge=0)] = 1.0
    scale: Annotated[float, Field(gt=0)] = 1.0
    version: Literal["MTARD", "B-MTARD"] = "MTARD"
    temperature_rate: Annotated[float, Field(ge=0)] = 0.001
    kl: Reduction = over_classes()
    batchnorm: BatchNorm = inner.batchnorm("eval")

    @property
    def unused(self) -> tuple[str, ...]:
        """The options of the other version."""
        return () if self.version == "B-MTARD" else ("temperature_rate",)


def teachers(options: Options) -> tuple[str, ...]:
    """The roles that ``create`` wants teachers for."""
    return ("robust", "standard")


def heeds(options: Options) -> tuple[str, ...]:
    """The options of a set-up that this loss heeds."""
    return ("awp",)


def updates(options: Options) -> float:
    """How often an image is in a step's loss: as x and x'."""
    return 2


def create(options: Options, *, teachers: Mapping[str, Mixture]) -> "MTARD":
    """The teachers are frozen and in evaluation mode; "standard" is the naturally trained one."""
    return MTARD(options, teachers)


def divergence(teacher_logits: Tensor, student_logits: Tensor, *, kl: Reduction = "mean") -> Tensor:
    """KL(T || S), the mean over the batch, with p log(p + 1e-5) for p log p; logits (B, C), no gradient to T.

    The constant is the code's. With it the divergence is positive even where S says what T says.
    """
    target = teacher_logits.detach().softmax(1)
    each = (target * ((target + 1e-5).log() - functional.log_softmax(student_logits, 1))).sum(1).mean()
    return each if kl == "sum" else each / student_logits.shape[1]


def moved(weight: float, robust: float, standard: float, *, rate: float, beta: float = 1.0) -> float:
    """w_n after a step: ``robust`` and ``standard`` are the losses, each over its value in the first step."""
    robust, standard = robust**beta, standard**beta
    return weight - rate * (weight - standard / (robust + standard))


def warmed(temperature: float, certainty: float, other: float, *, rate: float) -> float:
    """A teacher's temperature after a step, from its ``certainty`` and that of the other teacher."""
    ratio = torch.tensor(certainty) / torch.tensor(other)  # infinite where the other is 0
    return min(max(temperature - rate * float((ratio - 1).sign()), 1.0), 10.0)


def certainty(logits: Tensor) -> float:
    """The mean of p log(p + 1e-5) over all B * C elements; but for the constant, minus the entropy over C."""
    p = logits.softmax(1)
    return float((p * (p + 1e-5).log()).mean())


class MTARD:
    """The student learns robustness from one teacher and accuracy from another, the more from the one that lags.

    w_n, the temperatures and the first step's losses last for the whole training: they are this objective's state.
    """

    def __init__(self, options: Options, teachers: Mapping[str, Mixture]) -> None:
        self.options, self.teachers = options, teachers
        self.weight, self.temperatures = 0.5, (1.0, 1.0)
        self.first: tuple[float, float] | None = None

    def state(self) -> dict[str, Any]:
        return {"weight": self.weight, "temperatures": self.temperatures, "first": self.first}

    def restore(self, state: Mapping[str, Any]) -> None:
        (warmth, other), (robust, standard) = state["temperatures"], state["first"]
        self.weight, self.temperatures, self.first = state["weight"], (warmth, other), (robust, standard)

    def budgets(self, count: int) -> list[float]:
        return [budget(self.options)]

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        (student,) = networks
        x_adv = inner.attack(self.options, student, batch, start="gaussian")
        with torch.no_grad():
            on_adversarial, on_clean = batch.once("targets", lambda: self.targets(x_adv, batch))
        step: dict[str, float] = batch.once("step", dict)
        robust = divergence(on_adversarial, student(x_adv), kl=self.options.kl)
        standard = divergence(on_clean, student(batch.x), kl=self.options.kl)
        if "weight" not in step:  # under AWP a step asks twice: the weights move once
            step["weight"] = self.balance(robust.item(), standard.item(), self.slowed(batch))
        weight = step["weight"]
        batch.log("weight_standard", robust.new_tensor(weight))
        yield self.options.scale * ((1 - weight) * robust + weight * standard)

    def targets(self, x_adv: Tensor, batch: Batch) -> tuple[Tensor, Tensor]:
        """The tempered logits of R on x' and of N on x, (B, C) each; sets the temperatures of the next step."""
        now = self.temperatures
        robust, standard = self.teachers["robust"](x_adv) / now[0], self.teachers["standard"](batch.x) / now[1]
        if self.options.version == "B-MTARD":
            sure, other, rate = certainty(robust), certainty(standard), self.options.temperature_rate
            rate *= self.slowed(batch)
            self.temperatures = warmed(now[0], sure, other, rate=rate), warmed(now[1], other, sure, rate=rate)
        return robust, standard

    def balance(self, robust: float, standard: float, slowed: float) -> float:
        """Move w_n by this step's losses; returns it."""
        self.first = self.first or (robust, standard)
        shares = robust / self.first[0], standard / self.first[1]
        self.weight = moved(self.weight, *shares, rate=self.options.rate * slowed, beta=self.options.beta)
        return self.weight

    def slowed(self, batch: Batch) -> float:
        """A tenth for each drop that is behind."""
        return float(0.1 ** sum(batch.progress >= number(drop) for drop in self.options.drops))
