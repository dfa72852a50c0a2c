"""A mistake stops Snakemake before any job, with a message that helps."""

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest

from rules.targets import targets
from tests.workflow.driver import HOME, TABLE, Answer, Checkout, ask_all

CELLS = "results/smoke/cells/digits/resnet10-w8"

CONFIGURATION = {
    "an alpha above 1": ('selection={"alphas": [1.5]}', "selection.alphas.0", "less than or equal to 1"),
    "an unknown key": ('selction={"alphas": [0.5]}', "selction", "did you mean 'selection'?"),
    "an unknown architecture": ('stand_ins={"resnet18": "resnet-18"}', "stand_ins.resnet18", "'resnet18'"),
    "a boolean for a number": ("threads=True", "threads", "True is no number"),
    "fewer epochs than milestones": (
        'setups={"natural": {"epochs": 50, "milestones": [75]}}',
        "setups.natural",
        "give milestones below that, or []",
    ),
    "wrong for this scale alone": (
        'attacks={"aa": {"version": "standard"}}',
        "attacks.aa",
        "is for version: shortened",
    ),
}

TARGETS = {
    "a method": (f"{CELLS}/s-at-akaa/seed0/pgd.csv", 2, "no method 's-at-akaa'", "did you mean 's-at-aka'?"),
    "an attack": (f"{CELLS}/s-at-aka/seed0/pdg.csv", 2, "no attack 'pdg'", "did you mean 'pgd'?"),
    "a data set": (f"{CELLS.replace('digits', 'digit')}/natural/seed0/pgd.csv", 2, "'digit'", "did you mean 'digits'?"),
    "an architecture": (f"{CELLS}x/natural/seed0/pgd.csv", 2, "unknown architecture 'resnet10-w8x'", "did you mean"),
    "a member of a joint run": (
        f"{CELLS.replace('cells', 'runs')}/s-cat-aka/seed0/member0/model.safetensors",
        2,
        "s-cat-aka has no 'member0'",
        "(trained together)",
    ),
    "a generator": (
        f"{CELLS.replace('cells', 'particles')}/natural/seed0/svdg.csv",
        2,
        "no generator 'svdg'",
        "did you mean 'svgd'?",
    ),
    "an ensemble": ("results/smoke/tapes/digits/wrn10-1/seed0/manifest.json", 2, "'wrn10-1'", "wrn10-1-x"),
    "a scale": ("results/demoo/table2.tex", 2, "no rule makes 'results/demoo/table2.tex'", "did you mean 'demo'?"),
    "a scale's cell": (f"{CELLS.replace('smoke', 'smok')}/natural/seed0/pgd.csv", 2, "'smok' is no scale", "'smoke'?"),
    "a table": (
        "results/smoke/tabel2.tex",
        2,
        "'results/smoke/tabel2.tex'",
        "did you mean 'results/smoke/table2.tex'?",
    ),
    "a table of the paper's scale": ("results/tabel2.md", 2, "no rule makes", "did you mean 'results/table2.md'?"),
    "no file": ("results/smoke", 2, "no rule makes 'results/smoke'", "did you mean 'results/smoke/all'?"),
    "the seed": (f"{CELLS}/natural/pgd.csv", 2, "no rule makes", "results/smoke/cells/DATASET/ARCH/METHOD/seedN/"),
    "a seed's other name": (
        f"{CELLS}/natural/seed00/pgd.csv",
        2,
        "is another name of",
        f"{CELLS}/natural/seed0/pgd.csv",
    ),
    "an alpha's other name": (
        f"{CELLS.replace('cells', 'runs')}/s-at-aka/seed0/alpha0.50/model.safetensors",
        2,
        "is another name of",
        "s-at-aka/seed0/alpha0.5/model.safetensors: use that one",
    ),
    "a data set's images": ("results/smoke/data/digit/test.safetensors", 2, "no data set 'digit'", "'digits'"),
    "a rule's name": ("train", 2, "'train' is a rule of many files, and no target", "results/demo/all"),
    "a scale without its folder": ("smoke", 2, "no rule makes 'smoke'", "did you mean 'results/smoke/all'?"),
    "a table without its folder": ("smoke/table2.tex", 2, "makes 'smoke/table2.tex'", "'results/smoke/table2.tex'?"),
    "what is none of ours": ("README.md", 2, "no rule makes 'README.md'.", "ROOT/TABLE.tex: one table"),
    "no name": (".", 2, "no rule makes '.'.", "Name a target:"),
}


@pytest.fixture(scope="module")
def refused(fresh: Checkout) -> dict[str, Answer]:
    settings = {
        name: lambda setting=setting: fresh.snakemake(TABLE, "--config", setting)
        for name, (setting, *_) in CONFIGURATION.items()
    }
    alone = CONFIGURATION["wrong for this scale alone"][0]
    targets = {
        f"target: {name}": lambda target=target: fresh.snakemake("-n", target) for name, (target, *_) in TARGETS.items()
    }
    return ask_all(
        settings
        | targets
        | {
            "the second of two": lambda: fresh.snakemake("-n", TABLE, "results/smoke/tabel2.tex"),
            "to be made anew": lambda: fresh.snakemake("-n", TABLE, "--forcerun", "results/smoke/tabel2.tex"),
            "a rule to be made anew": lambda: fresh.snakemake(
                "-n", TABLE, "--forcerun", "train", "--until", "evaluate"
            ),
            "a misspelt rule": lambda: fresh.snakemake("-n", TABLE, "-R", "evalaute"),
            "another option's": lambda: fresh.snakemake("-n", TABLE, "--wrapper-prefix", "results/no/file"),
            "none": lambda: fresh.snakemake("-n"),
            "an absolute path": lambda: fresh.snakemake("-n", str(fresh.folder / TABLE)),
            "a misspelt one": lambda: fresh.snakemake("-n", str(fresh.folder / "results/smoke/tabel2.tex")),
            "right for another": lambda: fresh.snakemake("-n", "results/demo/table2.tex", "--config", alone),
        }
    )


