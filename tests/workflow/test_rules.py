"""Do the rules have the anatomy that the house style asks for?"""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from tests.workflow.driver import HOME, Checkout

FILES = sorted((HOME / "rules").glob("*.smk"))
RULES = {
    match["name"]: match["body"]
    for file in FILES
    for match in re.finditer(r"^rule (?P<name>\w+):\n(?P<body>(?:(?: .*)?\n)+)", file.read_text("utf-8"), re.MULTILINE)
}
WORKING = ("record", "train", "select", "evaluate")
PROFILES = sorted((HOME / "profiles").glob("*/config.yaml"))


def section(rule: str, name: str) -> str:
    """The text below ``name:`` in a rule; empty if it has none."""
    match = re.search(rf"^    {name}:(?P<text>.*(?:\n {{5,}}.*)*)", RULES[rule], re.MULTILINE)
    return match["text"] if match else ""


def test_the_rules_are_found() -> None:
    assert set(RULES) >= {"prepare", "collect", "render", "cells", "all", *WORKING}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_a_rules_file_opens_with_a_docstring_that_lists_its_rules(file: Path) -> None:
    text = file.read_text(encoding="utf-8")
    opening = ast.literal_eval(text[: text.index('"""', 3) + 3])
    for rule in re.findall(r"^rule (\w+):", text, re.MULTILINE):
        assert re.search(rf"\b{rule}\b", opening), rule


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_says_in_one_line_what_it_does(rule: str) -> None:
    assert len(section(rule, "message").strip().splitlines()) == 1


def test_only_rules_that_gather_have_no_command() -> None:
    assert {name for name in RULES if not section(name, "shell")} == {"all", "supplement", "menu"} & RULES.keys()


@pytest.mark.parametrize("rule", [name for name in RULES if section(name, "shell")])
def test_a_rule_runs_the_verb_of_its_own_name_and_logs_it_under_that_name(rule: str) -> None:
    command = section(rule, "shell")
    assert re.search(rf'"\$PYTHON" -m (ataka|report) {rule} ', command)
    assert command.count("-m ") == 1
    assert command.rstrip("\n' ").endswith('2>&1 | "$PYTHON" "$TEE" {log}')
    assert re.search(rf'"{{root}}/logs/{rule}[./]', section(rule, "log"))


@pytest.mark.parametrize("rule", WORKING)
def test_a_rule_that_works_declares_what_it_asks_of_the_machine(rule: str) -> None:
    resources = section(rule, "resources")
    assert all(f'{name}=resources.{name}("{rule}")' in resources for name in ("gpu", "mem_mb", "runtime"))
    assert section(rule, "threads")


@pytest.mark.parametrize("rule", ["prepare", "shard", *WORKING])
def test_a_rule_is_watched_for_its_settings_and_its_code(rule: str) -> None:
    params = section(rule, "params")
    assert "settings=" in params
    assert "code=" in params


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.parent.name)
def test_every_profile_watches_times_params_and_inputs_and_keeps_no_half_written_file(profile: Path) -> None:
    settings = yaml.safe_load(profile.read_text(encoding="utf-8"))
    assert set(settings["rerun-triggers"]) == {"mtime", "params", "input"}
    assert settings["rerun-incomplete"] is True
    assert "keep-incomplete" not in settings


@pytest.mark.parametrize(
    "rule", ["collect", "render", "booklet", "cells", "union", "claims", "picture", "gallery", "html", "all"]
)
def test_a_rule_that_reads_cells_alone_runs_where_snakemake_does(rule: str) -> None:
    """On a cluster, too: it takes seconds, and fails for what a person has to mend."""
    assert section(rule, "localrule").strip() == "True"
    if rule != "all":
        assert section(rule, "retries").split()[0] == "0"


@pytest.mark.parametrize("profile", PROFILES, ids=lambda path: path.parent.name)
def test_no_profile_hides_which_job_starts_or_fails(profile: Path) -> None:
    quiet = yaml.safe_load(profile.read_text(encoding="utf-8")).get("quiet", [])
    assert not {"rules", "all"} & set(quiet)


def test_snakemakes_lint_wishes_for_nothing_but_an_environment(fresh: Checkout) -> None:
    wishes = re.findall(r"^ +\* (.+)$", fresh.snakemake("--lint").text, re.MULTILINE)
    assert wishes
    assert {wish for wish in wishes if not wish.startswith("Specify a conda environment or container")} == set()


def test_snakefmt_has_nothing_to_change() -> None:
    formatter = Path(sys.executable).with_name("snakefmt")
    if not formatter.exists():
        pytest.skip("snakefmt isn't installed beside this Python")
    done = subprocess.run([formatter, "--check", "Snakefile", "rules"], cwd=HOME, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
