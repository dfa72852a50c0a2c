"""AT-AKA's student (sections 5.2 to 5.4): cross-entropy on the labels and a pull towards the amalgamated teachers.

The paper: eq. 3 for a psi of logits (naive, linear, soft: eqs. 4 to 6), eq. 8 for a psi of probabilities (pareto:
eq. 7). No code of the authors could be found.
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from ataka.objectives.teachers import Teachers, generate
from ataka.psi import Amalgamation
from ataka.study import Generator
from ataka.study.fields import hyperparameters, reading
from ataka.training import Batch


@hyperparameters
class Pull(Amalgamation):
    """The psi, and how the pull towards amalgamated logits is read, in eq. 3 and in eq. 9."""

    amalgamation: str = Field()  # required here: the base class's default would be inherited
    mse: Literal["sum", "mean"] = reading(
        "sum",
        id="C2",
        sentence="L_MSE(z^S, z^T) = ||z^S - z^T||_2^2",
        values={"sum": "summed over classes, as printed", "mean": "averaged over them, as torch's mse_loss"},
    )


@hyperparameters
class Options(Pull):
    """The student's hyper-parameters and readings."""

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
    logits: Literal["train_adv", "eval_adv", "updated"] = reading(
        "train_adv",
        id="C4",
        sentence="they are fed into teachers, yielding respective logic vectors",
        values={
            "train_adv": "the logits of the teachers' own update, in train mode",
            "eval_adv": "the logits of a separate forward in eval mode, before the update",
            "updated": "the logits of a forward in eval mode after this step's update of the teachers (C11: the paper "
            "leaves the "
            "order of updates open)",
        },
    )
    target: Literal["detached", "live"] = reading(
        "detached",
        id="C5",
        sentence="the teachers' loss function is the conventional cross-entropy function",
        values={
            "detached": "z^T (p^T) is a constant: the student's loss trains the student alone",
            "live": "the student's loss reaches the teachers too (needs online: true, as a tape's teachers are "
            "trained already)",
        },
    )

    @property
    def unused(self) -> tuple[str, ...]:
        """Logits are pulled by eq. 3's squared distance, probabilities by eq. 8's divergence, never by both."""
        return ("kl",) if self.function.OUTPUTS == "logits" else ("mse",)


def student_loss(
    student_logits: Tensor,
    amalgamated_logits: Tensor,
    labels: Tensor,
    *,
    alpha: float,
    mse: Literal["sum", "mean"] = "sum",
    smoothing: float = 0.0,
) -> Tensor:
    """Eq. 3: (1 - alpha) CE(z^S, y) + alpha ||z^S - z^T||^2, the mean over the batch.

    Logits (B, C), labels (B,). The squared distance is summed over classes, as printed, or averaged (C2).
    """
    cross_entropy = functional.cross_entropy(student_logits, labels, label_smoothing=smoothing)
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
    smoothing: float = 0.0,
) -> Tensor:
    """Eq. 8: (1 - alpha) CE(z^S, y) + alpha KL, the mean over the batch, summed over classes.

    Logits (B, C), probabilities (B, C), labels (B,). KL(p^T || p^S), as distillation has it, or KL(p^S || p^T) as the
    arguments are printed (C9).
    """
    cross_entropy = functional.cross_entropy(student_logits, labels, label_smoothing=smoothing)
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
        yield self.mean_loss(self.logits(student, batch), batch)

    def logits(self, student: nn.Module, batch: Batch) -> list[Tensor]:
        """The student's logits (B, C) on x, or on each of the particles."""
        inputs = [batch.x] if self.options.input == "clean" else batch.recorded["particles"].unbind()
        return [student(x) for x in inputs]

    def mean_loss(self, student_logits: Sequence[Tensor], batch: Batch) -> Tensor:
        losses = [self.loss(logits, batch) for logits in student_logits]
        return torch.stack(losses).mean() if len(losses) > 1 else losses[0]

    def loss(self, student_logits: Tensor, batch: Batch) -> Tensor:
        """Eq. 3 or 8. With a live target it is a function of the teachers' logits too, lambda's part included (C5)."""
        teacher_logits = batch.recorded[self.options.logits]
        if self.options.target == "detached":
            teacher_logits = teacher_logits.detach()
        amalgamated = self.options.target_of(teacher_logits, batch.y, student_logits.detach())
        given = {"alpha": self.alpha, "smoothing": batch.smoothing}
        if self.options.function.OUTPUTS == "logits":
            return student_loss(student_logits, amalgamated, batch.y, mse=self.options.mse, **given)
        return pareto_student_loss(student_logits, amalgamated, batch.y, kl=self.options.kl, **given)


class Online:
    """Teachers and student side by side, as the paper trains them: networks T_1 .. T_n, S.

    The same student as from a tape, bit for bit; the only way when the student wants the particles themselves (C3), or
    its loss is to reach the teachers (C5).
    """

    def __init__(self, teachers: Teachers, student: Student) -> None:
        self.teachers, self.student = teachers, student

    def budgets(self, count: int) -> list[float]:
        return [*self.teachers.budgets(count - 1), 0.0]

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        if self.student.options.target == "live":
            yield from self.live_losses(networks, batch)
            return
        recorded: dict[str, Tensor] = {}
        yield from self.teachers.losses(networks[:-1], replace(batch, record=recorded.__setitem__))
        yield from self.student.losses(networks[-1:], replace(batch, recorded=recorded))

    def live_losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        """Teacher i descends its cross-entropy plus the student's loss; the student descends the student's loss (C5).

        In each loss the logits of all other networks are detached, so that the loss reaches its own network alone. The
        networks share no weights: each gradient is exactly that of the sum of all cross-entropies and the student's
        loss. All logits are needed before the first loss, so n + 1 graphs are alive at once.
        """
        *teachers, student = networks
        particles = generate(self.teachers.generator, teachers, batch)
        logits = [teacher(x_adv) for teacher, x_adv in zip(teachers, particles, strict=True)]
        held = [each.detach() for each in logits]

        def recorded(teacher_logits: Sequence[Tensor]) -> Batch:
            return replace(batch, recorded={"particles": particles, "train_adv": torch.stack(list(teacher_logits))})

        student_logits = self.student.logits(student, recorded(held))
        for i, teacher_logits in enumerate(logits):
            cross_entropy = functional.cross_entropy(teacher_logits, batch.y, label_smoothing=batch.smoothing)
            others_held = recorded([*held[:i], teacher_logits, *held[i + 1 :]])
            yield cross_entropy + self.student.mean_loss([each.detach() for each in student_logits], others_held)
        yield self.student.mean_loss(student_logits, recorded(held))


def heeds(options: Options) -> tuple[str, ...]:
    """The options of a set-up that this loss heeds."""
    return ("smoothing", "awp")


def create(
    options: Options, *, alpha: float, generator: Generator | None = None, online: bool = False
) -> Student | Online:
    """The objective of a method: a student of the tape, or one that trains beside its teachers."""
    student = Student(options, alpha=alpha)
    if not online:
        return student
    assert generator is not None
    return Online(Teachers(generator), student)
