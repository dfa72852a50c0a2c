"""Is a data set of arrays in an .npz file read as it was written, and is each mistake in it said?"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch

from ataka import plan
from ataka.datasets import npz, splits
from ataka.errors import UserError
from ataka.plan import Run
from ataka.study import Study, config
from ataka.study.config import HOME

ENTRY = {"file": "mine.npz", "label": "Mine", "shift": 1, "flip": True}


def arrays(**changes: Any) -> dict[str, Any]:
    """200 training and 30 test images of 9 x 9 pixels in colour, 4 classes."""
    source = numpy.random.default_rng(0)
    x_train, x_test = (source.integers(0, 256, (count, 9, 9, 3), dtype=numpy.uint8) for count in (200, 30))
    labels = {"y_train": numpy.arange(200) % 4, "y_test": numpy.arange(30) % 4}
    return {"x_train": x_train, "x_test": x_test} | labels | changes


def study(folder: Path, **entry: Any) -> Study:
    sizes = {"train": 64, "validation": 64, "test": 16, "folder": str(folder)}
    return config.load("smoke", {"data": sizes, "datasets": {"mine": ENTRY | entry}, "teachers": {"mine": "wrn10-1"}})


@pytest.fixture(autouse=True)
def no_other_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    """The real data's folder would take precedence over that of a test."""
    monkeypatch.delenv("ATAKA_DATA", raising=False)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    numpy.savez(tmp_path / "mine.npz", **arrays())
    return tmp_path / "mine.npz"


def test_its_facts_are_those_of_entry_and_file(file: Path) -> None:
    dataset = study(file.parent).dataset("mine")
    facts = dataset.specification
    assert (facts.label, facts.shift, facts.flip, facts.mean, facts.std) == ("Mine", 1, True, None, None)
    assert (facts.classes, facts.channels, facts.size, facts.images) == (4, 3, 9, (200, 30))
    assert study(file.parent, mean=[0.1, 0.2, 0.3], std=[1, 1, 1]).dataset("mine").specification.mean == (0.1, 0.2, 0.3)


def test_reading_them_needs_no_torch(file: Path) -> None:
    code = "import sys\nfrom pathlib import Path\nfrom ataka.datasets import npz\n"
    code += "print(npz.form(Path(sys.argv[1])).classes, 'torch' in sys.modules)"
    process = subprocess.run(
        [sys.executable, "-c", code, str(file)], cwd=HOME, capture_output=True, text=True, check=True
    )
    assert process.stdout.split() == ["4", "False"]


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("saved", [numpy.savez, numpy.savez_compressed])
def test_channels_may_stand_first_or_last(tmp_path: Path, channels: int, saved: Any) -> None:
    given = arrays()
    given |= {key: given[key][..., :channels] for key in ("x_train", "x_test")}
    first = {key: numpy.moveaxis(given[key], 3, 1) for key in ("x_train", "x_test")}
    saved(tmp_path / "last.npz", **given)
    saved(tmp_path / "first.npz", **given | first)
    assert npz.form(tmp_path / "first.npz") == npz.form(tmp_path / "last.npz")
    loaded = [npz.load(tmp_path / name) for name in ("first.npz", "last.npz")]
    for (one, labels), (other, others) in zip(*loaded, strict=True):
        assert torch.equal(one, other)
        assert torch.equal(labels, others)
        assert labels.dtype == torch.int64
    assert torch.equal(loaded[0][0][0], torch.from_numpy(first["x_train"].copy()))


def test_its_splits_are_cut_as_those_of_any_data_set(file: Path) -> None:
    loaded = study(file.parent).dataset("mine").load(Path("nowhere"))
    cut = splits.cut("mine", loaded, train=80, validation=40, test=20, split_seed=0)
    assert {name: split.labels.bincount().tolist() for name, split in cut.items()} == {
        "train": [20] * 4,
        "validation": [10] * 4,
        "test": [5] * 4,
    }


def test_its_bytes_and_its_facts_decide_what_is_made_again(file: Path) -> None:
    run = Run("mine", "resnet10-w8", "natural", 0)

    def digests(**entry: Any) -> tuple[str, str]:
        used = study(file.parent, **entry)
        return plan.digest(plan.data_settings(used, "mine", "train")), plan.digest(plan.run_settings(used, run))

    images, training = digests()
    assert digests(label="Ours") == (images, training)
    for change in ({"shift": 2}, {"flip": False}, {"mean": [0.5] * 3, "std": [0.2] * 3}):
        assert digests(**change)[0] == images
        assert digests(**change)[1] != training
    numpy.savez(file, **arrays(y_test=numpy.zeros(30, dtype=int)))
    assert digests()[0] != images
    assert digests()[1] != training
    code = plan.data_code(study(file.parent), "mine")
    assert code == ("ataka.datasets.splits", "ataka.datasets.npz")


