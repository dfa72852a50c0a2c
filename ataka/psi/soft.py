"""Eq. 6: the average of the teachers' logits, by the softmax of their cross-entropies, on their own images (C4)."""

from typing import Literal

import torch
from torch import Tensor

from ataka.psi import average
from ataka.psi._losses import cross_entropies
from ataka.study.fields import hyperparameters, reading

OUTPUTS: Literal["logits"] = "logits"
NEEDS_STUDENT = False


@hyperparameters
class Options:
    """The readings of eq. 6."""

    beta: float = reading(
        1.0,
        id="H6",
        sentence="in our experiments, we set beta = 1",
        values="how strongly eq. 6 prefers the higher loss",
    )


def soft(teacher_logits: Tensor, labels: Tensor, beta: float = 1.0) -> Tensor:
    """The teachers' logits (n,B,C), averaged with ``soft_weights``; labels (B,); to (B,C)."""
    return average(soft_weights(teacher_logits, labels, beta), teacher_logits)


def soft_weights(teacher_logits: Tensor, labels: Tensor, beta: float = 1.0) -> Tensor:
    """Eq. 6's lambda (n,B): the softmax over teachers of beta (in the paper 1) times the cross-entropy."""
    return torch.softmax(beta * cross_entropies(teacher_logits, labels), 0)


def amalgamate(teachers: Tensor, labels: Tensor, student: Tensor | None, options: Options) -> Tensor:
    """Eq. 6's target: logits (B,C) of teachers' logits (n,B,C) and labels (B,). ``student`` is not used."""
    return soft(teachers, labels, options.beta)


def weights(teachers: Tensor, labels: Tensor, student: Tensor | None, options: Options) -> Tensor:
    """Eq. 6's lambda (n,B), whose sum over teachers is 1. Arguments as in ``amalgamate``."""
    return soft_weights(teachers, labels, options.beta)
