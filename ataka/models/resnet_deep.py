"""ResNet of 6 n + 2 layers for CIFAR: He et al., CVPR 2016, section 4.2, in the form of chenyaofo/pytorch-cifar-models.

Three stages of n blocks, 16, 32 and 64 wide, where resnet.py has four and begins at 64: RN-56 has a thirteenth of the
parameters of RN-18. As in that code a 1x1 convolution and a normalisation stand for the paper's padded shortcuts, and
convolutions are He-normal over the fan-out. The last pooling is over the whole map.
"""

import re

import torch.nn.functional as F
from torch import Tensor, nn

from ataka.models.architecture import Architecture
from ataka.models.resnet import stage

EXAMPLES = ("resnet56", "resnet20")


def named(name: str) -> Architecture | None:
    """``resnet20``, ``resnet32``, ``resnet44`` or ``resnet56``."""
    if not (match := re.fullmatch(r"resnet(20|32|44|56)", name)):
        return None
    return Architecture(name, label=f"RN-{match[1]}", settings={"depth": int(match[1])})


class DeepResNet(nn.Module):
    """Images (B, channels, H, W) in [0, 1] to logits (B, classes); ``depth`` is 6 n + 2."""

    def __init__(self, *, depth: int, classes: int, channels: int) -> None:
        super().__init__()
        blocks = (depth - 2) // 6
        self.conv1 = nn.Conv2d(channels, 16, 3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = stage(blocks, 16, 16, stride=1)
        self.layer2 = stage(blocks, 16, 32, stride=2)
        self.layer3 = stage(blocks, 32, 64, stride=2)
        self.linear = nn.Linear(64, classes)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.layer3(self.layer2(self.layer1(out)))
        logits: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits


build = DeepResNet
