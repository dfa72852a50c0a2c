"""``wrn70-16-relu``: TRADES's wide ResNet of that size, since ``wrn70-16`` is Gowal et al.'s with SiLU.

Jia et al., "LAS-AT" (CVPR 2022), have one. For every other size ``wrn{depth}-{width}`` is TRADES's already.
"""

from ataka.models.architecture import Architecture
from ataka.models.wide_resnet import WideResNet

EXAMPLES = ("wrn70-16-relu",)


def named(name: str) -> Architecture | None:
    """The architecture of ``wrn70-16-relu``; None for any other name."""
    settings = {"depth": 70, "width": 16}
    return Architecture(name, label="WRN-70-16 (ReLU)", settings=settings) if name == "wrn70-16-relu" else None


build = WideResNet
