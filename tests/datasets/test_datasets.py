"""Are splits disjoint and fixed, views pure, and do missing or damaged files say what to do?"""

import hashlib
import shutil
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor
from torchvision import datasets as theirs

from ataka import datasets, streams, training
from ataka.datasets import splits
from ataka.datasets.images import Split, to_unit
from ataka.datasets.splits import stratified
from ataka.datasets.views import View, view
from ataka.errors import UserError
from ataka.files.official import damaged_files
from ataka.models import build
from ataka.objectives.teachers import Teachers
from baselines import sat
from tests import tiny

# ---- stratified


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 4), min_size=2, max_size=60), st.data())
def test_stratified_keeps_each_classs_share(labels: list[int], draw: st.DataObject) -> None:
    count = draw.draw(st.integers(1, len(labels)))
    chosen, rest = stratified(torch.tensor(labels), count, torch.Generator().manual_seed(0))
    assert len(chosen) == count
    assert sorted([*chosen.tolist(), *rest.tolist()]) == list(range(len(labels)))
    assert chosen.tolist() == sorted(chosen.tolist())
    assert rest.tolist() == sorted(rest.tolist())
    picked = Counter(labels[index] for index in chosen.tolist())
    for label, size in Counter(labels).items():
        assert abs(picked[label] - size * count / len(labels)) < 1


def test_stratified_is_fixed_by_its_generator() -> None:
    labels = torch.arange(100) % 10
    first, second, other = (stratified(labels, 30, torch.Generator().manual_seed(seed))[0] for seed in (0, 0, 1))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert not torch.equal(first, torch.arange(30))


# ---- split


def cut(**changes: Any) -> dict[str, Split]:
    """Splits of 300 and 60 images, each different: pixel values are the image's own number."""

    def images(start: int, count: int) -> tuple[Tensor, Tensor]:
        number = torch.arange(start, start + count)
        pixels = torch.stack([number // 256, number % 256], 1).to(torch.uint8).reshape(-1, 1, 1, 2)
        return pixels, number % 3

    sizes = {"train": None, "validation": 30, "test": None, "split_seed": 0} | changes
    return splits.cut("numbered", (images(0, 300), images(300, 60)), **sizes)


def numbers(part: Split) -> list[int]:
    pairs = part.images.flatten(1).tolist()
    found = [256 * high + low for high, low in pairs]
    assert [number % 3 for number in found] == part.labels.tolist()  # each image kept its label
    return found


def test_no_image_is_in_two_splits() -> None:
    cuts = cut(train=90, test=50)
    found = {name: numbers(part) for name, part in cuts.items()}
    assert {name: len(indices) for name, indices in found.items()} == {"train": 90, "validation": 30, "test": 50}
    assert len(set(found["train"]) | set(found["validation"])) == 120
    assert max(found["train"] + found["validation"]) < 300
    assert found["test"] == list(range(300, 350))
    for name in ("train", "validation"):
        assert set(cuts[name].labels.bincount().tolist()) == {len(found[name]) // 3}


def test_without_a_cut_everything_is_used() -> None:
    found = cut()
    assert sorted(numbers(found["train"]) + numbers(found["validation"])) == list(range(300))
    assert len(found["test"]) == 60


def test_validation_is_fixed_by_its_seed_and_untouched_by_the_cuts() -> None:
    reference = numbers(cut()["validation"])
    for changes in ({}, {"train": 12}, {"test": 3}):
        assert numbers(cut(**changes)["validation"]) == reference
    assert numbers(cut(split_seed=1)["validation"]) != reference


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"train": 271}, "271 training and 30 validation images are asked for, but numbered has 300 training"),
        ({"validation": 299}, "all training and 299 validation images are asked for"),
        ({"validation": 301}, "numbered has 300 training images"),
        ({"test": 61}, "61 test images are asked for, but numbered has 60"),
    ],
)
def test_more_images_than_there_are_is_a_user_error(changes: dict, message: str) -> None:
    with pytest.raises(UserError, match=message):
        cut(**changes)


