"""The cost of a forward, counted by torch's own flop counter on the meta device, and the size of a network."""

import torch
from torch import nn
from torch.utils.flop_counter import FlopCounterMode

from ataka.models import build


def multiply_accumulates(arch: str, *, classes: int, channels: int, size: int) -> int:
    """Multiply-accumulates of one ``size`` x ``size`` image's forward: convolutions and matrix products."""
    network = _empty(arch, classes, channels, size)
    image = torch.empty(1, channels, size, size, device="meta")
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    return int(counter.get_total_flops()) // 2  # it counts a multiplication and an addition as two


def weight_bytes(arch: str, *, classes: int, channels: int, size: int) -> int:
    """Bytes of a network's weights and running statistics."""
    state = _empty(arch, classes, channels, size).state_dict()
    return sum(tensor.numel() * tensor.element_size() for tensor in state.values())


def _empty(arch: str, classes: int, channels: int, size: int) -> nn.Module:
    """A network on the meta device: no memory, no arithmetic."""
    with torch.device("meta"):
        return build(arch, classes=classes, channels=channels, size=size).eval()
