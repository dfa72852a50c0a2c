"""Pre-activation ResNet-18 of Gowal, Rebuffi and Rade et al.: SiLU, TensorFlow's "SAME" padding, own normalisation.

``preactresnet18-silu`` differs from ``preactresnet18`` in these three, and in its shortcuts: 3x3 convolutions of the
input as it is (RobustBench's DMPreActResNet, after google-deepmind/deepmind-research, model_zoo.py). Parameters are
named as in preact_resnet.py; initialisation is torch's default.
"""

import re
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ataka.models.architecture import Architecture
from ataka.models.normalised import normalised_as_cifar10
from ataka.models.wide_resnet_silu import same_convolution

EXAMPLES = ("preactresnet18-silu",)


def named(name: str) -> Architecture | None:
    """``preactresnet18-silu``, and such as ``-w16`` where the base width isn't 64."""
    if not (match := re.fullmatch(r"preactresnet18-silu(?:-w([1-9]\d*))?", name)):
        return None
    width = int(match[1] or 64)
    own_width = f"-w{width}" if width != 64 else ""
    return Architecture(
        f"preactresnet18-silu{own_width}",
        label=f"PreAct-RN-18 (SiLU{own_width.replace('-', ', ')})",
        settings={"width": width},
    )


class Block(nn.Module):
    """conv(silu(bn(conv(silu(bn x))))) + x; where shapes differ, a 3x3 of x replaces the x."""

    def __init__(self, in_width: int, out_width: int, stride: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(in_width)
        self.conv1 = same_convolution(in_width, out_width, stride)
        self.bn2 = nn.BatchNorm2d(out_width)
        self.conv2 = same_convolution(out_width, out_width, 1)
        self.shortcut: nn.Module | None = None
        if stride != 1 or in_width != out_width:
            self.shortcut = same_convolution(in_width, out_width, stride)

    def forward(self, x: Tensor) -> Tensor:
        residual: Tensor = self.conv2(F.silu(self.bn2(self.conv1(F.silu(self.bn1(x))))))
        return residual + (x if self.shortcut is None else self.shortcut(x))


class PreActResNet(nn.Module):
    """Normalised images (B, channels, H, W) to logits (B, classes); stages of 1, 2, 4, 8 times ``width``."""

    def __init__(self, *, width: int, classes: int, channels: int) -> None:
        super().__init__()

        def stage(in_width: int, out_width: int, stride: int) -> nn.Sequential:
            return nn.Sequential(Block(in_width, out_width, stride), Block(out_width, out_width, 1))

        self.conv1 = same_convolution(channels, width, 1)
        self.layer1 = stage(width, width, stride=1)
        self.layer2 = stage(width, 2 * width, stride=2)
        self.layer3 = stage(2 * width, 4 * width, stride=2)
        self.layer4 = stage(4 * width, 8 * width, stride=2)
        self.bn = nn.BatchNorm2d(8 * width)
        self.linear = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        out = F.silu(self.bn(self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))))
        logits: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits


def build(
    *,
    width: int,
    classes: int,
    channels: int,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> nn.Sequential:
    """Images (B, channels, H, W) in [0, 1] to logits (B, classes); ``mean`` and ``std`` are per channel."""
    network = PreActResNet(width=width, classes=classes, channels=channels)
    return normalised_as_cifar10(network, channels, mean, std)
