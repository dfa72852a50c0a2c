"""CAT-AKA (section 6): n equal students, each on its own particle, pulled towards their own amalgamated logits.

The paper: eq. 9, the sum over students of (1 - alpha) CE(z^{S_i}, y) + alpha ||z^{S_i} - z^S||^2, both terms within the
sum (D3), with z^S = psi({z^{S_i}}) by eqs. 4 to 6. A psi that needs the student's own outputs, as pareto, is undefined
here: these would be the unknown itself (D3). The particles are eq. 2's, with the students as its networks. No code of
the authors could be found.
"""

from collections.abc import Iterator, Sequence
from typing import Literal

import torch
from pydantic import field_validator
from torch import Tensor, nn

from ataka.objectives.at_aka import Pull, student_loss
from ataka.objectives.teachers import budget, generate
from ataka.psi import find
from ataka.study import Generator
from ataka.study.fields import hyperparameters, reading
from ataka.training import Batch


@hyperparameters
class Options(Pull):
    """The students' hyper-parameters and readings."""

    target: Literal["detached", "live"] = reading(
        "detached",
        id="D2",
        sentence="L = sum_i (1 - alpha) L_CE(p^{S_i}, y) + alpha L_MSE(z^{S_i}, z^S)",
        values={"detached": "z^S is a constant, as in KDCL", "live": "z^S is differentiated too"},
    )
    input: Literal["particle", "clean"] = reading(
        "particle",
        id="D1",
        sentence="feed the students with distinct adversarial examples",
        values={"particle": "student i sees x'_i", "clean": "all students see x, as AT-AKA's student does"},
    )

    @field_validator("amalgamation")
    @classmethod
    def _is_of_logits_alone(cls, name: str) -> str:
        psi = find(name)
        if psi.NEEDS_STUDENT:
            raise ValueError(f"psi '{name}' needs the student's own {psi.OUTPUTS}, which are what eq. 9 seeks (D3)")
        if psi.OUTPUTS != "logits":
            raise ValueError(f"psi '{name}' gives {psi.OUTPUTS}, but eq. 9 pulls logits")
        return name


def heeds(options: Options) -> tuple[str, ...]:
    """The options of a set-up that this loss heeds."""
    return ("smoothing", "awp")


def create(options: Options, *, alpha: float, generator: Generator) -> "Students":
    """The objective of n students."""
    return Students(options, alpha=alpha, generator=generator)


class Students:
    """Students that train jointly; of the ``networks`` given, network i is S_i and sees the particle given to it (G10).

    A student's update needs what all of them say first: n train-mode forwards, and so n graphs, are alive at once.
    """

    def __init__(self, options: Options, *, alpha: float, generator: Generator) -> None:
        self.options, self.alpha, self.generator = options, alpha, generator

    def budgets(self, count: int) -> list[float]:
        return [budget(self.generator) if self.options.input == "particle" else 0.0] * count

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        """The loss of each student i: its own term of eq. 9 with the target detached, the whole sum with a live target.

        Either way the others' logits are held, so that a loss reaches its own student alone. This is exactly the sum's
        gradient with respect to S_i, since the students share no weights.

        With clean input (D1) all students see x, and there are no particles.
        """
        if self.options.input == "particle":
            inputs = list(generate(self.generator, networks, batch))
        else:
            inputs = [batch.x] * len(networks)
        logits = [network(x) for network, x in zip(networks, inputs, strict=True)]
        held = [each.detach() for each in logits]
        if self.options.target == "detached":
            target = self.target(torch.stack(held), batch.y)
            for student_logits in logits:
                yield self.term(student_logits, target, batch)
        else:
            for i, student_logits in enumerate(logits):
                yield self.total(torch.stack([*held[:i], student_logits, *held[i + 1 :]]), batch)

    def term(self, student_logits: Tensor, amalgamated_logits: Tensor, batch: Batch) -> Tensor:
        """A student's term of eq. 9, the mean over the batch; logits (B, C)."""
        return student_loss(
            student_logits,
            amalgamated_logits,
            batch.y,
            alpha=self.alpha,
            mse=self.options.mse,
            smoothing=batch.smoothing,
        )

    def total(self, logits: Tensor, batch: Batch) -> Tensor:
        """Eq. 9 with nothing detached, neither z^S nor lambda; the students' logits (n, B, C)."""
        target = self.target(logits, batch.y)
        return torch.stack([self.term(student_logits, target, batch) for student_logits in logits]).sum()

    def target(self, logits: Tensor, labels: Tensor) -> Tensor:
        """z^S (B, C) = psi of the students' logits (n, B, C): differentiable where they are."""
        return self.options.target_of(logits, labels)
