"""Clamps that a gradient passes, with a gradient that doesn't depend on torch's version.

At exactly a bound the gradient of ``torch.clamp`` was 1 up to torch 2.13 and is 0 in 2.14 (1, then a half, for bounds
that are tensors).
"""

import math

import torch
from torch import Tensor


def clamped(values: Tensor, low: float = -math.inf, high: float = math.inf) -> Tensor:
    """``values.clamp(low, high)``, with a gradient of 1 within the bounds and on them, and of 0 beyond; NaN stays NaN.

    So it was in every torch in which the authors of Fog, TRADES, IAD and RSLAD wrote their attacks.
    """
    return torch.where(values < low, low, torch.where(values > high, high, values))
