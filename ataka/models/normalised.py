"""Any network behind a normalisation of its images: (x - mean) / std a channel, as its first layer.

A file of others may bring a normalisation for a network of ours that has none. Both are saved together then: the
tensors of a run say whether its network is one of these.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

MEAN, STD = "normalise.mean", "normalise.std"
"""The names of the statistics in the state dict of every network of ours that normalises."""
CIFAR10_MEAN, CIFAR10_STD = (0.4914, 0.4822, 0.4465), (0.2471, 0.2435, 0.2616)
OTHER_MEAN, OTHER_STD = 0.5, 0.25
"""The statistics of each channel where there are not three."""


class Normalise(nn.Module):
    """(x - mean) / std a channel. Both are buffers, so that a saved network carries its own normalisation."""

    mean: Tensor
    std: Tensor

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.register_buffer("mean", torch.tensor(mean).view(-1, 1, 1))
        self.register_buffer("std", torch.tensor(std).view(-1, 1, 1))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


def normalised(network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> nn.Sequential:
    """``network`` behind a normalisation, which lies on the CPU until it is moved."""
    return nn.Sequential(OrderedDict(normalise=Normalise(mean, std), network=network))


def normalised_as_cifar10(
    network: nn.Module, channels: int, mean: Sequence[float] | None, std: Sequence[float] | None
) -> nn.Sequential:
    """``network`` behind a normalisation, whose statistics are CIFAR-10's where none are given.

    Raises ValueError unless mean and deviation are one number a channel.
    """
    if mean is None:
        mean = CIFAR10_MEAN if channels == 3 else (OTHER_MEAN,) * channels
    if std is None:
        std = CIFAR10_STD if channels == 3 else (OTHER_STD,) * channels
    if not len(mean) == len(std) == channels:
        raise ValueError(f"normalisation for {channels} channels, but mean {mean} and std {std}")
    return normalised(network, mean, std)


def as_saved(network: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """``network``; where its weights ``tensors`` hold a mean and a deviation, with that normalisation before it."""
    if MEAN not in tensors or MEAN in network.state_dict():
        return network
    return normalised(network, *(tensors[name].flatten().tolist() for name in (MEAN, STD)))
