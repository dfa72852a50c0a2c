"""Does a person at another terminal see a real study run, fail and be killed, without torch?"""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest

from tests.workflow.driver import Checkout

ROOT = "results/smoke"
RUNS = "runs/digits/resnet10-w8"
ASKED = (
    *("--keep-going", f"{ROOT}/cells/digits/resnet10-w8/natural/seed0/pgd.csv"),
    *(f"{ROOT}/{RUNS}/en-sat/seed0/member0/model.safetensors", "--config"),
    'setups={"sat": {"learning_rate": 1e20}, "natural": {"epochs": 4000}}',
)
NATURAL = "train digits/resnet10-w8/natural seed 0"


@pytest.fixture(scope="module")
def watched(fresh: Checkout, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, str]:
    """A study whose natural network trains for long, while SAT's diverge; its picture; killed after that."""
    folder = tmp_path_factory.mktemp("watched")
    made = fresh.copy(folder / "study")
    (made.folder / "results").mkdir(exist_ok=True)
    process = made.start(*ASKED, log=folder / "terminal")
    try:
        deadline = time.monotonic() + 240
        while not is_seen(made):
            assert process.poll() is None, (folder / "terminal").read_text()
            assert time.monotonic() < deadline, (folder / "terminal").read_text()
            time.sleep(0.5)
        running = made.run("ataka", "watch", ROOT, "--once").text
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()
    time.sleep(1)  # the forked jobs end with their commands
    return made, running


def is_seen(checkout: Checkout) -> bool:
    """Whether the natural network has said how far it is, and a member of SAT's has failed."""
    logs = checkout.folder / ROOT / "logs/train/digits/resnet10-w8"
    natural, member = logs / "natural/seed0/train.log", logs / "en-sat/seed0/member0/train.log"
    return "epoch " in text(natural) and "error: " in text(member)


def text(path: Path) -> str:
    return path.read_text() if path.exists() else ""


def test_a_study_that_runs(watched: tuple[Checkout, str]) -> None:
    _, seen = watched
    assert re.search(rf"running \(\d\)\n.*{NATURAL}\n    epoch [\d.]+/4000, loss \S+, [\d,]+ images/s", seen, re.DOTALL)
    assert re.search(r"failed \(\d\)\n.*en-sat/member0 seed 0\n.*no\s+longer\s+finite", seen, re.DOTALL), seen
    assert re.search(r"jobs? runs?; about .* left, until about", seen), "the start has kept its plan"
    head = seen.partition("\n\n")[0].split()
    assert head[:2] == [f"{ROOT}:", "cells/digits/resnet10-w8/natural/seed0/pgd.csv,"]
    assert head[2] == f"{RUNS}/en-sat/seed0/member0/model.safetensors"
    assert "2 of 5 jobs done" in seen
    assert float(re.search(r"epoch [\d.]+/4000.*about ([\d.]+) (?:s|min|h) left", seen)[1]) > 1  # type: ignore[index]


def test_a_study_that_was_killed(watched: tuple[Checkout, str], monkeypatch: pytest.MonkeyPatch) -> None:
    checkout, _ = watched
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    seen = checkout.run("ataka", "watch", ROOT, "--once")
    assert seen.code == 0
    assert not re.search(r"\| +torch$", seen.text, re.MULTILINE)
    stopped = seen.text.partition("stopped (")[2].partition("running (")
    assert re.search(rf"{NATURAL}\n    last seen .*epoch [\d.]+/4000", stopped[0])
    noted = json.loads((checkout.folder / ROOT / "logs/targets.json").read_text())
    assert noted == [target.removeprefix(f"{ROOT}/") for target in ASKED if target.startswith(f"{ROOT}/")]
    assert NATURAL not in stopped[2]  # a job without a claim so far may still start, for a minute
