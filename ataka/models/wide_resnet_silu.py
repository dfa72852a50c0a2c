"""Wide ResNet of Gowal et al., "Uncovering the limits of adversarial training" (arXiv 2010.03593): WRN-70-16.

Three differences from TRADES's: SiLU, TensorFlow's "SAME" padding, and a normalisation of the input as the
first layer (RSLAD@c40e04f:cifar100_models/wideresnet.py). RSLAD normalises by CIFAR-10's mean and deviation
on CIFAR-100 too, RobustBench by CIFAR-100's; here the caller says. Padding follows the map's side: for even
sides, all that CIFAR meets, it is the authors' fixed (0, 1); for odd ones, where theirs fails, still "SAME".

Initialisation is wide_resnet.py's, as in the re-implementation by imrahulr/adversarial_robustness_pytorch; batch-norm's
momentum is torch's 0.1, as in RSLAD's file. The authors' own training code (google-deepmind/deepmind-research) has
other initial weights and a momentum of 0.01, and RSLAD's file torch's initial weights: both are readings of a set-up
(initialisation.py, G8).
"""

import re
from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from ataka.models.architecture import Architecture
from ataka.models.normalised import normalised_as_cifar10
from ataka.models.wide_resnet import WideResNet, convolution3x3

EXAMPLES = ("wrn70-16", "wrn10-1-silu")


def named(name: str) -> Architecture | None:
    """``wrn70-16``, as the paper calls it, and other sizes as ``wrn{depth}-{width}-silu``."""
    if not (match := re.fullmatch(r"wrn([1-9]\d*)-([1-9]\d*)(-silu)?", name)):
        return None
    size, settings = f"{match[1]}-{match[2]}", {"depth": int(match[1]), "width": int(match[2])}
    if size == "70-16":
        return Architecture("wrn70-16", label="WRN-70-16", settings=settings)
    return Architecture(name, label=f"WRN-{size} (SiLU)", settings=settings) if match[3] else None


class StridedSameConv2d(nn.Conv2d):
    """A 3x3 convolution of stride > 1 padded as TensorFlow's "SAME": an odd pixel goes right and below."""

    def forward(self, x: Tensor) -> Tensor:
        bottom, right = (same_padding(side, 3, self.stride[0]) for side in x.shape[-2:])
        return super().forward(F.pad(x, (*right, *bottom)))


def same_padding(side: int, kernel: int, stride: int) -> tuple[int, int]:
    """Pixels before and after, so that ceil(side / stride) windows fit."""
    windows = -(-side // stride)
    total = max((windows - 1) * stride + kernel - side, 0)
    return total // 2, total - total // 2


def same_convolution(in_width: int, out_width: int, stride: int) -> nn.Conv2d:
    """3x3, "SAME". At stride 1 that is a border of one pixel, which the convolution adds without a copy."""
    if stride == 1:
        return convolution3x3(in_width, out_width, 1)
    return StridedSameConv2d(in_width, out_width, 3, stride=stride, bias=False)


def build(
    *,
    depth: int,
    width: int,
    classes: int,
    channels: int,
    mean: Sequence[float] | None,
    std: Sequence[float] | None,
) -> nn.Sequential:
    """Images (B, channels, H, W) in [0, 1] to logits (B, classes); ``mean`` and ``std`` are per channel."""
    network = WideResNet(
        depth=depth,
        width=width,
        classes=classes,
        channels=channels,
        activation=F.silu,
        convolution=same_convolution,
    )
    return normalised_as_cifar10(network, channels, mean, std)
