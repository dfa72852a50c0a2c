"""The train, validation and test splits of a data set: validation is held out of the official training images."""

from pathlib import Path

import torch
from torch import Tensor

from ataka import datasets, streams
from ataka.datasets.images import Split
from ataka.errors import UserError


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


def cut(
    dataset: str, folder: str | Path, *, train: int | None, validation: int, test: int | None, split_seed: int
) -> dict[str, Split]:
    """The train, validation and test splits of ``dataset``; validation is held out of the official training images.

    Raises UserError if files are missing or damaged, or fewer images exist than are asked for.
    """
    (images, labels), (test_images, test_labels) = datasets.specification(dataset).load(datasets.archive_folder(folder))
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
