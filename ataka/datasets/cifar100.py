"""CIFAR-100 (Krizhevsky, 2009). Imports no torch before images are loaded."""

from pathlib import Path
from typing import TYPE_CHECKING

from ataka.datasets.specification import Specification

if TYPE_CHECKING:
    from ataka.datasets.specification import Loaded

SPECIFICATION = Specification(
    label="CIFAR-100",
    classes=100,
    channels=3,
    size=32,
    shift=4,
    flip=True,
    mean=(0.5071, 0.4865, 0.4409),
    std=(0.2673, 0.2564, 0.2762),
    images=(50_000, 10_000),
)


def load(folder: Path) -> "Loaded":
    """The official files below ``folder``, fetched if they are missing."""
    from ataka.datasets.cifar import read

    return read("CIFAR100", folder)
