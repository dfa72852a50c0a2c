"""Is the estimate made of the work that is there, and does it stop only what would take days?"""

import itertools
from typing import Any

import pytest
import torch

from ataka import datasets
from ataka.errors import UserError
from ataka.machine.progress import Progress, duration
from ataka.models.operations import multiply_accumulates
from ataka.plan import Cell, Run, Tape
from ataka.stages import cost
from ataka.study import config

D, A = "digits", "resnet10-w8"
TAPE = Tape(D, "wrn10-1-x3-svgd", 0)


def study(**overrides: Any) -> config.Study:
    return config.load("smoke", overrides)


@pytest.fixture(autouse=True)
def one_second_a_forward(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "forward_seconds", lambda arch, dataset, threads, device: {A: 1.0, "wrn10-1": 10.0}[arch])


@pytest.mark.parametrize(
    ("node", "forwards"),
    [
        (TAPE, 10 * 64 * 3 * (2 * 2 + 3)),  # 64 images, 3 teachers, 2 attack steps and an update
        (Tape(D, "wrn10-1-x3-svgd-median", 0), 10 * 64 * (9 * 2 * 2 + 3 * 3)),  # each teacher at every particle
        (Tape(D, "wrn10-1-x3-svgd-median-particle", 0), 10 * 64 * 3 * (2 * 2 + 3)),
        (Run(D, A, "natural", 0), 64 * 3),
        (Run(D, A, "en-sat", 0, "member1"), 64 * (2 * 2 + 3)),
        (Run(D, A, "en-sat", 0), 0),  # joined
        (Run(D, A, "en-sat", 1), 0),
        (Run(D, A, "s-at-aka", 0, "alpha0.1"), 64 * 3),
        (Run(D, A, "s-at-aka", 0), 0),  # adopted
        (Run(D, A, "s-at-aka", 1), 64 * 3),  # trained under the alpha that was chosen
        (Run(D, A, "en-rslad", 0), 64 * (2 * 2 + 3) + 10 * 64 * 3),  # three frozen teachers, one forward each
        (Run(D, A, "mtard", 0), 64 * (2 * 2 + 3) + 10 * 64 * (3 + 1)),
        (Run(D, A, "adaad", 0), 64 * (2 * 2 + 3) + 10 * 64 * 3 * (2 * 2 + 2)),  # attacked with the student
        (Cell(D, A, "natural", 0, "pgd"), 16 * (2 * 2 + 1)),
        (Cell(D, A, "en-sat", 0, "pgd"), 3 * 16 * (2 * 2 + 1)),
    ],
    ids=str,
)
def test_a_jobs_work_is_counted(node: Any, forwards: float) -> None:
    assert cost.seconds_of(study(), node) == cost.WARM_JOB_SECONDS + forwards


def test_training_on_all_images_costs_those_that_validation_holds_out_too() -> None:
    everything = study(setups={"natural": {"images": "all"}})
    assert cost.seconds_of(everything, Run(D, A, "natural", 0)) == cost.WARM_JOB_SECONDS + (64 + 64) * 3


@pytest.mark.parametrize(
    ("option", "forwards"),
    [({"awp": {"gamma": 0.01}}, 6), ({"awp": {"gamma": 0.01, "begin": "1/2"}}, 4.5), ({"swa": {"begin": "3/4"}}, 3.25)],
)
def test_perturbed_weights_cost_another_update_and_averaged_ones_a_pass(option: Any, forwards: float) -> None:
    changed = study(setups={"natural": option})
    assert cost.seconds_of(changed, Run(D, A, "natural", 0)) == cost.WARM_JOB_SECONDS + 64 * forwards


def test_training_beside_teachers_costs_them_too() -> None:
    online = {"like": "s-at-aka", "online": True, "alpha": 0.5}
    beside = study(methods={"s-at-aka.online": online})
    own, teachers = 64 * 3, 10 * 64 * 3 * 7
    assert cost.seconds_of(beside, Run(D, A, "s-at-aka.online", 0)) == cost.WARM_JOB_SECONDS + own + teachers


def test_standard_autoattack_is_dearer_than_pgd_and_its_images_count() -> None:
    standard = {"version": "standard", "iterations": None, "target_classes": None, "queries": None}
    cell = Cell(D, A, "natural", 0, "aa")
    whole, half = (cost.seconds_of(study(attacks={"aa": {**standard, "images": n}}), cell) for n in (16, 8))
    assert whole - cost.WARM_JOB_SECONDS == 2 * (half - cost.WARM_JOB_SECONDS)
    assert half > 100 * cost.seconds_of(study(), Cell(D, A, "natural", 0, "pgd"))


