"""AT-AKA's student (sections 5.2 to 5.4): cross-entropy on the labels and a pull towards the amalgamated teachers.

The paper: eq. 3 for the naive, linear and soft amalgamation of logits (eqs. 4 to 6), eq. 8 for the Pareto-optimal
amalgamation of probabilities (eq. 7). No code of the authors could be found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ataka import amalgamation
from ataka.objectives.teachers import Teachers
from ataka.settings import hyperparameters, reading
from ataka.training import Batch


@hyperparameters
class Options:
    """The student's hyper-parameters and readings."""

    amalgamation: Literal["naive", "linear", "soft", "pareto"]
    beta: float = reading(
        1.0,
        id="H6",
        sentence="in our experiments, we set beta = 1",
        values="how strongly eq. 6 prefers the higher loss",
    )
    mse: Literal["sum", "mean"] = reading(
        "sum",
        id="C2",
        sentence="L_MSE(z^S, z^T) = ||z^S - z^T||_2^2",
        values={"sum": "summed over classes, as printed", "mean": "averaged over them, as torch's mse_loss"},
    )
    kl: Literal["teacher_to_student", "student_to_teacher"] = reading(
        "teacher_to_student",
        id="C9",
        sentence="alpha L_KL(p^S, p^T)",
        values={
            "teacher_to_student": "KL(p^T || p^S), as distillation has it",
            "student_to_teacher": "KL(p^S || p^T), as the arguments are printed",
        },
    )
    input: Literal["clean", "adversarial"] = reading(
        "clean",
        id="C3",
        sentence="the student model is fed with clean sample x",
        values={
            "clean": "x: the student never sees a perturbed image",
            "adversarial": "the teachers' particles (needs online: true, as a tape holds no images)",
        },
    )
    logits: Literal["train_adv", "eval_adv"] = reading(
        "train_adv",
        id="C4",
        sentence="they are fed into teachers, yielding respective logic vectors",
        values={
            "train_adv": "the logits of the teachers' own update, in train mode",
            "eval_adv": "those of a forward of its own in eval mode, before the update",
        },
    )
    ridge: Annotated[float, Field(ge=0)] = reading(
        1e-8,
        id="C8",
        sentence="lambda* = min_lambda ||p^S - sum_i lambda_i p^{T_i}||^2",
        values="a pull towards equal weights, which decides where teachers agree and the minimum is not unique",
    )


def student_loss(
    student_logits: Tensor,
    amalgamated_logits: Tensor,
    labels: Tensor,
    *,
    alpha: float,
    mse: Literal["sum", "mean"] = "sum",
) -> Tensor:
    """Eq. 3: (1 - alpha) CE(z^S, y) + alpha ||z^S - z^T||^2, the mean over the batch.

    Logits (B, C), labels (B,). The squared distance is summed over classes, as printed, or averaged (C2).
    """
    cross_entropy = functional.cross_entropy(student_logits, labels)
    squares = (student_logits - amalgamated_logits).square()
    distance = (squares.sum(1) if mse == "sum" else squares.mean(1)).mean()
    return (1 - alpha) * cross_entropy + alpha * distance


def pareto_student_loss(
    student_logits: Tensor,
    amalgamated_probabilities: Tensor,
    labels: Tensor,
    *,
    alpha: float,
    kl: Literal["teacher_to_student", "student_to_teacher"] = "teacher_to_student",
) -> Tensor:
    """Eq. 8: (1 - alpha) CE(z^S, y) + alpha KL, the mean over the batch, summed over classes.

    Logits (B, C), probabilities (B, C), labels (B,). KL(p^T || p^S), as distillation has it, or KL(p^S || p^T) as the
    arguments are printed (C9).
    """
    cross_entropy = functional.cross_entropy(student_logits, labels)
    log_student = functional.log_softmax(student_logits, 1)
    if kl == "teacher_to_student":
        divergence = functional.kl_div(log_student, amalgamated_probabilities, reduction="batchmean")
    else:
        smallest = torch.finfo(amalgamated_probabilities.dtype).tiny
        log_teacher = amalgamated_probabilities.clamp_min(smallest).log()
        divergence = functional.kl_div(log_teacher, log_student, reduction="batchmean", log_target=True)
    return (1 - alpha) * cross_entropy + alpha * divergence


class Student:
    """The student of one amalgamation and alpha, reading the teachers' logits from ``batch.recorded``."""

    def __init__(self, options: Options, *, alpha: float) -> None:
        self.options, self.alpha = options, alpha

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        (student,) = networks
        inputs = [batch.x] if self.options.input == "clean" else batch.recorded["particles"].unbind()
        losses = [self.loss(student(x), batch) for x in inputs]
        yield torch.stack(losses).mean() if len(losses) > 1 else losses[0]

    def loss(self, student_logits: Tensor, batch: Batch) -> Tensor:
        teacher_logits = batch.recorded[self.options.logits]
        if self.options.amalgamation == "pareto":
            probabilities, _ = amalgamation.pareto(
                teacher_logits.softmax(-1), student_logits.detach().softmax(-1), ridge=self.options.ridge
            )
            return pareto_student_loss(student_logits, probabilities, batch.y, alpha=self.alpha, kl=self.options.kl)
        if self.options.amalgamation == "soft":
            amalgamated = amalgamation.soft(teacher_logits, batch.y, beta=self.options.beta)
        else:
            amalgamated = getattr(amalgamation, self.options.amalgamation)(teacher_logits, batch.y)
        return student_loss(student_logits, amalgamated, batch.y, alpha=self.alpha, mse=self.options.mse)


class Online:
    """Teachers and student side by side, as the paper trains them: networks T_1 .. T_n, S.

    The same student as from a tape, bit for bit; the only way when the student wants the particles themselves (C3).
    """

    def __init__(self, teachers: Teachers, student: Student) -> None:
        self.teachers, self.student = teachers, student

    def budgets(self, count: int) -> list[float]:
        return [*self.teachers.budgets(count - 1), 0.0]

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        recorded: dict[str, Tensor] = {}
        yield from self.teachers.losses(networks[:-1], replace(batch, record=recorded.__setitem__))
        yield from self.student.losses(networks[-1:], replace(batch, recorded=recorded))


def create(options: Options, *, alpha: float, generator: Any = None, online: bool = False) -> Student | Online:
    """The objective of a method: a student of the tape, or one that trains beside its teachers."""
    student = Student(options, alpha=alpha)
    return Online(Teachers(generator), student) if online else student
