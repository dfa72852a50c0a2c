"""Common corruptions: images that others have corrupted, in place of the test images (Hendrycks and Dietterich, 2019).

No attack, but measured as one: accuracy by corruption and severity, image by image. The files are those of the authors'
archives CIFAR-10-C and CIFAR-100-C (zenodo.org/records/2535967 and 3555552), or others of their form: for each
corruption an array NAME.npy, uint8 of shape (5 N, H, W, C), in which row (severity - 1) N + i is the test image i, and
labels.npy, integers of shape (5 N,). A study that attacks the first so many test images takes as many rows of the
severity.

An image's label stands beside its corrupted pixels, and a test image of another label is refused: the files would be of
another data set, or the images no test images in their official order. Corruptions have no budget, so that no distance
from the test image is checked. Clean images should not do significantly worse than corrupted ones (``BEATS``).
"""

from pathlib import Path
from typing import Any

import numpy
import torch
from pydantic import Field
from torch import Tensor, nn

from ataka.attacks.check import checked
from ataka.datasets.images import to_unit
from ataka.errors import UserError, nearest
from ataka.study.attacks import AttackOptions

LABEL = "Corruption"
BEATS = ("clean",)
SEVERITIES = 5


class Options(AttackOptions):
    """Hendrycks and Dietterich's common corruptions, from local files."""

    corruption: str = Field(pattern=r"^[A-Za-z0-9_-]+$", description="name of its file, as gaussian_noise")
    severity: int = Field(ge=1, le=SEVERITIES)
    folder: str = Field(
        "{label}-C", description="of the files, below data.folder or ATAKA_DATA; {label} is the data set's, as CIFAR-10"
    )


def sentence(_options: Options) -> str:
    """The sentence below a table, the same for every corruption and severity."""
    who = "Hendrycks and Dietterich (2019)"
    return f"Corruptions, of severity 1 to 5, are no attacks: the network sees the images of {who} instead."


def files(options: Options) -> tuple[str, ...]:
    """Names of the files that are read: the corrupted images and their labels."""
    return (f"{options.corruption}.npy", "labels.npy")


def forwards(_options: Options) -> float:
    """Forwards of the network for an image: the forward that judges the image."""
    return 1.0


def draw(x: Tensor, *, corruption: str, severity: int, folder: str, generator: torch.Generator | None = None) -> Tensor:
    """The corrupted images of x (N,C,H,W), which are the first N test images, and their labels: (N, C H W + 1).

    A row holds the pixels in [0,1] and, last, the label. ``folder`` holds the files. Nothing here is random, so that
    ``generator`` is not used. Raises UserError where a file is missing, damaged, or of another form than x.
    """
    images, labels = _array(Path(folder, f"{corruption}.npy")), _array(Path(folder, "labels.npy"))
    _, channels, height, width = x.shape
    shape = (len(images) // SEVERITIES * SEVERITIES, height, width, channels)
    if images.dtype != numpy.uint8 or images.shape != shape or not len(images):
        raise UserError(
            f"{folder}/{corruption}.npy is {images.dtype} of shape {images.shape}, not uint8 of shape "
            f"({SEVERITIES} N, {height}, {width}, {channels})"
        )
    if labels.dtype.kind not in "iu" or labels.shape != images.shape[:1]:
        raise UserError(
            f"{folder}/labels.npy is {labels.dtype} of shape {labels.shape}, not integers of shape ({len(images)},)"
        )
    count = len(images) // SEVERITIES
    if len(x) > count:
        raise UserError(f"{folder}/{corruption}.npy has {count} images of each severity, but {len(x)} are asked for")
    rows = slice((severity - 1) * count, (severity - 1) * count + len(x))
    pixels = torch.from_numpy(numpy.array(images[rows].transpose(0, 3, 1, 2), order="C"))
    beside = torch.from_numpy(labels[rows].astype(numpy.int64)).unsqueeze(1)
    return torch.cat([to_unit(pixels).flatten(1), beside.to(torch.float32)], 1).to(x)


@checked(linf=False)
def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    corruption: str,
    severity: int,
    folder: str,
    start: Tensor | None = None,
) -> Tensor:
    """The corrupted images of x (B,C,H,W) with labels y (B,).

    start   rows of ``draw``, one an image; without it, x are the first test images

    Raises UserError for an image whose label isn't that of the files, ValueError for a start of another shape.
    """
    if start is None:
        start = draw(x, corruption=corruption, severity=severity, folder=folder)
    if start.shape != (len(x), x[0].numel() + 1):
        raise ValueError(f"corruption: start is of shape {tuple(start.shape)}, but x of {tuple(x.shape)}")
    differ = start[:, -1].long() != y
    if differ.any():
        raise UserError(
            f"{folder}/labels.npy is of other images: {int(differ.sum())} of {len(y)} test images have another label"
        )
    return start[:, :-1].reshape(x.shape).detach()


def _array(path: Path) -> Any:
    """The array of a file, of which pages are read as they are needed."""
    if not path.is_file():
        known = [file.stem for file in path.parent.glob("*.npy")]
        raise UserError(f"there is no file {path}{nearest(path.stem, known)}")
    try:
        return numpy.load(path, mmap_mode="r", allow_pickle=False)
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror or error}") from None
    except (ValueError, EOFError) as error:
        raise UserError(f"{path} is no whole .npy file: {error}") from None
