"""A psi of one's own in the four steps of CONTRIBUTING.md: its very text, and the module outside the checkout."""

import json
import re
from collections.abc import Callable

import pytest

from tests.workflow.driver import ATTACKS, LAST, TABLE, Answer, Checkout, ask_all, students_again
from tests.workflow.recipe import Own, Steps


@pytest.fixture(scope="module")
def steps() -> Steps:
    return Steps.read("A psi of your own")


@pytest.fixture(scope="module")
def done(
    steps: Steps, copy_of_built: Callable[[], Checkout], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Own, Answer]:
    """The four steps in a checkout that has the table already, with the module in a folder outside it."""
    checkout = Own(copy_of_built().folder, tmp_path_factory.mktemp("elsewhere"))
    return checkout, steps.follow(checkout)


def test_one_command_trains_its_students_and_no_teacher(done: tuple[Own, Answer]) -> None:
    _, answer = done
    assert answer.code == 0, answer.text
    assert sorted(answer.jobs) == sorted(students_again("m-at-aka") | LAST)


def test_its_row_is_in_the_table(done: tuple[Own, Answer]) -> None:
    page = (done[0].folder / TABLE).with_suffix(".md").read_text(encoding="utf-8")
    (row,) = [line for line in page.splitlines() if line.startswith("| (M)AT-AKA |")]
    assert len(re.findall(r"\d\.\d\d", row)) == len(ATTACKS)


def test_its_run_holds_its_options_and_no_others(done: tuple[Own, Answer]) -> None:
    (run,) = (done[0].folder / "results/smoke/runs").glob("*/*/m-at-aka/seed0/run.json")
    options = json.loads(run.read_text(encoding="utf-8"))["settings"]["options"]
    assert (options["amalgamation"], options["psi"]) == ("median", {"quantile": 0.5})
    assert "mse" in options
    assert "kl" not in options


def test_its_students_differ_from_those_that_it_is_like(done: tuple[Own, Answer]) -> None:
    runs = done[0].folder / "results/smoke/runs/digits/resnet10-w8"
    mine, soft = (runs / method / "seed0/alpha0.5/model.safetensors" for method in ("m-at-aka", "s-at-aka"))
    assert mine.read_bytes() != soft.read_bytes()


@pytest.fixture(scope="module")
def after_edits(steps: Steps, done: tuple[Own, Answer], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Answer]:
    """What would run after an edit of the module, and after one of the entry."""
    edits = {
        "words": f'"""The median."""\n\n{steps.module}\n# a comment\n',
        "formula": steps.module.replace("return teachers", "return 2 * teachers"),
        "option": steps.module,
    }
    asked = {}
    for name, text in edits.items():
        checkout = Own(done[0].folder, tmp_path_factory.mktemp(name))
        (checkout.modules / steps.path.name).write_text(text, encoding="utf-8")
        asked[name] = checkout
    misspelt = ("--config", 'methods={"m-at-aka": {"options": {"psi": {"quantil": 0.25}}}}')
    extra: dict[str, tuple[str, ...]] = {"words": (), "formula": (), "option": misspelt}
    return ask_all(
        {name: lambda own=own, name=name: own.snakemake("-n", TABLE, *extra[name]) for name, own in asked.items()}
    )


def test_editing_its_docstring_re_runs_nothing(after_edits: dict[str, Answer]) -> None:
    assert after_edits["words"].idle, after_edits["words"].text


def test_editing_its_formula_re_runs_its_students_alone(after_edits: dict[str, Answer]) -> None:
    answer = after_edits["formula"]
    assert answer.code == 0, answer.text
    assert sorted(answer.jobs) == sorted(students_again("m-at-aka") | LAST)


def test_a_misspelt_option_is_refused_with_its_path(after_edits: dict[str, Answer]) -> None:
    answer = after_edits["option"]
    assert answer.code == 2
    assert "methods.m-at-aka.options.psi.quantil: unknown key; did you mean 'quantile'?" in answer.text
