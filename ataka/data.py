"""Data sets, their fixed splits, and the views of an epoch.

A data set is prepared once: uint8 images (N, channels, H, W) and int64 labels (N,), in one file for training (with the
validation images held out of it) and one for testing. A *view* is what one epoch does to the training images, order and
augmentation; it is a pure function of (seed, epoch), drawn on the CPU so that it is the same on every device.
"""

import hashlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ataka import streams
from ataka.errors import UserError, nearest


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


@dataclass(frozen=True)
class Split:
    """Images (N, channels, H, W) uint8 with labels (N,) int64, and the SHA-256 of both."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def digest(self) -> str:
        content = hashlib.sha256(str(tuple(self.images.shape)).encode())
        content.update(self.images.cpu().numpy().tobytes())
        content.update(self.labels.cpu().numpy().tobytes())
        return content.hexdigest()

    def first(self, count: int | None) -> "Split":
        """The first ``count`` images; all of them for None."""
        if count is not None and count > len(self):
            raise UserError(f"{count} images are asked for, but the split has {len(self)}")
        return Split(self.images[:count], self.labels[:count])

    def to(self, device: torch.device) -> "Split":
        return Split(self.images.to(device), self.labels.to(device))

    def pixels(self) -> Tensor:
        """The images as float32 in [0, 1]."""
        return to_unit(self.images)


def to_unit(images: Tensor) -> Tensor:
    """uint8 images as float32 in [0, 1]."""
    return images.to(torch.float32).div_(255)


# ---- the data sets ------------------------------------------------------------------------------------------


def archive_folder(folder: str | Path) -> Path:
    """Where archives are looked for: ATAKA_DATA if it is set, else the configured folder."""
    return Path(os.environ.get("ATAKA_DATA") or folder)


def _cifar(name: str) -> Callable[[Path], tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]]:
    def load(folder: Path) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
        from torchvision import datasets  # a second of start-up, needed only here

        kind: Any = getattr(datasets, name)
        if os.environ.get("ATAKA_DATA") and not folder.is_dir():
            raise UserError(
                f"ATAKA_DATA names '{folder}', which is no folder; correct it, or make the folder to fetch into"
            )
        _ensure(kind, folder)
        train, test = (kind(folder, train=train, download=False) for train in (True, False))
        return (
            (torch.from_numpy(train.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(train.targets)),
            (torch.from_numpy(test.data).permute(0, 3, 1, 2).contiguous(), torch.tensor(test.targets)),
        )

    return load


def damaged_files(kind: Any, folder: Path) -> list[str]:
    """What is missing or differs from the official md5, one line a file."""
    from torchvision.datasets.utils import check_integrity

    base = folder / kind.base_folder
    wanted = [*kind.train_list, *kind.test_list, [kind.meta["filename"], kind.meta["md5"]]]
    problems = []
    for name, md5 in wanted:
        if not (base / name).exists():
            problems.append(f"{base / name} is missing")
        elif not check_integrity(base / name, md5):
            problems.append(f"{base / name} is damaged: its md5 is not the official {md5}")
    return problems


def _ensure(kind: Any, folder: Path) -> None:
    """Have the official files in ``folder``, downloading what is missing; else say what to do."""
    problems = damaged_files(kind, folder)
    if not problems:
        return
    found = "\n  ".join(problems)
    if any("is damaged" in problem for problem in problems):
        raise UserError(f"{kind.__name__} is damaged:\n  {found}\nDelete these files; they are fetched again.")
    try:
        print(f"fetching {kind.url} into {folder}", flush=True)
        kind(folder, download=True)
    except Exception as error:
        raise UserError(
            f"{kind.__name__} is not there and could not be fetched ({error}):\n  {found}\n"
            f"Fetch {kind.url} (md5 {kind.tgz_md5}) elsewhere and unpack it into {folder}, or set ATAKA_DATA "
            f"to a folder that holds {kind.base_folder}/. The demo scale needs no download."
        ) from None
    problems = damaged_files(kind, folder)
    if problems:
        raise UserError(f"{kind.__name__} arrived damaged:\n  " + "\n  ".join(problems))


def _digits(folder: Path) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(digits.target).to(torch.int64)
    held_out, rest = stratified(labels, 360, streams.generator(0, "digits", "test"))
    return (images[rest], labels[rest]), (images[held_out], labels[held_out])


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
        load=_cifar("CIFAR10"),
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
        load=_cifar("CIFAR100"),
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
        load=_digits,
    ),
}


def specification(dataset: str) -> Specification:
    if dataset not in DATASETS:
        raise UserError(f"no data set '{dataset}'{nearest(dataset, DATASETS)}")
    return DATASETS[dataset]


# ---- splits -------------------------------------------------------------------------------------------------


def stratified(labels: Tensor, count: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices of ``count`` images with each class's share kept (largest remainders), and of the rest, ascending."""
    classes, sizes = torch.unique(labels, return_counts=True)
    shares = sizes.double() * count / len(labels)
    quota = shares.floor().long()
    most_due = torch.argsort(quota - shares, stable=True)
    quota[most_due[: count - int(quota.sum())]] += 1
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label, amount in zip(classes.tolist(), quota.tolist(), strict=True):
        own = (labels == label).nonzero().flatten()
        chosen[own[torch.randperm(len(own), generator=source)[:amount]]] = True
    return chosen.nonzero().flatten(), (~chosen).nonzero().flatten()


