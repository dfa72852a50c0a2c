"""The stages by their verbs, in process, on a study of a few seconds: is what they write what was promised?"""

import contextlib
import csv
import importlib
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from scipy.stats import binomtest
from torch import Tensor, nn

from ataka import networks, plan
from ataka.cli import main
from ataka.errors import UserError
from ataka.files import resume
from ataka.files.disk import sha256
from ataka.files.prepared import load_split
from ataka.files.records import COST, read_json, read_rows, write_json
from ataka.files.tensors import load_into, load_tensors, save_tensors
from ataka.models import build
from ataka.plan import Cell, Run
from ataka.stages import evaluate
from ataka.stages.common import load
from ataka.study import config, layers
from ataka.training import loop, watchers
from ataka.training.probe import Probe
from report.forecast import jobs
from report.watch import traces

ROOT = "results/smoke"
D, A = "digits", "resnet10-w8"
RUNS, CELLS = f"{ROOT}/runs/{D}/{A}", f"{ROOT}/cells/{D}/{A}"
TAPE = f"{ROOT}/tapes/{D}/wrn10-1-x3-svgd/seed0/manifest.json"
TINY = {
    "data": {"train": 24, "validation": 16, "test": 12},
    "setups": {"table2": {"batch_size": 8}, "sat": {"batch_size": 8}},
}
OUTPUTS = ("model.safetensors", "history.csv")


def ataka(*arguments: str, **overrides: Any) -> int:
    """The exit code of a verb under TINY and the overrides."""
    return main([*arguments, "--config", json.dumps(layers.overlay(TINY, overrides))])


def made(*arguments: str, **overrides: Any) -> None:
    assert ataka(*arguments, **overrides) == 0


