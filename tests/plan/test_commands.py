"""Does a command that a message tells make what it names, under the very settings that the user gave?"""

import json
import shlex
from typing import Any

import pytest
from snakemake.cli import get_argument_parser, parse_config

from ataka.plan import commands
from ataka.study import config
from rules.overrides import with_nulls

GIVEN: dict[str, dict[str, Any]] = {
    "nothing": {},
    "numbers": {"seeds": [0, 1, 2], "threads": 2, "eps": "4/255"},
    "as Snakemake reads a list": {"seeds": ["0", "1"], "attacks": {"pgd": {"steps": "40"}}},
    "words": {"device": "cpu", "about": "small: 'quoted', \"twice\" & 50% of $HOME; [it]", "without_gpu": "go-on"},
    "nothing in place of something": {"stand_ins": {"cifar100": None}, "attacks": {"aa": None}},
    "truth": {"warm_start": False, "methods": {"mine": {"like": "natural", "online": False}}},
    "other alphabets": {"about": "Größe α ≤ 1 \U0001d6fc"},
    "a word that is a number": {"methods": {"1": {"like": "natural", "label": "007"}}},
}


def asked(command: str) -> Any:
    """What Snakemake's own command line makes of a command."""
    name, *words = shlex.split(command)
    assert name == "snakemake"
    return get_argument_parser().parse_args(words)


@pytest.mark.parametrize("given", GIVEN)
def test_snakemake_reads_the_users_settings_back(given: str) -> None:
    study = config.load("demo", GIVEN[given])
    again = asked(commands.snakemake(study, "results/demo/table2.tex"))
    assert [*again.targets] == ["results/demo/table2.tex"]
    read = with_nulls(parse_config(again.config)) if again.config else {}
    assert config.load("demo", read).model_dump() == study.model_dump()


@pytest.mark.parametrize("given", GIVEN)
def test_report_and_plan_read_the_users_settings_back(given: str) -> None:
    study = config.load("demo", GIVEN[given])
    for command in (commands.report(study, "collect", "table2"), commands.plan(study, "results/demo/table2.tex")):
        *words, last = shlex.split(command)
        read = config.overrides(last) if "--config" in words else {}
        assert config.load("demo", read).model_dump() == study.model_dump()


def test_targets_are_forced_or_what_they_come_from() -> None:
    study = config.load("demo", {"seeds": [0, 1]})
    forced = asked(commands.snakemake(study, "results/a b.csv", "results/c.csv", force=True))
    assert (forced.force, [*forced.targets]) == (True, ["results/a b.csv", "results/c.csv"])
    again = asked(commands.snakemake(study, "results/t.tex", forcerun=["results/a.csv", "results/c.csv"]))
    assert (again.force, [*again.targets], {*again.forcerun}) == (
        False,
        ["results/t.tex"],
        {"results/a.csv", "results/c.csv"},
    )
    assert again.config == ["seeds=[0, 1]"]


def test_one_more_setting_joins_the_users() -> None:
    study = config.load("demo", {"seeds": [0, 1]})
    assert commands.config(study, without_gpu="go-on") == "--config 'seeds=[0, 1]' without_gpu=go-on"
    assert json.loads(json.dumps(dict(study.overrides))) == {"seeds": [0, 1]}
