"""The train, validation and test splits of a data set: validation is held out of the official training images."""

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ataka import streams
from ataka.datasets.images import Split
from ataka.errors import UserError

if TYPE_CHECKING:
    from ataka.datasets.specification import Loaded


def stratified(labels: Tensor, count: int, source: torch.Generator) -> tuple[Tensor, Tensor]:
    """Indices (count,) of ``count`` images out of labels (N,), and those of the others (N - count,), both ascending.

    Each class keeps its share, by the method of largest remainders.
    """
    classes, sizes = torch.unique(labels, return_counts=True)
    shares = sizes.double() * count / len(labels)
    quota = shares.floor().long()
    most_due = torch.argsort(quota - shares, stable=True)
    quota[most_due[: count - int(quota.sum())]] += 1
    chosen = torch.zeros(len(labels), dtype=torch.bool)
    for label, amount in zip(classes.tolist(), quota.tolist(), strict=True):
        alike = (labels == label).nonzero().flatten()
        chosen[alike[torch.randperm(len(alike), generator=source)[:amount]]] = True
    return chosen.nonzero().flatten(), (~chosen).nonzero().flatten()


def cut(
    dataset: str, loaded: "Loaded", *, train: int | None, validation: int, test: int | None, split_seed: int
) -> dict[str, Split]:
    """The train, validation and test splits of ``dataset``; validation is held out of the official training images.

    ``loaded`` are the official training and test images. Raises UserError if they are fewer than are asked for.
    """
    (images, labels), (test_images, test_labels) = loaded
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
