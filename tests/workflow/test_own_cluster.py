"""A cluster of one's own, as CONTRIBUTING.md has it: Snakemake's parser reads the profile, and a dry run uses it."""

import re
from importlib.util import find_spec

import pytest
from snakemake.cli import get_argument_parser

from tests.workflow.driver import Answer, Checkout
from tests.workflow.recipe import Recipe, write

PROFILE = "profiles/slurm/config.yaml"


@pytest.fixture(scope="module")
def done(fresh: Checkout, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, Answer]:
    recipe, checkout = Recipe.read("A cluster"), fresh.copy(tmp_path_factory.mktemp("cluster") / "study")
    (path,) = recipe.quoted(r"\*\*One file\*\*, `(.+?)`")
    assert path == PROFILE
    (settings,) = recipe.blocks("yaml")
    text = (checkout.folder / path).read_text(encoding="utf-8")
    assert text.count("executor: slurm\n") == 1
    if (
        find_spec("snakemake_executor_plugin_slurm") is None
    ):  # the name of its executor and its options are refused then
        text = re.sub(r"^(executor: slurm|slurm-.*)\n", "", text, flags=re.MULTILINE)
    write(checkout.folder / path, text + settings)
    ((program, *arguments),) = recipe.commands()
    return checkout, checkout.run(program, "-n", *arguments)


def test_the_command_plans_the_papers_table(done: tuple[Checkout, Answer]) -> None:
    _, answer = done
    assert answer.code == 0, answer.text
    assert "render table2" in answer.jobs


def test_snakemakes_parser_finds_the_account_and_the_partition(
    done: tuple[Checkout, Answer], monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout, _ = done
    monkeypatch.chdir(checkout.folder)
    parsed = get_argument_parser(profiles=["profiles/slurm"]).parse_args([])
    assert parsed.jobs == 32
    assert {"slurm_account", "slurm_partition"} <= set(parsed.default_resources)
