"""Trainings on several processes by their command: torchrun, its end, and what is left where a process is lost."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ataka.files.records import read_json
from ataka.machine import attempts
from ataka.study.config import HOME

pytestmark = pytest.mark.kills
FOLDER = Path("results/smoke/tapes/digits/wrn10-1-x3-svgd/seed0")
OTHER = Path("results/smoke/tapes/digits/wrn10-1-x2-svgd/seed0")
SETTINGS: dict[str, Any] = {
    "device": "cpu",
    "data": {"train": 32, "validation": 64, "test": 12},
    "setups": {"table2": {"batch_size": 16, "epochs": 20, "milestones": []}},
}
WITHIN = 60
"""Seconds in which a job has to end once one of its processes is lost."""


def command(verb: str, path: Path | str, **settings: Any) -> list[str]:
    return [sys.executable, "-m", "ataka", verb, str(path), "--config", json.dumps(SETTINGS | settings)]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(HOME), attempts.NUMBER: "1"}


def run(folder: Path, *asked: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(asked, cwd=folder, env=environment(), capture_output=True, text=True, timeout=500)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the recording of one process."""
    folder = tmp_path_factory.mktemp("alone")
    for verb, path in (
        ("prepare", "results/smoke/data/digits/train.safetensors"),
        ("record", FOLDER / "manifest.json"),
    ):
        answer = run(folder, *command(verb, path))
        assert answer.returncode == 0, answer.stderr
    return folder


@pytest.fixture
def folder(alone: Path, tmp_path: Path) -> Path:
    """A folder with images, in which nothing has been recorded."""
    shutil.copytree(alone / "results/smoke/data", tmp_path / "results/smoke/data")
    return tmp_path


@contextmanager
def started(folder: Path, **settings: Any) -> Iterator[tuple[subprocess.Popen[str], Path, list[int]]]:
    """A recording that has trained some epochs, what it says, and its processes by rank."""
    log = folder / "log"
    with log.open("w") as output:
        job = subprocess.Popen(
            command("record", FOLDER / "manifest.json", **settings),
            cwd=folder,
            env=environment(),
            stderr=output,
            stdout=output,
        )
    try:
        while not [*folder.glob(f"{FOLDER}/*/epoch0002.safetensors")]:
            assert job.poll() is None, log.read_text()
            time.sleep(0.05)
        yield job, log, children(job.pid)
    finally:
        job.kill()
        job.wait()


def children(parent: int) -> list[int]:
    found = [int(stat.parent.name) for stat in Path("/proc").glob("[0-9]*/stat") if of(stat) == parent]
    return sorted(found)


def of(stat: Path) -> int:
    """The parent of a process that is no zombie; 0 of one that is gone."""
    try:
        state, parent, *_ = stat.read_text().rpartition(")")[2].split()
    except OSError:
        return 0
    return int(parent) if state != "Z" else 0


def gone(processes: list[int]) -> bool:
    """Whether these processes end, in seconds."""
    for _ in range(100):
        if not any(of(Path(f"/proc/{process}/stat")) for process in processes):
            return True
        time.sleep(0.1)
    return False


def tape(folder: Path) -> dict[str, bytes]:
    files = (path for path in (folder / FOLDER).rglob("*") if path.is_file() and path.name != "run.json")
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}


def test_a_killed_process_fails_the_job_and_another_number_resumes(alone: Path, folder: Path) -> None:
    with started(folder, processes=3) as (job, log, processes):
        assert len(processes) == 3
        os.kill(processes[1], signal.SIGKILL)
        assert job.wait(WITHIN) == 137
    assert gone(processes)
    assert "process 1 was killed without a word (SIGKILL)" in log.read_text()
    (attempt,) = attempts.read(attempts.file_of(folder / "results/smoke", folder / FOLDER / "manifest.json"))
    assert attempt.killed
    answer = run(folder, *command("record", FOLDER / "manifest.json", processes=2))
    assert answer.returncode == 0, answer.stderr
    assert "goes on after epoch" in answer.stderr
    assert tape(folder) == tape(alone)
    assert read_json(folder / FOLDER / "run.json")["processes"] == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_all_processes_after_the_last_checkpoint(alone: Path, folder: Path, number: int) -> None:
    with started(folder, processes=2) as (job, log, processes):
        job.send_signal(number)
        assert job.wait(WITHIN) == {signal.SIGTERM: 143, signal.SIGINT: 130}[signal.Signals(number)]
    assert gone(processes)
    assert "interrupted; the next start goes on after epoch" in log.read_text()
    answer = run(folder, *command("record", FOLDER / "manifest.json"))
    assert "goes on after epoch" in answer.stderr
    assert tape(folder) == tape(alone)


def test_a_killed_first_process_fails_the_job(folder: Path) -> None:
    with started(folder, processes=2) as (job, log, processes):
        os.kill(processes[0], signal.SIGKILL)
        assert job.wait(WITHIN) == 137
    assert gone(processes)
    assert "process 0 was killed without a word (SIGKILL)" in log.read_text()


def test_no_process_outlives_a_command_that_is_killed(folder: Path) -> None:
    with started(folder, processes=2) as (job, _, processes):
        job.kill()
        assert gone(processes)


def test_a_mistake_is_the_first_processs_and_is_told_once(folder: Path) -> None:
    setups = {"table2": SETTINGS["setups"]["table2"] | {"learning_rate": 1e30}}
    answer = run(folder, *command("record", FOLDER / "manifest.json", processes=2, setups=setups))
    assert answer.returncode == attempts.MISTAKE, answer.stderr
    assert answer.stderr.count("error: ") == 1
    assert "no longer finite" in answer.stderr
    assert "Traceback" not in answer.stderr


STUDENTS = Path("results/smoke/runs/digits/resnet10-w8")
TOGETHER = {
    "s-cat-aka": "seed0/alpha0.1",
    "s-at-aka.input-adv": "seed0/alpha0.1",
}
"""Methods whose networks train together, and a candidate of each."""
SHORT = {"setups": {name: {"batch_size": 16, "epochs": 2, "milestones": []} for name in ("table2", "table4")}}


@pytest.mark.parametrize("method", TOGETHER)
def test_two_processes_train_what_one_does(folder: Path, method: str) -> None:
    run_folder = STUDENTS / method / TOGETHER[method]
    written = []
    for processes in (1, 2):
        answer = run(folder, *command("train", run_folder / "model.safetensors", processes=processes, **SHORT))
        assert answer.returncode == 0, answer.stderr
        assert ("2 processes train 3 networks" in answer.stderr) == (processes == 2)
        assert read_json(folder / run_folder / "run.json").get("processes", 1) == processes
        written.append([(folder / run_folder / name).read_bytes() for name in ("model.safetensors", "history.csv")])
        shutil.rmtree(folder / run_folder)
    assert written[0] == written[1]


def test_a_candidate_that_diverges_ends_all_its_processes_well(folder: Path) -> None:
    setups = {"table4": SHORT["setups"]["table4"] | {"learning_rate": 1e30}}
    output = STUDENTS / "s-cat-aka" / TOGETHER["s-cat-aka"] / "model.safetensors"
    answer = run(folder, *command("train", output, processes=2, setups=setups))
    assert answer.returncode == 0, answer.stderr
    assert read_json((folder / output).with_name("run.json"))["status"] == "diverged"
