"""IGDM: Lee et al., "Indirect gradient matching for adversarial robust distillation", 2025, on top of a distillation.

The loss of the distillation (``distillation``: AdaAD, RSLAD, ARD, IAD) and, with d = x' - x of its own attack,

    T KL(softmax(T(x + d) - T(x - d)) || softmax(S(x + d) - S(x - d))),

T and S logits, summed over classes (eqs. 8 and 9). To first order in d a difference of logits is 2 d times the input
gradient, so that the student follows the teacher's gradients without anybody computing one. The teacher's side is a
constant; x - d isn't clamped to [0, 1]. The weight T rises in proportion to the share of the training that is over, up
to ``alpha``, which the authors searched for each teacher, student, data set and distillation: for AdaAD and ResNet-18
under Chen et al.'s teachers 5 on CIFAR-10 and 15 on CIFAR-100, with AdaAD's divergence summed over classes on both.

Sources are the paper and the authors' later repository (HongsinLee/saad, igdm.py). The code counts the running epoch as
over; here it isn't, and T lags by an epoch. In the code T is alpha after 200 epochs, however many there are (``full``),
and the attack has its step, 8/255, and its budget, 2/255, swapped (``eps``). Its weight decay is 2e-4, the paper's is
5e-4, and the set-up decides. Here x + d and x - d are forwarded after the distillation's own images, as a copy of the
paper's scripts by others does for AdaAD (in another order); the later repository forwards x + d and x - d alone.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from importlib import import_module
from typing import Annotated, Any

import torch
from pydantic import Field, ValidationInfo, field_validator
from torch import Tensor, nn

from ataka.attacks.mode import BatchNorm
from ataka.errors import UserError, missing, reason
from ataka.models.mixture import Mixture
from ataka.study.fields import Budget, Factor, hyperparameters, nested, number, reading
from ataka.training import Batch, Objective
from ataka.training.objective import budgets_of
from baselines import inner
from baselines.divergence import mean_kl

_ATTACK = tuple(inner.Options.__dataclass_fields__)


@hyperparameters
class Options(inner.Options):
    """The inner attack, which is the distillation's, the distillation, and the weight of the gradients' divergence."""

    batchnorm: BatchNorm = inner.batchnorm("eval")
    eps: Budget = inner.within_script("2/255")
    distillation: str = "baselines.adaad"
    options: Annotated[object, Field(validate_default=True)] = None
    alpha: Annotated[float, Field(ge=0)]
    full: Factor = reading(
        "1",
        id="E3",
        sentence=inner.SENTENCE,
        values="the share of the training after which IGDM's weight is alpha: 1 as in the paper; the code divides by "
        "200 epochs, whatever their number",
    )

    @field_validator("distillation")
    @classmethod
    def _is_a_distillation(cls, name: str) -> str:
        try:
            module = import_module(name)
        except Exception as error:  # whatever the user's own module does when it is imported
            if missing(error, name):
                raise ValueError(f"no distillation '{name}': there is no such module") from None
            raise ValueError(f"can't import the distillation '{name}': {reason(error)}") from None
        if not all(hasattr(module, part) for part in ("Options", "create", "teachers")):
            raise ValueError(f"'{name}' is no distillation: a module with Options, create and teachers is one")
        return name

    @field_validator("options")
    @classmethod
    def _knows_its_options(cls, given: Any, others: ValidationInfo) -> object:
        """Those of the distillation, with the attack's."""
        if not {"distillation", *_ATTACK} <= others.data.keys():
            return given  # a mistake elsewhere, which is told of there
        kind = import_module(others.data["distillation"]).Options
        if isinstance(given, kind):
            return given
        if not isinstance(given, Mapping | None):
            raise ValueError(f"the distillation's options, by name, are none: {given!r}")
        if both := [name for name in _ATTACK if name in (given or ())]:
            raise ValueError(f"{', '.join(both)}: of the attack; give them beside the distillation")
        return nested(kind, {name: others.data[name] for name in _ATTACK} | {**(given or {})})

    @property
    def whole(self) -> Any:
        """The distillation's options."""
        return replace(self.options, **{name: getattr(self, name) for name in _ATTACK})  # type: ignore[type-var]

    @property
    def module(self) -> Any:
        """The distillation's module."""
        return import_module(self.distillation)

    @property
    def sources(self) -> tuple[str, ...]:
        """The modules that these options add to a method's code."""
        return self.distillation, *getattr(self.whole, "sources", ())


def teachers(options: Options) -> tuple[str, ...]:
    """The roles that ``create`` wants teachers for: the distillation's."""
    roles: tuple[str, ...] = options.module.teachers(options.whole)
    return roles


def heeds(options: Options) -> tuple[str, ...]:
    """The options of a set-up that the distillation's loss heeds."""
    heeded: tuple[str, ...] = options.module.heeds(options.whole) if hasattr(options.module, "heeds") else ()
    return heeded


def forwards(options: Options) -> dict[str, float]:
    """A teacher's forwards of an image in a step."""
    others = options.module.forwards(options.whole) if hasattr(options.module, "forwards") else {}
    return {**others, "robust": others.get("robust", 1) + 2}


def updates(options: Options) -> float:
    """How often an image is in a step's loss: as often as in the distillation's, and twice more."""
    others: float = options.module.updates(options.whole) if hasattr(options.module, "updates") else 1
    return others + 2


def create(options: Options, *, teachers: Mapping[str, Mixture]) -> "IGDM":
    """The teachers are frozen and in evaluation mode; gradients are those of ``teachers["robust"]``."""
    return IGDM(options, options.module.create(options.whole, teachers=teachers), teachers["robust"])


def loss(teacher_plus: Tensor, teacher_minus: Tensor, student_plus: Tensor, student_minus: Tensor) -> Tensor:
    """KL of the softmaxes of the differences of logits (B, C) at x + d and x - d, the mean over the batch."""
    return mean_kl(teacher_plus - teacher_minus, student_plus - student_minus, over_classes="sum")


class IGDM:
    """The student follows the teacher by its distillation, and the teacher's input gradients beside."""

    def __init__(self, options: Options, distillation: Objective, teacher: Mixture) -> None:
        self.options, self.distillation, self.teacher = options, distillation, teacher

    def budgets(self, count: int) -> Sequence[float]:
        return budgets_of(self.distillation, count)

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        (student,) = networks
        made: dict[str, Any] = {}

        def once(name: str, make: Any) -> Any:
            made[name] = batch.once(name, make)
            return made[name]

        (distilled,) = self.distillation.losses(networks, replace(batch, once=once))
        x_adv: Tensor | None = batch.once("x_adv", lambda: made.get("x_adv"))
        if x_adv is None:
            raise UserError(f"igdm: the distillation {type(self.distillation).__name__} makes no x_adv by batch.once")
        x_opposite = batch.x - (x_adv - batch.x)
        with torch.no_grad():
            taught = self.teacher(x_adv), self.teacher(x_opposite)
        weight = self.options.alpha * batch.progress / number(self.options.full)
        yield distilled + weight * loss(*taught, student(x_adv), student(x_opposite))
