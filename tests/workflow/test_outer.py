"""Our Snakefile inside another workflow: by include, by module, and beside a package of its own called rules."""

from pathlib import Path

import pytest

from tests.workflow.driver import HOME, Answer, Checkout, ask_all

MINE = """
rule mine:
    output: "mine.txt"
    shell: "echo done > {output}"
"""
THEIRS = """
import os

rule with_wildcards_called_as_ours:
    output: "{seed}_{method}.txt"
    shell: "echo done > {output}"

rule with_a_root:
    output: "out/{root}/x.txt"
    shell: "echo done > {output}"

onstart:
    print("their start", os.path.isdir("results/smoke/.before"))

onsuccess:
    print("their success")
"""
LATER = """
rule later:
    output: "results/theirs/{attack}/x.txt"
    shell: "echo done > {output}"

onstart:
    print("their second start", os.path.isdir("results/smoke/.before"))
"""
FILES = ("mine.txt", "s1_a.txt", "out/results/smoke/x.txt", "results/theirs/a/b/x.txt")
INCLUDE = f'include: "{HOME}/Snakefile"\n'
MODULE = f'module ataka:\n    snakefile: "{HOME}/Snakefile"\n    config: config\nuse rule * from ataka as ataka_*\n'
OWN_PACKAGE = "import sys; sys.path.insert(0, str(workflow.basedir)); from rules import common\n"
SPLIT = "results/smoke/data/digits/test.safetensors"
WORKFLOWS = {
    "include": MINE + THEIRS + INCLUDE + LATER,
    "module": MINE + MODULE,
    "module's config": MINE + MODULE.replace("config: config", 'config: {"seeds": [7], "nonsense": 1}'),
    "package": OWN_PACKAGE + MINE + INCLUDE,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folders = {}
    for name, snakefile in WORKFLOWS.items():
        folder = folders[name] = tmp_path_factory.mktemp(name)
        (folder / "Snakefile").write_text(snakefile)
        (folder / "rules").mkdir()
        (folder / "rules/common.py").touch()
    return folders


@pytest.fixture(scope="module")
def answers(folders: dict[str, Path]) -> dict[str, Answer]:
    return ask_all(
        {
            name: lambda folder=folder, files=FILES if name == "include" else FILES[:1]: Checkout(folder).snakemake(
                *files, SPLIT
            )
            for name, folder in folders.items()
        }
    )


@pytest.mark.parametrize("way", ["include", "module"])
def test_its_rules_and_ours_run_side_by_side(answers: dict[str, Answer], folders: dict[str, Path], way: str) -> None:
    assert answers[way].code == 0, answers[way].text
    assert (folders[way] / "mine.txt").read_text() == "done\n"
    assert (folders[way] / SPLIT).is_file()
    assert not (folders[way] / "results/smoke/.before").exists()


def test_a_module_is_told_what_it_lacks_and_an_include_lacks_nothing(answers: dict[str, Answer]) -> None:
    note = "note: under `module` a failed job's previous result is not restored"
    assert note in answers["module"].text
    assert note not in answers["include"].text


def test_an_outer_workflow_keeps_its_hooks_its_wildcards_and_its_part_of_results(
    answers: dict[str, Answer], folders: dict[str, Path]
) -> None:
    answer = answers["include"].text
    assert "their start False\n" in answer
    assert "their second start True\n" in answer  # ours has run between
    assert "their success\n" in answer
    assert not (folders["include"] / "results/smoke/.before").exists()
    assert [(folders["include"] / file).read_text() for file in FILES] == ["done\n"] * len(FILES)
    assert "note: unless a rule below the include does, no rule makes 'results/theirs/a/b/x.txt'" in answer


def test_a_modules_config_is_read_as_settings(answers: dict[str, Answer]) -> None:
    assert answers["module's config"].code == 2, answers["module's config"].text
    assert "nonsense: unknown key" in answers["module's config"].text


def test_a_package_that_is_called_as_ours_is_named_in_a_line(
    answers: dict[str, Answer], folders: dict[str, Path]
) -> None:
    assert answers["package"].code == 2, answers["package"].text
    assert f"error: a package 'rules' of another workflow ({folders['package']}/rules)" in answers["package"].text
    assert "Traceback" not in answers["package"].text
    assert "ModuleNotFoundError" not in answers["package"].text
