"""Do the files that an attack reads beside the test images decide its cells, wherever they lie?"""

from pathlib import Path
from typing import Any

import numpy
import pytest

from ataka import plan
from ataka.errors import UserError
from ataka.plan import Cell
from ataka.study import Study, config
from ataka.study.strict_yaml import read_mapping

CELL = Cell("digits", "resnet10-w8", "natural", 0, "corruption-fog-3")
ENTRY = {"kind": "corruption", "corruption": "fog", "severity": 3}


def study(place: Path, **entry: Any) -> Study:
    changes = {"data": {"folder": str(place)}, "attacks": {CELL.attack: ENTRY | entry}}
    return config.load("smoke", changes)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of the data, with small files of the form of the authors'."""
    monkeypatch.delenv("ATAKA_DATA", raising=False)
    (tmp_path / "digits-C").mkdir()
    numpy.save(tmp_path / "digits-C/fog.npy", numpy.zeros((10, 8, 8, 1), dtype=numpy.uint8))
    numpy.save(tmp_path / "digits-C/labels.npy", numpy.zeros(10, dtype=int))
    return tmp_path


def digest(study: Study) -> str:
    return plan.digest(plan.cell_settings(study, CELL))


def test_the_files_decide_and_their_place_does_not(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = digest(study(folder))
    elsewhere = folder.parent / f"{folder.name}-elsewhere"
    folder.rename(elsewhere)
    monkeypatch.setenv("ATAKA_DATA", str(elsewhere))
    assert digest(study(folder)) == first
    for name, content in (("fog", numpy.ones((10, 8, 8, 1), dtype=numpy.uint8)), ("labels", numpy.ones(10, dtype=int))):
        numpy.save(elsewhere / f"digits-C/{name}.npy", content)
        changed = digest(study(folder))
        assert changed != first
        first = changed
    assert digest(study(folder, severity=4)) != first


def test_each_data_set_has_a_folder_of_its_own(folder: Path) -> None:
    used = study(folder)
    assert used.attack_on(CELL.attack, "cifar100").options["folder"] == str(folder / "CIFAR-100-C")
    assert used.attack_on(CELL.attack, "digits").paths == {
        name: folder / "digits-C" / name for name in ("fog.npy", "labels.npy")
    }
    named = study(folder, folder="mine")
    assert named.attack_on(CELL.attack, "digits").options["folder"] == str(folder / "mine")
    assert used.attack("pgd") == used.attack_on("pgd", "digits")


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"corruption": "frog"},
            r"no file .*digits-C/frog.npy \(attacks.corruption-fog-3.folder below.*'fog.n",
        ),
        ({"folder": "nowhere"}, r"attack 'corruption-fog-3' on digits: there is no file .*/nowhere/fog.npy"),
        ({"severity": 6}, "attacks.corruption-fog-3.severity: "),
        ({"corruption": "../fog"}, "attacks.corruption-fog-3.corruption: "),
    ],
)
def test_a_cell_without_its_files_is_refused_before_it_runs(folder: Path, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(UserError, match=message):
        digest(study(folder, **entry))


def test_all_corruptions_of_cifar_are_named() -> None:
    """19 of five severities, of which the authors report 15."""
    entries = read_mapping(config.HOME / "config/corruptions/cifar.yaml")
    known = config.load("smoke", entries)
    added = {name: known.attack(name).options for name in entries["attacks"]}
    assert all(name == f"corruption-{each['corruption']}-{each['severity']}" for name, each in added.items())
    assert len(added) == 95
    assert len({each["corruption"] for each in added.values()}) == 19


def test_alpha_is_not_chosen_on_corrupted_test_images(folder: Path) -> None:
    with pytest.raises(UserError, match=r"selection.attack: corruption has images for the test set alone"):
        config.load("smoke", {"selection": {"attack": ENTRY}})