def split(
    dataset: str, folder: str | Path, *, train: int | None, validation: int, test: int | None, split_seed: int
) -> dict[str, Split]:
    """The train, validation and test splits of ``dataset``; validation is held out of the official training images.

    Raises UserError if files are missing or damaged, or fewer images exist than are asked for.
    """
    (images, labels), (test_images, test_labels) = specification(dataset).load(archive_folder(folder))
    needed = validation + (train or 2)
    if needed > len(labels):
        raise UserError(
            f"data: {train or 'all'} training and {validation} validation images are asked for, "
            f"but {dataset} has {len(labels)} training images"
        )
    if test is not None and test > len(test_labels):
        raise UserError(f"data: {test} test images are asked for, but {dataset} has {len(test_labels)}")
    held_out, rest = stratified(labels, validation, streams.generator(split_seed, "split", "validation"))
    if train is not None:
        kept, _ = stratified(labels[rest], train, streams.generator(split_seed, "split", "train"))
        rest = rest[kept]
    return {
        "train": Split(images[rest], labels[rest]),
        "validation": Split(images[held_out], labels[held_out]),
        "test": Split(test_images, test_labels).first(test),
    }


# ---- views --------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class View:
    """What one epoch does to the training images: order (N,), shifts (N, 2) in [0, 2 * shift], flips (N,)."""

    order: Tensor
    shifts: Tensor
    flips: Tensor
    reach: int

    def digest(self) -> str:
        content = hashlib.sha256(f"{self.reach}".encode())
        for part in (self.order, self.shifts, self.flips):
            content.update(part.numpy().tobytes())
        return content.hexdigest()

    def apply(self, images: Tensor) -> Tensor:
        """The whole epoch's images (N, channels, H, W) uint8, augmented and in the epoch's order, on their device."""
        device = images.device
        images = images[self.order.to(device)]
        if self.reach:
            images = _crop(images, self.shifts.to(device), self.reach)
        flips = self.flips.to(device)[:, None, None, None]
        return torch.where(flips, images.flip(-1), images) if self.flips.any() else images


def view(seed: int, epoch: int, count: int, *, shift: int, flip: bool) -> View:
    """The view of ``count`` images in ``epoch``: a pure function of its arguments, the same on every device."""
    source = streams.generator(seed, "view", epoch)
    order = torch.randperm(count, generator=source)
    shifts = torch.randint(0, 2 * shift + 1, (count, 2), generator=source)
    flips = torch.rand(count, generator=source) < (0.5 if flip else 0.0)
    return View(order, shifts, flips, shift)


def _crop(images: Tensor, shifts: Tensor, reach: int) -> Tensor:
    """Pad with zeros by ``reach`` and cut each image at its own shift."""
    height, width = images.shape[-2:]
    padded = torch.nn.functional.pad(images, (reach,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(len(images), device=images.device), :, shifts[:, 0], shifts[:, 1]]
