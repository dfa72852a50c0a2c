"""ResNet for CIFAR: He et al., CVPR 2016, in the form that RSLAD, ARD and IAD train.

Differs from the ImageNet net (RSLAD@c40e04f:cifar10_models/resnet.py): a 3x3 stem of stride 1 and no
max-pooling. Parameters are named as in those authors' files. Initialisation is torch's default, as theirs is.
The last pooling is over the whole map, which at 32x32 is their 4x4, and allows other sizes.
"""

import re

import torch.nn.functional as F
from torch import Tensor, nn

from ataka.models.architecture import Architecture

EXAMPLES = ("resnet18", "resnet10", "resnet18-w16")
BLOCKS_PER_STAGE = {10: 1, 18: 2}


def named(name: str) -> Architecture | None:
    """``resnet18`` or ``resnet10``, and such as ``-w16`` where the base width isn't 64."""
    if not (match := re.fullmatch(r"resnet(10|18)(?:-w([1-9]\d*))?", name)):
        return None
    depth, width = int(match[1]), int(match[2] or 64)
    settings = {"depth": depth, "width": width}
    if width == 64:
        return Architecture(f"resnet{depth}", label=f"RN-{depth}", settings=settings)
    return Architecture(f"resnet{depth}-w{width}", label=f"RN-{depth} (w {width})", settings=settings)


class Block(nn.Module):
    """relu(bn(conv(relu(bn(conv x)))) + shortcut x), both 3x3; the shortcut is a 1x1 where shapes differ."""

    def __init__(self, in_width: int, out_width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_width, out_width, 3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(out_width)
        self.conv2 = nn.Conv2d(out_width, out_width, 3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_width)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_width != out_width:
            self.shortcut = nn.Sequential(
                nn.Conv2d(in_width, out_width, 1, stride=stride, bias=False), nn.BatchNorm2d(out_width)
            )

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(out)) + self.shortcut(x))


class ResNet(nn.Module):
    """Images (B, channels, H, W) in [0, 1] to logits (B, classes); stages of 1, 2, 4, 8 times ``width``."""

    def __init__(self, *, depth: int, width: int, classes: int, channels: int) -> None:
        super().__init__()
        blocks = BLOCKS_PER_STAGE[depth]
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.layer1 = stage(blocks, width, width, stride=1)
        self.layer2 = stage(blocks, width, 2 * width, stride=2)
        self.layer3 = stage(blocks, 2 * width, 4 * width, stride=2)
        self.layer4 = stage(blocks, 4 * width, 8 * width, stride=2)
        self.linear = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer4(self.layer3(self.layer2(self.layer1(out))))
        logits: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits


def stage(blocks: int, in_width: int, out_width: int, stride: int) -> nn.Sequential:
    """Blocks (B, in_width, H, W) to (B, out_width, H / stride, W / stride), the first with the stride."""
    rest = (Block(out_width, out_width, 1) for _ in range(blocks - 1))
    return nn.Sequential(Block(in_width, out_width, stride), *rest)


build = ResNet
