"""What measurements share: the switches of ours, networks with statistics that aren't the identity, images."""

from typing import NamedTuple

import torch
from torch import Tensor, nn

from ataka import models
from ataka.attacks.acceleration import Switches

FAST = Switches(fold=True, channels_last=True)
"""The study's default switches of speed."""


class Task(NamedTuple):
    """A network, and how many images at once on how many threads."""

    arch: str
    batch: int
    threads: int

    def __str__(self) -> str:
        threads = "1 thread" if self.threads == 1 else f"{self.threads} threads"
        return f"{self.arch}, {self.batch} images, {threads}"


# One thread each: several threads wait for each other, and stand still for as long as anything else needs a core.
TASKS = (Task("resnet18", 16, 1), Task("resnet10-w8", 128, 1))
SMOKE = (Task("resnet10-w8", 4, 1),)


def build(arch: str, seed: int = 0) -> nn.Module:
    """``arch`` in evaluation mode; its batch statistics are those of a few random batches."""
    torch.manual_seed(seed)
    network = models.build(arch, classes=10).train()
    with torch.no_grad():
        for _ in range(4):
            network(torch.rand(32, 3, 32, 32))
    return network.eval()


def images(network: nn.Module, count: int) -> tuple[Tensor, Tensor]:
    """Images (count,3,32,32) and the network's own answers as labels, so that all stand before an attack."""
    x = torch.rand(count, 3, 32, 32, generator=torch.Generator().manual_seed(1))
    with torch.no_grad():
        return x, torch.cat([network(piece).argmax(1) for piece in torch.split(x, 128)])
