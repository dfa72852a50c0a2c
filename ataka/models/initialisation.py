"""Initial weights and batch normalisation other than a network's own (G8).

The training code of the WRN-70-16 is public (google-deepmind/deepmind-research, adversarial_robustness/jax,
model_zoo.py). Its convolutions keep Haiku's default: normal with standard deviation 1 / sqrt(fan-in), cut at two of
these, so of variance 0.774 / fan-in. Its logits start at zero. Its running statistics decay by 0.99, the momentum 0.01
of torch; Haiku also corrects them for their start at zero, which is forgotten after some hundred steps and isn't done
here. RSLAD's file of that network (cifar100_models/wideresnet.py) has torch's defaults throughout.
"""

from collections.abc import Iterator
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd

from ataka.errors import UserError

Scheme = Literal["network", "torch", "fan-in"]


def initialise(network: nn.Module, scheme: Scheme, *, classes: int) -> None:
    """Draw the weights of convolutions and linear layers anew, in place, from torch's global generator.

    Weights on a CPU draw from the CPU's. ``network`` leaves them as they are. UserError under ``fan-in`` for a network
    whose last linear layer doesn't give ``classes`` logits.
    """
    if scheme == "torch":
        for layer in _layers(network):
            layer.reset_parameters()
    elif scheme == "fan-in":
        for layer in _layers(network):
            deviation = layer.weight[0].numel() ** -0.5
            nn.init.trunc_normal_(layer.weight, std=deviation, a=-2 * deviation, b=2 * deviation)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
        nn.init.zeros_(_logits(network, classes).weight)


def set_momentum(network: nn.Module, momentum: float) -> None:
    """Give every batch normalisation this weight of a batch in its running statistics, in place."""
    for module in network.modules():
        if isinstance(module, _BatchNorm):
            module.momentum = momentum


def _layers(network: nn.Module) -> Iterator[_ConvNd | nn.Linear]:
    return (module for module in network.modules() if isinstance(module, _ConvNd | nn.Linear))


def _logits(network: nn.Module, classes: int) -> nn.Linear:
    linear = [module for module in network.modules() if isinstance(module, nn.Linear)]
    if not linear or linear[-1].out_features != classes:
        raise UserError(
            f"initialisation: fan-in starts the logits at zero, but no last linear layer of {type(network).__name__} "
            f"gives the {classes} logits; take initialisation: network"
        )
    return linear[-1]
