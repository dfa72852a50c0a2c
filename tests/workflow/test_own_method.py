"""A method of one's own in the four steps of CONTRIBUTING.md: its very text, and the module outside the checkout."""

import csv
import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflow.driver import ATTACKS, LAST, TABLE, Answer, Checkout, ask_all, cell, evaluates, trains
from tests.workflow.recipe import SCALE, Own, Steps


@pytest.fixture(scope="module")
def steps() -> Steps:
    return Steps.read("A method of your own in four steps")


@pytest.fixture(scope="module")
def done(
    steps: Steps, copy_of_built: Callable[[], Checkout], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Own, Answer]:
    """The four steps in a checkout that has the table already, but for the module's place."""
    checkout = Own(copy_of_built().folder, tmp_path_factory.mktemp("elsewhere"))
    return checkout, steps.follow(checkout)


@pytest.fixture(scope="module")
def after_edits(steps: Steps, done: tuple[Own, Answer], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """What would run after an edit of the module."""
    edits = {
        "words": f'"""Mine: nobody, "Nothing", eq. 1."""\n\n{steps.module}\n# a comment\n',
        "formula": steps.module.replace("functional.cross_entropy", "2 * functional.cross_entropy"),
    }
    asked = {}
    for name, text in edits.items():
        assert text != steps.module
        checkout = Own(done[0].folder, tmp_path_factory.mktemp(name))
        (checkout.modules / steps.path.name).write_text(text, encoding="utf-8")
        asked[name] = checkout
    return ask_all({name: lambda own=own: own.snakemake("-n", TABLE) for name, own in asked.items()})


def test_the_document_is_of_one_piece(steps: Steps) -> None:
    """Its module, entry, row and command name one method and one table."""
    assert f"objective: {'.'.join(steps.path.with_suffix('').parts)}\n" in steps.entry
    assert steps.row == f"- [{steps.entry.partition(':')[0]}]"
    runner, *_, target = steps.command.split()
    assert (runner, target.replace(*SCALE)) == (".venv/bin/snakemake", TABLE)
    assert Path(steps.table).stem == Path(TABLE).stem


def test_one_command_makes_the_new_row_and_nothing_else_again(done: tuple[Own, Answer]) -> None:
    _, answer = done
    assert answer.code == 0, answer.text
    assert sorted(answer.jobs) == sorted(trains("mine") | evaluates("mine") | LAST)


def test_the_table_holds_the_measured_numbers_in_the_new_row(done: tuple[Own, Answer]) -> None:
    checkout, _ = done
    measured = []
    for attack in ATTACKS:
        with (checkout.folder / cell("mine", attack)).open(newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        measured.append(f"{float(row['accuracy']):.2f}")
    table = checkout.folder / TABLE
    (line,) = re.findall(r"^\| Mine \|(.*)\|$", table.with_suffix(".md").read_text(encoding="utf-8"), re.MULTILINE)
    assert [number.strip(" *ᵃᵇᶜᵈᵉᶠᵍʰ") for number in line.split("|")] == measured
    assert re.search(r"^\s*\\raggedright Mine\s*&", table.read_text(encoding="utf-8"), re.MULTILINE)


def test_its_run_knows_the_options_of_its_entry(done: tuple[Own, Answer]) -> None:
    checkout, _ = done
    (run,) = (checkout.folder / "results/smoke/runs").glob("*/*/mine/seed0/run.json")
    settings = json.loads(run.read_text(encoding="utf-8"))["settings"]
    assert settings["objective"] == "mine"
    assert settings["options"] == {"weight": 2.0}


def test_editing_its_docstring_re_runs_nothing(after_edits: dict[str, Answer]) -> None:
    assert after_edits["words"].idle, after_edits["words"].text


def test_editing_its_formula_re_runs_the_method_alone(after_edits: dict[str, Answer]) -> None:
    answer = after_edits["formula"]
    assert answer.code == 0, answer.text
    assert sorted(answer.jobs) == sorted(trains("mine") | evaluates("mine") | LAST)