def test_exactly_as_many_as_there_are_is_fine() -> None:
    found = cut(train=270, test=60)
    assert (len(found["train"]), len(found["test"])) == (270, 60)


def test_first_takes_the_first() -> None:
    part = tiny.split(5)
    assert torch.equal(part.first(2).images, part.images[:2])
    assert torch.equal(part.first(2).labels, part.labels[:2])
    assert len(part.first(None)) == len(part.first(5)) == 5
    with pytest.raises(UserError, match="6 images are asked for, but the split has 5"):
        part.first(6)


def test_a_splits_digest_notices_everything() -> None:
    part = tiny.split(5)
    others = [tiny.split(5, seed=1), tiny.split(4), Split(part.images, part.labels.flip(0))]
    others.append(Split(part.images.reshape(5, 1, 4, 16), part.labels))
    assert len({part.digest(), *(other.digest() for other in others)}) == 5
    assert part.digest() == tiny.split(5).digest()


def test_unknown_data_sets_get_a_hint() -> None:
    with pytest.raises(UserError, match=r"no data set 'cifar-10'; did you mean 'cifar10'\?"):
        datasets.find("cifar-10")


def test_unit_pixels_are_exact() -> None:
    pixels = to_unit(torch.tensor([0, 1, 128, 255], dtype=torch.uint8))
    assert pixels.dtype == torch.float32
    assert torch.equal(pixels, torch.tensor([0, 1 / 255, 128 / 255, 1]))


# ---- digits