@pytest.mark.parametrize("mistake", CONFIGURATION)
def test_a_mistaken_setting_is_refused_before_any_job(
    refused: dict[str, Answer], fresh: Checkout, mistake: str
) -> None:
    _, path, advice = CONFIGURATION[mistake]
    answer = refused[mistake]
    assert answer.code == 2, answer.text
    assert path in answer.text
    assert advice in answer.text
    assert "Traceback" not in answer.text
    assert not answer.jobs
    assert not (fresh.folder / "results").exists()


def test_a_setting_that_is_wrong_for_one_scale_serves_another(refused: dict[str, Answer]) -> None:
    assert refused["right for another"].code == 0, refused["right for another"].text
    assert refused["right for another"].jobs


@pytest.mark.parametrize("mistake", TARGETS)
def test_a_misspelt_target_says_what_is_wrong(refused: dict[str, Answer], mistake: str) -> None:
    _, code, *said = TARGETS[mistake]
    answer = refused[f"target: {mistake}"]
    assert answer.code == code, answer.text
    assert all(part in answer.text for part in said), answer.text
    assert "Traceback" not in answer.text
    assert not answer.jobs


def test_without_a_target_there_is_a_menu(refused: dict[str, Answer]) -> None:
    assert refused["none"].code == 0, refused["none"].text
    assert "Name a target:" in refused["none"].text
    for target in ("results/demo/all", "results/all", "ROOT/TABLE.tex", "table4-fog", "union.csv"):
        assert target in refused["none"].text
    assert "Nothing to be done" not in refused["none"].text


def test_an_absolute_path_is_told_as_the_target_that_it_is(refused: dict[str, Answer]) -> None:
    assert refused["an absolute path"].code == 2, refused["an absolute path"].text
    assert f"{TABLE}'; name it as '{TABLE}'" in refused["an absolute path"].text
    assert f"tabel2.tex'; did you mean '{TABLE}'?" in refused["a misspelt one"].text


def test_one_of_several_targets_is_enough(refused: dict[str, Answer]) -> None:
    for name in ("the second of two", "to be made anew"):
        assert refused[name].code == 2, refused[name].text
        assert "no rule makes 'results/smoke/tabel2.tex'; did you mean" in refused[name].text
        assert not refused[name].jobs


def test_a_rule_can_be_made_anew_and_a_misspelt_one_is_told_the_nearest(refused: dict[str, Answer]) -> None:
    assert refused["a rule to be made anew"].code == 0, refused["a rule to be made anew"].text
    assert refused["a rule to be made anew"].jobs
    assert refused["a misspelt rule"].code == 2
    assert "no rule makes 'evalaute'; did you mean 'evaluate'?" in refused["a misspelt rule"].text


def test_another_options_value_is_no_target(refused: dict[str, Answer]) -> None:
    assert refused["another option's"].code == 0, refused["another option's"].text
    assert refused["another option's"].jobs


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        (["/bin/snakemake", "--cores", "2", "-n", "a", "b"], (["a", "b"], [])),
        (["/lib/snakemake/__main__.py", "a", "--config", "c=1", "d=2", "--forcerun", "e"], (["a"], ["e"])),
        (["/bin/snakemake", "a", "-R", "b", "c", "--until", "d", "--prioritize", "e"], (["a"], ["b", "c", "d", "e"])),
        (["/bin/snakemake", "--list"], ([], [])),
        (["/bin/pytest", "a"], ([], [])),
        ([], ([], [])),
    ],
)
def test_targets_are_those_of_snakemakes_command_line(
    command: list[str], expected: tuple[list[str], list[str]]
) -> None:
    assert targets(command) == expected


@pytest.mark.parametrize("name", ["ataka", "report", "rules"])
def test_a_package_that_is_called_as_ours_is_refused(
    name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = HOME / "rules/packages.smk"

    def start() -> None:
        exec(path.read_text(), {"workflow": SimpleNamespace(current_basedir=path.parent)})

    monkeypatch.chdir(tmp_path)
    start()
    (tmp_path / name).mkdir()
    (tmp_path / name / "common.py").touch()  # without an __init__.py, ours comes first
    start()
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, name, ModuleType(name))
        with pytest.raises(SystemExit):
            start()
    (tmp_path / name / "__init__.py").touch()
    with pytest.raises(SystemExit) as stopped:
        start()
    assert stopped.value.code == 2
    assert f"error: a package '{name}' of another workflow ({tmp_path / name})" in capsys.readouterr().err


def test_a_failed_job_tells_why_in_the_terminal_and_leaves_nothing(fresh: Checkout, tmp_path: Path) -> None:
    checkout = fresh.copy(tmp_path / "study")
    target = "results/smoke/data/cifar10/train.safetensors"
    damaged = tmp_path / "archives/cifar-10-batches-py/data_batch_1"
    damaged.parent.mkdir(parents=True)
    damaged.write_bytes(b"not a batch")
    answer = checkout.snakemake(target, "--config", f'data={{"folder": "{tmp_path / "archives"}"}}')
    assert answer.code == 1
    assert f"error: CIFAR10 is damaged:\n  {damaged} is damaged" in answer.text
    assert "Error in rule prepare" in answer.text
    assert "log: results/smoke/logs/prepare/cifar10/train.log" in answer.text
    assert "Traceback" not in answer.text
    assert not (checkout.folder / target).exists()
