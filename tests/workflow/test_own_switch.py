"""A switch of one's own, as CONTRIBUTING.md has it, in a copy: runs that exist keep their settings and their bytes."""

import csv
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.workflow.driver import LAST, TABLE, Answer, Checkout, cell, evaluates, trains_an_average
from tests.workflow.recipe import Recipe, follow, write

MEMBER = "results/smoke/runs/digits/resnet10-w8/en-sat/seed0/member0/model.safetensors"
LISTING = """
import json
from ataka import plan
from ataka.plan.code import code_digest
from ataka.study import config
from report import catalogue

study, digests = config.load("smoke"), {}
for table in catalogue.every(study)[0]:
    nodes = list(table.sources(study))
    while nodes:
        node = nodes.pop()
        nodes += plan.needs(study, node)
        digests[str(node)] = plan.digest(plan.settings_of(study, node)), code_digest(plan.code_of(study, node))
print(json.dumps(digests))
"""


def digests(checkout: Checkout) -> dict[str, tuple[str, str]]:
    """The digests of settings and code of every artifact behind the smoke scale's tables."""
    write(checkout.folder / "listing.py", LISTING)
    answer = checkout.run("listing")
    assert answer.code == 0, answer.text
    return {name: (settings, code) for name, (settings, code) in json.loads(answer.text).items()}


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    return Recipe.read("A switch of your own")


@pytest.fixture(scope="module")
def before(copy_of_built: Callable[[], Checkout]) -> tuple[Checkout, dict[str, tuple[str, str]], bytes]:
    checkout = copy_of_built()
    return checkout, digests(checkout), (checkout.folder / MEMBER).read_bytes()


@pytest.fixture(scope="module")
def edited(recipe: Recipe, before: tuple[Checkout, dict[str, tuple[str, str]], bytes]) -> Checkout:
    """The checkout after the recipe's three edits."""
    checkout = before[0]
    declaration, use = recipe.blocks("python", indented=True)
    (line,) = recipe.quoted(r"\*\*Its use\*\* in `losses`, in place of `(.+?)`:")
    (path,) = recipe.quoted(r"\*\*One field\*\* in `Options` of `(.+?)`")
    (imported, module) = recipe.quoted(r"which imports `(.+?)` from `(.+?)`")
    source = (checkout.folder / path).read_text(encoding="utf-8")
    assert source.count(f"        {line}\n") == source.count("\n\n\ndef heeds(") == 1
    source = source.replace(f"        {line}\n", use).replace("\n\n\ndef heeds(", f"\n{declaration}\n\ndef heeds(")
    source = source.replace(f"from {module} import ", f"from {module} import {imported}, ")
    write(checkout.folder / path, source)
    (entry,) = recipe.blocks("yaml")
    with (checkout.folder / "config/methods.yaml").open("a", encoding="utf-8") as methods:
        methods.write(f"\n{entry}")
    return checkout


@pytest.fixture(scope="module")
def wanted(edited: Checkout) -> Answer:
    """Asked before anything is made again."""
    return edited.snakemake("-n", TABLE)


@pytest.fixture(scope="module")
def done(recipe: Recipe, edited: Checkout, wanted: Answer) -> list[Answer]:
    (edited.folder / "docs").mkdir(exist_ok=True)
    return [follow(edited, command) for command in recipe.commands()]


def test_at_its_neutral_value_the_switch_leaves_every_settings_digest(
    before: tuple[Checkout, dict[str, tuple[str, str]], bytes], edited: Checkout
) -> None:
    old, new = before[1], digests(edited)
    assert old.keys() == new.keys()
    assert {name for name in old if old[name][0] != new[name][0]} == set()
    touched = {name for name in old if old[name][1] != new[name][1]}
    assert touched
    assert all("'en-sat" in name for name in touched)


def test_only_runs_whose_code_reads_it_would_be_made_again(wanted: Answer) -> None:
    assert wanted.code == 0, wanted.text
    assert sorted(wanted.jobs) == sorted(trains_an_average("en-sat") | evaluates("en-sat") | LAST)


def test_made_again_they_have_the_same_bytes(
    before: tuple[Checkout, dict[str, tuple[str, str]], bytes], wanted: Answer
) -> None:
    checkout, _, weights = before
    answer = checkout.snakemake(MEMBER)
    assert answer.code == 0, answer.text
    assert "train digits resnet10-w8 en-sat/member0 seed 0" in answer.jobs
    assert (checkout.folder / MEMBER).read_bytes() == weights


def test_the_commands_write_the_page_and_measure_the_variant(edited: Checkout, done: list[Answer]) -> None:
    assert [answer.code for answer in done] == [0] * 3, [answer.text for answer in done]
    page = (edited.folder / "docs/readings.md").read_text(encoding="utf-8")
    assert "## E9" in page
    assert "`methods.en-sat.options.clamp_start`:\n\n- **true**: at a pixel value\n" in page
    assert edited.run("ataka", "schema", "--check").code == 0
    with (edited.folder / cell("en-sat.anywhere", "pgd")).open(newline="", encoding="utf-8") as file:
        assert len(list(csv.DictReader(file))) == 1


def test_the_variant_knows_its_reading(edited: Checkout, done: list[Answer]) -> None:
    runs = edited.folder / "results/smoke/runs/digits/resnet10-w8"
    run = json.loads(Path(runs, "en-sat.anywhere/seed0/member0/run.json").read_text(encoding="utf-8"))
    assert run["settings"]["options"]["clamp_start"] is False
    assert "False [E9]" in run["readings"].values()
