"""Wide ResNet: Zagoruyko and Komodakis, BMVC 2016, in the form that TRADES trains (WRN-34-10).

Pre-activation blocks, ReLU, no dropout, no normalisation of the input (TRADES@6e8e11b:models/wideresnet.py).
Initialisation as there: He-normal over the fan-out for convolutions, zero biases. Differs: the group
``sub_block1``, which TRADES builds and never uses, is left out (2,102,112 parameters; their public checkpoint
holds it), and the last pooling is over the whole map, which at 32x32 is their 8x8, and allows other sizes.
"""

import re
from collections.abc import Callable

import torch.nn.functional as F
from torch import Tensor, nn

from ataka.models.architecture import Architecture

EXAMPLES = ("wrn34-10",)
Activation = Callable[[Tensor], Tensor]
Convolution = Callable[[int, int, int], nn.Conv2d]


def named(name: str) -> Architecture | None:
    """``wrn{depth}-{width}``, but for those of wide_resnet_silu.py."""
    match = re.fullmatch(r"wrn([1-9]\d*)-([1-9]\d*)(-silu)?", name)
    if match and (int(match[1]) < 10 or int(match[1]) % 6 != 4):
        raise ValueError(f"architecture '{name}': a wide ResNet's depth is 10, 16, 22, ... (6 k + 4)")
    if not match or match[3] or name == "wrn70-16":
        return None
    return Architecture(
        name, label=f"WRN-{match[1]}-{match[2]}", settings={"depth": int(match[1]), "width": int(match[2])}
    )


def convolution3x3(in_width: int, out_width: int, stride: int) -> nn.Conv2d:
    """A 3x3 convolution with a border of one pixel on every side."""
    return nn.Conv2d(in_width, out_width, 3, stride=stride, padding=1, bias=False)


class Block(nn.Module):
    """conv(act(bn(conv(act(bn x))))) + x. Where widths differ, a 1x1 of act(bn x) replaces the x."""

    def __init__(
        self, in_width: int, out_width: int, stride: int, activation: Activation, convolution: Convolution
    ) -> None:
        super().__init__()
        self.activation = activation
        self.bn1 = nn.BatchNorm2d(in_width)
        self.conv1 = convolution(in_width, out_width, stride)
        self.bn2 = nn.BatchNorm2d(out_width)
        self.conv2 = convolution(out_width, out_width, 1)
        self.shortcut = None
        if in_width != out_width:
            self.shortcut = nn.Conv2d(in_width, out_width, 1, stride=stride, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = self.activation(self.bn1(x))
        shortcut: Tensor = x if self.shortcut is None else self.shortcut(out)
        residual: Tensor = self.conv2(self.activation(self.bn2(self.conv1(out))))
        return shortcut + residual


class WideResNet(nn.Module):
    """Images (B, channels, H, W) in [0, 1] to logits (B, classes); groups of 16, 32, 64 times ``width``."""

    def __init__(
        self,
        *,
        depth: int,
        width: int,
        classes: int,
        channels: int,
        activation: Activation = F.relu,
        convolution: Convolution = convolution3x3,
    ) -> None:
        super().__init__()

        def group(in_width: int, out_width: int, stride: int) -> nn.Sequential:
            rest = ((out_width, out_width, 1) for _ in range((depth - 4) // 6 - 1))
            shapes = ((in_width, out_width, stride), *rest)
            return nn.Sequential(*(Block(*shape, activation, convolution) for shape in shapes))

        self.activation = activation
        self.conv1 = convolution(channels, 16, 1)
        self.block1 = group(16, 16 * width, stride=1)
        self.block2 = group(16 * width, 32 * width, stride=2)
        self.block3 = group(32 * width, 64 * width, stride=2)
        self.bn = nn.BatchNorm2d(64 * width)
        self.linear = nn.Linear(64 * width, classes)
        initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        out = self.block3(self.block2(self.block1(self.conv1(x))))
        out = self.activation(self.bn(out))
        logits: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits


def initialise(network: nn.Module) -> None:
    """In place: convolutions N(0, 2 / (k k out_channels)), linear biases 0; the rest is torch's default."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")
        elif isinstance(module, nn.Linear):
            nn.init.zeros_(module.bias)


build = WideResNet