def test_digits_need_no_files_and_no_network(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_network(*arguments: object) -> None:
        raise AssertionError("asked the network")

    monkeypatch.setattr("socket.socket.connect", no_network)
    found = tiny.cut("digits", tmp_path / "nowhere", validation=360)
    assert {name: len(part) for name, part in found.items()} == {"train": 1077, "validation": 360, "test": 360}
    images = torch.cat([part.images for part in found.values()])
    assert images.shape == (1797, 1, 8, 8)
    assert images.dtype == torch.uint8
    assert (images.min(), images.max()) == (0, 255)
    assert not (tmp_path / "nowhere").exists()


# ---- views


def naive(images: Tensor, a_view: View) -> Tensor:
    """Image by image, pixel by pixel: padded with zeros, cut at its shift, then perhaps mirrored."""
    _, channels, height, width = images.shape
    result = torch.zeros_like(images)
    for place, source in enumerate(a_view.order.tolist()):
        down, right = (int(shift) - a_view.reach for shift in a_view.shifts[place])
        for row in range(height):
            for column in range(width):
                r, c = row + down, column + right
                if 0 <= r < height and 0 <= c < width:
                    target = width - 1 - column if a_view.flips[place] else column
                    result[place, :, row, target] = images[source, :, r, c]
    assert channels == result.shape[1]
    return result


@pytest.mark.parametrize(("shift", "flip"), [(0, False), (0, True), (1, False), (2, True), (4, True)])
def test_a_view_is_what_a_naive_loop_makes(shift: int, flip: bool) -> None:
    source = torch.Generator().manual_seed(0)
    images = torch.randint(1, 256, (9, 2, 5, 6), generator=source, dtype=torch.uint8)
    before = images.clone()
    a_view = view(3, 1, 9, shift=shift, flip=flip)
    result = a_view.apply(images)
    assert result.dtype == torch.uint8
    assert torch.equal(result, naive(images, a_view))
    assert torch.equal(images, before)


def test_without_shift_and_flip_only_the_order_changes() -> None:
    images = tiny.split(9).images
    a_view = view(0, 0, 9, shift=0, flip=False)
    assert torch.equal(a_view.apply(images), images[a_view.order])
    assert not a_view.shifts.any()
    assert not a_view.flips.any()
    assert a_view.order.tolist() != list(range(9))


def test_every_shift_and_flip_occurs_equally_often() -> None:
    a_view = view(0, 0, 9000, shift=1, flip=True)
    shifts = Counter(map(tuple, a_view.shifts.tolist()))
    assert set(shifts) == {(down, right) for down in range(3) for right in range(3)}
    assert min(shifts.values()) > 850
    assert 4300 < int(a_view.flips.sum()) < 4700
    assert sorted(a_view.order.tolist()) == list(range(9000))


def test_a_view_is_a_pure_function_of_seed_and_epoch() -> None:
    torch.manual_seed(1)
    first = view(4, 2, 20, shift=1, flip=True).digest()
    torch.manual_seed(2)
    view(4, 1, 20, shift=1, flip=True)
    assert view(4, 2, 20, shift=1, flip=True).digest() == first


def test_a_views_digest_changes_with_anything() -> None:
    reference = {"seed": 0, "epoch": 0, "count": 20, "shift": 1, "flip": True}
    changes = [{}, {"seed": 1}, {"epoch": 1}, {"count": 21}, {"shift": 2}, {"flip": False}]
    digests = {view(**reference | change).digest() for change in changes}
    assert len(digests) == len(changes)
    base = view(**reference)
    parts = {"order": base.order.flip(0), "shifts": base.shifts.flip(0), "flips": ~base.flips, "reach": 0}
    for name, value in parts.items():
        assert View(**vars(base) | {name: value}).digest() != base.digest()


def test_everybody_sees_the_same_view() -> None:
    """Whatever the method draws, however many networks it has."""
    seen: dict[str, list[Tensor]] = {}

    class Listening:
        def __init__(self, name: str, inner: Any) -> None:
            self.name, self.inner = name, inner

        def losses(self, networks: Any, batch: Any) -> Any:
            seen.setdefault(self.name, []).append(batch.x.clone())
            return self.inner.losses(networks, batch)

    adversarial = sat.SAT(sat.Options(eps="8/255", step_size="4/255", steps=1))
    methods = {
        "sat": (adversarial, 1),
        "one": (Teachers(tiny.generator()), 1),
        "three": (Teachers(tiny.generator()), 3),
    }
    for name, (objective, count) in methods.items():
        networks = [tiny.dense(index) for index in range(count)]
        training.train(networks, Listening(name, objective), tiny.split(), tiny.FACTS, tiny.setup(), seed=1)
    assert len(seen["sat"]) == 8
    for first, second, third in zip(*seen.values(), strict=True):
        assert torch.equal(first, second)
        assert torch.equal(first, third)


# ---- CIFAR's files


CIFARS = {"cifar10": theirs.CIFAR10, "cifar100": theirs.CIFAR100}


def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object, **named: object) -> None:
        raise OSError("no route to host")

    monkeypatch.setattr("torchvision.datasets.utils.download_and_extract_archive", fail)
    monkeypatch.setattr("socket.socket.connect", fail)