X, Y = arrays()["x_train"], arrays()["y_train"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"x_train": X / 255}, r"x_train is float64 of shape \(200, 9, 9, 3\), not uint8 of shape \(N, H, W, C\)"),
        ({"x_train": X[..., 0]}, r"x_train is uint8 of shape \(200, 9, 9\), not uint8"),
        ({"x_train": X[:0]}, r"x_train is uint8 of shape \(0, 9, 9, 3\), not"),
        ({"x_train": X[:, :8]}, r"x_train is of shape \(200, 8, 9, 3\), but networks take square images"),
        ({"x_train": X[..., :2]}, r"x_train is of shape \(200, 9, 9, 2\), but .* with 1 or 3 channels"),
        ({"x_train": X[:, :7, :7]}, r"x_train is of shape \(200, 7, 7, 3\), but .* at least 8 x 8 pixels"),
        ({"x_train": X[..., :1]}, r"training images are .* = \(1, 9, 9\), test images \(3, 9, 9\)"),
        ({"y_train": Y[:-1]}, r"y_train is int64 of shape \(199,\), not integers of shape \(200,\)"),
        ({"y_train": Y * 1.0}, r"y_train is float64 of shape \(200,\), not integers"),
        ({"y_train": Y + 1}, r"labels run from 0 without gaps, but those of y_train are \[1, 2, 3, 4\]$"),
        ({"y_test": numpy.full(30, 4)}, "y_test has the label 4, which no training image has"),
        ({"y_test": numpy.full(30, -1)}, "y_test has the label -1"),
        ({"y_train": numpy.array([object()] * 200)}, "is no .npz file of arrays: Object arrays cannot be loaded"),
    ],
)
def test_what_is_wrong_with_an_array_is_said(tmp_path: Path, changes: dict[str, Any], message: str) -> None:
    numpy.savez(tmp_path / "mine.npz", **arrays(**changes))
    with pytest.raises(UserError, match=f"^{tmp_path}/mine.npz:? .*{message}"):
        study(tmp_path).dataset("mine")


def test_images_in_the_order_of_their_classes_are_refused_where_the_first_are_taken(tmp_path: Path) -> None:
    """Training images may be so: they are drawn by class, and shuffled. Classes in turns are no such order."""
    numpy.savez(tmp_path / "mine.npz", **arrays(y_train=numpy.arange(200) // 50, y_test=numpy.arange(30) % 4))
    assert npz.form(tmp_path / "mine.npz").classes == 4
    for labels in (numpy.arange(30) // 8, 3 - numpy.arange(30) // 8):
        numpy.savez(tmp_path / "sorted.npz", **arrays(y_test=labels))
        with pytest.raises(UserError, match="shuffle x_test and y_test together"):
            npz.form(tmp_path / "sorted.npz")
    numpy.savez(tmp_path / "one.npz", **arrays(y_train=numpy.zeros(200, int), y_test=numpy.zeros(30, int)))
    assert npz.form(tmp_path / "one.npz").classes == 1


def test_what_is_wrong_with_the_file_is_said(tmp_path: Path) -> None:
    used, path = study(tmp_path), tmp_path / "mine.npz"
    with pytest.raises(UserError, match=rf"^data set 'mine': there is no file {path} \(datasets.mine.file below"):
        used.dataset("mine")
    path.write_bytes(b"PK\x03\x04 is how an archive begins")
    with pytest.raises(UserError, match=r"mine.npz is no \.npz file of arrays"):
        used.dataset("mine")
    with path.open("wb") as written:
        numpy.save(written, X)
    with pytest.raises(UserError, match=r"mine.npz is no \.npz file of arrays: File is not a zip file"):
        used.dataset("mine")
    given = arrays()
    given["Y_test"] = given.pop("y_test")
    numpy.savez(path, **given)
    with pytest.raises(UserError, match=r"mine.npz has no array 'y_test'; it has x_train, x_test, y_train, Y_test"):
        used.dataset("mine")


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        ({"datasets": {"mine": {"file": "mine.npz"}}}, "datasets.mine.label: is missing"),
        ({"datasets": {"mine": ENTRY | {"lable": "x"}}}, r"datasets.mine.lable: unknown key; did you mean 'label'\?"),
        ({"datasets": {"mine": ENTRY | {"shift": -1}}}, "datasets.mine.shift: .*greater than or equal to 0"),
        ({"datasets": {"mine": ENTRY | {"mean": [0.5]}}}, "datasets.mine: mean and std have one number a channel each"),
        ({"datasets": {"digits": ENTRY}}, "datasets.digits: a data set of that name comes with ataka"),
        ({"datasets": {"my set": ENTRY}}, "datasets.my set: a name is lower case"),
    ],
)
def test_a_mistaken_entry_is_refused(overrides: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        config.load("smoke", overrides)


def test_a_misspelt_name_is_told_the_entries(file: Path) -> None:
    with pytest.raises(UserError, match=r"no data set 'mime'; did you mean 'mine'\?"):
        study(file.parent).dataset("mime")


def test_more_channels_than_the_statistics_have(file: Path) -> None:
    with pytest.raises(UserError, match=r"datasets\.mine\.mean: 1 numbers, but the images have 3 channels"):
        study(file.parent, mean=[0.5], std=[0.2]).dataset("mine")


def test_a_study_that_asks_for_more_images_than_there_are_is_refused(tmp_path: Path) -> None:
    numpy.savez(tmp_path / "mine.npz", **arrays(x_train=X[:100], y_train=Y[:100]))
    with pytest.raises(UserError, match="64 training and 64 validation images are asked for, but mine has 100"):
        study(tmp_path)
