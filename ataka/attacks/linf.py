"""The l_inf ball around the clean images, cut by [0,1]: where attacks start and how they are brought back."""

import torch
from torch import Tensor

from ataka import draws


def uniform_start(x: Tensor, *, eps: float, generator: torch.Generator) -> Tensor:
    """x + U(-eps, eps), pixel by pixel, not clamped to [0,1]; (B,C,H,W) to the same.

    Drawn on the generator's device and moved to that of ``x``, so that a CPU generator starts alike on every
    CPU and every device.
    """
    return x + draws.uniform(x.shape, -eps, eps, generator=generator, dtype=x.dtype).to(x.device)


def gaussian_start(x: Tensor, *, deviation: float, generator: torch.Generator) -> Tensor:
    """x + deviation * N(0, 1), pixel by pixel, not clamped; TRADES, MART and RSLAD start with a deviation of 0.001."""
    return x + deviation * draws.normal(x.shape, generator=generator, dtype=x.dtype).to(x.device)


def project(x_adv: Tensor, x: Tensor, eps: float) -> Tensor:
    """The nearest point, in every norm, within eps of x (B,C,H,W) and [0,1]; x_adv (...,B,C,H,W).

    As x lies in [0,1], the order of the two clamps does not matter, and projecting twice is projecting once. No attack
    sends a gradient through it; at a pixel on a bound, torch's version would decide which (bounds.py).
    """
    return x_adv.clamp(x - eps, x + eps).clamp(0.0, 1.0)
