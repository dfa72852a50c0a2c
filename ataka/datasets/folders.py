"""Data sets of image files in folders of classes: ``train/CLASS/*`` and ``test/CLASS/*``. Imports no torch at first.

The classes are the folders in ``train``, in the order of their names' characters, and labels count them from 0.
``test`` has the same folders. Names that begin with a dot are left out. Images stand in the order of the SHA-256 of
``CLASS/NAME``, which mixes the classes: a scale tests on the first so many. An image is a file of any format that
Pillow reads:

- all images are square, of one size and at least 8 x 8 pixels; none is scaled, cut or turned (EXIF isn't heeded);
- with 3 channels, grey images have their value in each channel; with 1 channel, colour becomes grey by Pillow's
  ``convert("L")``, which is 0.299 R + 0.587 G + 0.114 B;
- an alpha channel is dropped where it is opaque everywhere. Transparent pixels are refused, because nothing says what
  lies behind them, and so are several frames, and more than 8 bits a channel, which Pillow would clip.
"""

import hashlib
import os
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ataka.datasets.npz import SMALLEST, Form
from ataka.errors import UserError, few

if TYPE_CHECKING:
    from numpy import ndarray
    from PIL.Image import Image

    from ataka.datasets.specification import Loaded

SPLITS = ("train", "test")
MODES = ("1", "L", "LA", "P", "PA", "RGB", "RGBA", "CMYK", "YCbCr")
"""Pillow's modes of 8 bits a channel, or of one."""


def form(path: Path, channels: int) -> Form:
    """The form of a folder's images, by the names of the files and the first image; UserError for no such folder.

    Within a process, files are listed again where one has come or gone.
    """
    return _form(path, channels, _stamp(path))


@lru_cache
def _form(path: Path, channels: int, _stamp: tuple[int, ...]) -> Form:
    training, test = (_files(path / split) for split in SPLITS)
    if [*training] != [*test]:
        strange = sorted({*training} ^ {*test})
        raise UserError(f"{path}: train/ and test/ have other classes: only one of them has {few(strange)}")
    first = next(iter(training.values()))[0]
    counts = [sum(map(len, files.values())) for files in (training, test)]
    return Form(len(training), channels, _size(first), images=(counts[0], counts[1]))


def digest(path: Path) -> str:
    """SHA-256 of the names and bytes of all images, which are read again as those of ``form`` are listed again."""
    return _digest(path, _stamp(path))


@lru_cache
def _digest(path: Path, _stamp: tuple[int, ...]) -> str:
    content = hashlib.sha256()
    for split in SPLITS:
        for files in _files(path / split).values():
            for file in files:
                name = os.fsencode(file.relative_to(path).as_posix())
                content.update(name + f"\n{hashlib.sha256(_bytes(file)).hexdigest()}\n".encode())
    return content.hexdigest()


def _stamp(path: Path) -> tuple[int, ...]:
    """When each of the folders that list classes or images was changed last; no image is looked at."""
    splits = [path / split for split in SPLITS if (path / split).is_dir()]
    folders = [folder for split in splits for folder in sorted(split.iterdir())]
    return tuple(folder.stat().st_mtime_ns for folder in [*splits, *folders])


def load(path: Path, channels: int) -> "Loaded":
    """The training and test images, each with its label."""
    training, test = (_files(path / split) for split in SPLITS)
    size = form(path, channels).size
    return _split(training, channels, size), _split(test, channels, size)


def _split(classes: dict[str, list[Path]], channels: int, size: int) -> Any:
    import numpy
    import torch

    labelled = [(file, label) for label, files in enumerate(classes.values()) for file in files]
    labelled.sort(key=lambda each: hashlib.sha256(os.fsencode(f"{each[0].parent.name}/{each[0].name}")).digest())
    images = [_pixels(file, channels, size) for file, _ in labelled]
    return torch.from_numpy(numpy.stack(images)), torch.tensor([label for _, label in labelled])


def _files(folder: Path) -> dict[str, list[Path]]:
    """The images of each class below ``folder``, both in order."""
    if not folder.is_dir():
        raise UserError(f"there is no folder {folder}: a data set's folder has train/CLASS/ and test/CLASS/ in it")
    classes = {each.name: [*_visible(each)] for each in _visible(folder) if each.is_dir()}
    if not classes:
        raise UserError(f"{folder} has no folders of classes")
    for name, files in classes.items():
        if not files:
            raise UserError(f"{folder / name} is empty: each class has an image, in train/ and in test/")
    return classes


def _visible(folder: Path) -> Iterator[Path]:
    return (each for each in sorted(folder.iterdir()) if not each.name.startswith("."))


def _bytes(file: Path) -> bytes:
    try:
        return file.read_bytes()
    except OSError as error:
        raise UserError(f"can't read {file}: {error.strerror}") from None


def _size(file: Path) -> int:
    with _opened(file) as image:
        width, height = image.size
    if width != height or width < SMALLEST:
        raise UserError(
            f"{file} has {width} x {height} pixels, but networks take square images of at least {SMALLEST} x {SMALLEST}"
        )
    return width


def _opened(file: Path) -> "Image":
    """The image in a file, of which Pillow has read the header alone."""
    from PIL import Image, UnidentifiedImageError

    if file.is_dir():
        raise UserError(f"{file} is a folder, but a class's folder holds images alone")
    try:
        return Image.open(file)
    except (UnidentifiedImageError, Image.DecompressionBombError):
        raise UserError(f"{file} is no image that Pillow can read; remove it, or mend it") from None
    except OSError as error:
        raise UserError(f"can't read {file}: {error.strerror or error}") from None


def _pixels(file: Path, channels: int, size: int) -> "ndarray[Any, Any]":
    """An image as uint8 of shape (channels, size, size)."""
    import numpy

    with _opened(file) as image:
        if image.size != (size, size):
            width, height = image.size
            raise UserError(
                f"{file} has {width} x {height} pixels, but the first image has {size} x {size}: scale them"
            )
        if image.mode not in MODES:
            raise UserError(f"{file} has pixels of mode {image.mode}, but 8 bits a channel are needed: convert it")
        try:
            if getattr(image, "n_frames", 1) > 1:
                raise UserError(f"{file} has several frames; an image has one")
            flat = _opaque(file, image).convert("RGB" if channels == 3 else "L")
        except (OSError, ValueError, SyntaxError, EOFError) as error:
            raise UserError(f"{file} is damaged: {error}") from None
    return numpy.array(flat).reshape(size, size, channels).transpose(2, 0, 1)


def _opaque(file: Path, image: "Image") -> "Image":
    """The ``image`` without alpha; UserError where a pixel is transparent."""
    if not image.has_transparency_data:
        return image
    whole = image.convert("RGBA")
    if whole.getchannel("A").getextrema() != (255, 255):
        raise UserError(f"{file} has transparent pixels: put it on a background")
    return whole.convert("RGB")
