"""Little trained networks and their images: 10 classes, 8 x 8 pixels, some exactly 0 and some exactly 1."""

from copy import deepcopy

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

Everything = tuple[list[nn.Module], Tensor, Tensor]


def build(seed: int) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU, pool, linear: 8 x 8 grey images to 10 logits."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        return nn.Sequential(
            nn.Conv2d(1, 8, 3, padding=1),
            nn.BatchNorm2d(8),
            nn.ReLU(),
            nn.AvgPool2d(2),
            nn.Flatten(),
            nn.Linear(128, 10),
        )


def train(network: nn.Module, x: Tensor, y: Tensor) -> None:
    optimiser = torch.optim.SGD(network.parameters(), lr=0.1, momentum=0.9)
    for _ in range(40):
        optimiser.zero_grad()
        F.cross_entropy(network(x), y).backward()
        optimiser.step()
    optimiser.zero_grad(set_to_none=True)
    network.eval()


@pytest.fixture(scope="session")
def everything() -> Everything:
    """Three trained networks, 200 images (200,1,8,8) near ten prototypes, and their labels."""
    generator = torch.Generator().manual_seed(0)
    prototypes = torch.rand(10, 1, 8, 8, generator=generator)
    y = torch.arange(200) % 10
    x = (prototypes[y] + 0.25 * torch.randn(200, 1, 8, 8, generator=generator)).clamp(0, 1)
    networks = [build(seed) for seed in range(3)]
    for network in networks:
        train(network, x, y)
    return networks, x, y


@pytest.fixture
def networks(everything: Everything) -> list[nn.Module]:
    """Three, in evaluation mode, this test's own to spoil."""
    return deepcopy(everything[0])


@pytest.fixture
def network(networks: list[nn.Module]) -> nn.Module:
    return networks[0]


@pytest.fixture
def x(everything: Everything) -> Tensor:
    return everything[1][:12]


@pytest.fixture
def y(everything: Everything) -> Tensor:
    return everything[2][:12]


@pytest.fixture
def everyone(everything: Everything) -> tuple[Tensor, Tensor]:
    """All 200 images and labels."""
    return everything[1:]
