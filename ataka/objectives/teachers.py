"""AT-AKA's teachers (section 5): each trains by plain cross-entropy on its own particle of the generator.

Nothing flows back from the student, so this is the same training for every amalgamation, alpha and student: it runs
once, and what the teachers say is recorded. (Where C5 is read otherwise, at_aka.Online trains them.)
"""

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka import training
from ataka.attacks.mode import attack_mode
from ataka.generation import draw, particles
from ataka.study import Generator
from ataka.training import Batch


class Teachers:
    """Teacher i's train-mode logits on its particle both train it and are recorded (C4).

    Channels offered to the tape, each (n, B, C): ``train_adv``, the logits of the update's own forward; where the
    generator asks for them, ``eval_adv`` and ``updated``, those of a separate eval-mode forward before the update and
    after it (C11), neither of which leaves a trace in the teachers; and, for a student beside the teachers,
    ``particles`` (n, B, ...).
    """

    def __init__(self, generator: Generator) -> None:
        self.generator = generator

    def budgets(self, count: int) -> list[float]:
        return [budget(self.generator)] * count

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        particles = generate(self.generator, networks, batch)
        batch.record("particles", particles)
        if "eval_adv" in self.generator.channels:
            batch.record("eval_adv", batch.once("eval_adv", lambda: _evaluated(networks, particles)))
        recorded = []
        for network, x_adv in zip(networks, particles, strict=True):
            logits = network(x_adv)
            recorded.append(logits.detach())
            yield functional.cross_entropy(logits, batch.y, label_smoothing=batch.smoothing)
        batch.record("train_adv", torch.stack(recorded))
        if "updated" in self.generator.channels:
            batch.update()
            batch.record("updated", _evaluated(networks, particles))


def budget(generator: Generator) -> float:
    """The eps that a generator attacks within; 0 where it takes no step, and where its steps are not signed.

    Whether unsigned steps reach anywhere at all is the question of that reading (A7).
    """
    return training.budget(generator) if generator.kind == "pgd" or generator.update == "sign" else 0.0


def _evaluated(networks: Sequence[nn.Module], particles: Tensor) -> Tensor:
    """The logits of each network on its particle in evaluation mode; (n, B, ...) to (n, B, C)."""
    with attack_mode(*networks), torch.no_grad():
        return torch.stack([network(x_adv) for network, x_adv in zip(networks, particles, strict=True)])


def generate(generator: Generator, networks: Sequence[nn.Module], batch: Batch) -> Tensor:
    """The particles (n, B, ...) of eq. 2, one for each network, made once in a step.

    Particle i, which is network i's own in eq. 2, is given to network i, or all are dealt out anew (G10).
    """
    made, report = batch.once("particles", lambda: _made(generator, networks, batch))
    for name, value in report.items():
        batch.log(name, value)
    return made


def _made(generator: Generator, networks: Sequence[nn.Module], batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
    """The particles, and what their generator reports. Starts are drawn per particle, whatever n is."""
    sources = [batch.stream("start", index) for index in range(len(networks))]
    report: dict[str, Tensor] = {}
    start = draw(generator, batch.x, sources)
    moved = particles(generator, networks, batch.x, batch.y, start, report)
    if generator.assignment == "shuffled":
        source = batch.stream("assignment")
        moved = moved[torch.randperm(len(moved), generator=source, device=source.device)]
    return moved, report
