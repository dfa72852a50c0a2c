"""Eq. 4: for each image the logits of the teacher that has the highest cross-entropy on its own image (C4)."""

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from ataka.psi._losses import cross_entropies
from ataka.study.fields import hyperparameters, reading

OUTPUTS: Literal["logits"] = "logits"
NEEDS_STUDENT = False
Followed = Literal["hardest", "easiest"]


@hyperparameters
class Options:
    """The readings of eq. 4."""

    follow: Followed = reading(
        "hardest",
        id="C7",
        sentence="psi({z^{T_i}}) = z^{T_k}, where k = argmax_j L_CE(p^{T_j}, y)",
        values={
            "hardest": "the teacher of the highest cross-entropy, as printed; the first of equals",
            "easiest": "the teacher of the lowest cross-entropy, as in KDCL-Naive; the first of equals",
        },
    )


def naive(teacher_logits: Tensor, labels: Tensor, follow: Followed = "hardest") -> Tensor:
    """Each image's logits of the teacher that it follows (C7); (n,B,C) and labels (B,) to (B,C)."""
    followed = teacher(teacher_logits, labels, follow)
    return teacher_logits[followed, torch.arange(len(labels), device=followed.device)]


def teacher(teacher_logits: Tensor, labels: Tensor, follow: Followed = "hardest") -> Tensor:
    """Eq. 4's k (B,), the number of the teacher that each image follows; the first of equals."""
    losses = cross_entropies(teacher_logits, labels)
    return losses.argmax(0) if follow == "hardest" else losses.argmin(0)


def amalgamate(teachers: Tensor, labels: Tensor, student: Tensor | None, options: Options) -> Tensor:
    """Eq. 4's target: logits (B,C) of teachers' logits (n,B,C) and labels (B,). ``student`` is not used."""
    return naive(teachers, labels, options.follow)


def weights(teachers: Tensor, labels: Tensor, student: Tensor | None, options: Options) -> Tensor:
    """Lambda (n,B): 1 for the teacher that an image follows, 0 for the others. Arguments as in ``amalgamate``."""
    followed = teacher(teachers, labels, options.follow)
    return functional.one_hot(followed, len(teachers)).T.to(teachers.dtype)
