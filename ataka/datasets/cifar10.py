"""CIFAR-10 (Krizhevsky, 2009). Imports no torch before images are loaded."""

from pathlib import Path
from typing import TYPE_CHECKING

from ataka.datasets.specification import Specification

if TYPE_CHECKING:
    from ataka.datasets.specification import Loaded

SPECIFICATION = Specification(
    label="CIFAR-10",
    classes=10,
    channels=3,
    size=32,
    shift=4,
    flip=True,
    mean=(0.4914, 0.4822, 0.4465),
    std=(0.2471, 0.2435, 0.2616),
    images=(50_000, 10_000),
)


def load(folder: Path) -> "Loaded":
    """The official files below ``folder``, fetched if they are missing."""
    from ataka.datasets.cifar import read

    return read("CIFAR10", folder)