def study(**overrides: Any) -> config.Study:
    return config.load("smoke", layers.overlay(TINY, overrides))


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of the one study of this module, with its data prepared."""
    folder = tmp_path_factory.mktemp("study")
    with contextlib.chdir(folder):
        made("prepare", f"{ROOT}/data/{D}/train.safetensors")
        made("prepare", f"{ROOT}/data/{D}/test.safetensors")
        yield folder


@pytest.fixture(scope="module")
def natural() -> Path:
    made("train", f"{RUNS}/natural/seed0/model.safetensors")
    return Path(RUNS, "natural/seed0")


@pytest.fixture(scope="module")
def tape() -> Path:
    made("record", TAPE)
    return Path(TAPE)


@pytest.fixture(scope="module")
def candidates(tape: Path) -> Path:
    for alpha in ("0.1", "0.5"):
        made("train", f"{RUNS}/s-at-aka/seed0/alpha{alpha}/model.safetensors")
    return Path(RUNS, "s-at-aka")


@pytest.fixture(scope="module")
def choice(candidates: Path) -> dict[str, Any]:
    made("select", f"{candidates}/choice.json")
    return json.loads((candidates / "choice.json").read_text())


@pytest.fixture(scope="module")
def averaged() -> Path:
    for member in range(3):
        made("train", f"{RUNS}/en-sat/seed0/member{member}/model.safetensors")
    made("train", f"{RUNS}/en-sat/seed0/model.safetensors")
    return Path(RUNS, "en-sat/seed0")


@pytest.fixture
def refused(capfd: pytest.CaptureFixture[str]) -> Callable[..., str]:
    """The message of a verb that must exit with code 2."""

    def refuse(*arguments: str, **overrides: Any) -> str:
        capfd.readouterr()
        assert ataka(*arguments, **overrides) == 2
        said = capfd.readouterr().err
        assert "error: " in said
        assert "Traceback" not in said
        return said

    return refuse


# ---- prepare


def test_prepared_data_are_the_splits_and_equal_bytes() -> None:
    path = Path(ROOT, "data", D, "train.safetensors")
    before = path.read_bytes()
    parts = {name: load_split(path, name) for name in ("train", "validation")}
    test = load_split(path.with_name("test.safetensors"), "test")
    assert {**{name: len(part) for name, part in parts.items()}, "test": len(test)} == {
        "train": 24,
        "validation": 16,
        "test": 12,
    }
    made("prepare", str(path))
    assert path.read_bytes() == before


# ---- train, record: equal runs, equal bytes


def test_a_run_says_what_it_was(natural: Path) -> None:
    run = json.loads((natural / "run.json").read_text())
    assert run["status"] == "finished"
    assert run["settings"] == json.loads(json.dumps(plan.run_settings(study(), Run(D, A, "natural", 0))))
    assert run["settings_sha256"] == plan.digest(run["settings"])
    assert {"threads", "device", "git_commit", "git_dirty", "versions", "seconds", "finished_at"} <= set(run)
    rows = read_rows(natural / "history.csv")
    assert [row["epoch"] for row in rows] == ["1"]
    assert 0 < float(rows[0]["loss"]) < 20
    assert rows[0]["learning_rate"] == "0.1"


@pytest.mark.parametrize(("verb", "artifact"), [("train", "natural"), ("record", "tape"), ("train", "candidates")])
def test_equal_jobs_write_equal_bytes(verb: str, artifact: str, request: pytest.FixtureRequest) -> None:
    found: Path = request.getfixturevalue(artifact)
    folder = {"natural": found, "tape": found.parent, "candidates": found / "seed0/alpha0.5"}[artifact]
    before = files(folder)
    assert len(before) == (6 if verb == "record" else 2)
    shutil.rmtree(folder)
    torch.manual_seed(12345)  # nothing may hang on the global stream
    made(verb, str(found if verb == "record" else folder / "model.safetensors"))
    assert files(folder) == before


def files(folder: Path) -> dict[Path, bytes]:
    """What equal jobs write alike."""
    return {path: path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "run.json"}


def test_other_seeds_and_members_are_other_networks(averaged: Path, natural: Path) -> None:
    made("train", f"{RUNS}/natural/seed1/model.safetensors")
    files = [natural, Path(RUNS, "natural/seed1"), *(averaged / f"member{index}" for index in range(3))]
    assert len({(folder / "model.safetensors").read_bytes() for folder in files}) == 5
    assert len({(folder / "history.csv").read_bytes() for folder in files}) == 5


def test_a_tape_holds_teachers_checksums_and_the_kernels_maximum(tape: Path) -> None:
    manifest = json.loads(tape.read_text())
    assert [sha256(tape.parent / entry["file"]) for entry in manifest["teachers"]] == [
        entry["sha256"] for entry in manifest["teachers"]
    ]
    assert len(manifest["teachers"]) == 3
    assert manifest["kernel_offdiagonal_max"] == 0.0
    assert manifest["count"] == 24
    assert manifest["settings_sha256"] == plan.digest(manifest["settings"])
    split = load_split(Path(ROOT, "data", D, "train.safetensors"), "train")
    assert manifest["data_sha256"] == split.digest()


def test_a_tape_has_one_record_of_its_cost_whether_it_shares_or_not(tape: Path) -> None:
    shared = Path(TAPE.replace("-x3-", "-x2-"))
    made("record", str(shared))
    assert json.loads(shared.read_text())["shared"]
    for name in ("run.json", "history.csv"):  # as of teachers that were trained here before
        shutil.copyfile(tape.with_name(name), shared.with_name(name))
    made("record", str(shared))
    assert sorted(path.name for path in shared.parent.iterdir()) == ["manifest.cost.json", "manifest.json"]
    shutil.copyfile(shared.with_suffix(COST), tape.with_suffix(COST))
    made("record", str(tape))
    assert not tape.with_suffix(COST).exists()
    assert tape.with_name("run.json").exists()


def test_a_stale_tape_is_refused(tape: Path, refused: Callable[..., str]) -> None:
    said = refused("train", f"{RUNS}/s-at-aka/seed0/alpha0.9/model.safetensors", generators={"svgd": {"steps": 1}})
    assert TAPE in said
    assert "other settings" in said
    assert not Path(RUNS, "s-at-aka/seed0/alpha0.9").exists()


def test_missing_data_and_tape_are_named(refused: Callable[..., str]) -> None:
    assert "data/cifar10/train.safetensors is missing" in refused(
        "train", f"{ROOT}/runs/cifar10/{A}/natural/seed0/model.safetensors"
    )
    said = refused("train", f"{RUNS}/s-at-aka/seed9/alpha0.1/model.safetensors")
    assert "tapes/digits/wrn10-1-x3-svgd/seed9/manifest.json is missing" in said


@pytest.mark.parametrize("verb", ["train", "record"])
def test_a_training_that_diverges_says_what_to_lower_and_leaves_nothing(verb: str, refused: Callable[..., str]) -> None:
    setup = {"train": "natural", "record": "table2"}[verb]
    path = {"train": f"{RUNS}/natural/seed5/model.safetensors", "record": TAPE.replace("seed0", "seed5")}[verb]
    said = refused(verb, path, setups={setup: {"learning_rate": 1e30, "epochs": 2}})
    assert "no longer finite in epoch 1, step 2; no good state was kept" in said
    assert f"setups.{setup}.learning_rate" in said
    assert not Path(path).exists()


class Spoilt(nn.Module):
    """A network with NaN in one class's logits."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x).index_fill(1, torch.tensor([3], device=x.device), torch.nan)


