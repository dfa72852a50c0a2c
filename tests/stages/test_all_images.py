"""Training on the validation images too: does every stage see the same images, and is nothing then chosen on them?"""

import contextlib
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from ataka import datasets, networks, plan, training
from ataka.cli import main
from ataka.datasets.images import Split
from ataka.errors import UserError
from ataka.files import tape as tapes
from ataka.files.prepared import load_split
from ataka.files.records import read_json, read_rows
from ataka.files.tensors import load_tensors
from ataka.plan import Run
from ataka.stages.common import device_of
from ataka.study import config, layers
from ataka.study.fields import number
from baselines.natural import Natural
from report import verify
from tests import tiny

ROOT = "results/smoke"
D, A = "digits", "resnet10-w8"
DATA, RUNS = f"{ROOT}/data/{D}/train.safetensors", f"{ROOT}/runs/{D}/{A}"
TAPE = f"{ROOT}/tapes/{D}/wrn10-1-x3-svgd.everything/seed0/manifest.json"
SETTINGS = {
    "data": {"train": 24, "validation": 64, "test": 12},
    "setups": {
        "everything": {"like": "table2", "images": "all", "batch_size": 8},
        "natural-all": {"like": "natural", "images": "all", "batch_size": 8},
    },
    "methods": {
        "natural.everything": {"like": "natural", "setup": "natural-all"},
        "s-at-aka.everything": {
            "like": "s-at-aka",
            "alpha": 0.5,
            "setup": "everything",
            "ensemble": {"setup": "everything"},
        },
    },
}


def study(**overrides: Any) -> config.Study:
    return config.load("smoke", layers.overlay(SETTINGS, overrides))


def ataka(*arguments: str) -> int:
    return main([*arguments, "--config", json.dumps(SETTINGS)])


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    folder = tmp_path_factory.mktemp("study")
    with contextlib.chdir(folder):
        assert ataka("prepare", DATA) == 0
        assert ataka("train", f"{RUNS}/natural.everything/seed0/model.safetensors") == 0
        assert ataka("record", TAPE) == 0
        assert ataka("train", f"{RUNS}/s-at-aka.everything/seed0/model.safetensors") == 0
        yield folder


@pytest.fixture
def everything(home: Path) -> Split:
    train, validation = (load_split(home / DATA, name) for name in ("train", "validation"))
    return Split(torch.cat((train.images, validation.images)), torch.cat((train.labels, validation.labels)))


def test_all_is_train_and_validation_each_image_once(home: Path, everything: Split) -> None:
    assert load_split(home / DATA, "all").digest() == everything.digest()
    official = tiny.cut(D, train=None, validation=64)
    found = {image.numpy().tobytes() for image in everything.images}
    assert len(everything) == 88
    assert found <= {image.numpy().tobytes() for part in ("train", "validation") for image in official[part].images}
    assert {image.numpy().tobytes() for image in official["validation"].images} <= found


def test_the_whole_of_the_official_images_is_trained_on() -> None:
    splits = tiny.cut(D, train=None, validation=64)
    (images, labels), _ = datasets.find(D).load(Path("nowhere"))
    joined = splits["train"].joined(splits["validation"])
    assert len(joined) == len(labels) == 1437
    assert sorted(image.tobytes() for image in joined.images.numpy()) == sorted(one.tobytes() for one in images.numpy())
    assert torch.equal(joined.labels.bincount(), labels.bincount())


def test_a_run_is_a_training_on_all_images(home: Path, everything: Split) -> None:
    """The same bits as by hand; the steps are those of all images."""
    node = Run(D, A, "natural.everything", 0)
    setup = study().setup("natural-all", D, A)
    facts, device = datasets.find(D).specification, device_of(study())
    network = networks.student(A, facts, seed=0, device=device)
    validation = load_split(home / DATA, "validation")
    (row,) = training.train(
        [network], Natural(), everything, facts, setup, seed=0, validation=validation, eps=number(study().eps)
    )
    assert tiny.same(load_tensors(node.model(home / ROOT)), tiny.state(network))
    (written,) = read_rows(node.folder(home / ROOT) / "history.csv")
    assert {name: float(value) for name, value in written.items()} == pytest.approx(row)


def test_no_accuracy_on_images_that_were_trained_on_is_called_validation(home: Path) -> None:
    for method, arch in (("natural.everything", A), ("s-at-aka.everything", A)):
        (row,) = read_rows(Run(D, arch, method, 0).folder(home / ROOT) / "history.csv")
        assert "train_accuracy" in row
        assert "validation_accuracy" not in row
        assert int(row["classes"]) >= 1  # collapse is still looked for
    (row,) = read_rows((home / TAPE).with_name("history.csv"))
    assert 0 <= float(row["probe0"]) <= 100  # as is catastrophic overfitting
    assert not any(name.startswith("validation_accuracy") for name in row)


def test_records_name_the_images_and_the_reading(home: Path, everything: Split) -> None:
    for folder in (Path(RUNS, "natural.everything/seed0"), Path(TAPE).parent):
        record = read_json(home / folder / "run.json")
        assert record["data_sha256"] == everything.digest()
        assert record["readings"]["setup.images"] == "all [C1]"
        assert record["settings"]["setup"]["images"] == "all"
    manifest = read_json(home / TAPE)
    assert (manifest["data_sha256"], manifest["count"]) == (everything.digest(), 88)
    assert "images" not in plan.run_settings(study(), Run(D, A, "natural", 0))["setup"]


