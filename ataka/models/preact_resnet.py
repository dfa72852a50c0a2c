"""Pre-activation ResNet-18 for CIFAR: He et al., ECCV 2016, in the three forms whose weights are public.

The forms differ in two places that the names of their tensors hardly show:

    preactresnet18            a last batch-norm and ReLU; 1x1 shortcuts of the activated input: Rice et al.
                              (locuslab/robust_overfitting), RobustBench's PreActBlockV2
    preactresnet18-fast       neither a last batch-norm nor a last ReLU; shortcuts of the input as it is: Wong et al.
                              (locuslab/fast_adversarial), Andriushchenko and Flammarion, RobustBench's PreActBlock
    preactresnet18-kuangliu   no last batch-norm, shortcuts of the activated input (kuangliu/pytorch-cifar)

Parameters are named as in all of these; initialisation is torch's default, as theirs is. The last pooling is over the
whole map, which at 32x32 is their 4x4, and allows other sizes.
"""

import re

import torch.nn.functional as F
from torch import Tensor, nn

from ataka.models.architecture import Architecture

EXAMPLES = ("preactresnet18", "preactresnet18-fast", "preactresnet18-kuangliu")


def named(name: str) -> Architecture | None:
    """``preactresnet18``, its form, and such as ``-w16`` where the base width isn't 64."""
    if not (match := re.fullmatch(r"preactresnet18(-fast|-kuangliu)?(?:-w([1-9]\d*))?", name)):
        return None
    form, width = match[1] or "", int(match[2] or 64)
    own_width = f"-w{width}" if width != 64 else ""
    return Architecture(
        f"preactresnet18{form}{own_width}",
        label="PreAct-RN-18" + (f" ({(form + own_width).strip('-').replace('-', ', ')})" if form or own_width else ""),
        settings={"width": width, "last_norm": not form, "activated_shortcut": form != "-fast"},
    )


class Block(nn.Module):
    """conv(relu(bn(conv(relu(bn x))))) + x; where shapes differ, a 1x1 of x or of relu(bn x) replaces the x."""

    def __init__(self, in_width: int, out_width: int, stride: int, activated_shortcut: bool) -> None:
        super().__init__()
        self.activated_shortcut = activated_shortcut
        self.bn1 = nn.BatchNorm2d(in_width)
        self.conv1 = nn.Conv2d(in_width, out_width, 3, stride=stride, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(out_width)
        self.conv2 = nn.Conv2d(out_width, out_width, 3, padding=1, bias=False)
        self.shortcut = nn.Sequential()
        if stride != 1 or in_width != out_width:
            self.shortcut = nn.Sequential(nn.Conv2d(in_width, out_width, 1, stride=stride, bias=False))

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(x))
        shortcut: Tensor = self.shortcut(out if self.activated_shortcut and len(self.shortcut) else x)
        residual: Tensor = self.conv2(F.relu(self.bn2(self.conv1(out))))
        return shortcut + residual


class PreActResNet(nn.Module):
    """Images (B, channels, H, W) in [0, 1] to logits (B, classes); stages of 1, 2, 4, 8 times ``width``."""

    def __init__(self, *, width: int, last_norm: bool, activated_shortcut: bool, classes: int, channels: int) -> None:
        super().__init__()

        def stage(in_width: int, out_width: int, stride: int) -> nn.Sequential:
            shapes = ((in_width, out_width, stride), (out_width, out_width, 1))
            return nn.Sequential(*(Block(*shape, activated_shortcut) for shape in shapes))

        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.layer1 = stage(width, width, stride=1)
        self.layer2 = stage(width, 2 * width, stride=2)
        self.layer3 = stage(2 * width, 4 * width, stride=2)
        self.layer4 = stage(4 * width, 8 * width, stride=2)
        self.bn = nn.BatchNorm2d(8 * width) if last_norm else None
        self.linear = nn.Linear(8 * width, classes)

    def forward(self, x: Tensor) -> Tensor:
        out = self.layer4(self.layer3(self.layer2(self.layer1(self.conv1(x)))))
        if self.bn is not None:
            out = F.relu(self.bn(out))
        logits: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits


build = PreActResNet
