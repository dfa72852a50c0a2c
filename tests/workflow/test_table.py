"""Does one command make the table, a second one nothing, and can a single cell be made again?"""

import csv
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest

from tests.workflow.driver import (
    ARCH,
    ATTACKS,
    LAST,
    METHODS,
    STUDENTS,
    TABLE,
    Answer,
    Checkout,
    ask_all,
    cell,
    evaluates,
)

CELL = cell("s-at-aka", "pgd")
TAKEN = ("seconds", "cpu_seconds", "memory_mb", "gpu_memory_mb")
OF_A_MOMENT = (*TAKEN, "finished_at", "git_commit", "git_dirty", "seal")
"""Columns of a cell that tell of the moment, not of the number."""


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def asked(built: Checkout) -> dict[str, Answer]:
    return ask_all(
        {
            "again": lambda: built.snakemake("-n", TABLE),
            "force": lambda: built.snakemake("-n", "--force", CELL),
            "forcerun": lambda: built.snakemake("-n", TABLE, "--forcerun", CELL),
            "all": lambda: built.snakemake("-n", "results/smoke/all"),
            "supplement": lambda: built.snakemake("-n", "results/smoke/supplement"),
        }
    )


@pytest.fixture(scope="module")
def repaired(copy_of_built: Callable[[], Checkout]) -> dict[str, Answer]:
    """A cell is lost, made anew, and lost again."""
    checkout = copy_of_built()
    lost = checkout.folder / CELL
    lost.unlink()
    told = {"repair": checkout.snakemake(TABLE), "after": checkout.snakemake("-n", TABLE)}
    lost.unlink()
    return told | {"lost again": checkout.snakemake("-n", TABLE)}


def test_the_first_build_makes_the_table_in_all_its_forms(built: Checkout) -> None:
    for suffix in (".tex", ".standalone.tex", ".md", ".csv", ".choices.csv"):
        assert (built.folder / TABLE).with_suffix(suffix).stat().st_size > 0, suffix


def test_the_first_build_ends_with_every_step_done_and_says_so(first_build: tuple[Checkout, Answer]) -> None:
    _, answer = first_build
    assert answer.code == 0
    assert "(100%) done" in answer.text
    assert set(answer.jobs) >= evaluates(*METHODS) | LAST


def test_the_terminal_tells_what_starts_and_what_it_achieves(first_build: tuple[Checkout, Answer]) -> None:
    _, answer = first_build
    assert "scale smoke: " in answer.text
    assert "train digits/resnet10-w8/natural seed 0: " in answer.text
    assert " images/s" in answer.text
    assert " of 16 correct" in answer.text
    assert "Reason:" not in answer.text


@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.parametrize("method", METHODS)
def test_every_cell_has_one_bit_an_image_and_they_add_up(built: Checkout, method: str, attack: str) -> None:
    path = built.folder / cell(method, attack)
    (row,) = rows(path)
    bits = numpy.load(path.with_suffix(".bits.npy"))
    assert bits.dtype == bool
    assert bits.shape == (int(row["n"]),) == (16,)
    assert int(bits.sum()) == int(row["correct"])
    assert float(row["accuracy"]) == pytest.approx(100 * bits.mean(), abs=1e-4)


def test_the_collection_holds_each_cell_as_it_was_measured(built: Checkout) -> None:
    collected = rows(built.folder / "results/smoke/table2.csv")
    assert len(collected) == len(METHODS) * len(ATTACKS)
    for row in collected:
        (own,) = rows(built.folder / cell(row["method"], row["attack"]))
        assert {name: row[name] for name in own} == own


def test_the_choices_list_every_alpha_and_one_choice_for_each_student(built: Checkout) -> None:
    grid = rows(built.folder / "results/smoke/table2.choices.csv")
    assert {(row["method"], row["alpha"]) for row in grid} == {(m, a) for m in STUDENTS for a in ("0.1", "0.5")}
    assert sorted(row["method"] for row in grid if row["chosen"] == "yes") == sorted(STUDENTS)


def test_a_second_ask_has_nothing_to_do(asked: dict[str, Answer]) -> None:
    assert asked["again"].idle, asked["again"].text


def test_force_evaluates_the_one_cell(asked: dict[str, Answer]) -> None:
    assert asked["force"].jobs == sorted(evaluates("s-at-aka", attacks=("pgd",)))


def test_forcerun_evaluates_the_cell_and_makes_its_table(asked: dict[str, Answer]) -> None:
    assert sorted(asked["forcerun"].jobs) == sorted(evaluates("s-at-aka", attacks=("pgd",)) | LAST)


def test_a_deleted_cell_is_made_when_its_table_is_asked_for(repaired: dict[str, Answer]) -> None:
    assert repaired["repair"].code == 0, repaired["repair"].text
    assert sorted(repaired["repair"].jobs) == sorted(evaluates("s-at-aka", attacks=("pgd",)) | LAST)


def test_a_repaired_table_has_nothing_more_to_do(repaired: dict[str, Answer]) -> None:
    assert repaired["after"].idle, repaired["after"].text


def test_the_same_cell_is_missed_a_second_time(repaired: dict[str, Answer]) -> None:
    assert sorted(repaired["lost again"].jobs) == sorted(evaluates("s-at-aka", attacks=("pgd",)) | LAST)


def test_a_verb_by_hand_gives_what_its_rule_gave(copy_of_built: Callable[[], Checkout]) -> None:
    checkout = copy_of_built()
    path = checkout.folder / CELL
    before, bits = rows(path), path.with_suffix(".bits.npy").read_bytes()
    shutil.rmtree(path.parent)
    answer = checkout.run("ataka", "evaluate", CELL)
    assert answer.code == 0, answer.text
    assert path.with_suffix(".bits.npy").read_bytes() == bits
    for row in (*before, *(after := rows(path))):
        for name in OF_A_MOMENT:
            del row[name]
    assert after == before


def test_the_supplement_is_a_target_and_no_part_of_all(asked: dict[str, Answer]) -> None:
    assert all(answer.code == 0 for answer in asked.values())
    assert "render supplement" in asked["supplement"].jobs
    assert f"train {ARCH} mtard seed 0" in asked["supplement"].jobs
    assert not {"render supplement", f"train {ARCH} mtard seed 0"} & {*asked["all"].jobs}
    assert "render table2" not in asked["supplement"].jobs


def test_snakemakes_own_report_has_captions_and_categories(built: Checkout, tmp_path: Path) -> None:
    answer = built.snakemake("--report", str(tmp_path / "report.html"), TABLE)
    assert answer.code == 0, answer.text
    for name in ("table2.tex", "table2.md", "table2.csv"):
        assert f"Adding {name}" in answer.text
    page = (tmp_path / "report.html").read_text(encoding="utf-8")
    for words in ('"Tables"', "LaTeX", "has the whole caption"):
        assert words in page
