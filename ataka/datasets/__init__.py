"""Data sets by name: the facts about each, and what loads it. Imports no torch."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ataka.errors import UserError, nearest

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True)
class Specification:
    """Facts about a data set: classes, image size, augmentation, per-channel statistics, (training, test) images."""

    label: str
    classes: int
    channels: int
    size: int
    shift: int
    flip: bool
    mean: tuple[float, ...]
    std: tuple[float, ...]
    images: tuple[int, int]
    load: Callable[[Path], tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]


def archive_folder(folder: str | Path) -> Path:
    """Where archives are looked for: ATAKA_DATA if it is set, else the configured folder."""
    return Path(os.environ.get("ATAKA_DATA") or folder)


def _lazy(module: str, name: str, *given: str) -> Callable[[Path], tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]:
    def load(folder: Path) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        from importlib import import_module

        loader = getattr(import_module(module), name)
        return (loader(*given) if given else loader)(folder)  # type: ignore[no-any-return]

    return load


DATASETS = {
    "cifar10": Specification(
        label="CIFAR-10",
        classes=10,
        channels=3,
        size=32,
        shift=4,
        flip=True,
        mean=(0.4914, 0.4822, 0.4465),
        std=(0.2471, 0.2435, 0.2616),
        images=(50_000, 10_000),
        load=_lazy("ataka.datasets.cifar", "_cifar", "CIFAR10"),
    ),
    "cifar100": Specification(
        label="CIFAR-100",
        classes=100,
        channels=3,
        size=32,
        shift=4,
        flip=True,
        mean=(0.5071, 0.4865, 0.4409),
        std=(0.2673, 0.2564, 0.2762),
        images=(50_000, 10_000),
        load=_lazy("ataka.datasets.cifar", "_cifar", "CIFAR100"),
    ),
    "digits": Specification(
        label="digits",
        classes=10,
        channels=1,
        size=8,
        shift=1,
        flip=False,
        mean=(0.305,),
        std=(0.376,),
        images=(1_437, 360),
        load=_lazy("ataka.datasets.digits", "_digits"),
    ),
}


def specification(dataset: str) -> Specification:
    if dataset not in DATASETS:
        raise UserError(f"no data set '{dataset}'{nearest(dataset, DATASETS)}")
    return DATASETS[dataset]
