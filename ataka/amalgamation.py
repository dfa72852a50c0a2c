"""psi: how the teachers' outputs become the student's target (eqs. 4 to 7), one pure function each.

``naive``, ``linear`` and ``soft`` weigh logits by each teacher's cross-entropy on its own adversarial image (C4);
``pareto`` weighs probabilities by the student's. With one teacher all four return its output. Whatever is given
with a graph is differentiated, the weights as well; whoever wants none detaches it first (C5). n teachers, B images,
C classes.
"""

import itertools
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor
from torch.nn import functional as F

from ataka.study.fields import hyperparameters, reading

NAMES = ("naive", "linear", "soft", "pareto")
Followed = Literal["hardest", "easiest"]
Per = Literal["image", "batch"]


@hyperparameters
class OfLogits:
    """How eqs. 4 to 6 are read."""

    naive: Followed = reading(
        "hardest",
        id="C7",
        sentence="psi({z^{T_i}}) = z^{T_k}, where k = argmax_j L_CE(p^{T_j}, y)",
        values={
            "hardest": "the teacher of the highest cross-entropy, as printed; the first of equals",
            "easiest": "the one of the lowest, as KDCL-Naive; the first of equals",
        },
    )
    floor: Annotated[float, Field(gt=0)] = reading(
        1e-12,
        id="C6",
        sentence="lambda_i = L_CE(p^{T_i}, y) / sum_j L_CE(p^{T_j}, y)",
        values="the least that a cross-entropy counts in eq. 5, so that teachers that are all certain, 0/0 as printed, "
        "weigh the same",
    )
    beta: float = reading(
        1.0,
        id="H6",
        sentence="in our experiments, we set beta = 1",
        values="how strongly eq. 6 prefers the higher loss",
    )


@hyperparameters
class OfProbabilities:
    """How eq. 7 is read."""

    weights_per: Per = reading(
        "image",
        id="C8",
        sentence="lambda* = min_lambda ||p^S - sum_i lambda_i p^{T_i}||^2",
        values={
            "image": "each image has its own lambda",
            "batch": "one lambda for all, of the batch's mean distance, as AE-KD solves it",
        },
    )
    ridge: Annotated[float, Field(ge=0)] = reading(
        1e-8,
        id="C8",
        sentence="lambda* = min_lambda ||p^S - sum_i lambda_i p^{T_i}||^2",
        values="a pull towards equal weights, which decides where teachers agree and the minimum is not unique",
    )


def of_logits(name: str, teacher_logits: Tensor, labels: Tensor, options: OfLogits) -> Tensor:
    """Eq. 4, 5 or 6, by ``name``: the teachers' logits (n,B,C) and labels (B,) to (B,C)."""
    if name == "naive":
        return naive(teacher_logits, labels, options.naive)
    if name == "linear":
        return linear(teacher_logits, labels, options.floor)
    return soft(teacher_logits, labels, options.beta)


def naive(teacher_logits: Tensor, labels: Tensor, follow: Followed = "hardest") -> Tensor:
    """Eq. 4: each image's logits of the teacher whose cross-entropy is the highest, or the lowest (C7).

    teacher_logits (n,B,C), labels (B,) to (B,C).
    """
    followed = naive_teacher(teacher_logits, labels, follow)
    return teacher_logits[followed, torch.arange(len(labels), device=followed.device)]


def linear(teacher_logits: Tensor, labels: Tensor, floor: float = 1e-12) -> Tensor:
    """Eq. 5: the teachers' logits (n,B,C), averaged with ``linear_weights``; labels (B,); to (B,C)."""
    return _average(linear_weights(teacher_logits, labels, floor), teacher_logits)


def soft(teacher_logits: Tensor, labels: Tensor, beta: float = 1.0) -> Tensor:
    """Eq. 6: the teachers' logits (n,B,C), averaged with ``soft_weights``; labels (B,); to (B,C)."""
    return _average(soft_weights(teacher_logits, labels, beta), teacher_logits)


def naive_teacher(teacher_logits: Tensor, labels: Tensor, follow: Followed = "hardest") -> Tensor:
    """Eq. 4's k (B,), the number of the teacher that each image follows; the first of equals."""
    losses = _cross_entropies(teacher_logits, labels)
    return losses.argmax(0) if follow == "hardest" else losses.argmin(0)


def linear_weights(teacher_logits: Tensor, labels: Tensor, floor: float = 1e-12) -> Tensor:
    """Eq. 5's lambda (n,B): each teacher's share of the cross-entropies, each at least ``floor`` (C6)."""
    losses = _cross_entropies(teacher_logits, labels).clamp(min=floor)
    return losses / losses.sum(0)


