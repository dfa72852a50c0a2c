"""Jobs and Snakemake itself are killed at random moments: is what comes out the same, byte for byte?"""

import csv
import json
import os
import random
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from tests.workflow.driver import Checkout, cell
from tests.workflow.test_table import TAKEN

KILLS, OF_SNAKEMAKE = 20, 8
RUNS, TAPE = "results/smoke/runs/digits/resnet10-w8", "results/smoke/tapes/digits/wrn10-1-x3-svgd/seed0"
STUDENT, CELL = f"{RUNS}/s-at-aka/seed0/alpha0.1", cell("natural", "aa")
SETUPS = {name: {"epochs": 16, "batch_size": 16, "milestones": []} for name in ("table2", "natural")}
AUTOATTACK = {"eps": "1/255", "iterations": 20, "target_classes": 9, "queries": 400, "chunk": 8}
ASKED = (
    *(CELL, f"{STUDENT}/model.safetensors", "--config"),
    'data={"train": 32, "validation": 16, "test": 16}',
    f"setups={json.dumps(SETUPS)}",
    f"attacks={json.dumps({'aa': AUTOATTACK})}",
)


@pytest.fixture(scope="module")
def undisturbed(fresh: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    checkout = fresh.copy(tmp_path_factory.mktemp("undisturbed") / "study")
    answer = checkout.snakemake(*ASKED)
    assert answer.code == 0, answer.text
    return checkout


@pytest.fixture(scope="module")
def killed(fresh: Checkout, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, str]:
    """The same study, whose workers keep a state at each chance and are killed; and all that was said."""
    folder = tmp_path_factory.mktemp("killed")
    checkout, log, moments = fresh.copy(folder / "study"), folder / "terminal", random.Random(6)
    with (checkout.folder / "ataka/files/resume.py").open("a") as module:
        module.write("\n\ndef pause(cost, least=0.0):\n    return 0.0\n")
    said, kills, last = "", 0, 0.0
    process = checkout.start(*ASKED, "--retries", "100", log=log)
    try:
        while process.poll() is None or kills < KILLS:
            if process.poll() is not None:  # it was too quick: once more from the beginning
                said += log.read_text(encoding="utf-8")
                assert process.returncode == 0, said
                for made in ("tapes", "runs", "cells"):
                    shutil.rmtree(checkout.folder / "results/smoke" / made)
                process = checkout.start(*ASKED, "--retries", "100", log=log)
            if kills >= KILLS or not has_kept(checkout, since=last):
                time.sleep(0.02)
                continue
            time.sleep(moments.uniform(0, 0.3))
            victims = list(workers(process.pid))
            if not victims:
                continue
            last = time.time()
            kills += 1
            if kills != OF_SNAKEMAKE:
                kill(moments.choice(victims))
                continue
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            said += log.read_text(encoding="utf-8")
            locked = checkout.snakemake(*ASKED)
            assert "cannot be locked" in locked.text
            assert checkout.snakemake("--unlock", *ASKED).code == 0
            process = checkout.start(*ASKED, "--retries", "100", log=log)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    said += log.read_text(encoding="utf-8")
    assert process.returncode == 0, said
    assert kills == KILLS, said
    return checkout, said


def has_kept(checkout: Checkout, since: float) -> bool:
    """Whether a job has kept a state since then, so that a kill finds jobs at work and not still on their way."""
    for state in (checkout.folder / "results/smoke").glob("**/.resume/**/*.safetensors"):
        with suppress(OSError):  # the next one has replaced it
            if state.stat().st_mtime > since:
                return True
    return False


def workers(snakemake: int) -> Iterator[int]:
    """The processes that do the jobs: what Snakemake's own warm server has forked."""
    processes = {}
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            try:
                parent = int((folder / "stat").read_text().rpartition(")")[2].split()[1])
                processes[int(folder.name)] = parent, (folder / "cmdline").read_bytes()
            except OSError:  # it has ended
                continue
    servers = [
        one for one, (parent, line) in processes.items() if parent == snakemake and b"ataka.machine.warm" in line
    ]
    for one, (parent, _) in processes.items():
        if parent in servers:
            yield one


def kill(worker: int) -> None:
    with suppress(ProcessLookupError):  # it was quicker
        os.kill(worker, signal.SIGKILL)


def test_what_was_killed_again_and_again_comes_out_the_same(
    undisturbed: Checkout, killed: tuple[Checkout, str]
) -> None:
    checkout, said = killed
    for folder in (f"{RUNS}/natural/seed0", STUDENT, TAPE, str(Path(CELL).parent)):
        files = made(undisturbed.folder / folder)
        assert made(checkout.folder / folder) == files
        for name in files - {"run.json", "aa.csv"}:
            assert (checkout.folder / folder / name).read_bytes() == (undisturbed.folder / folder / name).read_bytes()
    rows = [next(csv.DictReader((one.folder / CELL).open())) for one in (undisturbed, checkout)]
    for row in rows:
        for name in (*TAKEN, "finished_at", "seal"):
            del row[name]
    assert rows[0] == rows[1]
    assert said.count(": goes on after ") >= 3, said


def made(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_runs_tell_how_often_they_went_on(killed: tuple[Checkout, str]) -> None:
    checkout, said = killed
    records = [checkout.folder / folder / "run.json" for folder in (TAPE, f"{RUNS}/natural/seed0", STUDENT)]
    resumed = [entry["after"] for record in records for entry in json.loads(record.read_text())["resumed"]]
    assert all(f"goes on after {after}" in said for after in resumed)
