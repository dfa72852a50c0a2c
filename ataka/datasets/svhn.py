"""SVHN, house numbers cropped to digits (Netzer et al., 2011). Imports no torch before images are loaded.

The authors' ``train_32x32.mat`` and ``test_32x32.mat``, without their ``extra`` images. Their label 10 is the digit 0.
Views shift by 4 pixels as on CIFAR and mirror nothing: the mirror image of a digit is none.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from ataka.datasets.specification import Specification

if TYPE_CHECKING:
    from torch import Tensor

    from ataka.datasets.specification import Loaded

SPECIFICATION = Specification(
    label="SVHN",
    classes=10,
    channels=3,
    size=32,
    shift=4,
    flip=False,
    mean=(0.4377, 0.4438, 0.4728),
    std=(0.1980, 0.2010, 0.1970),
    images=(73_257, 26_032),
)


def load(folder: Path) -> "Loaded":
    """The official files in ``folder``, fetched if they are missing; UserError if they are damaged or can't be."""
    from torchvision.datasets import SVHN  # a second of start-up, needed only here

    from ataka.files import official

    official.ensure(SVHN, folder)
    return read(folder / "train_32x32.mat"), read(folder / "test_32x32.mat")


def read(path: Path) -> "tuple[Tensor, Tensor]":
    """The images (N, 3, 32, 32) uint8 and labels (N,) int64 of a MATLAB file with X (32, 32, 3, N) and y (N, 1)."""
    import numpy
    import torch
    from scipy.io import loadmat

    arrays = loadmat(path, variable_names=("X", "y"))
    images = torch.from_numpy(numpy.ascontiguousarray(arrays["X"].transpose(3, 2, 0, 1)))
    labels = torch.from_numpy(arrays["y"].astype(numpy.int64).flatten())
    return images, labels % 10
