"""Any network behind a normalisation of its images: (x - mean) / std a channel, as its first layer.

A file of others may bring a normalisation for a network of ours that has none. Both are saved together then: the
tensors of a run say whether its network is one of these.
"""

from collections import OrderedDict
from collections.abc import Mapping, Sequence

from torch import Tensor, nn

from ataka.models.wide_resnet_silu import Normalise

MEAN, STD = "normalise.mean", "normalise.std"
"""The names of the statistics in the state dict of every network of ours that normalises."""


def normalised(network: nn.Module, mean: Sequence[float], std: Sequence[float]) -> nn.Sequential:
    """``network`` behind a normalisation, which lies on the CPU until it is moved."""
    return nn.Sequential(OrderedDict(normalise=Normalise(mean, std), network=network))


def as_saved(network: nn.Module, tensors: Mapping[str, Tensor]) -> nn.Module:
    """``network``, behind a normalisation if one is among the ``tensors`` that it is to be filled with."""
    if MEAN not in tensors or MEAN in network.state_dict():
        return network
    return normalised(network, *(tensors[name].flatten().tolist() for name in (MEAN, STD)))
