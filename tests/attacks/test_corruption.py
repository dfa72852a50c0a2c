"""Does each test image get its own corrupted image, of the severity asked for, and are other files refused?"""

from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn

from ataka import evaluation
from ataka.attacks import corruption
from ataka.datasets.images import Split
from ataka.errors import UserError

N, SIZE, CHANNELS = 20, 8, 3
LABELS = numpy.random.default_rng(7).integers(0, 10, N)


def write(folder: Path, name: str = "fog", *, count: int = N, shape: tuple[int, ...] = (SIZE, SIZE, CHANNELS)) -> Any:
    """Files as the authors' archive has them: five severities below each other, the labels five times."""
    folder.mkdir(exist_ok=True)
    images = numpy.random.default_rng(len(name)).integers(0, 256, (5 * count, *shape), dtype=numpy.uint8)
    numpy.save(folder / f"{name}.npy", images)
    numpy.save(folder / "labels.npy", numpy.tile(LABELS[:count], 5))
    return images


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "CIFAR-10-C")
    return tmp_path / "CIFAR-10-C"


@pytest.fixture
def split() -> Split:
    source = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (N, CHANNELS, SIZE, SIZE), generator=source, dtype=torch.uint8)
    return Split(images, torch.from_numpy(LABELS))


class Notes(nn.Module):
    """A network that keeps the images that it is asked about, and says class 0."""

    def __init__(self) -> None:
        super().__init__()
        self.seen: list[Tensor] = []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.clone())
        return x.flatten(1)[:, :10] * 0 + torch.eye(10)[0]


def settings(folder: Path, **changes: Any) -> dict[str, Any]:
    values = {"corruption": "fog", "severity": 3, "folder": str(folder), "images": None}
    return {"kind": "corruption", **values, **changes}


@pytest.mark.parametrize("severity", [1, 3, 5])
@pytest.mark.parametrize("images", [None, 7])
def test_image_i_is_seen_as_row_i_of_its_severity(
    folder: Path, split: Split, severity: int, images: int | None
) -> None:
    array = numpy.load(folder / "fog.npy")
    network, count = Notes(), images or N
    verdicts = evaluation.evaluate(network, settings(folder, severity=severity, images=images), split, seed=0)
    judged = network.seen[-1]
    assert judged.shape == (count, CHANNELS, SIZE, SIZE)
    for i in range(count):
        row = array[(severity - 1) * N + i].astype(numpy.float32) / numpy.float32(255)
        assert numpy.array_equal(judged[i].permute(1, 2, 0).numpy(), row)
    assert verdicts.correct.tolist() == [label == 0 for label in LABELS[:count]]


def test_a_scales_first_images_are_the_first_rows(folder: Path, split: Split) -> None:
    """A scale that prepares fewer test images asks for fewer rows, however the test set is cut for memory."""
    options = {"corruption": "fog", "severity": 2, "folder": str(folder)}
    few = split.first(9)
    rows = corruption.draw(few.pixels(), **options)
    assert torch.equal(rows, corruption.draw(split.pixels(), **options)[:9])
    pieces = [
        corruption.attack(Notes(), few.pixels()[a:b], few.labels[a:b], **options, start=rows[a:b])
        for a, b in ((0, 4), (4, 5), (5, 9))
    ]
    assert torch.equal(torch.cat(pieces), corruption.attack(Notes(), few.pixels(), few.labels, **options))


def test_no_budget_holds_it(folder: Path, split: Split) -> None:
    options = {"corruption": "fog", "severity": 5, "folder": str(folder)}
    corrupted = corruption.attack(Notes(), split.pixels(), split.labels, **options)
    assert (corrupted - split.pixels()).abs().max() > 0.5


def test_images_of_another_order_are_refused(folder: Path, split: Split) -> None:
    other = Split(split.images, split.labels.roll(1))
    wrong = int((other.labels != split.labels).sum())
    with pytest.raises(UserError, match=f"labels.npy is of other images: {wrong} of {N} test images have"):
        evaluation.evaluate(Notes(), settings(folder), other, seed=0)


def damage(folder: Path, case: str) -> None:
    file, array = folder / "fog.npy", numpy.load(folder / "fog.npy")
    match case:
        case "floats":
            numpy.save(file, array / 255)
        case "flat":
            numpy.save(file, array[..., 0])
        case "other size":
            numpy.save(file, array[:, :4, :4])
        case "no multiple of 5":
            numpy.save(file, array[:-1])
        case "none":
            numpy.save(file, array[:0])
        case "few":
            write(folder, count=N - 1)
        case "labels once":
            numpy.save(folder / "labels.npy", LABELS)
        case "labels in floats":
            numpy.save(folder / "labels.npy", numpy.tile(LABELS, 5) * 1.0)
        case "no labels":
            (folder / "labels.npy").unlink()
        case "cut short":
            file.write_bytes(file.read_bytes()[:-10])
        case "text":
            file.write_text("hello")
        case "objects":
            numpy.save(file, numpy.array([{}]))


@pytest.mark.parametrize(
    ("case", "message"),
    [
        ("floats", r"fog.npy is float64 of shape \(100, 8, 8, 3\), not uint8 of shape \(5 N, 8, 8, 3\)"),
        ("flat", r"fog.npy is uint8 of shape \(100, 8, 8\), not uint8 of shape \(5 N, 8, 8, 3\)"),
        ("other size", r"fog.npy is uint8 of shape \(100, 4, 4, 3\), not uint8 of shape \(5 N, 8, 8, 3\)"),
        ("no multiple of 5", r"fog.npy is uint8 of shape \(99, 8, 8, 3\), not"),
        ("none", r"fog.npy is uint8 of shape \(0, 8, 8, 3\), not"),
        ("few", r"fog.npy has 19 images of each severity, but 20 are asked for"),
        ("labels once", r"labels.npy is int64 of shape \(20,\), not integers of shape \(100,\)"),
        ("labels in floats", r"labels.npy is float64 of shape \(100,\), not integers"),
        ("no labels", r"there is no file .*labels.npy; known: fog"),
        ("cut short", r"fog.npy is no whole .npy file: "),
        ("text", r"fog.npy is no whole .npy file: "),
        ("objects", r"fog.npy is no whole .npy file: "),
    ],
)
def test_what_is_wrong_with_a_file_is_said(folder: Path, split: Split, case: str, message: str) -> None:
    damage(folder, case)
    with pytest.raises(UserError, match=message):
        evaluation.evaluate(Notes(), settings(folder), split, seed=0)


def test_a_misspelt_corruption_is_told_the_nearest(folder: Path, split: Split) -> None:
    with pytest.raises(UserError, match=r"there is no file .*frog.npy; did you mean 'fog'\?"):
        evaluation.evaluate(Notes(), settings(folder, corruption="frog"), split, seed=0)


def test_rows_of_other_images_are_refused(folder: Path, split: Split) -> None:
    options = {"corruption": "fog", "severity": 2, "folder": str(folder)}
    rows = corruption.draw(split.pixels(), **options)
    with pytest.raises(ValueError, match=r"corruption: start is of shape \(20, 193\), but x of \(3, 3, 8, 8\)"):
        corruption.attack(Notes(), split.pixels()[:3], split.labels[:3], **options, start=rows)
