"""The facts about a data set, apart from its images. Imports no torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from torch import Tensor

    Loaded = tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]
    """Training and test images (N, channels, size, size) uint8, each with labels (N,) int64."""


@dataclass(frozen=True)
class Specification:
    """The facts about a data set that networks and views need.

    ``label`` is printed in tables. Labels are 0 to ``classes`` - 1. Images have ``channels`` and ``size`` rows and
    columns; ``images`` counts them: (training, test). An epoch's view moves each image by at most ``shift`` pixels and,
    with ``flip``, mirrors half of them. ``mean`` and ``std``, one number a channel, describe the training images in
    [0, 1] for the networks that normalise; without them these take their own default.
    """

    label: str
    classes: int
    channels: int
    size: int
    shift: int
    flip: bool
    images: tuple[int, int]
    mean: tuple[float, ...] | None = None
    std: tuple[float, ...] | None = None
