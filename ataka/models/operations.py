"""The cost of a forward, counted by torch's own flop counter on the meta device: no memory, no arithmetic."""

import torch
from torch.utils.flop_counter import FlopCounterMode

from ataka.models import build


def multiply_accumulates(arch: str, *, classes: int, channels: int, size: int) -> int:
    """Multiply-accumulates of one ``size`` x ``size`` image's forward: convolutions and matrix products."""
    with torch.device("meta"):
        network = build(arch, classes=classes, channels=channels, size=size).eval()
        image = torch.empty(1, channels, size, size)
    with torch.no_grad(), FlopCounterMode(display=False) as counter:
        network(image)
    return int(counter.get_total_flops()) // 2  # it counts a multiplication and an addition as two
