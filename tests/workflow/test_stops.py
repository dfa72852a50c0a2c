"""When does a study not start, and how does it stop?"""

import json
import os
import re
import shlex
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from ataka.errors import UserError
from ataka.study import config
from report.forecast import devices, jobs
from rules.announcement import describe
from tests.workflow.driver import Answer, Checkout

RUN = "results/demo/runs/digits/resnet10-w8/natural/seed0"
LONG = ("--config", 'setups={"natural": {"epochs": 5000, "milestones": []}}')

without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="torch sees a GPU, so the paper's scale would start")


# ---- the paper's scale on a machine without a GPU


@pytest.fixture(scope="module")
def stopped(fresh: Checkout, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, Answer]:
    checkout = fresh.copy(tmp_path_factory.mktemp("paper") / "study")
    return checkout, checkout.snakemake("results/table2.tex")


@without_gpu
def test_the_papers_scale_stops_before_any_job_and_names_smaller_scales(stopped: tuple[Checkout, Answer]) -> None:
    checkout, answer = stopped
    assert answer.code == 2, answer.text
    assert not answer.jobs
    assert not (checkout.folder / "results").exists()
    assert "has no GPU" in answer.text
    assert all(f"results/{scale}/" in answer.text for scale in ("pocket", "demo", "smoke"))
    assert "without_gpu=go-on" in answer.text
    assert "Traceback" not in answer.text


@without_gpu
def test_before_it_stops_it_says_what_it_would_do_and_how_it_reads_the_paper(stopped: tuple[Checkout, Answer]) -> None:
    _, answer = stopped
    assert "to do: 432 cells, " in answer.text
    assert " days on " in answer.text
    assert "generators.*.update sign" in answer.text
    assert "selection.split validation" in answer.text


@without_gpu
def test_a_stopped_study_is_not_locked(stopped: tuple[Checkout, Answer]) -> None:
    checkout, _ = stopped
    answer = checkout.snakemake("results/smoke/data/digits/test.safetensors")
    assert answer.code == 0, answer.text


@without_gpu
@pytest.mark.parametrize(
    ("overrides", "local"),
    [({"without_gpu": "go-on"}, True), ({}, False)],
    ids=["told to go on", "sent to a cluster"],
)
def test_days_of_work_start_when(
    overrides: dict[str, str], local: bool, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    answers = {"device_name": "", "forward_seconds": {"attack": (0.0, 0.1), "update": (0.0, 0.1)}}
    monkeypatch.setattr(devices, "_asked", lambda name, *_: answers[name])
    manifest = "results/tapes/cifar10/wrn34-10-x3-svgd/seed0/manifest.json"

    def start(*, local: bool, **overrides: str) -> None:
        study = config.load("paper", overrides)
        due = jobs.each(study, "results", [manifest])
        describe(study, "results", due, due, cores=2 if local else None)

    with pytest.raises(UserError, match="no GPU"):
        start(local=True)
    capsys.readouterr()
    start(local=local, **overrides)
    printed = capsys.readouterr().out
    assert re.search(r"to do: 1 tape; about .* days on ", printed)
    settings = f" --config {shlex.quote(json.dumps(overrides))}" if overrides else ""
    assert f"the rest: python -m ataka plan {manifest}{settings}\n" in printed
    assert ("counted, not measured" in printed) == (not local)


# ---- Ctrl-C


@dataclass
class Interrupted:
    checkout: Checkout
    code: int
    seconds: float
    text: str
    meanwhile: Answer
    """What a second Snakemake was told while the first one ran."""


@pytest.fixture(scope="module")
def interrupted(fresh: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Interrupted]:
    folder = tmp_path_factory.mktemp("interrupted")
    checkout, log = fresh.copy(folder / "study"), folder / "terminal"
    process = checkout.start(f"{RUN}/model.safetensors", *LONG, log=log)
    try:
        _wait_for(" images/s", log)
        meanwhile = checkout.snakemake(f"{RUN}/model.safetensors", *LONG)
        began = time.monotonic()
        os.killpg(process.pid, signal.SIGINT)
        code = process.wait(timeout=60)
        yield Interrupted(checkout, code, time.monotonic() - began, log.read_text(encoding="utf-8"), meanwhile)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_for(text: str, log: Path, timeout: float = 120) -> None:
    began = time.monotonic()
    while text not in (said := log.read_text(encoding="utf-8")):
        assert time.monotonic() - began < timeout, said
        time.sleep(0.1)


def test_an_interrupt_stops_a_training_within_seconds(interrupted: Interrupted) -> None:
    assert interrupted.code != 0
    assert interrupted.seconds < 15


def test_an_interrupt_says_what_became_of_the_job_without_a_traceback(interrupted: Interrupted) -> None:
    assert "interrupted; the next start goes on after epoch " in interrupted.text
    assert "Traceback" not in interrupted.text


def test_an_interrupt_leaves_no_half_written_output(interrupted: Interrupted) -> None:
    run = interrupted.checkout.folder / RUN
    assert not any((run / name).exists() for name in ("model.safetensors", "history.csv", "run.json"))
    assert not list((interrupted.checkout.folder / "results").rglob("*.part"))


def test_the_next_start_goes_on_without_an_unlock(interrupted: Interrupted) -> None:
    few = ("--config", 'setups={"natural": {"epochs": 1, "milestones": []}}')
    answer = interrupted.checkout.snakemake(f"{RUN}/model.safetensors", *few)
    assert answer.code == 0, answer.text
    assert answer.jobs == ["train digits resnet10-w8 natural seed 0"]
    assert (interrupted.checkout.folder / RUN / "run.json").exists()


def test_a_second_snakemake_on_the_same_results_is_refused(interrupted: Interrupted) -> None:
    assert interrupted.meanwhile.code == 1
    assert "cannot be locked" in interrupted.meanwhile.text
    assert not interrupted.meanwhile.jobs
