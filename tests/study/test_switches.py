"""Is every open sentence a switch that is explained, and does a generator's diagnosis tell an attack from none?"""

import re

import pytest
import torch

from ataka import datasets, networks, plan
from ataka.cli import main
from ataka.errors import UserError
from ataka.plan import Cell, Run
from ataka.stages import diagnose as diagnosing
from ataka.study import Generator, config, switches
from ataka.study.config import HOME
from report import catalogue
from tests import tiny

PAGE = (HOME / "docs/readings.md").read_text(encoding="utf-8")
MEASURED = {
    "A1": {"bandwidth"}, "A3": {"gamma"}, "A5": {"repulsion"}, "A6": {"one_over_n"}, "A7": {"update"}, "A8": {"loss"},
    "A9": {"gradient_of"}, "A10": {"interact"}, "A11": {"start", "clamp_start"}, "A12": {"batchnorm"},
    "C1": {"split", "images"}, "C2": {"mse"}, "C3": {"input"}, "C4": {"logits"}, "C5": {"target"}, "C7": {"follow"},
    "C8": {"weights_per"}, "C9": {"kl"}, "C11": {"logits"}, "E1": {"average", "attacked"}, "E3": {"eps"},
    "G2": {"decayed"}, "G5": {"checkpoint"}, "G6": {"augmentation"}, "G8": {"initialisation", "batchnorm_momentum"},
    "G10": {"assignment"},
}  # fmt: skip
"""Questions whose alternatives the table of readings measures, and the switches of each."""


def test_the_page_is_what_the_code_defines() -> None:
    assert switches.document(config.load()) == PAGE
    assert main(["readings", "--check"]) == 0


def test_every_switch_is_on_the_page_once_with_all_its_values() -> None:
    found = list(switches.switches(config.load()))
    assert len({one.path for one in found}) == len(found) > 40
    for one in found:
        assert PAGE.count(f"`{one.path}`:") == 1
        for value, meaning in one.values.items() if isinstance(one.values, dict) else ():
            assert f"{value}: {meaning}" in PAGE.replace("**", "")


def test_every_alternative_of_a_sentence_has_a_default_among_its_values() -> None:
    for one in switches.switches(config.load()):
        if not isinstance(one.values, str):
            assert one.default in one.values, one.path


def test_the_table_measures_an_alternative_to_each_default() -> None:
    """Each row differs from its default in what its label says, and in nothing else."""
    study, table = config.load("smoke"), catalogue.load("readings")
    first = ""
    questions: set[str] = set()
    measured: set[str] = set()
    follow = {"average_of", "channels", "online", "teachers", "tape", "test"}
    for row in table.lines:
        settings = plan.cell_settings(study, Cell("digits", "resnet10-w8", str(row.method), 0, "pgd"))
        if "every default" in row.label:
            first, default = str(row.method), settings
            continue
        assert str(row.method).startswith(f"{first}.")
        named = re.findall(r"[A-Z]\d+", row.label.split(":")[0])
        questions |= set(named)
        differing = {key.rpartition(".")[2] for key in different(default, settings)}
        assert all(MEASURED[question] & differing for question in named), row.method
        expected = set().union(*(MEASURED[question] for question in named))
        assert differing <= expected | follow, row.method
        measured |= differing
    assert questions == set(MEASURED)
    assert set().union(*MEASURED.values()) <= measured


def different(first: object, second: object, path: str = "") -> list[str]:
    if isinstance(first, dict) and isinstance(second, dict):
        keys = first.keys() | second.keys()
        return [found for key in keys for found in different(first.get(key), second.get(key), f"{path}.{key}")]
    return [] if first == second else [path]


def test_a_run_tells_its_own_readings_not_the_studys() -> None:
    def told(method: str) -> dict[str, str]:
        return plan.readings_in(config.load("smoke"), Run("digits", "resnet10-w8", method, 0))

    assert told("s-at-aka")["selection.split"] == "validation [C1]"
    assert told("s-at-aka.alpha-test")["selection.split"] == "test [C1]"
    assert (told("en-sat")["attacked"], told("en-sat.member")["attacked"]) == ("average [E1]", "member [E1]")


def test_an_average_of_anothers_members_trains_none() -> None:
    study = config.load("smoke")
    run = Run("digits", "resnet10-w8", "en-sat.logits", 0)
    assert [member.method for member in plan.members(study, run)] == ["en-sat"] * 3
    assert plan.run_settings(study, run)["average"] == "logits"


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"en-sat.logits": {"members": 2}}, "methods.en-sat.logits.average_of: en-sat has no 2 members for it"),
        ({"en-sat": {"chosen_on": "test"}}, "methods.en-sat.chosen_on: nothing is chosen"),
    ],
)
def test_mistakes_are_refused(overrides: dict, said: str) -> None:
    with pytest.raises(UserError, match=re.escape(said)):
        config.load("smoke", {"methods": overrides})


# ---- what a generator does


def diagnosed(**changes: object) -> dict[str, float]:
    split = tiny.cut("digits", train=64, validation=64, test=8)["validation"]
    facts = datasets.find("digits").specification
    teachers = networks.teachers("resnet10-w8", facts, 2, seed=0, device=torch.device("cpu"))
    settings = Generator(**{"eps": "26/255", "step_size": "3/255", "steps": 5} | changes)
    before = [tiny.state(teacher) for teacher in teachers]
    said = diagnosing.diagnose(settings, [t.eval() for t in teachers], split.pixels(), split.labels, seed=0)
    assert all(tiny.same(old, tiny.state(teacher)) for old, teacher in zip(before, teachers, strict=True))
    return said


def test_where_the_kernel_is_the_identity_the_generator_gains_what_pgd_does() -> None:
    said = diagnosed()
    assert said["generator_gain"] == 1
    assert said["kernel_offdiagonal_mean"] == 0
    assert said["gradient_norm"] > 0
    assert diagnosed(kind="pgd")["generator_gain"] == 1
    assert diagnosed(clamp_start=False)["generator_gain"] == 1


def test_raw_gradients_are_next_to_no_attack() -> None:
    """The paper's eta with phi itself (A7): to be told from an attack by its share of PGD's gain."""
    assert diagnosed(update="raw", step_size="0.003")["generator_gain"] < 0.5
    assert diagnosed(update="raw")["generator_gain"] < diagnosed(update="normalised")["generator_gain"] < 1


def test_batch_statistics_move_in_a_copy_alone() -> None:
    assert diagnosed(batchnorm="train")["generator_gain"] < 1


def test_a_wide_kernel_is_seen() -> None:
    assert diagnosed(bandwidth=100.0)["kernel_offdiagonal_mean"] == pytest.approx(1, abs=1e-3)
    assert diagnosed(bandwidth=100.0)["generator_gain"] < 1