def soft_weights(teacher_logits: Tensor, labels: Tensor, beta: float = 1.0) -> Tensor:
    """Eq. 6's lambda (n,B): the softmax over teachers of beta (in the paper 1) times the cross-entropy."""
    return torch.softmax(beta * _cross_entropies(teacher_logits, labels), 0)


def pareto(
    teacher_probabilities: Tensor, student_probabilities: Tensor, ridge: float = 1e-8, weights_per: Per = "image"
) -> tuple[Tensor, Tensor]:
    """Eq. 7: the mixture of the teachers' probabilities nearest to the student's in l_2, and its weights.

    teacher_probabilities (n,B,C), student_probabilities (B,C) to (B,C) and (B,n), in the teachers' dtype. ``weights_per
    batch``: one lambda, of the least mean distance. AE-KD, whom the paper follows, solves it so, and with a cap on
    lambda, which eq. 7 has not (C8).

    The minimum over the simplex is the best of the minima over its 2^n - 1 faces that lie inside their face,
    and each of these is a linear system: exact, all faces and images at once, in float64. ``ridge`` times the
    squared distance from uniform weights makes it unique: teachers that agree weigh the same.
    """
    n = len(teacher_probabilities)
    teachers = teacher_probabilities.double().transpose(0, 1)  # (B,n,C)
    # The weights sum to 1, so the teachers' mean may be taken off both sides: where they agree, the Gram
    # matrix is then exactly 0 and the ridge decides, instead of drowning in rounding errors.
    mean = teachers.mean(1, keepdim=True)
    deviations = teachers - mean
    quadratic = deviations @ deviations.mT + ridge * torch.eye(n, dtype=mean.dtype, device=mean.device)
    towards_student = (student_probabilities.double().unsqueeze(1) - mean) @ deviations.mT  # (B,1,n)
    linear_term = towards_student.squeeze(1) + ridge / n
    if weights_per == "batch":
        quadratic, linear_term = quadratic.mean(0, keepdim=True), linear_term.mean(0, keepdim=True)

    candidates = _face_minima(quadratic, linear_term)  # (B,faces,n), or (1,faces,n)
    objective = ((candidates @ quadratic - 2 * linear_term.unsqueeze(1)) * candidates).sum(-1)
    objective = objective.masked_fill((candidates < 0).any(-1), torch.inf)
    best = candidates[torch.arange(len(candidates), device=mean.device), objective.argmin(-1)]
    weights = best.expand(len(teachers), n)
    probabilities = _average(weights.T, teacher_probabilities.double())
    return probabilities.to(teacher_probabilities.dtype), weights.to(teacher_probabilities.dtype)


def _face_minima(quadratic: Tensor, linear_term: Tensor) -> Tensor:
    """For each face of the simplex, largest first, the minimum of w'Qw - 2 c'w over the plane that it spans.

    Q (B,n,n), c (B,n) to (B,2^n - 1,n): the first-order conditions with one multiplier for sum(w) = 1, and
    w_i = 0 off the face. The minimum may lie outside the face: then w has a negative entry.
    """
    n = linear_term.shape[-1]
    corners = sorted(itertools.product((1.0, 0.0), repeat=n), key=sum, reverse=True)[:-1]
    on_face = quadratic.new_tensor(corners)  # (faces,n)
    system = quadratic.new_zeros(len(quadratic), len(on_face), n + 1, n + 1)
    system[..., :n, :n] = quadratic.unsqueeze(1) * (on_face.unsqueeze(1) * on_face.unsqueeze(2))
    system[..., :n, :n] += torch.diag_embed(1 - on_face)
    system[..., :n, n] = system[..., n, :n] = on_face
    right_hand_side = quadratic.new_ones(len(quadratic), len(on_face), n + 1)
    right_hand_side[..., :n] = linear_term.unsqueeze(1) * on_face
    solution: Tensor = torch.linalg.solve(system, right_hand_side)
    return solution[..., :n] * on_face


def _cross_entropies(teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """Each teacher's cross-entropy on each image, (n,B,C) and (B,) to (n,B)."""
    return torch.stack([F.cross_entropy(logits, labels, reduction="none") for logits in teacher_logits])


def _average(weights: Tensor, outputs: Tensor) -> Tensor:
    """sum_i weights_i outputs_i, (n,B) and (n,B,C) to (B,C)."""
    return (weights.unsqueeze(-1) * outputs).sum(0)