@pytest.mark.parametrize("dataset", CIFARS)
def test_missing_files_are_all_named_with_the_remedy(
    dataset: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_download(monkeypatch)
    monkeypatch.delenv("ATAKA_DATA", raising=False)
    kind, folder = CIFARS[dataset], tmp_path / "archives"
    with pytest.raises(UserError) as caught:
        tiny.cut(dataset, folder)
    message = str(caught.value)
    wanted = [name for name, _ in [*kind.train_list, *kind.test_list]] + [kind.meta["filename"]]
    assert len(wanted) == (7 if dataset == "cifar10" else 3)
    for name in wanted:
        assert f"{folder / kind.base_folder / name} is missing" in message
    for hint in ("no route to host", kind.url, kind.tgz_md5, "ATAKA_DATA", str(folder), "demo scale"):
        assert hint in message


def test_the_environment_names_the_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    no_download(monkeypatch)
    monkeypatch.setenv("ATAKA_DATA", str(tmp_path / "elsewhere"))
    assert datasets.archive_folder("data") == tmp_path / "elsewhere"
    with pytest.raises(UserError, match="elsewhere', which is no folder"):
        tiny.cut("cifar10", "data")
    (tmp_path / "elsewhere").mkdir()
    with pytest.raises(UserError, match="elsewhere/cifar-10-batches-py/data_batch_1 is missing"):
        tiny.cut("cifar10", "data")
    monkeypatch.setenv("ATAKA_DATA", "")
    assert datasets.archive_folder("data") == Path("data")


def test_a_tilde_is_ones_home_wherever_it_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("ATAKA_DATA", raising=False)
    assert datasets.archive_folder("~/data") == tmp_path / "data"
    with pytest.raises(UserError, match="'~nobody-of-this-name/data': this machine knows no user"):
        datasets.archive_folder("~nobody-of-this-name/data")
    monkeypatch.setenv("ATAKA_DATA", "~/archives")
    assert datasets.archive_folder("data") == tmp_path / "archives"


def test_a_damaged_file_is_named_with_its_md5_and_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_download(monkeypatch)
    monkeypatch.delenv("ATAKA_DATA", raising=False)
    base = tmp_path / theirs.CIFAR10.base_folder
    base.mkdir()
    (base / "data_batch_3").write_bytes(b"garbage")
    with pytest.raises(UserError) as caught:
        tiny.cut("cifar10", tmp_path)
    message = str(caught.value)
    md5 = dict(theirs.CIFAR10.train_list)["data_batch_3"]
    assert f"{base / 'data_batch_3'} is damaged: its md5 is not the official {md5}" in message
    assert hashlib.md5(b"garbage").hexdigest() not in message
    assert "Delete these files" in message
    assert (base / "data_batch_3").read_bytes() == b"garbage"


# ---- the real data


@pytest.mark.parametrize(
    ("dataset", "classes", "first_test_labels"),
    [("cifar10", 10, [3, 8, 8, 0, 6]), ("cifar100", 100, [49, 33, 72, 51, 71])],
)
def test_the_real_data_are_what_is_known_of_them(
    real_data: Path, dataset: str, classes: int, first_test_labels: list[int]
) -> None:
    (images, labels), (test_images, test_labels) = datasets.find(dataset).load(real_data)
    assert (images.shape, test_images.shape) == ((50_000, 3, 32, 32), (10_000, 3, 32, 32))
    assert images.dtype == test_images.dtype == torch.uint8
    assert labels.bincount().tolist() == [50_000 // classes] * classes
    assert test_labels.bincount().tolist() == [10_000 // classes] * classes
    assert test_labels[:5].tolist() == first_test_labels


def test_a_flipped_byte_in_a_real_file_is_damage(
    real_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    no_download(monkeypatch)
    monkeypatch.setenv("ATAKA_DATA", str(tmp_path))
    base = tmp_path / theirs.CIFAR100.base_folder
    shutil.copytree(real_data / theirs.CIFAR100.base_folder, base)
    assert damaged_files(theirs.CIFAR100, tmp_path) == []
    with (base / "meta").open("r+b") as file:
        file.seek(100)
        byte = file.read(1)[0]
        file.seek(100)
        file.write(bytes([byte ^ 1]))
    with pytest.raises(UserError, match="cifar-100-python/meta is damaged"):
        tiny.cut("cifar100", tmp_path)


def test_sat_learns_from_real_images(real_data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ATAKA_DATA", str(real_data))
    found = tiny.cut("cifar10", train=100, validation=50, test=20)
    assert found["train"].labels.bincount().tolist() == [10] * 10
    with streams.global_stream(0, "test"):
        network = build("resnet10-w8", classes=10)
    setup = tiny.setup(epochs=6, batch_size=25, learning_rate=0.1, milestones=())
    objective = sat.SAT(sat.Options(eps="8/255", step_size="4/255", steps=2))
    facts = datasets.find("cifar10").specification
    history = training.train([network], objective, found["train"], facts, setup, seed=0)
    assert history[-1]["loss"] < history[0]["loss"] - 0.1
