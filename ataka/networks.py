"""Networks before their training: which architecture for which data, drawn from which random stream."""

import torch
from torch import nn

from ataka import datasets, models, streams


def build(arch: str, dataset: str, *, device: torch.device) -> nn.Module:
    """A network that fits the data set, with weights from torch's global stream."""
    facts = datasets.specification(dataset)
    network = models.build(arch, classes=facts.classes, channels=facts.channels, mean=facts.mean, std=facts.std)
    return network.to(device)


def student(arch: str, dataset: str, *, seed: int, device: torch.device) -> nn.Module:
    """The network of a run: at equal seeds every method starts from the same weights."""
    with streams.global_stream(seed, "initial", "network", 0):
        return build(arch, dataset, device=device)


def teachers(arch: str, dataset: str, count: int, *, seed: int, device: torch.device) -> list[nn.Module]:
    """An ensemble of teachers, teacher i the same whatever ``count`` is."""
    found = []
    for index in range(count):
        with streams.global_stream(seed, "initial", "teacher", index):
            found.append(build(arch, dataset, device=device))
    return found


def member_seed(seed: int, member: int | None) -> int:
    """The root seed of a member of an averaged ensemble; of a single network (None) it is the run's own."""
    return seed if member is None else streams.seed_of(seed, "member", member)
