"""An attack of one's own, as CONTRIBUTING.md has it: its very text, and the module outside the checkout."""

import csv
import re
from collections.abc import Callable

import pytest

from tests.workflow.driver import LAST, METHODS, TABLE, Answer, Checkout, ask_all, cell, evaluates
from tests.workflow.recipe import Own, Recipe, follow, insert_below, write

TITLE = "An attack of your own"
EVALUATIONS = evaluates(*METHODS, attacks=("mi",))


@pytest.fixture(scope="module")
def module() -> str:
    (text,) = Recipe.read(TITLE).blocks("python")
    return text


@pytest.fixture(scope="module")
def path() -> str:
    (path,) = Recipe.read(TITLE).quoted(r"\*\*One file\*\*, say `(.+?)`")
    return path


@pytest.fixture(scope="module")
def done(
    module: str, path: str, copy_of_built: Callable[[], Checkout], tmp_path_factory: pytest.TempPathFactory
) -> tuple[Own, Answer]:
    """The recipe's steps in a checkout that has the table already."""
    recipe = Recipe.read(TITLE)
    checkout = Own(copy_of_built().folder, tmp_path_factory.mktemp("elsewhere"))
    write(checkout.modules / path, module)
    (entry,) = recipe.blocks("yaml")
    key, config = recipe.quoted(r"\*\*One entry\*\* below `(.+?)` in `(.+?)`")
    insert_below(checkout.folder / config, key, entry.strip())
    columns, table = recipe.quoted(r"\*\*One column\*\* in a table: write `(.+?)` in `(.+?)`")
    text = (checkout.folder / table).read_text(encoding="utf-8")
    changed, count = re.subn(rf"^{columns.partition(' ')[0]}.*$", columns, text, flags=re.MULTILINE)
    assert count == 1
    write(checkout.folder / table, changed)
    (command,) = recipe.commands()
    assert command[-1] == TABLE
    return checkout, follow(checkout, command)


@pytest.fixture(scope="module")
def after_edits(
    module: str, path: str, done: tuple[Own, Answer], tmp_path_factory: pytest.TempPathFactory
) -> dict[str, Answer]:
    """What would run after an edit of the module, or what is said of a slip."""
    edits = {
        "words": module.replace("algorithm 1", "by nobody") + "\n# a comment\n",
        "label": module.replace('"MI-FGSM"', '"Momentum"'),
        "sentence": module.replace("momentum {decay}", "mu {decay}"),
        "formula": module.replace("decay * momentum + gradient", "decay * momentum - gradient"),
        "slip": module.replace("decay: float = Field", "decoy: float = Field"),
    }
    asked = {}
    for name, text in edits.items():
        assert text != module
        checkout = Own(done[0].folder, tmp_path_factory.mktemp(name))
        write(checkout.modules / path, text)
        asked[name] = checkout
    return ask_all({name: lambda own=own: own.snakemake("-n", TABLE) for name, own in asked.items()})


def test_one_command_makes_the_new_column_and_nothing_else_again(done: tuple[Own, Answer]) -> None:
    _, answer = done
    assert answer.code == 0, answer.text
    assert sorted(answer.jobs) == sorted(EVALUATIONS | LAST)


def test_the_table_has_its_numbers_under_its_label(done: tuple[Own, Answer]) -> None:
    checkout, _ = done
    markdown = (checkout.folder / TABLE).with_suffix(".md").read_text(encoding="utf-8")
    lines = [[text.strip() for text in line.split("|")] for line in re.findall(r"^\|(.*)\|$", markdown, re.MULTILINE)]
    (place,) = (at for at, heading in enumerate(lines[0]) if heading.endswith("MI-FGSM"))
    printed = {line[0]: line[place].strip("*ᵃᵇᶜᵈᵉᶠᵍʰ ") for line in lines}
    for method, label in (("natural", "Natural"), ("s-at-aka", "(S)AT-AKA")):
        with (checkout.folder / cell(method, "mi")).open(newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        assert printed[label] == f"{float(row['accuracy']):.2f}"
        assert (row["eps"], row["steps"], row["step_size"]) == ("26/255", "10", "")


def test_the_caption_and_the_health_checks_know_it(done: tuple[Own, Answer]) -> None:
    checkout, _ = done
    markdown = (checkout.folder / TABLE).with_suffix(".md").read_text(encoding="utf-8")
    assert "MI-FGSM: 10 steps of ε/10, momentum 1." in markdown
    assert "Budget ‖ε‖∞ ≤ 26/255." in markdown
    with (checkout.folder / TABLE).with_suffix(".csv").open(newline="", encoding="utf-8") as file:
        checks = {row["checks"] for row in csv.DictReader(file) if row["attack"] == "mi"}
    assert checks == {"order"}


def test_it_is_an_attack(done: tuple[Own, Answer]) -> None:
    """It leaves no network more images right than there are without it, and some fewer."""
    checkout, _ = done

    def correct(method: str, attack: str) -> int:
        with (checkout.folder / cell(method, attack)).open(newline="", encoding="utf-8") as file:
            (row,) = csv.DictReader(file)
        return int(row["correct"])

    clean, attacked = ([correct(method, attack) for method in METHODS] for attack in ("clean", "mi"))
    assert all(left <= right for left, right in zip(attacked, clean, strict=True))
    assert sum(attacked) < sum(clean)


def test_editing_words_re_runs_nothing(after_edits: dict[str, Answer]) -> None:
    assert after_edits["words"].idle, after_edits["words"].text


@pytest.mark.parametrize("edit", ["label", "sentence"])
def test_editing_what_a_table_prints_of_it_evaluates_nothing(after_edits: dict[str, Answer], edit: str) -> None:
    assert after_edits[edit].code == 0, after_edits[edit].text
    assert sorted(after_edits[edit].jobs) == sorted(LAST)


def test_editing_its_formula_re_runs_its_column_alone(after_edits: dict[str, Answer]) -> None:
    assert after_edits["formula"].code == 0, after_edits["formula"].text
    assert sorted(after_edits["formula"].jobs) == sorted(EVALUATIONS | LAST)


def test_an_option_that_it_does_not_have_is_refused_with_the_nearest(after_edits: dict[str, Answer]) -> None:
    assert after_edits["slip"].code == 2, after_edits["slip"].text
    assert "attacks.mi.decay: unknown key; did you mean 'decoy'?" in after_edits["slip"].text
    assert not after_edits["slip"].jobs
