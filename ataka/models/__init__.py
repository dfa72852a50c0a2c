"""The registry of architectures: a name to a network.

Names (`w`, `x` and `-silu` are for small scales; one network has one name):

    resnet18, resnet10            CIFAR ResNet, base width 64; resnet10 has one block a stage
    resnet18-w16                  the same with base width 16
    mobilenetv2                   CIFAR MobileNetV2
    mobilenetv2-x0.25             the same with every width times 0.25
    wrn34-10, wrn{depth}-{width}  wide ResNet as in TRADES (ReLU); depth is 6 k + 4
    wrn70-16                      wide ResNet as in Gowal et al. (SiLU, "SAME" padding, own normalisation)
    wrn10-1-silu                  a small one of that kind
    timm/{name}                   whatever timm has, for its own input sizes, untrained

`wrn34-10` and `wrn70-16` follow the nets of the paper, which differ in more than size: `wrn70-16` is the SiLU
one. Networks take images in [0, 1], NCHW, with 1 or 3 channels and sides from 8 up, and give logits (B, C).
Weights are drawn from torch's global generator: seed it first.

This module imports no torch, so that Snakemake and the configuration can read names cheaply, and it imports
architectures by name, so that the code hash of one architecture doesn't hold the others (see `sources`).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any, NamedTuple

from ataka.errors import nearest

if TYPE_CHECKING:
    from torch import nn

EXAMPLES = (
    "resnet18",
    "resnet10",
    "resnet18-w16",
    "mobilenetv2",
    "mobilenetv2-x0.25",
    "wrn34-10",
    "wrn70-16",
    "wrn10-1-silu",
    "timm/{name}",
)


class Architecture(NamedTuple):
    """What a name stands for. The first of ``sources`` builds it, from ``settings``."""

    name: str
    label: str
    sources: tuple[str, ...]
    settings: dict[str, Any]
    normalises: bool = False


def build(
    arch: str,
    *,
    classes: int,
    channels: int = 3,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> nn.Module:
    """A freshly initialised network called ``arch``, on torch's default device.

    ``mean`` and ``std``, one number a channel, reach only the networks with a normalisation of their own;
    the default is CIFAR-10's (0.5 and 0.25 where channels aren't three). Raises ValueError for a name nobody
    knows, and UserError for a model that timm doesn't have.
    """
    found = find(arch)
    normalisation = {"mean": mean, "std": std} if found.normalises else {}
    architecture = import_module(found.sources[0])
    network: nn.Module = architecture.build(**found.settings, classes=classes, channels=channels, **normalisation)
    return network


def check(arch: str) -> None:
    """Raise ValueError, with the nearest known name, for a name nobody knows.

    Of a timm model only the form is checked here: what timm has, `build` finds out.
    """
    find(arch)


def sources(arch: str) -> tuple[str, ...]:
    """The dotted names of the modules that define ``arch``, for hashing code."""
    return find(arch).sources


def label(arch: str) -> str:
    """A short name for the headings of tables, as "RN-18"."""
    return find(arch).label


def find(arch: str) -> Architecture:
    """What ``arch`` stands for; ValueError if nothing."""
    for pattern, describe in _FAMILIES:
        if match := pattern.fullmatch(arch):
            found = describe(*match.groups())
            if found.name != arch:  # a second name would train, and pay for, the same network twice
                raise ValueError(f"architecture '{arch}' is called '{found.name}' here")
            return found
    raise ValueError(f"unknown architecture '{arch}'{nearest(arch, EXAMPLES)}")


def _resnet(depth: str, width: str | None) -> Architecture:
    narrow = width is not None and width != "64"
    return Architecture(
        name=f"resnet{depth}-w{width}" if narrow else f"resnet{depth}",
        label=f"RN-{depth} (w {width})" if narrow else f"RN-{depth}",
        sources=("ataka.models.resnet",),
        settings={"depth": int(depth), "width": int(width or 64)},
    )


def _mobilenetv2(multiplier: str | None) -> Architecture:
    factor = float(multiplier or 1)
    return Architecture(
        name="mobilenetv2" if factor == 1 else f"mobilenetv2-x{factor:g}",
        label="MN" if factor == 1 else f"MN (x {factor:g})",
        sources=("ataka.models.mobilenetv2",),
        settings={"multiplier": factor},
    )


def _wide_resnet(depth: str, width: str, silu: str | None) -> Architecture:
    if int(depth) < 10 or int(depth) % 6 != 4:
        raise ValueError(f"architecture 'wrn{depth}-{width}': a wide ResNet's depth is 10, 16, 22, ... (6 k + 4)")
    size = f"{depth}-{width}"
    settings = {"depth": int(depth), "width": int(width)}
    if not silu and size != "70-16":
        return Architecture(f"wrn{size}", label=f"WRN-{size}", sources=("ataka.models.wide_resnet",), settings=settings)
    return Architecture(
        name=f"wrn{size}" if size == "70-16" else f"wrn{size}-silu",
        label=f"WRN-{size}" if size == "70-16" else f"WRN-{size} (SiLU)",
        sources=("ataka.models.wide_resnet_silu", "ataka.models.wide_resnet"),
        settings=settings,
        normalises=True,
    )


def _timm(name: str) -> Architecture:
    return Architecture(name=f"timm/{name}", label=name, sources=("ataka.models.timm_model",), settings={"name": name})


_FAMILIES: tuple[tuple[re.Pattern[str], Callable[..., Architecture]], ...] = (
    (re.compile(r"resnet(10|18)(?:-w([1-9]\d*))?"), _resnet),
    (re.compile(r"mobilenetv2(?:-x((?=.*[1-9])\d+(?:\.\d{1,4})?))?"), _mobilenetv2),
    (re.compile(r"wrn([1-9]\d*)-([1-9]\d*)(-silu)?"), _wide_resnet),
    # Lower case, digits, underscores: all of timm's names, and none of its weight tags, which we never load.
    (re.compile(r"timm/([a-z0-9_]+)"), _timm),
)
