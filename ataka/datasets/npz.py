"""Data sets of arrays in one .npz file: x_train, y_train, x_test, y_test. Imports no torch before images are loaded.

Images are uint8 of shape (N, size, size, channels) or (N, channels, size, size), with 1 or 3 channels and a size of at
least 8. Labels are integers of shape (N,), from 0 without gaps. Test images are in no order of classes: a study and its
attacks take the first of them.
"""

import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy
from numpy.lib import format as npy

from ataka.errors import UserError

if TYPE_CHECKING:
    from ataka.datasets.specification import Loaded

KEYS = ("x_train", "y_train", "x_test", "y_test")
CHANNELS = (1, 3)
SMALLEST = 8


class Form(NamedTuple):
    """The form of a file's images, from the headers and the labels; ``images`` counts them: (training, test)."""

    classes: int
    channels: int
    size: int
    images: tuple[int, int]


def form(path: Path) -> Form:
    """The form of a file, read without its images; UserError for a file that is no such data set."""
    with _readable(path):
        stamp = path.stat()
        return _form(path, stamp.st_mtime_ns, stamp.st_size)


@lru_cache
def _form(path: Path, _mtime: int, _size: int) -> Form:
    with _readable(path), zipfile.ZipFile(path) as file:
        names = [name.removesuffix(".npy") for name in file.namelist()]
        for key in KEYS:
            if key not in names:
                raise UserError(f"{path} has no array '{key}'; it has {', '.join(names) or 'none'}")
        shapes = [_shape(path, file, key) for key in ("x_train", "x_test")]
    with _readable(path), numpy.load(path, allow_pickle=False) as arrays:
        classes = _classes(path, {key: arrays[key] for key in ("y_train", "y_test")}, [shape[0] for shape in shapes])
    (training, *image), (test, *other) = shapes
    if image != other:
        raise UserError(f"{path}: training images are (C, H, W) = {(*image,)}, test images {(*other,)}")
    return Form(classes, channels=image[0], size=image[1], images=(training, test))


def load(path: Path) -> "Loaded":
    """The training and test images, channels first, with labels."""
    import torch

    form(path)  # refuses what is no data set
    with _readable(path), numpy.load(path, allow_pickle=False) as arrays:
        x_train, x_test = (torch.from_numpy(_channels_first(arrays[key])) for key in ("x_train", "x_test"))
        y_train, y_test = (torch.from_numpy(arrays[key].astype(numpy.int64)) for key in ("y_train", "y_test"))
    return (x_train, y_train), (x_test, y_test)


@contextmanager
def _readable(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise UserError(f"can't read {path}: {error.strerror or error}") from None
    except (ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is no .npz file of arrays: {error}") from None


def _shape(path: Path, file: zipfile.ZipFile, key: str) -> tuple[int, ...]:
    """(N, channels, size, size), from the header of the array ``key`` alone."""
    with file.open(f"{key}.npy") as array:
        read = npy.read_array_header_1_0 if npy.read_magic(array) == (1, 0) else npy.read_array_header_2_0
        shape, _, kind = read(array)
    if kind != numpy.uint8 or len(shape) != 4 or not shape[0]:
        raise UserError(f"{path}: {key} is {kind} of shape {shape}, not uint8 of shape (N, H, W, C) or (N, C, H, W)")
    count, *image = shape
    channels, height, width = image if image[0] in CHANNELS else (image[2], *image[:2])
    if channels not in CHANNELS or height != width or height < SMALLEST:
        raise UserError(
            f"{path}: {key} is of shape {shape}, but networks take square images of at least {SMALLEST} x {SMALLEST} "
            "pixels with 1 or 3 channels, first or last"
        )
    return count, channels, height, width


def _channels_first(images: Any) -> Any:
    return images if images.shape[1] in CHANNELS else numpy.ascontiguousarray(numpy.moveaxis(images, 3, 1))


def _classes(path: Path, labels: dict[str, Any], counts: list[int]) -> int:
    """The number of classes, by the labels of the training images."""
    for (key, array), count in zip(labels.items(), counts, strict=True):
        if array.dtype.kind not in "iu" or array.shape != (count,):
            raise UserError(f"{path}: {key} is {array.dtype} of shape {array.shape}, not integers of shape ({count},)")
    there = numpy.unique(labels["y_train"]).tolist()
    if there != list(range(len(there))):
        raise UserError(f"{path}: labels run from 0 without gaps, but those of y_train are {there[:10]}")
    strange = sorted({*numpy.unique(labels["y_test"]).tolist()} - {*there})
    if strange:
        raise UserError(f"{path}: y_test has the label {strange[0]}, which no training image has")
    if _in_blocks(labels["y_test"]):
        raise UserError(
            f"{path}: y_test has each class in one block, and the first test images, which a study and its attacks "
            "take, would be of few classes: shuffle x_test and y_test together, once"
        )
    return len(there)


def _in_blocks(labels: Any) -> bool:
    """Whether labels are ordered by class, and not by chance: two classes or more, of many images."""
    classes = len(numpy.unique(labels))
    return len(labels) > 3 * classes > 3 and numpy.count_nonzero(numpy.diff(labels)) == classes - 1
