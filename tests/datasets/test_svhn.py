"""Are SVHN's .mat files read as their authors write them: columns of images, and 10 for the digit 0?"""

import hashlib
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from scipy.io import savemat
from torchvision import datasets as theirs

from ataka import datasets
from ataka.datasets import svhn
from ataka.errors import UserError

COUNTS = {"train": 30, "test": 20}


def written(path: Path, count: int, seed: int) -> tuple[Any, Any]:
    """Write a file as the authors do; returns X (32, 32, 3, N) and y (N, 1): 1 to 9, and 10 for the digit 0."""
    source = numpy.random.default_rng(seed)
    images = source.integers(0, 256, (32, 32, 3, count), dtype=numpy.uint8)
    labels = (numpy.arange(count, dtype=numpy.uint8) % 10 + 1).reshape(-1, 1)
    savemat(path, {"X": images, "y": labels})
    return images, labels


def test_each_pixel_and_label_is_where_the_file_has_it(tmp_path: Path) -> None:
    x, y = written(tmp_path / "some.mat", 30, seed=0)
    images, labels = svhn.read(tmp_path / "some.mat")
    assert (images.dtype, labels.dtype) == (torch.uint8, torch.int64)
    assert images.is_contiguous()
    assert images.shape == (30, 3, 32, 32)
    for image, channel, row, column in ((0, 0, 0, 0), (7, 1, 3, 30), (29, 2, 31, 0)):
        assert images[image, channel, row, column] == x[row, column, channel, image]
    assert labels.tolist() == [0 if label == 10 else label for label in y.flatten().tolist()]
    assert labels[:10].tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of two small files that count as the official ones."""
    monkeypatch.delenv("ATAKA_DATA", raising=False)
    known = {}
    for seed, (split, count) in enumerate(COUNTS.items()):
        file = tmp_path / f"{split}_32x32.mat"
        written(file, count, seed)
        known[split] = [f"http://example.invalid/{file.name}", file.name, hashlib.md5(file.read_bytes()).hexdigest()]
    monkeypatch.setattr(theirs.SVHN, "split_list", known)
    return tmp_path


def no_network(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.datasets.utils.download_url", fail)
    monkeypatch.setattr("socket.socket.connect", fail)


def test_it_is_what_torchvision_reads(folder: Path) -> None:
    for (images, labels), split in zip(svhn.load(folder), COUNTS, strict=True):
        other = theirs.SVHN(str(folder), split=split)
        assert numpy.array_equal(images.numpy(), other.data)
        assert labels.tolist() == other.labels.tolist()


def test_files_of_another_size_are_refused_as_the_specification_says(folder: Path) -> None:
    with pytest.raises(UserError, match=r"data set 'svhn': training images are uint8 of shape \(30, 3, 32, 32\), not"):
        datasets.find("svhn").load(folder)


def test_missing_files_are_named_with_their_addresses(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_network(monkeypatch)
    (folder / "test_32x32.mat").unlink()
    with pytest.raises(UserError) as caught:
        svhn.load(folder)
    message = str(caught.value)
    assert f"{folder / 'test_32x32.mat'} is missing" in message
    assert f"{folder / 'train_32x32.mat'} is" not in message
    for hint in ("no route to host", "http://example.invalid/test_32x32.mat (md5 ", "ATAKA_DATA", "demo scale"):
        assert hint in message


def test_a_damaged_file_is_named_and_kept(folder: Path) -> None:
    (folder / "train_32x32.mat").write_bytes(b"garbage")
    with pytest.raises(UserError, match=r"SVHN is damaged:\n  .*train_32x32.mat is damaged: its md5 is not the off"):
        svhn.load(folder)
    assert (folder / "train_32x32.mat").read_bytes() == b"garbage"


def test_the_folder_that_the_environment_names_must_be_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATAKA_DATA", str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match=r"ATAKA_DATA names '.*nowhere', which is no folder"):
        svhn.load(datasets.archive_folder("data"))
