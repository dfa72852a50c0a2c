"""The official files of CIFAR-10 and CIFAR-100, fetched, checked and read by torchvision."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch

from ataka.errors import UserError
from ataka.files import official

if TYPE_CHECKING:
    from ataka.datasets.specification import Loaded


def read(name: str, folder: Path) -> "Loaded":
    """The images and labels of torchvision's class ``name``; UserError if files are damaged or can't be fetched."""
    from torchvision import datasets  # a second of start-up, needed only here

    kind: Any = getattr(datasets, name)
    if os.environ.get("ATAKA_DATA") and not folder.is_dir():
        raise UserError(
            f"ATAKA_DATA names '{folder}', which is no folder; correct it, or make the folder to fetch into"
        )
    official.ensure(kind, folder)
    train, test = (kind(folder, train=train, download=False) for train in (True, False))
    return (
        (torch.from_numpy(train.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(train.targets)),
        (torch.from_numpy(test.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(test.targets)),
    )
