"""MobileNetV2 for CIFAR: Sandler et al., CVPR 2018, in the form that RSLAD, ARD and IAD train.

Differs from the ImageNet net (RSLAD@c40e04f:cifar10_models/mobilenet_v2.py): stride 1 in the stem and in the
stage of width 24, ReLU and not ReLU6, every block of stride 1 is residual (through a 1x1 convolution where
widths differ), no dropout. Parameters are named as in those authors' files. Initialisation is torch's
default, as theirs is. The last pooling is over the whole map, which at 32x32 is their 4x4, and allows other
sizes.
"""

import re

import torch.nn.functional as F
from torch import Tensor, nn

from ataka.models.architecture import Architecture

EXAMPLES = ("mobilenetv2", "mobilenetv2-x0.25")
# expansion, width, blocks, stride of the first block
STAGES = (
    (1, 16, 1, 1),
    (6, 24, 2, 1),
    (6, 32, 3, 2),
    (6, 64, 4, 2),
    (6, 96, 3, 1),
    (6, 160, 3, 2),
    (6, 320, 1, 1),
)
STEM_WIDTH, HEAD_WIDTH = 32, 1280


def named(name: str) -> Architecture | None:
    """``mobilenetv2``, and such as ``-x0.25`` where widths are multiplied."""
    if not (match := re.fullmatch(r"mobilenetv2(?:-x((?=.*[1-9])\d+(?:\.\d{1,4})?))?", name)):
        return None
    factor = float(match[1] or 1)
    if factor == 1:
        return Architecture("mobilenetv2", label="MN", settings={"multiplier": factor})
    return Architecture(f"mobilenetv2-x{factor:g}", label=f"MN (x {factor:g})", settings={"multiplier": factor})


class Block(nn.Module):
    """Inverted residual: widen by ``expansion`` (1x1), filter each channel (3x3), narrow linearly (1x1)."""

    def __init__(self, in_width: int, out_width: int, expansion: int, stride: int) -> None:
        super().__init__()
        inner = expansion * in_width
        self.residual = stride == 1
        self.conv1 = nn.Conv2d(in_width, inner, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, groups=inner, bias=False)
        self.bn2 = nn.BatchNorm2d(inner)
        self.conv3 = nn.Conv2d(inner, out_width, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(out_width)
        self.shortcut = nn.Sequential()
        if self.residual and in_width != out_width:
            self.shortcut = nn.Sequential(nn.Conv2d(in_width, out_width, 1, bias=False), nn.BatchNorm2d(out_width))

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(x)))
        inner = F.relu(self.bn2(self.conv2(inner)))
        out: Tensor = self.bn3(self.conv3(inner))
        return out + self.shortcut(x) if self.residual else out


class MobileNetV2(nn.Module):
    """Images (B, channels, H, W) in [0, 1] to logits (B, classes); every width is times ``multiplier``."""

    def __init__(self, *, multiplier: float, classes: int, channels: int) -> None:
        super().__init__()
        stem, head = _scale(STEM_WIDTH, multiplier), _scale(HEAD_WIDTH, multiplier)
        blocks = []
        in_width = stem
        for expansion, base_width, count, first_stride in STAGES:
            out_width = _scale(base_width, multiplier)
            for stride in (first_stride, *[1] * (count - 1)):
                blocks.append(Block(in_width, out_width, expansion, stride))
                in_width = out_width
        self.conv1 = nn.Conv2d(channels, stem, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(stem)
        self.layers = nn.Sequential(*blocks)
        self.conv2 = nn.Conv2d(in_width, head, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(head)
        self.linear = nn.Linear(head, classes)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = F.relu(self.bn2(self.conv2(self.layers(out))))
        logits: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits


def _scale(width: int, multiplier: float) -> int:
    """The multiple of 8 nearest to the product, at least 8: MobileNets keep such widths for fast kernels."""
    return max(8, 8 * round(width * multiplier / 8))


build = MobileNetV2
