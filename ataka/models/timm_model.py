"""Any model of timm (Wightman, "PyTorch image models"), untrained. Most expect other sizes than CIFAR's.

Models that are made for one size, as vision transformers are, are made for that of the data set.
"""

import re
from contextlib import suppress
from difflib import get_close_matches
from functools import partial
from typing import Any

import torch
from torch import nn

from ataka.errors import UserError
from ataka.models.architecture import Architecture

EXAMPLES = ("timm/{name}",)
PACKAGE = "timm"


def named(name: str) -> Architecture | None:
    """``timm/`` and lower case, digits, underscores: all of timm's names, and none of its weight tags."""
    match = re.fullmatch(r"timm/([a-z0-9_]+)", name)
    return Architecture(name, label=match[1], settings={"name": match[1]}) if match else None


def build(*, name: str, classes: int, channels: int, size: int | None = None) -> nn.Module:
    """timm's model ``name``, without its weights; UserError if timm is missing, or doesn't know it."""
    timm = _timm()
    if not timm.is_model(name):
        raise UserError(_message(name, timm))
    create = partial(timm.create_model, name, pretrained=False, num_classes=classes, in_chans=channels)
    if size is not None:
        with suppress(TypeError):  # its class has no such parameter
            sized: nn.Module = create(img_size=size)
            return sized
    network: nn.Module = create()
    return network


def refusal(*, name: str, classes: int, channels: int, size: int) -> str | None:
    """Why the model can't take images of that size, in timm's or torch's words; None if it can.

    The model runs on the meta device: nothing is computed, and no memory is used.
    """
    with torch.device("meta"), torch.no_grad():
        try:
            network = build(name=name, classes=classes, channels=channels, size=size).eval()
            shape = tuple(network(torch.empty(2, channels, size, size)).shape)
        except UserError:
            raise
        except Exception as error:  # each model has words of its own
            return _message_of(error)
    return None if shape == (2, classes) else f"{shape}"


def _message(name: str, timm: Any) -> str:
    close = get_close_matches(name, timm.list_models(), n=3)
    hint = f"did you mean {' or '.join(close)}?" if close else "timm.list_models() lists what it has"
    return f"architecture 'timm/{name}': timm {timm.__version__} has no such model; {hint}"


def _message_of(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0]}"


def _timm() -> Any:
    """The timm package, which nothing else needs."""
    try:
        import timm
    except ImportError as error:
        raise UserError("architectures named 'timm/...' need timm, which isn't installed: pip install timm") from error
    return timm