def test_a_tape_serves_students_of_the_same_images_alone(home: Path, everything: Split) -> None:
    node = plan.tape_of(study(), Run(D, A, "s-at-aka.everything", 0))
    assert node is not None
    settings_sha256 = plan.digest(plan.tape_settings(study(), node))
    tapes.Reader(home / TAPE, settings_sha256=settings_sha256, data_sha256=everything.digest())
    rest = load_split(home / DATA, "train").digest()
    with pytest.raises(UserError, match="recorded on other training images"):
        tapes.Reader(home / TAPE, settings_sha256=settings_sha256, data_sha256=rest)


def test_verify_accepts_what_was_made_and_names_other_images(home: Path) -> None:
    with contextlib.chdir(home):
        assert verify.check(Path(ROOT), SETTINGS).problems == []
        other = layers.overlay(SETTINGS, {"setups": {"natural-all": {"images": "rest"}}})
        found = "\n".join(verify.check(Path(ROOT), other).problems)
    assert "seed0/model.safetensors was made under other settings than those in force (setup.images was all" in found
    assert "was made from other images" in found


ALL = {"setups": {"everything": {"like": "table2", "images": "all"}}}
REFUSED = {
    "alpha": (
        {"methods": {"s-at-aka.x": {"like": "s-at-aka", "setup": "everything", "ensemble": {"setup": "everything"}}}},
        "methods.s-at-aka.x: alpha: tuned is a choice on validation images, but set-up 'everything' trains on all "
        "images; give alpha a number, or setups.everything.images: rest",
    ),
    "alpha of joint networks": (
        {"methods": {"s-cat-aka.x": {"like": "s-cat-aka", "setup": "everything"}}},
        "methods.s-cat-aka.x: alpha: tuned is a choice on validation images",
    ),
    "the network that is chosen": (
        {"methods": {"s-cat-aka": {"setup": "everything", "alpha": 0.5}, "s-cat-aka.chosen": {"member": "chosen"}}},
        "methods.s-cat-aka.chosen: member: chosen is a choice on validation images, but set-up 'everything' trains on "
        "all images; give the member's number, or setups.everything.images: rest",
    ),
    "the epoch that is chosen": (
        {"setups": {"everything": {"checkpoint": "best"}}},
        "setups.everything: checkpoint: best is chosen on validation images, which images: all trains on; take "
        "checkpoint: last, or images: rest",
    ),
    "the epoch, for one network": (
        {"setups": {"everything": {"where": {"resnet18": {"checkpoint": "best"}}}}},
        "setups.everything: where.resnet18: checkpoint: best is chosen on validation images",
    ),
    "a teacher that has seen them": (
        {
            "setups": {"ard": {"checkpoint": "best"}},
            "methods": {"en-trades": {"setup": "everything"}},
        },
        "methods.en-ard: checkpoint: best is a choice on validation images, but set-up 'everything' trains on all "
        "images; take checkpoint: last, or setups.everything.images: rest",
    ),
    "teachers of other images": (
        {"methods": {"s-at-aka.x": {"like": "s-at-aka", "alpha": 0.5, "setup": "everything"}}},
        "the images that its teachers saw, but images is all (set-up everything) and rest (set-up table2)",
    ),
    "teachers of other images, for one data set": (
        {
            "setups": {"partly": {"like": "table2", "where": {"cifar10": {"images": "all"}}}},
            "methods": {"s-at-aka.x": {"like": "s-at-aka", "alpha": 0.5, "setup": "partly"}},
        },
        "but images is all (set-up partly) and rest (set-up table2)",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_nothing_is_chosen_on_images_that_are_trained_on(name: str) -> None:
    overrides, said = REFUSED[name]
    with pytest.raises(UserError, match=re.escape(said)):
        config.load("smoke", layers.overlay(ALL, overrides))


def test_what_is_chosen_on_test_images_may_train_on_all() -> None:
    method = {"like": "s-at-aka", "setup": "everything", "ensemble": {"setup": "everything"}, "chosen_on": "test"}
    assert config.load("smoke", layers.overlay(ALL, {"methods": {"s-at-aka.x": method}})).method("s-at-aka.x")


def test_online_networks_train_under_one_setup() -> None:
    """The loop has one; the teachers' settings would say another."""
    other = {"setups": {"other": {"like": "table2", "learning_rate": 0.05}}}
    method = {"like": "s-at-aka.input-adv", "setup": "other"}
    with pytest.raises(UserError, match=r"methods.s-at-aka.x.online: student and teachers train in one loop"):
        config.load("smoke", layers.overlay(other, {"methods": {"s-at-aka.x": method}}))
    apart = {"setups": {"drawn": {"like": "table2", "where": {"wrn34-10": {"initialisation": "fan-in"}}}}}
    alike = {"like": "s-at-aka.input-adv", "setup": "drawn", "ensemble": {"setup": "drawn"}}
    assert config.load("smoke", layers.overlay(apart, {"methods": {"s-at-aka.x": alike}})).method("s-at-aka.x")
