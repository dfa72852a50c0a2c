"""Can others use an exported network, and read every number from its card?"""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from huggingface_hub import ModelCard
from huggingface_hub.repocard_data import eval_results_to_model_index, model_index_to_eval_results
from safetensors.torch import load_file

import ataka
from ataka.cli import main
from ataka.files.disk import sha256
from ataka.files.records import read_json, read_rows
from ataka.models import build
from ataka.models.mixture import Mixture
from ataka.models.normalised import normalised
from ataka.plan import Run
from ataka.study import layers
from report.accuracies import measurements
from report.export import card, command, network
from tests import small
from tests.report import studies

RUNS = f"{small.ROOT}/{small.RUNS}"
TRACED = network.write_program
FILES = {"README.md", "model.safetensors", "network.pt2", "config.json", "run.json", "robustbench.json"}


def export(study: Path, settings: dict[str, Any], run: str, folder: Path) -> int:
    root = study / RUNS / run
    return main(["export", str(root), str(folder), "--config", json.dumps(settings)])


@pytest.fixture(scope="module")
def untraced() -> Iterator[None]:
    """Exports without the program, which takes seconds."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "write_program", lambda *_: "not asked for")
        yield


@pytest.fixture(scope="module")
def natural(
    untraced: None, whole_study: Path, small_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "natural"
    assert export(whole_study, small_settings, "natural/seed0", folder) == 0
    return folder


@pytest.fixture(scope="module")
def averaged(whole_study: Path, small_settings: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exported") / "averaged"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network, "write_program", TRACED)
        assert export(whole_study, small_settings, "en-sat/seed0", folder) == 0
    return folder


# ---- the network


def test_torch_alone_computes_the_same_logits(averaged: Path) -> None:
    assert {path.name for path in averaged.iterdir()} == FILES
    ours, theirs = ataka.load(averaged / "model.safetensors"), torch.export.load(averaged / "network.pt2").module()
    for count in (1, 3, 70):
        images = torch.rand(count, 1, 8, 8)
        assert torch.equal(theirs(images), ours(images))
    images.requires_grad_(True)
    (gradient,) = torch.autograd.grad(theirs(images)[:, 0].sum(), images)
    (ours_too,) = torch.autograd.grad(ours(images)[:, 0].sum(), images)
    assert torch.equal(gradient, ours_too)
    assert gradient.abs().sum() > 0


def test_weights_and_record_are_the_runs_own(natural: Path, whole_study: Path) -> None:
    run = whole_study / RUNS / "natural/seed0"
    for name in ("model.safetensors", "run.json"):
        assert sha256(natural / name) == sha256(run / name)
    assert read_json(natural / "run.json")["model_sha256"] == sha256(natural / "model.safetensors")


def test_the_settings_say_how_the_weights_make_a_network(natural: Path, averaged: Path) -> None:
    one, three = (json.loads((folder / "config.json").read_text()) for folder in (natural, averaged))
    assert (one["architecture"], one["num_classes"], one["input_size"], one["members"]) == (small.A, 10, [1, 8, 8], 1)
    assert (three["members"], three["average"]) == (3, "probabilities")
    tensors = load_file(averaged / "model.safetensors")
    logits = []
    images = torch.rand(4, 1, 8, 8)
    for index in range(three["members"]):  # as the card says, by hand
        member = build(small.A, classes=10, channels=1, size=8).eval()
        prefix = f"members.{index}."
        member.load_state_dict({k.removeprefix(prefix): t for k, t in tensors.items() if k.startswith(prefix)})
        logits.append(member(images).double().softmax(1))
    expected = torch.stack(logits).mean(0).log()
    assert torch.allclose(ataka.load(averaged / "model.safetensors")(images).double(), expected, atol=1e-5)


def test_a_normalisation_is_stated_as_the_weights_have_it() -> None:
    inner = build(small.A, classes=10, channels=3, size=8)
    network_ = normalised(inner, (0.1, 0.2, 0.3), (0.5, 0.25, 0.125))
    stated = {"mean": [0.1, 0.2, 0.3], "std": [0.5, 0.25, 0.125]}
    assert network.normalisation(network_) == network.normalisation(Mixture([network_])) == stated
    assert network.normalisation(inner) is None


# ---- the card


def test_every_result_survives_hugging_face(natural: Path, whole_study: Path) -> None:
    shown = ModelCard.load(natural / "README.md")
    results = shown.data.eval_results
    folder = whole_study / small.ROOT / small.CELLS / "natural/seed0"
    cells = {path.stem: read_rows(path)[0] for path in folder.glob("*.csv")}
    assert {result.dataset_config for result in results} == cells.keys() == {"clean", "pgd"}
    for result in results:
        row = cells[result.dataset_config]
        assert result.metric_value == pytest.approx(int(row["correct"]) / int(row["n"]), abs=1e-6)
        assert result.metric_args["images"] == int(row["n"])
        assert result.metric_args["interval_95"] == [
            pytest.approx(float(row[name]) / 100, abs=1e-5) for name in ("ci_low", "ci_high")
        ]
        assert f"| {float(row['accuracy']):.2f} | " in shown.text
    assert ModelCard(str(shown)).data.eval_results == results
    name, again = model_index_to_eval_results(eval_results_to_model_index("a name", results))
    assert (name, again) == ("a name", results)


def test_no_two_attacks_are_one_to_hugging_face() -> None:
    """All attacks of a study, two of one kind among them: Hugging Face merges none, and no Python tag is left."""
    study, run = studies.study(), Run("digits", "resnet10-w8", "en-sat", 0)
    measured = []
    for attack, entry in study.attacks.items():
        if entry:
            cell = command.Cell("digits", "resnet10-w8", "en-sat", 0, attack)
            measured.append(measurements.of([studies.fields(study, cell)], cell, attack))
    assert len(measured) > 5
    text = yaml.safe_dump(card.metadata(study, run, measured))
    assert "!!python" not in text
    _, results = model_index_to_eval_results(yaml.safe_load(text)["model-index"])
    assert len({result.unique_identifier for result in results}) == len(results) == len(measured)
    assert len(eval_results_to_model_index("x", results)[0]["results"]) == len(measured)


def test_words_of_the_settings_are_only_words(tmp_path: Path) -> None:
    methods = studies.SMALL["methods"] | {"en-sat": {"label": "a: <script>alert(1)</script> | [x] --- `y`"}}
    study, cell = studies.study(methods=methods), command.Cell("digits", "resnet10-w8", "en-sat", 0, "pgd")
    one = measurements.of([studies.fields(study, cell)], cell, "pgd")
    path = tmp_path / "README.md"
    card.write(path, study, cell.run, {"readings": {"a": "<b>"}}, [one], program=True)
    shown = ModelCard.load(path)
    assert len(shown.data.eval_results) == 1
    assert "<script>" not in shown.text
    assert "<b>" not in shown.text


def test_robustbench_gets_the_same_numbers(natural: Path, whole_study: Path) -> None:
    entry = json.loads((natural / "robustbench.json").read_text())
    row = read_rows(whole_study / small.ROOT / small.CELLS / "natural/seed0/clean.csv")[0]
    assert entry["clean_acc"] == f"{float(row['accuracy']):.2f}"
    assert entry["autoattack_acc"] is None
    assert (entry["dataset"], entry["architecture"]) == ("digits", small.A)


def test_a_network_without_results_has_a_card_all_the_same(
    whole_study: Path, small_settings: dict[str, Any], tmp_path: Path, untraced: None
) -> None:
    assert export(whole_study, small_settings, "s-at-aka/seed0/alpha0.1", tmp_path / "out") == 0
    shown = ModelCard.load(tmp_path / "out/README.md")
    assert shown.data.eval_results is None
    assert "Nothing was measured on this network." in shown.text
    assert "network.pt2" not in shown.text
    assert not (tmp_path / "out/network.pt2").exists()


# ---- what is left out, and what is refused


def test_a_cell_that_does_not_hold_is_left_out_with_a_note(
    whole_study: Path,
    small_settings: dict[str, Any],
    tmp_path: Path,
    untraced: None,
    capsys: pytest.CaptureFixture[str],
) -> None:
    copied = tmp_path / "study"
    shutil.copytree(whole_study, copied)
    cells = copied / small.ROOT / small.CELLS
    for name in ("pgd.csv", "pgd.bits.npy"):  # of another network
        shutil.copy(cells / "published/seed0" / name, cells / "natural/seed0" / name)
    clean = cells / "natural/seed0/clean.csv"
    clean.write_text(clean.read_text().replace("cpu", "gpu", 1))  # its seal breaks
    assert export(copied, small_settings, "natural/seed0/model.safetensors", tmp_path / "out") == 0
    said = capsys.readouterr()
    assert said.err.count("note: left out: ") == 2
    assert "0 results" in said.out
    assert ModelCard.load(tmp_path / "out/README.md").data.eval_results is None


def test_points_of_a_curve_are_no_results_of_their_own(tmp_path: Path) -> None:
    study, root = studies.study(), studies.root(tmp_path)
    run = Run("digits", "resnet10-w8", "en-sat", 0)
    for attack in ("pgd-steps-5", "pgd-eps-200", "pgd", "clean"):
        studies.write_cell(root, study, command.Cell(run.dataset, run.arch, run.method, run.seed, attack))
    measured, problems = command.results(study, str(root), run, "1e5" + "0" * 61)
    assert [one.cell.attack for one in measured] == ["clean", "pgd"]
    assert problems == []


def test_a_folder_is_for_one_network(
    natural: Path, whole_study: Path, small_settings: dict[str, Any], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path.name: path.read_bytes() for path in natural.iterdir()}
    assert export(whole_study, small_settings, "natural/seed1", natural) == 2
    assert "holds another network" in capsys.readouterr().err
    assert {path.name: path.read_bytes() for path in natural.iterdir()} == before
    (tmp_path / "mine.txt").touch()
    assert export(whole_study, small_settings, "natural/seed1", tmp_path) == 2
    assert "holds other files" in capsys.readouterr().err
    assert export(whole_study, small_settings, "natural/seed1", tmp_path / "mine.txt") == 2
    assert "is a file" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("run", "changes", "message"),
    [
        ("natural", {}, "is no network of a study; name the folder of a run"),
        ("natural/seed7", {}, "run.json is missing; train it: snakemake"),
        ("natrual/seed0", {}, "did you mean 'natural'"),
        ("natural/seed0", {"data": {"train": 23}}, "was trained under other settings than those in force"),
    ],
)
def test_mistakes_say_what_to_do(
    run: str,
    changes: dict[str, Any],
    message: str,
    whole_study: Path,
    small_settings: dict[str, Any],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert export(whole_study, layers.overlay(small_settings, changes), run, tmp_path / "out") == 2
    assert message in capsys.readouterr().err
    assert not (tmp_path / "out").exists()


def test_the_folder_is_called_as_the_run_by_default() -> None:
    assert command.name_of(Run("cifar10", "timm/resnet18", "en-sat", 1, "member0")) == (
        "cifar10-timm-resnet18-en-sat-seed1-member0"
    )
