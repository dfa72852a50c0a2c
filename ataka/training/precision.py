"""Half precision in a training: bfloat16 where a set-up asks for it, float32 in whatever is measured."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from ataka.attacks import acceleration
from ataka.study.setups import Precision


@contextmanager
def generating(precision: Precision) -> Iterator[None]:
    """The attacks of this block compute in the precision that adversarial images are made in."""
    switches = acceleration.in_force()._replace(bfloat16=precision.generate == "bfloat16")
    with acceleration.switched(switches):
        yield


@contextmanager
def updating(networks: Sequence[nn.Module], precision: Precision) -> Iterator[None]:
    """Networks in training mode compute in the precision of updates, under autocast; their logits are float32.

    A network in evaluation mode, as a probe or an attack has it, computes as if nothing were.
    """
    if precision.update == "float32":
        yield
        return
    try:
        for network in networks:
            network.forward = partial(_cast, network, network.forward)  # type: ignore[method-assign]
        yield
    finally:
        for network in networks:
            vars(network).pop("forward", None)


def _cast(network: nn.Module, forward: Any, images: Tensor) -> Tensor:
    if not network.training:
        measured: Tensor = forward(images)
        return measured
    with torch.autocast(images.device.type, torch.bfloat16):
        logits: Tensor = forward(images)
    return logits.float()
