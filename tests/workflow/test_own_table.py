"""A table of one's own, as CONTRIBUTING.md has it, in a folder outside the checkout; and drafts that stop no other."""

import csv
import re
from collections.abc import Callable
from pathlib import Path
from statistics import fmean

import pytest
import yaml

from tests.workflow.driver import TABLE, Answer, Checkout, ask_all, cell
from tests.workflow.recipe import Recipe, follow, write

SHORT = "results/smoke/short"


@pytest.fixture(scope="module")
def done(copy_of_built: Callable[[], Checkout]) -> tuple[Checkout, Answer]:
    """The recipe's steps in a checkout that has Table 2 already."""
    recipe, checkout = Recipe.read("A table of your own"), copy_of_built()
    (path,) = recipe.quoted(r"\*\*One file\*\* in a folder of your own, say `~/(.+?)`")
    (content,) = recipe.blocks("yaml")
    write(Path(checkout.environment["HOME"], path), content)
    (command,) = recipe.commands()
    return checkout, follow(checkout, command)


def test_one_command_makes_the_table_of_cells_that_there_are(done: tuple[Checkout, Answer]) -> None:
    _, answer = done
    assert answer.code == 0, answer.text
    assert sorted(answer.jobs) == ["collect short", "render short"]


def test_it_has_the_rows_columns_caption_and_label_of_its_file(done: tuple[Checkout, Answer]) -> None:
    checkout, _ = done
    tex = (checkout.folder / f"{SHORT}.tex").read_text(encoding="utf-8")
    markdown = (checkout.folder / f"{SHORT}.md").read_text(encoding="utf-8")
    assert r"\label{tab:short-smoke}" in tex
    assert markdown.startswith(
        "**Table A1.** Our method beside standard training, accuracy (%). "
        "The third column is the mean of the first two. "
    )
    header, _, _, *rows = re.findall(r"^\|(.*)\|$", markdown, re.MULTILINE)
    assert [column.split()[-1] for column in header.split("|")[1:]] == ["Clean", "PGD-20", "Mean"]
    assert [row.split("|")[0].strip() for row in rows] == ["Natural", "Ours"]


def test_its_numbers_are_those_of_the_cells(done: tuple[Checkout, Answer]) -> None:
    checkout, _ = done
    markdown = (checkout.folder / f"{SHORT}.md").read_text(encoding="utf-8")
    for method, label in (("natural", "Natural"), ("s-at-aka", "Ours")):
        measured = []
        for attack in ("clean", "pgd"):
            with (checkout.folder / cell(method, attack)).open(newline="", encoding="utf-8") as file:
                measured += [float(row["accuracy"]) for row in csv.DictReader(file)]
        (line,) = re.findall(rf"^\| {label} \|(.*)\|$", markdown, re.MULTILINE)
        printed = [number.strip(" *ᵃᵇᶜᵈᵉᶠᵍʰ") for number in line.split("|")]
        assert printed == [f"{number:.2f}" for number in (*measured, fmean(measured))]


# ---- drafts


@pytest.fixture(scope="module")
def beside_drafts(copy_of_built: Callable[[], Checkout]) -> dict[str, Answer]:
    """Dry runs beside a draft that is no YAML, one of a method that only another scale has, and that scale's own."""
    checkout = copy_of_built()
    tables = checkout.folder / "report/paper/tables"
    write(tables / "draft.yaml", "title: [unclosed\n")
    draft = "title: Of another scale\ndatasets: [cifar10]\narchs: [resnet18]\ncolumns: [clean]\nrows: [[mine]]\n"
    write(tables / "other.yaml", draft)
    smoke = yaml.safe_load((checkout.folder / "config/smoke.yaml").read_text(encoding="utf-8"))
    smoke["methods"]["mine"] = {"like": "natural", "label": "Mine"}
    write(checkout.folder / "config/mine.yaml", yaml.safe_dump(smoke))
    targets = {
        "another table": TABLE,
        "all": "results/smoke/all",
        "union": "results/smoke/union.csv",
        "the malformed": "results/smoke/draft.tex",
        "of another scale": "results/smoke/other.tex",
        "its own scale": "results/mine/other.tex",
        "its own scale's all": "results/mine/all",
    }
    return ask_all({name: lambda target=target: checkout.snakemake("-n", target) for name, target in targets.items()})


def test_a_draft_stops_no_other_table(beside_drafts: dict[str, Answer]) -> None:
    assert beside_drafts["another table"].idle, beside_drafts["another table"].text
    assert beside_drafts["union"].code == 0, beside_drafts["union"].text
    answer = beside_drafts["its own scale"]
    assert answer.code == 0, answer.text
    assert "render other" in answer.jobs


def test_all_leaves_drafts_out_and_says_why(beside_drafts: dict[str, Answer]) -> None:
    answer = beside_drafts["all"]
    assert answer.code == 0, answer.text
    assert answer.text.count("note: results/smoke/all: table 'draft' is left out: ") == 1
    assert "table 'other' is left out: report/paper/tables/other.yaml: rows: no method 'mine'" in answer.text
    assert "render table3" in answer.jobs
    assert not {"render draft", "render other"} & {*answer.jobs}
    assert "render other" in beside_drafts["its own scale's all"].jobs


@pytest.mark.parametrize(
    ("name", "reason"), [("the malformed", "draft.yaml is no valid YAML"), ("of another scale", "no method 'mine'")]
)
def test_a_draft_that_is_asked_for_is_refused(beside_drafts: dict[str, Answer], name: str, reason: str) -> None:
    answer = beside_drafts[name]
    assert answer.code == 2, answer.text
    assert reason in answer.text
    assert not answer.jobs
