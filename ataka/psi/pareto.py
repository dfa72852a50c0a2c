"""Eq. 7: the average of the teachers' probabilities that is nearest to the student's, image by image or for a batch.

Eq. 7 follows AE-KD (Du et al., "Agree to disagree", 2020; AnTuo1998/AE-KD): lambda minimises the norm of
sum_i lambda_i g_i on the simplex, g_i being the gradient of the divergence from teacher i by the student's logits. At
temperature 1 that of an image is p^S - p^{T_i}, so that the norm is eq. 7's distance. AE-KD averages the gradients over
the batch before it takes the norm, and has a cap on lambda, which eq. 7 has not.
"""

import itertools
from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from ataka.psi import average
from ataka.study.fields import hyperparameters, reading

OUTPUTS: Literal["probabilities"] = "probabilities"
NEEDS_STUDENT = True
Per = Literal["image", "batch", "mean_distance"]


@hyperparameters
class Options:
    """The readings of eq. 7."""

    weights_per: Per = reading(
        "image",
        id="C8",
        sentence="lambda* = min_lambda ||p^S - sum_i lambda_i p^{T_i}||^2",
        values={
            "image": "each image has its own lambda",
            "batch": "one lambda for all images, of the distance of the outputs averaged over the batch, as in AE-KD "
            "(whose cap "
            "on lambda eq. 7 lacks)",
            "mean_distance": "one lambda for all images, of the least mean squared distance over the batch",
        },
    )
    ridge: Annotated[float, Field(ge=0)] = reading(
        1e-8,
        id="C8",
        sentence="lambda* = min_lambda ||p^S - sum_i lambda_i p^{T_i}||^2",
        values="the strength of a pull towards equal weights, which decides where teachers agree and the minimum is "
        "not unique",
    )


def pareto(
    teacher_probabilities: Tensor, student_probabilities: Tensor, ridge: float = 1e-8, weights_per: Per = "image"
) -> tuple[Tensor, Tensor]:
    """Eq. 7: the mixture of the teachers' probabilities nearest to the student's in l_2, and its weights.

    teacher_probabilities (n,B,C), student_probabilities (B,C) to (B,C) and (B,n), in the teachers' dtype. With
    ``weights_per`` (C8) "batch" or "mean_distance" there is one lambda: of the least distance between the batch's
    means, or of the least mean of the squared distances.

    The minimum over the simplex is the best of the minima over its 2^n - 1 faces that lie inside their face,
    and each of these is a linear system: exact, all faces and images at once, in float64. ``ridge`` times the
    squared distance from uniform weights makes it unique: teachers that agree weigh the same.
    """
    n = len(teacher_probabilities)
    teachers, student = teacher_probabilities.double().transpose(0, 1), student_probabilities.double()  # (B,n,C), (B,C)
    if weights_per == "batch":
        teachers, student = teachers.mean(0, keepdim=True), student.mean(0, keepdim=True)
    # The weights sum to 1, so the teachers' mean may be taken off both sides: where they agree, the Gram
    # matrix is then exactly 0 and the ridge decides, instead of drowning in rounding errors.
    mean = teachers.mean(1, keepdim=True)
    deviations = teachers - mean
    quadratic = deviations @ deviations.mT + ridge * torch.eye(n, dtype=mean.dtype, device=mean.device)
    towards_student = (student.unsqueeze(1) - mean) @ deviations.mT  # (B,1,n)
    linear_term = towards_student.squeeze(1) + ridge / n
    if weights_per == "mean_distance":
        quadratic, linear_term = quadratic.mean(0, keepdim=True), linear_term.mean(0, keepdim=True)

    candidates = _face_minima(quadratic, linear_term)  # (B,faces,n), or (1,faces,n)
    objective = ((candidates @ quadratic - 2 * linear_term.unsqueeze(1)) * candidates).sum(-1)
    objective = objective.masked_fill((candidates < 0).any(-1), torch.inf)
    best = candidates[torch.arange(len(candidates), device=mean.device), objective.argmin(-1)]
    weights = best.expand(len(student_probabilities), n)
    probabilities = average(weights.T, teacher_probabilities.double())
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


def amalgamate(teachers: Tensor, labels: Tensor, student: Tensor | None, options: Options) -> Tensor:
    """Eq. 7's target: probabilities (B,C) of the teachers' (n,B,C) and the student's (B,C). ``labels`` are not used."""
    assert student is not None
    return pareto(teachers, student, options.ridge, options.weights_per)[0]


def weights(teachers: Tensor, labels: Tensor, student: Tensor | None, options: Options) -> Tensor:
    """Eq. 7's lambda (n,B), whose sum over teachers is 1. Arguments as in ``amalgamate``."""
    assert student is not None
    return pareto(teachers, student, options.ridge, options.weights_per)[1].T
