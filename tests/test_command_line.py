"""Do mistakes of the user end with exit code 2 and a sentence, and does every verb say what it takes?"""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ataka.cli import main
from ataka.stages import train
from ataka.study import config

RUN = "results/smoke/runs/digits/resnet10-w8/natural/seed0/model.safetensors"
CELL = "results/smoke/cells/digits/resnet10-w8/natural/seed0/pgd.csv"
TAPE = "results/smoke/tapes/digits/wrn10-1-x3-svgd/seed0/manifest.json"
CHOICE = "results/smoke/runs/digits/resnet10-w8/s-at-aka/choice.json"
VERBS = ("prepare", "record", "train", "select", "evaluate", "schema")


@pytest.fixture(autouse=True)
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["train", "nowhere"], "'nowhere' is no artifact of a study; such are ROOT/tapes/DATASET/"),
        (["train", "results/smoke/table2.tex"], "is no artifact of a study"),
        (["train", RUN.replace("smoke", "smoek")], "no scale 'smoek' in config/; did you mean 'smoke'?"),
        (["train", RUN.replace("natural", "natrual")], "no method 'natrual' in config/methods.yaml; did you mean"),
        (["train", RUN.replace("natural/seed0", "s-cat-aka/seed0/member0")], "s-cat-aka has no 'member0'"),
        (["train", RUN.replace("resnet10-w8", "resnet81")], "unknown architecture 'resnet81'; did you mean"),
        (["train", RUN.replace("resnet10-w8", "resnet10-w64")], "'resnet10-w64' is called 'resnet10' here"),
        (["train", RUN.replace("digits", "digts")], "no data set 'digts'; did you mean 'digits'?"),
        (["train", RUN.replace("seed0", "seed0/alpha0.5")], "natural has no candidate 'alpha0.5'"),
        (["train", RUN.replace("natural/seed0", "s-at-aka/seed0/alpha7")], "s-at-aka has no candidate 'alpha7'"),
        (["train", RUN.replace("seed0", "seed0/member0")], "natural has no 'member0': its number of members is 1"),
        (
            ["train", RUN.replace("natural/seed0", "en-sat/seed0/member3")],
            "has no 'member3': its number of members is 3",
        ),
        (["train", RUN], "data/digits/train.safetensors is missing"),
        (["record", RUN], f"'{RUN}' is a run, not a tape"),
        (["evaluate", RUN], f"'{RUN}' is a run, not a cell"),
        (["train", CELL], "is a cell, not a run"),
        (["record", TAPE.replace("svgd", "svdg")], "no method has the ensemble 'wrn10-1-x3-svdg'; did you mean"),
        (["evaluate", CELL.replace("pgd", "pdg")], "no attack 'pdg' in the configuration; did you mean 'pgd'?"),
        (["select", RUN], "is no choice of alpha: ROOT/runs/DATASET/ARCH/METHOD/choice.json"),
        (["select", "choice.json"], "is no artifact of a study"),
        (["select", CHOICE.replace("s-at-aka", "natural")], "natural has no alpha to choose"),
        (["select", CHOICE], "data/digits/train.safetensors is missing"),
        (["prepare", "results/smoke/data/digits/validation.safetensors"], "is no prepared split"),
        (["prepare", "train.safetensors"], "is no prepared split"),
        (["prepare", "results/smoke/data/mnist/train.safetensors"], "no data set 'mnist'"),
        (["train", RUN, "--config", "{"], "--config is no JSON"),
        (["train", RUN, "--config", "[1]"], "--config must be a JSON object of settings"),
        (["train", RUN, "--config", '{"sedes": [1]}'], "config (smoke): sedes: unknown key; did you mean 'seeds'?"),
        (["train", RUN, "--config", '{"eps": "8/0"}'], "eps: '8/0' divides by zero"),
    ],
)
def test_mistakes_exit_with_2_and_a_sentence(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str], elsewhere: Path
) -> None:
    assert main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: ")
    assert message in said
    assert list(elsewhere.iterdir()) == []


@pytest.mark.parametrize("arguments", [[], ["trian", RUN], ["train"], ["train", RUN, "--confg", "{}"]])
def test_wrong_arguments_exit_with_2(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_explains_itself(verb: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([verb, "--help"])
    assert stopped.value.code == 0
    said = capsys.readouterr().out
    assert f"python -m ataka {verb}" in said
    assert "--config JSON" in said
    assert verb == "schema" or "ROOT/" in said


def test_the_list_of_verbs_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    said = capsys.readouterr().out
    assert all(f"    {verb} " in said for verb in VERBS)


def test_an_interruption_is_told_and_is_no_success(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*arguments: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(train, "train", interrupted)
    assert main(["train", RUN]) == 130
    assert "interrupted" in capsys.readouterr().err


def test_overrides_reach_the_stage(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(train, "train", lambda *arguments: seen.append(arguments))
    assert main(["train", RUN, "--config", json.dumps({"seeds": ["0", "1"], "threads": "3"})]) == 0
    ((study, root, node),) = seen
    assert (study.scale, study.seeds, study.threads, root) == ("smoke", (0, 1), 3, "results/smoke")
    assert (node.dataset, node.arch, node.method, node.seed, node.part) == ("digits", "resnet10-w8", "natural", 0, "")


def test_the_results_folder_may_lie_anywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Any] = []
    monkeypatch.setattr(train, "train", lambda *arguments: seen.append(arguments))
    assert main(["train", f"/somewhere/else/{RUN}"]) == 0
    assert seen[0][1] == "/somewhere/else/results/smoke"
    assert main(["train", RUN.replace("smoke/", "")]) == 0
    assert (seen[1][0].scale, seen[1][1]) == ("paper", "results")


def test_the_schema_is_checked_and_written(
    elsewhere: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(config, "HOME", elsewhere)
    (elsewhere / "config").mkdir()
    assert main(["schema", "--check"]) == 2
    assert "run: python -m ataka schema" in capsys.readouterr().err
    assert main(["schema"]) == 0
    assert json.loads((elsewhere / "config/schema.json").read_text())["title"] == "Study"
    assert main(["schema", "--check"]) == 0
    (elsewhere / "config/schema.json").write_text("{}")
    assert main(["schema", "--check"]) == 2


def test_a_process_exits_with_the_same_code_and_no_traceback(elsewhere: Path) -> None:
    environment = os.environ | {"PYTHONPATH": str(config.HOME)}
    command = [sys.executable, "-m", "ataka", "train", RUN.replace("natural", "natrual")]
    process = subprocess.run(command, capture_output=True, text=True, env=environment, cwd=elsewhere, check=False)
    assert process.returncode == 2
    assert process.stdout == ""
    assert process.stderr == "error: no method 'natrual' in config/methods.yaml; did you mean 'natural'?\n"
