"""Does a job's record state what this job took: not the job before it in its process, nor the command that waits?"""

import csv
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import torch

from ataka.files.records import COST, read_json
from ataka.machine import meter, warm
from ataka.machine.meter import Meter, Usage
from ataka.study.config import HOME

MEGABYTE = 1_000_000


def hold(megabytes: int) -> None:
    """Hold so much memory for a moment, every page of it touched."""
    numpy.ones(megabytes * MEGABYTE, numpy.uint8).sum()


def test_a_peak_is_that_of_one_job_and_not_of_the_job_before() -> None:
    hold(400)
    first, before = Meter(), meter._peak_memory()
    assert before is not None
    hold(300)
    heavy, second = first.read(), Meter()
    hold(20)
    light = second.read()
    assert heavy.memory_mb is not None
    assert light.memory_mb is not None
    assert 290 < heavy.memory_mb - before < 330
    assert 0 <= light.memory_mb - before < 60


def test_only_work_counts_as_processor_time() -> None:
    before = Meter()
    until = time.process_time() + 0.2
    while time.process_time() < until:
        pass
    worked, idle = before.read(), Meter()
    time.sleep(0.3)
    slept = idle.read()
    assert 0.2 <= worked.cpu_seconds < 0.5
    assert worked.seconds >= worked.cpu_seconds
    assert slept.cpu_seconds < 0.1 < 0.3 <= slept.seconds


def test_processor_time_is_that_of_all_threads() -> None:
    def work() -> None:
        until = time.thread_time() + 0.2
        while time.thread_time() < until:
            pass

    begun, other = Meter(), threading.Thread(target=work)
    other.start()
    work()
    other.join()
    assert begun.read().cpu_seconds >= 0.4


@pytest.mark.parametrize(
    ("first", "later", "both"),
    [
        (Usage(1, 2, 300, None), Usage(0.5, 0.25, 200, None), Usage(1.5, 2.25, 300, None)),
        (Usage(1, 2, None, 10), Usage(1, 1, 5, 20), Usage(2, 3, 5, 20)),
        (Usage(0, 0, None, None), Usage(1, 1, 1, 0), Usage(1, 1, 1, 0)),
    ],
)
def test_parts_of_an_interrupted_job_add_up(first: Usage, later: Usage, both: Usage) -> None:
    assert first.followed_by(later) == both


def test_without_the_systems_files_the_peak_is_unknown(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object, **__: object) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(Path, "read_text", missing)
    monkeypatch.setattr(Path, "write_text", missing)
    usage = Meter().read()
    assert (usage.memory_mb, usage.gpu_memory_mb) == (None, None)


def test_a_gpus_peak_is_that_of_one_job(monkeypatch: pytest.MonkeyPatch) -> None:
    peak = [7e9]
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "reset_peak_memory_stats", lambda: peak.append(0))
    monkeypatch.setattr(torch.cuda, "max_memory_allocated", lambda: peak[-1])
    begun = Meter()
    peak.append(2_500_000_000)
    assert begun.read().gpu_memory_mb == 2500.0


WORKER = """
import json, sys, time
import numpy
from dataclasses import asdict
from ataka.machine.meter import Meter

def main(arguments):
    meter = Meter()
    numpy.ones(int(arguments[0]) * 1_000_000, numpy.uint8).sum()
    until = time.process_time() + float(arguments[1])
    while time.process_time() < until:
        pass
    print(json.dumps(asdict(meter.read())))
    return 0
"""


@pytest.mark.parametrize("mode", ["warm", "cold"])
def test_a_warm_job_measures_itself_as_a_cold_one_does(tmp_path: Path, mode: str) -> None:
    """The server, and the jobs that it forked before, count for nothing."""
    (tmp_path / "worker.py").write_text(WORKER)
    environment = os.environ | {"PYTHONPATH": os.pathsep.join([str(HOME), str(tmp_path)])}
    command = [sys.executable, "-c", "import sys; from ataka.machine import warm; warm.run('worker', sys.argv[1:])"]
    server = None
    if mode == "warm":
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("PYTHONPATH", environment["PYTHONPATH"])
            server = warm.Server("worker")
        environment |= server.environment

    def job(megabytes: int, seconds: float) -> Usage:
        given = [*command, str(megabytes), str(seconds)]
        said = subprocess.run(given, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return Usage(**json.loads(said.stdout))

    heavy, light = job(300, 0.8), job(10, 0.1)
    if server:
        server.close()
    assert heavy.memory_mb is not None
    assert light.memory_mb is not None
    assert 250 < heavy.memory_mb - light.memory_mb < 330
    assert 0.8 <= heavy.cpu_seconds < 4
    assert 0.1 <= light.cpu_seconds < 0.8


# ---- what jobs write


@pytest.fixture
def root(whole_study: Path) -> Path:
    return whole_study / "results/smoke"


def stated(path: Path) -> dict[str, object]:
    if path.suffix == ".json":
        return read_json(path)
    with path.open(newline="", encoding="utf-8") as file:
        row = next(csv.DictReader(file))
    return {name: float(row[name]) if row[name] else None for name in vars(Usage(0, 0, None, None))}


@pytest.mark.parametrize(
    ("find", "count"),
    [
        (lambda root: root.glob("runs/**/run.json"), 12),
        (lambda root: root.glob("tapes/**/run.json"), 1),
        (lambda root: root.glob("cells/**/*.csv"), 7),
        (lambda root: root.glob("particles/**/*.csv"), 1),
        (lambda root: root.glob(f"data/*/*{COST}"), 2),
        (lambda root: root.glob(f"tapes/**/manifest{COST}"), 1),
        (lambda root: root.glob(f"runs/**/choice{COST}"), 1),
    ],
)
def test_every_record_states_what_its_own_job_took(root: Path, find: Callable[[Path], list[Path]], count: int) -> None:
    paths = [*find(root)]
    assert len(paths) == count
    for path in paths:
        usage = stated(path)
        assert 0 <= usage["seconds"] < 60, path
        assert 0 <= usage["cpu_seconds"] < 60, path
        assert 50 < usage["memory_mb"] < 5000, path
        assert usage["gpu_memory_mb"] is None, path


def test_copies_and_averages_state_their_own_cost_and_not_their_sources(root: Path) -> None:
    runs = root / "runs/digits/resnet10-w8"
    for joined, parts in {
        "en-sat/seed0": [f"en-sat/seed0/member{index}" for index in range(3)],
        "s-at-aka/seed0": [f"s-at-aka/seed0/{path.name}" for path in runs.glob("s-at-aka/seed0/alpha*")],
        "s-cat-aka.chosen/seed0": ["s-cat-aka/seed0"],
    }.items():
        kept = [read_json(runs / run / "run.json") for run in (joined, *parts)]
        own, *theirs = [(record["seconds"], record["cpu_seconds"]) for record in kept]
        total = tuple(round(sum(each), 3) for each in zip(*theirs, strict=True))
        assert own not in (*theirs, total), joined
