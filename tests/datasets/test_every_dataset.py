"""Is every data set, found by its file, what its specification says, and does reading that need no torch?"""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ataka import datasets
from ataka.datasets import splits
from ataka.datasets.loaded import check
from ataka.errors import UserError
from ataka.study.config import HOME

NEED_FILES = {"cifar10", "cifar100"}
"""Those whose files tests have only where there are real data."""
RARELY_THERE = {"svhn": "train_32x32.mat"}
"""Those whose files may lack where there are real data, too; each with one of them."""
SIZES = {"train": 200, "validation": 100, "test": 50, "split_seed": 0}
DIGESTS = {
    "cifar10": {"train": "42c097a7752a03bf", "validation": "aafbbd907b7f6a6e", "test": "155fbaf13325badb"},
    "cifar100": {"train": "2dbc9dc99e04785d", "validation": "ed3aa92bc87627f1", "test": "71b039a607fa1b1d"},
    "digits": {"train": "d3400cfd08595bc9", "validation": "96501576cfeec7c1", "test": "cf887554a5207b8b"},
}
"""Of splits of these sizes, as they were when the study began: the first 16 digits."""


@pytest.fixture(scope="module", params=datasets.names())
def dataset(request: pytest.FixtureRequest) -> datasets.Dataset:
    return datasets.find(request.param)


@pytest.fixture(scope="module")
def loaded(dataset: datasets.Dataset, request: pytest.FixtureRequest) -> Any:
    folder = Path("nowhere")
    if dataset.name in NEED_FILES:
        folder = request.getfixturevalue("real_data")
    if dataset.name in RARELY_THERE:
        folder = Path(os.environ.get("ATAKA_DATA") or folder)
        if not (folder / RARELY_THERE[dataset.name]).is_file():
            pytest.skip(f"{folder} has no {RARELY_THERE[dataset.name]}")
    return dataset.load(folder)


def test_files_are_found_and_their_helpers_are_not() -> None:
    assert {"cifar10", "cifar100", "digits", "svhn"} <= set(datasets.names())
    assert not {"cifar", "images", "loaded", "specification", "splits", "views"} & set(datasets.names())


def test_the_facts_of_every_data_set_need_no_torch() -> None:
    code = "from ataka import datasets\nfacts = [datasets.find(name).specification for name in datasets.names()]"
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(len(facts), 'torch' in sys.modules)"]
    process = subprocess.run(command, cwd=HOME, capture_output=True, text=True, check=True)
    assert process.stdout.split() == [str(len(datasets.names())), "False"]


def test_its_images_are_those_of_its_specification(dataset: datasets.Dataset, loaded: Any) -> None:
    facts = dataset.specification
    check(dataset.name, loaded, facts)
    (images, labels), (_, test_labels) = loaded
    assert (images.min(), images.max()) == (0, 255)
    assert len(labels.unique()) == len(test_labels.unique()) == facts.classes
    by_channel = images.float().div(255).transpose(0, 1).flatten(1)
    assert by_channel.mean(1).tolist() == pytest.approx(facts.mean, abs=2e-3)
    assert by_channel.std(1).tolist() == pytest.approx(facts.std, abs=2e-3)


def test_no_image_is_in_two_splits_and_classes_keep_their_shares(dataset: datasets.Dataset, loaded: Any) -> None:
    cut = splits.cut(dataset.name, loaded, **SIZES)
    assert {name: len(split) for name, split in cut.items()} == {"train": 200, "validation": 100, "test": 50}
    held_out, rest = splits.stratified(loaded[0][1], 100, torch.Generator().manual_seed(0))
    assert not {*held_out.tolist()} & {*rest.tolist()}
    contents = [{image.numpy().tobytes() for image in split.images} for split in cut.values()]
    assert sum(map(len, contents)) == len(set().union(*contents)) == 350
    shares = loaded[0][1].bincount() / len(loaded[0][1])
    for name in ("train", "validation"):
        counts = cut[name].labels.bincount(minlength=len(shares))
        assert (counts - shares * len(cut[name])).abs().max() < 1 + 1e-5, name