@pytest.mark.parametrize(
    ("verb", "path", "network", "attack"),
    [
        ("evaluate", f"{CELLS}/natural/seed0/clean.csv", f"{RUNS}/natural/seed0/model.safetensors", "clean"),
        ("evaluate", f"{CELLS}/natural/seed0/pgd.csv", f"{RUNS}/natural/seed0/model.safetensors", "pgd"),
        ("select", f"{RUNS}/s-at-aka/choice.json", f"{RUNS}/s-at-aka/seed0/alpha0.1/model.safetensors", "clean"),
        (
            "particles",
            f"{ROOT}/particles/{D}/{A}/natural/seed0/svgd.csv",
            f"{RUNS}/natural/seed0/model.safetensors",
            "svgd",
        ),
    ],
)
def test_numbers_that_are_not_finite_end_a_stage_by_the_networks_name(
    verb: str,
    path: str,
    network: str,
    attack: str,
    request: pytest.FixtureRequest,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Not by a table in which NaN is the first class's robustness."""
    request.getfixturevalue("candidates" if verb == "select" else "natural")
    module = importlib.import_module(f"ataka.stages.{verb}")
    monkeypatch.setattr(module, "load", lambda *given: Spoilt(load(*given)))
    Path(path).unlink(missing_ok=True)
    said = refused(verb, path, particles={"images": 3, "count": 2})
    assert f"error: {network}: {attack}: the network's logits are NaN or infinite for " in said
    assert not Path(path).exists()


def test_gradients_that_are_not_finite_end_a_training_by_name(
    refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Rooted(nn.Module):
        def __init__(self, network: nn.Module) -> None:
            super().__init__()
            self.network = network

        def forward(self, x: Tensor) -> Tensor:
            return self.network(x) + (x * 0).sqrt().sum((1, 2, 3)).unsqueeze(1)

    student = networks.student
    monkeypatch.setattr(networks, "student", lambda *given, **named: Rooted(student(*given, **named)))
    folder = f"{RUNS}/en-sat/seed7/member0"
    said = refused("train", f"{folder}/model.safetensors")
    assert f"error: {folder}: epoch 1, step 1: pgd: gradients through the network are NaN or infinite at 8 of 8" in said
    assert "learning_rate" not in said


@pytest.fixture
def dead(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every network predicts one class; the few validation images are enough to see it; each epoch's state is kept."""
    monkeypatch.setattr(loop, "PROBE", 16)
    monkeypatch.setattr(watchers, "predicted", lambda network, images: torch.zeros_like(images.labels))
    monkeypatch.setattr(resume, "pause", lambda cost, least=0.0: 0.0)


@pytest.mark.usefixtures("dead")
@pytest.mark.parametrize("verb", ["train", "record"])
def test_a_training_that_collapses_fails_and_names_its_last_good_state(verb: str, refused: Callable[..., str]) -> None:
    setup = {"train": "natural", "record": "table2"}[verb]
    path = {"train": f"{RUNS}/natural/seed6/model.safetensors", "record": TAPE.replace("seed0", "seed6")}[verb]
    said = refused(verb, path, setups={setup: {"epochs": 9}})
    state = Path(path).parent / ".resume/0.safetensors"
    assert "one class for every image of the probe from epoch 1 to 3; " in said
    assert f"the last good state is that of epoch 2 of 9, {state}; lower the learning rate" in said
    assert state.exists()
    assert not Path(path).exists()
    assert "goes on after epoch 2 of 9" in refused(verb, path, setups={setup: {"epochs": 9}})


def test_a_run_of_few_epochs_never_collapses(dead: None) -> None:
    made("train", f"{RUNS}/natural/seed7/model.safetensors", setups={"natural": {"epochs": 2}})
    rows = read_rows(Path(RUNS, "natural/seed7/history.csv"))
    assert [row["classes"] for row in rows] == ["1", "1"]


@pytest.fixture
def withstood(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How often a network that is probed will still have withstood PGD, to be set; each epoch's state is kept."""
    left = [0]

    def look(probe: Probe, network: Any) -> tuple[int, int]:
        left[0] -= 1
        return 60, 40 if left[0] >= 0 else 1

    monkeypatch.setattr(Probe, "look", look)
    monkeypatch.setattr(watchers, "patience", lambda epochs: 9)
    monkeypatch.setattr(resume, "pause", lambda cost, least=0.0: 0.0)
    return left


@pytest.fixture
def enough(home: Path, tmp_path: Path) -> Iterator[dict[str, Any]]:
    """A study of its own, with validation images enough for a probe; its settings."""
    settings = {"data": {"validation": 64}}
    with contextlib.chdir(tmp_path):
        made("prepare", f"{ROOT}/data/{D}/train.safetensors", **settings)
        yield settings


def overfitting(settings: dict[str, Any], setup: str, **probe: Any) -> dict[str, Any]:
    return layers.overlay(settings, {"setups": {setup: {"epochs": 4, "batch_size": 8, "probe": {"steps": 10} | probe}}})


@pytest.mark.parametrize(("verb", "setup"), [("train", "sat"), ("record", "table2")])
def test_a_training_that_overfits_fails_and_goes_on_where_that_is_only_recorded(
    verb: str,
    setup: str,
    enough: dict[str, Any],
    withstood: list[int],
    refused: Callable[..., str],
    capfd: pytest.CaptureFixture[str],
) -> None:
    withstood[0] = 6 if verb == "record" else 2
    path = TAPE if verb == "record" else f"{RUNS}/en-sat/seed0/member0/model.safetensors"
    said = refused(verb, path, **overfitting(enough, setup))
    state, which = Path(path).parent / ".resume/1.safetensors", "network 0" if verb == "record" else "the network"
    assert f"{which} has overfitted catastrophically: 40 of the probe's 64 images withstood PGD-10" in said
    assert "in epoch 2, 1 do now, though 60 are right without it; seen as epoch 3 ended, after its step 3" in said
    assert f"the last good state is that of epoch 2 of 4, {Path(path).parent}/.resume/" in said
    assert f"setups.{setup}.probe.overfitted: record lets it go on" in said
    assert state.exists()
    assert not Path(path).exists()
    made(verb, path, **overfitting(enough, setup, overfitted="record"))
    said = capfd.readouterr().err
    assert "goes on after epoch 2 of 4" in said
    assert "this is recorded, and the training goes on" in said
    rows = read_rows(Path(path).with_name("history.csv"))
    column = "probe0" if verb == "record" else "probe"
    assert [float(row[column]) for row in rows] == [62.5, 62.5, 1.5625, 1.5625]


def test_a_candidate_that_overfits_is_listed_and_never_chosen(
    enough: dict[str, Any], withstood: list[int], refused: Callable[..., str]
) -> None:
    settings, run = overfitting(enough, "table4"), f"{RUNS}/s-cat-aka"
    for alpha in ("0.1", "0.5"):
        withstood[0] = 6
        made("train", f"{run}/seed0/alpha{alpha}/model.safetensors", **settings)
        record = read_json(Path(run, f"seed0/alpha{alpha}/run.json"))
        assert (record["status"], record["settings"]["overfitted"]) == ("overfitted", "stop")
        assert not Path(run, f"seed0/alpha{alpha}/.resume").exists()
    said = refused("select", f"{run}/choice.json", **settings)
    assert "no alpha can be chosen: alpha 0.1 overfitted, alpha 0.5 overfitted" in said
    recorded = overfitting(enough, "table4", overfitted="record")
    assert "other settings" in refused("select", f"{run}/choice.json", **recorded)
    made("train", f"{run}/seed0/alpha0.5/model.safetensors", **recorded)
    assert read_json(Path(run, "seed0/alpha0.5/run.json"))["status"] == "finished"
    path = Path(run, "seed0/alpha0.1/run.json")
    write_json(
        path,
        read_json(path)
        | {"settings_sha256": plan.digest(plan.run_settings(study(**recorded), Run(D, A, "s-cat-aka", 0, "alpha0.1")))},
    )
    made("select", f"{run}/choice.json", **recorded)
    choice = read_json(Path(run, "choice.json"))
    assert choice["alpha"] == 0.5
    assert choice["grid"][0] == {"alpha": 0.1, "n": 64, "clean": None, "robust": None, "status": "overfitted"}


@pytest.mark.usefixtures("withstood")
def test_natural_training_is_not_probed(enough: dict[str, Any]) -> None:
    made("train", f"{RUNS}/natural/seed0/model.safetensors", **overfitting(enough, "natural"))
    assert "probe" not in read_rows(Path(RUNS, "natural/seed0/history.csv"))[0]


def test_a_class_with_budgets_is_to_be_seen_in_its_module(
    refused: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or else no digest would know that the probe's attack is part of the training."""
    (tmp_path / "hidden_sat.py").write_text(
        "from baselines import sat\nfrom baselines.sat import Options\n\n\n"
        "def create(options):\n    return sat.create(options)\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    hidden = {"like": "en-sat", "objective": "hidden_sat", "members": 1}
    verb = ("train", f"{RUNS}/hidden/seed0/model.safetensors")
    assert "import the class at the module's top" in refused(*verb, methods={"hidden": hidden})


def test_whether_overfitting_ends_a_training_decides_no_byte_of_one_that_finishes() -> None:
    member, candidate = Run(D, A, "en-sat", 0, "member0"), Run(D, A, "s-cat-aka", 0, "alpha0.1")

    def settings(run: Run, setup: str, **probe: Any) -> dict[str, Any]:
        return plan.run_settings(study(**overfitting({}, setup, **probe)), run)

    assert settings(member, "sat", overfitted="record") == settings(member, "sat")
    assert settings(member, "sat", images=64) != settings(member, "sat")
    assert settings(candidate, "table4", overfitted="record") != settings(candidate, "table4")


def test_training_beside_the_teachers_gives_the_tapes_student(candidates: Path) -> None:
    """The whole way through the stages, bit for bit."""
    variant = {"methods": {"s-at-aka.online": {"like": "s-at-aka", "online": True, "alpha": 0.5}}}
    made("train", f"{RUNS}/s-at-aka.online/seed0/model.safetensors", **variant)
    joint = load_tensors(Path(RUNS, "s-at-aka.online/seed0/model.safetensors"))
    replayed = load_tensors(candidates / "seed0/alpha0.5/model.safetensors")
    assert joint.keys() == replayed.keys()
    assert all(torch.equal(joint[name], replayed[name]) for name in joint)


def test_networks_that_draw_in_training_are_functions_of_their_seed_too(tmp_path: Path, home: Path) -> None:
    """Teachers and students with dropout: equal jobs give equal bits, and online training gives the tape's student."""
    online = {"s-at-aka.online": {"like": "s-at-aka", "online": True, "alpha": 0.5}}
    drawing = {"teachers": {"cifar10": "tests.dropout"}, "methods": online, "setups": {"table2": {"epochs": 2}}}
    runs = f"{ROOT}/runs/{D}/tests.dropout"
    models = []
    for folder in (tmp_path / "first", tmp_path / "second"):
        shutil.copytree(home / ROOT / "data", folder / ROOT / "data")
        with contextlib.chdir(folder):
            made("record", f"{ROOT}/tapes/{D}/tests.dropout-x3-svgd/seed0/manifest.json", **drawing)
            for model in (f"{runs}/s-at-aka/seed0/alpha0.5", f"{runs}/s-at-aka.online/seed0"):
                made("train", f"{model}/model.safetensors", **drawing)
                models.append(Path(model, "model.safetensors").read_bytes())
    assert models == [models[0]] * 4


# ---- alpha


def test_the_best_finished_candidate_is_chosen(choice: dict[str, Any]) -> None:
    assert [entry["alpha"] for entry in choice["grid"]] == [0.1, 0.5]
    assert {entry["n"] for entry in choice["grid"]} == {16}
    best = max(entry["robust"] for entry in choice["grid"])
    assert choice["alpha"] == next(entry["alpha"] for entry in choice["grid"] if entry["robust"] == best)
    assert (choice["split"], choice["seed"]) == ("validation", 0)
    assert choice["settings_sha256"] == plan.digest(plan.selection_settings(study(), "s-at-aka"))


def test_the_chosen_candidate_becomes_the_run(choice: dict[str, Any], candidates: Path) -> None:
    made("train", f"{candidates}/seed0/model.safetensors")
    for name in OUTPUTS:
        chosen = candidates / "seed0" / f"alpha{choice['alpha']:g}" / name
        assert (candidates / "seed0" / name).read_bytes() == chosen.read_bytes()
    run = json.loads((candidates / "seed0/run.json").read_text())
    assert run["alpha"] == choice["alpha"]
    assert run["settings_sha256"] == plan.digest(plan.run_settings(study(), Run(D, A, "s-at-aka", 0)))


@pytest.mark.usefixtures("choice")
def test_a_choice_or_candidate_of_other_settings_is_refused(candidates: Path, refused: Callable[..., str]) -> None:
    path = f"{candidates}/seed0/model.safetensors"
    assert "was chosen under other settings" in refused("train", path, selection={"attack": {"steps": 3}})
    stale = {"methods": {"s-at-aka": {"options": {"psi": {"beta": 2.0}}}}}  # the choice's own settings are the same
    assert "was trained under other settings" in refused("train", path, **stale)
    assert "was trained under other settings" in refused("select", f"{candidates}/choice.json", **stale)


ABSURD = {
    "setups": {
        "absurd": {
            "epochs": 1,
            "batch_size": 2,
            "learning_rate": 30,
            "momentum": 0,
            "weight_decay": 0,
            "milestones": [],
        }
    },
    "methods": {"wild": {"like": "s-at-aka", "setup": "absurd"}},
}
"""At this rate cross-entropy stays finite, and squared distances run away."""


@pytest.fixture(scope="module")
def wild(tape: Path) -> Path:
    for alpha in ("0", "1"):
        made("train", f"{RUNS}/wild/seed0/alpha{alpha}/model.safetensors", **ABSURD)
    return Path(RUNS, "wild")


def test_a_candidate_that_diverged_is_listed_and_never_chosen(wild: Path) -> None:
    assert json.loads((wild / "seed0/alpha1/run.json").read_text())["status"] == "diverged"
    made("select", f"{wild}/choice.json", **ABSURD, selection={"alphas": [1, 0]})
    choice = json.loads((wild / "choice.json").read_text())
    assert choice["alpha"] == 0
    assert choice["grid"][0] == {"alpha": 1, "n": 16, "clean": None, "robust": None, "status": "diverged"}
    assert choice["grid"][1]["status"] in ("finished", "collapsed")


@pytest.mark.usefixtures("tape")
def test_a_candidate_that_collapsed_in_training_is_listed_and_never_chosen(request: pytest.FixtureRequest) -> None:
    dull = {"methods": {"dull": {"like": "s-at-aka"}}}
    made("train", f"{RUNS}/dull/seed0/alpha0/model.safetensors", **dull)
    request.getfixturevalue("dead")
    request.getfixturevalue("monkeypatch").setattr(watchers, "patience", lambda epochs: 1)
    made("train", f"{RUNS}/dull/seed0/alpha1/model.safetensors", **dull)
    run = Path(RUNS, "dull/seed0/alpha1")
    assert json.loads((run / "run.json").read_text())["status"] == "collapsed"
    assert not (run / ".resume").exists()
    made("select", f"{RUNS}/dull/choice.json", **dull, selection={"alphas": [1, 0], "collapsed": "allow"})
    choice = json.loads(Path(RUNS, "dull/choice.json").read_text())
    assert choice["alpha"] == 0
    assert choice["grid"][0] == {"alpha": 1, "n": 16, "clean": None, "robust": None, "status": "collapsed"}


def collapse(folder: Path) -> None:
    """Make a trained network predict one class."""
    tensors = load_tensors(folder / "model.safetensors")
    last = list(build(A, classes=10, channels=1).state_dict())[-2:]
    for name in last:
        assert name.endswith(("weight", "bias"))
        tensors[name].zero_()
    save_tensors(folder / "model.safetensors", tensors)
    digest = {"model_sha256": sha256(folder / "model.safetensors")}
    write_json(folder / "run.json", read_json(folder / "run.json") | digest)


def test_when_all_fail_the_job_fails_and_tells_each_fate(wild: Path, refused: Callable[..., str]) -> None:
    collapse(wild / "seed0/alpha0")
    (wild / "choice.json").unlink(missing_ok=True)
    said = refused("select", f"{wild}/choice.json", **ABSURD, selection={"alphas": [0, 1], "collapsed": "refuse"})
    assert "no alpha can be chosen: alpha 0 collapsed, alpha 1 diverged" in said
    assert str(wild) in said
    assert not (wild / "choice.json").exists()
    made("select", f"{wild}/choice.json", **ABSURD, selection={"alphas": [0, 1], "collapsed": "allow"})
    choice = json.loads((wild / "choice.json").read_text())
    assert (choice["alpha"], choice["grid"][0]["status"]) == (0, "collapsed")


def test_a_collapsed_candidate_loses_even_with_the_best_accuracy(candidates: Path, tmp_path: Path) -> None:
    collapsed = candidates / "seed0/alpha0.5"
    kept = {name: (collapsed / name).read_bytes() for name in ("model.safetensors", "run.json")}
    path, text = candidates / "choice.json", (candidates / "choice.json")
    before = text.read_bytes() if text.exists() else None
    collapse(collapsed)
    try:
        made("select", str(path), selection={"collapsed": "refuse", "attack": {"eps": "1", "steps": 20}})
        choice = json.loads(path.read_text())
        assert choice["alpha"] == 0.1
        assert choice["grid"][1]["status"] == "collapsed"
        assert choice["grid"][1]["robust"] > choice["grid"][0]["robust"]
    finally:
        for name, content in kept.items():
            (collapsed / name).write_bytes(content)
        path.write_bytes(before) if before else path.unlink()


def test_later_seeds_train_under_the_chosen_alpha(choice: dict[str, Any], candidates: Path) -> None:
    made("record", TAPE.replace("seed0", "seed1"))
    made("train", f"{candidates}/seed1/model.safetensors")
    run = json.loads((candidates / "seed1/run.json").read_text())
    assert run["alpha"] == choice["alpha"]
    assert (candidates / "seed1/model.safetensors").read_bytes() != (
        candidates / "seed0" / f"alpha{choice['alpha']:g}/model.safetensors"
    ).read_bytes()


# ---- an average


def test_an_average_is_its_members_mean_probability(averaged: Path) -> None:
    whole = load(study(), ROOT, Run(D, A, "en-sat", 0), torch.device("cpu"))
    x = load_split(Path(ROOT, "data", D, "test.safetensors"), "test").pixels()
    probabilities = []
    for index in range(3):
        member = build(A, classes=10, channels=1)
        load_into(member, averaged / f"member{index}/model.safetensors")
        probabilities.append(member.eval()(x).softmax(1))
    assert not whole.training
    assert torch.allclose(whole(x).softmax(1), sum(probabilities) / 3, atol=1e-6)
    assert (probabilities[0] - probabilities[1]).abs().max() > 1e-4
    rows = read_rows(averaged / "history.csv")
    assert [row["member"] for row in rows] == ["0", "1", "2"]


def test_a_member_of_other_settings_is_not_averaged(averaged: Path, refused: Callable[..., str]) -> None:
    said = refused("train", f"{averaged}/model.safetensors", methods={"en-sat": {"options": {"steps": 1}}})
    assert "member0/model.safetensors was trained under other settings" in said


# ---- evaluate


CONTRACT = [
    *("scale", "dataset", "arch", "method", "seed", "attack", "n", "correct", "accuracy", "ci_low", "ci_high"),
    *("eps", "steps", "step_size", "model_sha256", "config_sha256", "git_commit", "git_dirty"),
    *("device", "torch", "threads", "seconds", "finished_at"),
]


@pytest.mark.parametrize(("method", "attack"), [("natural", "pgd"), ("natural", "clean"), ("en-sat", "fgsm")])
def test_a_cell_is_one_row_and_a_bit_an_image(natural: Path, averaged: Path, method: str, attack: str) -> None:
    path = Path(CELLS, method, "seed0", f"{attack}.csv")
    made("evaluate", str(path), device="cpu")
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert set(CONTRACT) <= set(row)
    bits = numpy.load(path.with_suffix(".bits.npy"))
    assert (bits.dtype, bits.shape) == (numpy.dtype(bool), (12,))
    assert (int(row["n"]), int(row["correct"])) == (12, bits.sum())
    assert float(row["accuracy"]) == pytest.approx(100 * bits.sum() / 12, abs=1e-4)
    interval = binomtest(int(bits.sum()), 12).proportion_ci(0.95, method="wilson")
    assert float(row["ci_low"]) == pytest.approx(100 * interval.low, abs=1e-4)
    assert float(row["ci_high"]) == pytest.approx(100 * interval.high, abs=1e-4)
    named = {key: row[key] for key in ("scale", "dataset", "arch", "method", "seed", "attack", "device")}
    assert named == {
        "scale": "smoke",
        "dataset": D,
        "arch": A,
        "method": method,
        "seed": "0",
        "attack": attack,
        "device": "cpu",
    }
    assert row["eps"] == ("" if attack == "clean" else "26/255")
    assert (row["steps"], row["step_size"]) == (("2", "13/255") if attack == "pgd" else ("", ""))
    assert row["model_sha256"] == sha256(Path(RUNS, method, "seed0/model.safetensors"))
    assert row["config_sha256"] == plan.digest(plan.cell_settings(study(), Cell(D, A, method, 0, attack)))
    assert row["threads"] == "1"
    diagnosed = {"random_share", "zero_gradient_share", "clamped_share", "loss_rise", "accuracy_at_eps_1", "classes"}
    assert set(row) & diagnosed == (diagnosed if attack == "pgd" else set())


@pytest.mark.usefixtures("natural")
def test_a_cell_of_autoattack_says_what_its_health_checks_need() -> None:
    path = Path(CELLS, "natural/seed0/aa.csv")
    made("evaluate", str(path))
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    path.unlink()
    assert int(row["correct"]) <= int(row["before_square"]) <= 12
    assert "warnings" in row


@pytest.mark.usefixtures("natural")
def test_a_cell_states_every_option_of_its_attack() -> None:
    """Of fog those that no other attack has, as its chunk."""
    path = Path(CELLS, "natural/seed0/fog.csv")
    made("evaluate", str(path), attacks={"fog": {"chunk": 5, "images": 7}})
    with path.open(newline="") as file:
        (row,) = csv.DictReader(file)
    path.unlink()
    stated = {name: row[name] for name in ("strength", "step_size", "steps", "normalised", "target", "chunk", "eps")}
    assert stated == {"strength": "128", "step_size": "0.1", "steps": "2", "eps": ""} | {
        "normalised": "batch",
        "target": "none",
        "chunk": "5",
    }
    assert row["n"] == "7"


def test_bits_are_the_networks_own_verdicts(natural: Path) -> None:
    path = Path(CELLS, "natural/seed0/clean.csv")
    made("evaluate", str(path))
    test = load_split(Path(ROOT, "data", D, "test.safetensors"), "test")
    network = build(A, classes=10, channels=1)
    load_into(network, natural / "model.safetensors")
    expected = network.eval()(test.pixels()).argmax(1) == test.labels
    assert numpy.load(path.with_suffix(".bits.npy")).tolist() == expected.tolist()


def test_bits_under_a_corruption_are_the_verdicts_on_its_images(
    natural: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files lie below data.folder, in the folder of the data set; there are more rows than test images here."""
    monkeypatch.delenv("ATAKA_DATA", raising=False)
    labels = load_split(Path(ROOT, "data", D, "test.safetensors"), "test").labels
    images = numpy.random.default_rng(0).integers(0, 256, (5 * 15, 8, 8, 1), dtype=numpy.uint8)
    (tmp_path / "digits-C").mkdir()
    numpy.save(tmp_path / "digits-C/fog.npy", images)
    numpy.save(tmp_path / "digits-C/labels.npy", numpy.tile([*labels.tolist(), 0, 0, 0], 5))
    path = Path(CELLS, "natural/seed0/corrupted.csv")
    entry = {"kind": "corruption", "corruption": "fog", "severity": 4}
    made("evaluate", str(path), data={"folder": str(tmp_path)}, attacks={"corrupted": entry})
    network = build(A, classes=10, channels=1)
    load_into(network, natural / "model.safetensors")
    seen = torch.from_numpy(images[45:57]).permute(0, 3, 1, 2) / 255
    expected = network.eval()(seen).argmax(1) == labels
    assert numpy.load(path.with_suffix(".bits.npy")).tolist() == expected.tolist()
    (row,) = read_rows(path)
    assert (row["corruption"], row["severity"], row["folder"], row["n"]) == ("fog", "4", "{label}-C", "12")


@pytest.mark.usefixtures("natural")
def test_evaluating_twice_gives_the_same_bits() -> None:
    path = Path(CELLS, "natural/seed0/pgd.csv")
    bits = []
    for _ in range(2):
        made("evaluate", str(path))
        bits.append(path.with_suffix(".bits.npy").read_bytes())
    assert bits[0] == bits[1]


def test_an_attack_draws_from_its_runs_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    made("train", f"{RUNS}/natural/seed1/model.safetensors")
    seen: list[int] = []
    real = evaluate.run_attack

    def spy(*arguments: Any, seed: int, **named: Any) -> Any:
        seen.append(seed)
        return real(*arguments, seed=seed, **named)

    monkeypatch.setattr(evaluate, "run_attack", spy)
    made("evaluate", f"{CELLS}/natural/seed1/pgd.csv")
    assert seen == [1]


def test_a_model_of_other_settings_is_not_evaluated(natural: Path, refused: Callable[..., str]) -> None:
    path = Path(CELLS, "natural/seed0/aa.csv")
    said = refused("evaluate", str(path), setups={"natural": {"learning_rate": 0.2}})
    assert f"{natural}/model.safetensors was trained under other settings than those in force" in said
    assert f"snakemake --cores all --force {natural}/model.safetensors" in said
    assert not path.exists()


def test_a_missing_model_is_named(refused: Callable[..., str]) -> None:
    assert "natural/seed8/run.json is missing" in refused("evaluate", f"{CELLS}/natural/seed8/pgd.csv")


def test_more_images_than_there_are_are_refused(natural: Path, refused: Callable[..., str]) -> None:
    said = refused("evaluate", f"{CELLS}/natural/seed0/pgd.csv", attacks={"pgd": {"images": 13}})
    assert "attacks.pgd.images: 13 images are asked for, but the split of digits has 12" in said


def test_a_gpu_that_is_not_there_is_refused(
    natural: Path, refused: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    said = refused("evaluate", f"{CELLS}/natural/seed0/pgd.csv", device="cuda")
    assert "device: cuda asks for a GPU, but torch sees none here; use device: auto or cpu" in said


# ---- what others look for


@pytest.mark.parametrize(
    ("verb", "path"),
    [
        ("prepare", f"{ROOT}/data/{D}/test.safetensors"),
        ("record", TAPE),
        ("train", f"{RUNS}/natural/seed0/model.safetensors"),
        ("train", f"{RUNS}/s-at-aka/seed0/alpha0.5/model.safetensors"),
        ("select", f"{RUNS}/s-at-aka/choice.json"),
        ("evaluate", f"{CELLS}/natural/seed0/pgd.csv"),
        ("shard", f"{CELLS}/natural/seed0/aa.1of2.safetensors"),
        ("particles", f"{ROOT}/particles/{D}/{A}/natural/seed0/svgd.csv"),
    ],
)
def test_a_claim_lies_where_a_watcher_looks_for_it(
    verb: str,
    path: str,
    natural: Path,
    candidates: Path,
    refused: Callable[..., str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def claim(folder: Path) -> None:
        raise UserError(f"claimed {folder}!")

    monkeypatch.setattr("ataka.files.claim.claim", claim)
    monkeypatch.setattr("ataka.files.resume.claim", claim)
    shards: dict[str, Any] = {"shards": {"aa": 2}, "attacks": {"aa": {"chunk": 6}}} if verb == "shard" else {}
    (job,) = jobs.each(study(**shards), ROOT, [path]).values()
    assert f"claimed {traces.claimed_by(job)}!" in refused(verb, path, **shards)
