"""Any model of timm (Wightman, "PyTorch image models"), untrained. Most expect other sizes than CIFAR's."""

import re
from difflib import get_close_matches
from typing import Any

from torch import nn

from ataka.errors import UserError
from ataka.models.architecture import Architecture

EXAMPLES = ("timm/{name}",)


def named(name: str) -> Architecture | None:
    """``timm/`` and lower case, digits, underscores: all of timm's names, and none of its weight tags."""
    match = re.fullmatch(r"timm/([a-z0-9_]+)", name)
    return Architecture(name, label=match[1], settings={"name": match[1]}) if match else None


def build(*, name: str, classes: int, channels: int) -> nn.Module:
    """timm's model ``name``, without its weights; UserError if timm is missing, or doesn't know it."""
    timm = _timm()
    if not timm.is_model(name):
        raise UserError(_message(name, timm))
    network: nn.Module = timm.create_model(name, pretrained=False, num_classes=classes, in_chans=channels)
    return network


def _message(name: str, timm: Any) -> str:
    close = get_close_matches(name, timm.list_models(), n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "timm.list_models() lists what it has"
    return f"architecture 'timm/{name}': timm {timm.__version__} has no such model; {hint}"


def _timm() -> Any:
    """The timm package, which nothing else needs."""
    try:
        import timm
    except ImportError as error:
        raise UserError("architectures named 'timm/...' need timm, which isn't installed: pip install timm") from error
    return timm