def test_its_splits_are_fixed(dataset: datasets.Dataset, loaded: Any) -> None:
    cut = splits.cut(dataset.name, loaded, **SIZES)
    digests = {name: split.digest()[:16] for name, split in cut.items()}
    if dataset.name not in RARELY_THERE:
        assert digests == DIGESTS[dataset.name]
    again = splits.cut(dataset.name, loaded, **SIZES)
    assert all(torch.equal(split.images, again[name].images) for name, split in cut.items())
    other = splits.cut(dataset.name, loaded, **SIZES | {"split_seed": 1})
    assert other["validation"].digest() != cut["validation"].digest()


# ---- a module that is none, or whose images are others

MODULE = """
import torch
from ataka.datasets import Specification

SPECIFICATION = Specification(
    label="Scans", classes=2, channels=1, size=8, shift=0, flip=False, mean=(0.5,), std=(0.25,), images=(4, 2)
)

def load(folder):
    images = torch.arange(6 * 64).reshape(6, 1, 8, 8).to(torch.uint8)
    labels = torch.tensor([0, 1, 0, 1, 0, 1])
    return (images[:4], labels[:4]), (images[4:], labels[4:])
"""


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Writes the module ``mylab.NAME`` and returns its dotted name."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mylab").mkdir()

    def write(name: str, text: str) -> str:
        (tmp_path / f"mylab/{name}.py").write_text(text, encoding="utf-8")
        return f"mylab.{name}"

    yield write
    for name in [name for name in sys.modules if name.split(".")[0] == "mylab"]:
        del sys.modules[name]


def test_a_module_needs_no_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "scans_of_mine.py").write_text(MODULE)
    assert datasets.find("scans_of_mine").specification.label == "Scans"


def test_a_module_anywhere_on_the_path_is_a_data_set(written: Any) -> None:
    dataset = datasets.find(written("scans", MODULE))
    assert (dataset.name, dataset.module, dataset.specification.label) == ("mylab.scans", "mylab.scans", "Scans")
    (images, _), (_, test_labels) = dataset.load(Path("nowhere"))
    assert (images.shape, test_labels.tolist()) == ((4, 1, 8, 8), [0, 1])


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("cifar-10", r"^no data set 'cifar-10'; did you mean 'cifar10'\?$"),
        (
            "views",
            r"^no data set 'views': .*/views.py has no SPECIFICATION; known: cifar10, cifar100, digits, svhn$",
        ),
        ("../digits", r"^no data set '\.\./digits', and no such module is on the Python path"),
        ("ataka.datasets.digits", "^no data set 'ataka.datasets.digits', and no such module"),
        ("", "^no data set ''; known"),
        ("nolab.scans", "^no data set 'nolab.scans', and no such module is on the Python path"),
        ("torch.nn", "^no data set 'torch.nn': .*torch/nn/__init__.py has no SPECIFICATION; known"),
    ],
)
def test_other_names_get_a_hint(name: str, message: str) -> None:
    with pytest.raises(UserError, match=message):
        datasets.find(name)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("import torch", "import torhc"), "can't import 'mylab.scans': ModuleNotFoundError: No module named 'torhc'"),
        (("= Specification(", "= dict("), r"SPECIFICATION of 'mylab.scans' is no ataka\.datasets\.Specification$"),
        (("def load(", "def read("), "'mylab.scans' has no function load"),
        (("torch.uint8", "torch.float32"), r"training images are float32 of shape \(4, 1, 8, 8\), not uint8 of shape"),
        (("size=8", "size=9"), r"training images are uint8 of shape \(4, 1, 8, 8\), not uint8 of shape \(4, 1, 9, 9\)"),
        (("images=(4, 2)", "images=(4, 3)"), r"test images are uint8 of shape \(2, 1, 8, 8\), not uint8 of shape \(3"),
        (("labels[4:])", "labels[4:].int())"), r"test labels are int32 of shape \(2,\), not int64 of shape \(2,\)"),
        (("[0, 1, 0, 1, 0, 1]", "[1, 2, 1, 2, 1, 2]"), "training labels are 1 to 2, not 0 to 1: its specification"),
        (("[0, 1, 0, 1, 0, 1]", "[0, 0, 0, 0, 0, 1]"), "no training image has the label 1"),
    ],
)
def test_what_is_wrong_with_a_module_is_said(written: Any, change: tuple[str, str], message: str) -> None:
    dotted = written("scans", MODULE.replace(*change))
    with pytest.raises(UserError, match=f"^data set '{dotted}': .*{message}"):
        datasets.find(dotted).load(Path("nowhere"))
