"""Eq. 5: the average of the teachers' logits, each by its share of the cross-entropies, on its own image (C4)."""

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from ataka.psi import average
from ataka.psi._losses import cross_entropies
from ataka.study.fields import hyperparameters, reading

OUTPUTS: Literal["logits"] = "logits"
NEEDS_STUDENT = False


@hyperparameters
class Options:
    """The readings of eq. 5."""

    floor: Annotated[float, Field(gt=0)] = reading(
        1e-12,
        id="C6",
        sentence="lambda_i = L_CE(p^{T_i}, y) / sum_j L_CE(p^{T_j}, y)",
        values="the lower bound of a cross-entropy in eq. 5: where all cross-entropies are 0, eq. 5 is 0/0 as "
        "printed, and the "
        "teachers weigh the same",
    )


def linear(teacher_logits: Tensor, labels: Tensor, floor: float = 1e-12) -> Tensor:
    """The teachers' logits (n,B,C), averaged with ``linear_weights``; labels (B,); to (B,C)."""
    return average(linear_weights(teacher_logits, labels, floor), teacher_logits)


def linear_weights(teacher_logits: Tensor, labels: Tensor, floor: float = 1e-12) -> Tensor:
    """Eq. 5's lambda (n,B): each teacher's share of the cross-entropies, each at least ``floor`` (C6)."""
    losses = cross_entropies(teacher_logits, labels).clamp(min=floor)
    return losses / losses.sum(0)


def amalgamate(teachers: Tensor, labels: Tensor, student: Tensor | None, options: Options) -> Tensor:
    """Eq. 5's target: logits (B,C) of teachers' logits (n,B,C) and labels (B,). ``student`` is not used."""
    return linear(teachers, labels, options.floor)


def weights(teachers: Tensor, labels: Tensor, student: Tensor | None, options: Options) -> Tensor:
    """Eq. 5's lambda (n,B), whose sum over teachers is 1. Arguments as in ``amalgamate``."""
    return linear_weights(teachers, labels, options.floor)
