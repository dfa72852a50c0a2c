"""Networks before their training: which architecture for which data, drawn from which random stream."""

import torch
from torch import nn

from ataka import models, streams
from ataka.datasets.specification import Specification
from ataka.draws import Alike
from ataka.models.initialisation import initialise, set_momentum
from ataka.study import Setup


def build(arch: str, facts: Specification, *, device: torch.device, setup: Setup | None = None) -> nn.Module:
    """A network that fits a data set of these ``facts``, with weights from torch's global CPU stream.

    A ``setup`` may draw other weights, or set another momentum of batch normalisation, than the network's own (G8).
    """
    network = models.build(arch, classes=facts.classes, channels=facts.channels, mean=facts.mean, std=facts.std)
    if setup:
        with Alike():
            initialise(network, setup.initialisation, classes=facts.classes)
        if setup.batchnorm_momentum is not None:
            set_momentum(network, setup.batchnorm_momentum)
    return network.to(device)


def student(
    arch: str, facts: Specification, *, seed: int, device: torch.device, setup: Setup | None = None
) -> nn.Module:
    """The network of a run: at equal seeds every method starts from the same weights."""
    with streams.global_stream(seed, "initial", "network", 0):
        return build(arch, facts, device=device, setup=setup)


def teachers(
    arch: str, facts: Specification, count: int, *, seed: int, device: torch.device, setup: Setup | None = None
) -> list[nn.Module]:
    """An ensemble of teachers, teacher i the same whatever ``count`` is."""
    networks = []
    for index in range(count):
        with streams.global_stream(seed, "initial", "teacher", index):
            networks.append(build(arch, facts, device=device, setup=setup))
    return networks


def member_seed(seed: int, member: int | None) -> int:
    """The root seed of a member of an averaged ensemble; of a single network (None) it is the run's own."""
    return seed if member is None else streams.seed_of(seed, "member", member)
