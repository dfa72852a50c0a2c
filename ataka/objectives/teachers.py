"""AT-AKA's teachers (section 5): each trains by plain cross-entropy on its own particle of the generator.

Nothing flows back from the student, so this is the same training for every amalgamation, alpha and student (C5): it
runs once, and what the teachers say is recorded.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka.attacks.mode import attack_mode
from ataka.generator import draw, particles
from ataka.probe import budget
from ataka.training import Batch


class Teachers:
    """Particle x'_i goes to teacher i (C4, G10), whose train-mode logits on it both train it and are recorded.

    ``generator`` holds the fields of ataka.study.Generator. Channels offered to the tape, each (n, B, C):
    ``train_adv``, the logits of the update's own forward; ``eval_adv``, where the generator asks for it, those of a
    separate eval-mode forward before the update; and, for a student beside the teachers, ``particles`` (n, B, ...).
    """

    def __init__(self, generator: Any) -> None:
        self.generator = generator

    def budgets(self, count: int) -> list[float]:
        return [budget(self.generator)] * count

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        particles = generate(self.generator, networks, batch)
        batch.record("particles", particles)
        if "eval_adv" in self.generator.channels:
            with attack_mode(*networks), torch.no_grad():
                pairs = zip(networks, particles, strict=True)
                batch.record("eval_adv", torch.stack([network(x_adv) for network, x_adv in pairs]))
        spoken = []
        for network, x_adv in zip(networks, particles, strict=True):
            logits = network(x_adv)
            spoken.append(logits.detach())
            yield functional.cross_entropy(logits, batch.y)
        batch.record("train_adv", torch.stack(spoken))


def generate(generator: Any, networks: Sequence[nn.Module], batch: Batch) -> Tensor:
    """The particles (n, B, ...) of eq. 2, one for each network. Starts are drawn per particle, whatever n is."""
    sources = [batch.stream("start", index) for index in range(len(networks))]
    report: dict[str, Tensor] = {}
    start = draw(generator, batch.x, sources)
    found = particles(generator, networks, batch.x, batch.y, start, report)
    for name, value in report.items():
        batch.log(name, value)
    return found