def test_without_a_cut_the_data_sets_own_size_counts() -> None:
    full = study(data={"train": None, "test": None, "validation": 437})
    assert cost.seconds_of(full, Run(D, A, "natural", 0)) == cost.WARM_JOB_SECONDS + 1000 * 3
    assert cost.seconds_of(full, Cell(D, A, "natural", 0, "pgd")) == cost.WARM_JOB_SECONDS + 360 * 5


NODES = [TAPE, Run(D, A, "natural", 0), Cell(D, A, "natural", 0, "pgd"), Cell(D, A, "natural", 0, "clean")]


def test_the_announcement_says_what_how_long_and_under_which_readings(capsys: pytest.CaptureFixture[str]) -> None:
    cost.announce(study(), NODES, local=True)
    said = capsys.readouterr().out
    assert "scale smoke: 64 training and 16 test images" in said
    assert "to do: 2 cells, 1 run, 1 tape; about" in said
    assert "  A7  generators.*.update sign" in said
    assert "at_aka.mse sum" in said
    assert max(map(len, said.splitlines()[2:])) <= 110


@pytest.fixture
def patience(monkeypatch: pytest.MonkeyPatch) -> None:
    """A day's work is too much."""
    monkeypatch.setattr(cost, "PATIENCE", 100.0)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)


@pytest.mark.usefixtures("patience")
def test_days_of_work_without_a_gpu_are_stopped_with_the_way_out() -> None:
    with pytest.raises(UserError) as caught:
        cost.announce(study(), NODES, local=True)
    for hint in ("no GPU", "results/demo/", "results/pocket/", "results/smoke/", "--config without_gpu=go-on"):
        assert hint in str(caught.value)
    assert "results/paper/" not in str(caught.value)


@pytest.mark.usefixtures("patience")
@pytest.mark.parametrize(("overrides", "local"), [({"without_gpu": "go-on"}, True), ({}, False)])
def test_who_insists_or_has_a_cluster_goes_on(overrides: dict, local: bool) -> None:
    cost.announce(study(**overrides), NODES, local=local)


@pytest.mark.usefixtures("patience")
def test_little_work_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "PATIENCE", 1e9)
    cost.announce(study(), NODES, local=True)


def test_a_forward_is_timed_and_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()  # the real one
    threads, before = torch.get_num_threads(), torch.random.get_rng_state()
    seconds = cost.forward_seconds.__wrapped__(A, datasets.find(D).specification, 2, "auto")
    assert 0 < seconds < 1
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (3600, "60 min"),
        (7200, "2.0 h"),
        (50_000, "14 h"),
        (200_000, "2.3 days"),
        (9e6, "104 days"),
    ],
)
def test_durations_are_told_in_a_persons_units(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_progress_says_epochs_losses_and_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    import sys

    progress = Progress("train x", sys.stderr, every=0.0)
    progress.start(2, 10)
    progress.step(5, torch.tensor(0.5))
    progress.end_epoch(1, {"loss": 0.25, "learning_rate": 0.1})
    progress.end_epoch(2, {"loss": 0.125})
    lines = capsys.readouterr().err.splitlines()
    assert [line.startswith("train x: epoch ") for line in lines] == [True] * 3
    assert "epoch 0.5/2" in lines[0]
    assert "loss 0.5" in lines[0]
    assert "loss 0.25" in lines[1]
    assert "learning_rate" not in lines[1]
    assert "left" in lines[1]
    assert "epoch 2.0/2" in lines[2]
    assert "left" not in lines[2]


def test_silence_is_silent(capsys: pytest.CaptureFixture[str]) -> None:
    progress = Progress.silent()
    progress.start(1, 1)
    progress.step(1)
    progress.end_epoch(1, {"loss": 1.0})
    progress.say("anything")
    assert capsys.readouterr() == ("", "")


def test_at_the_papers_scale_the_teachers_are_over_95_per_cent_of_a_tables_training() -> None:
    """One tape, and a student for each amalgamation and alpha, counted by multiply-accumulates instead of seconds."""
    paper = config.load()

    def work(node: Tape | Run) -> float:
        ((arch, _, forwards),) = cost._passes(paper, node)
        return forwards * multiply_accumulates(arch, classes=10, channels=3, size=32)

    alphas = [f"alpha{alpha}" for alpha in paper.selection.alphas]
    students = [
        Run("cifar10", "resnet18", f"{psi}-at-aka", 0, alpha) for psi, alpha in itertools.product("nlsp", alphas)
    ]
    tape = work(Tape("cifar10", "wrn34-10-x3-svgd", 0))
    assert len(students) == 20
    assert round(100 * tape / (tape + sum(map(work, students)))) == 96
