"""Do the measurements of speed run, and say what they measured?"""

import csv
import json
import shutil
import subprocess
import sys
from functools import partial
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor

from ataka import plan, streams
from ataka.attacks import linf
from ataka.plan import Tape
from ataka.study import config
from ataka.training import Batch
from bench import __main__ as command
from bench import attacks, gpu, jobs, networks, page, processes, timing, training


def test_each_contestant_has_its_turn_first() -> None:
    order: list[str] = []
    contestants = {name: (lambda name=name: order.append(name)) for name in "abc"}
    timings = timing.in_turn(contestants, rounds=3)
    assert "".join(order) == "abcbcacababc"
    assert [one.contestant for one in timings] == ["a", "b", "c"]


def test_speed_is_a_ratio_of_medians() -> None:
    timings = [timing.timing("slow", [4.0, 2.0, 9.0]), timing.timing("fast", [1.0, 1.0, 7.0])]
    slow, fast = timing.rows("task", timings, "slow")
    assert (slow.seconds, slow.low, slow.high, slow.speed) == ("4", "3", "6.5", "1.00")
    assert fast.speed == "4.00"


@pytest.mark.parametrize("name", ["attacks", "autoattack", "training"])
def test_a_smoke_run_writes_its_table(name: str, tmp_path: Path) -> None:
    folder = tmp_path / "performance"
    assert command.main(["--smoke", "--folder", str(folder), name, "page"]) == 0
    with (folder / f"{name}.csv").open(newline="") as file:
        lines = list(csv.DictReader(file))
    assert {"ours", "ours, switches off"} <= {line["contestant"] for line in lines}
    assert all(float(line["seconds"]) > 0 and "torch" in line["versions"] for line in lines)
    page = (tmp_path / "performance.md").read_text()
    assert all(line["seconds"] in page for line in lines)


@pytest.mark.parametrize("method", training.METHODS, ids=lambda method: method.__name__.rpartition(".")[2])
def test_a_transcription_takes_the_step_that_our_method_takes(
    method: ModuleType, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From one start, in float64: the same loss, gradients and running statistics, attack included."""
    name = method.__name__.rpartition(".")[2]
    monkeypatch.setattr(training, "STEPS", 2)
    monkeypatch.setitem(training.ATTACK, "steps", 2)
    uniform = partial(linf.uniform_start, eps=training.EPS)
    for kind, start in (("_uniform", uniform), ("_gaussian", partial(linf.gaussian_start, deviation=0.001))):
        monkeypatch.setattr(training, kind, lambda x, start=start: start(x, generator=streams.generator(0, "start", 0)))
    x, y = torch.rand(4, 3, 16, 16, generator=torch.Generator().manual_seed(2)).double(), torch.arange(4)
    ours, theirs = (networks.build("resnet10-w8").double().train() for _ in range(2))
    teacher = networks.build("resnet10-w8", 1).double()
    batch = Batch(x=x, y=y, index=y, stream=partial(streams.generator, 0))
    (loss,) = training.objective_of(method, teacher).losses([ours], batch)
    published: Tensor = training.PLAIN[name](theirs, teacher, x, y)
    assert loss.item() == pytest.approx(published.item(), rel=1e-9)
    loss.backward()
    published.backward()
    for one, other in zip(ours.parameters(), theirs.parameters(), strict=True):
        torch.testing.assert_close(one.grad, other.grad, rtol=1e-6, atol=1e-9)
    torch.testing.assert_close(ours.state_dict(), theirs.state_dict(), rtol=1e-9, atol=1e-12)


def test_every_contestant_leaves_the_network_that_they_share_as_it_was() -> None:
    """A network whose weights need no gradient would cost the next contestants less."""
    network = networks.build("resnet10-w8")
    x, y = networks.images(network, 4)
    before = {key: tensor.clone() for key, tensor in network.state_dict().items()}
    for name, attack in (attacks._pgd(network, x, y) | attacks._fgsm(network, x, y)).items():
        attack()
        assert all(weight.requires_grad for weight in network.parameters()), name
        assert not any(module.training for module in network.modules()), name
        torch.testing.assert_close(network.state_dict(), before, rtol=0, atol=0, msg=name)


def test_an_unknown_measurement_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        command.main(["atacks"])
    assert "no measurement atacks" in capsys.readouterr().err


def test_the_gpu_script_runs_wherever_there_is_torch(tmp_path: Path) -> None:
    """So that nothing but speed is left to see on a card; its answers are right here."""
    out = tmp_path / "gpu.csv"
    assert gpu.main(["--tiny", "--out", str(out)]) == 0
    with out.open(newline="") as file:
        lines = {line["name"]: line for line in csv.DictReader(file)}
    missing = [line["note"] for line in lines.values() if line["kind"] in ("failed", "left out")]
    assert missing == [] or (shutil.which("g++") is None and all("C++ compiler" in note for note in missing))
    assert lines["a killed training resumes to the same bits"]["value"] == "yes"
    assert lines["the same bits twice, deterministic: true"]["value"] == "yes"
    assert lines["images that were worked on after memory ran out"]["value"] == "64"
    assert {"speed", "correctness"} <= {line["kind"] for line in lines.values()}


def test_two_processes_run_beside_one(tmp_path: Path) -> None:
    alone, two = processes.measure(smoke=True)
    assert (alone.contestant, alone.speed, alone.note) == ("1 process", "1.00", "")
    efficiency = float(two.note.removeprefix("efficiency "))
    assert efficiency == pytest.approx(float(alone.seconds) / float(two.seconds) / 2, abs=0.01)


def test_an_efficiency_is_half_the_speed(monkeypatch: pytest.MonkeyPatch) -> None:
    def seconds(_folder: Path, tape: Tape, settings: dict[str, Any]) -> float:
        assert plan.ensemble_of(config.load(processes.SCALE, settings), tape).n == 2
        return {(1, 1): 10.0, (2, 1): 6.0, (1, 2): 8.0}[settings.get("processes", 1), settings["threads"]]

    monkeypatch.setattr(processes, "_ataka", lambda *_: None)
    monkeypatch.setattr(processes, "_seconds", seconds)
    lines = [*processes.measure(smoke=False)]
    assert [line.contestant for line in lines] == 2 * ["1 process", "2 processes", "2 threads"]
    assert [(line.speed, line.note) for line in lines[:3]] == [
        ("1.00", ""),
        ("1.67", "efficiency 0.83"),
        ("1.25", "efficiency 0.62"),
    ]


def test_a_jobs_shares_are_those_of_the_first_contestants_medians(tmp_path: Path) -> None:
    usages = {"before": [(8, 800), (10, 900), (90, 1000)], "now": [(4, 450), (3, 90), (2, 460)]}
    lines = [*jobs.rows("a job", {name: [jobs.Usage(*one) for one in each] for name, each in usages.items()})]
    assert [(line.cpu_seconds, line.cpu_share, line.memory_mb, line.memory_share) for line in lines] == [
        ("10", "1.00", "900", "1.00"),
        ("3", "0.30", "450", "0.50"),
    ]
    assert (lines[0].low, lines[0].high) == ("9", "50")
    timing.write("jobs", lines, tmp_path / "performance")
    page.write(tmp_path / "performance")
    assert "| now | 3 (2.5 to 3.5) | 0.30 | 450 MB | 0.50 of the memory |" in (tmp_path / "performance.md").read_text()


@pytest.mark.parametrize(("clock", "seconds"), [("00:08.395", 8.395), ("01:00:01", 3601), ("02:03.5", 123.5)])
def test_a_clock_of_slurms_is_read_in_seconds(clock: str, seconds: float) -> None:
    assert jobs._seconds(clock) == pytest.approx(seconds)


def test_the_usage_of_a_job_is_that_of_its_steps_once_all_of_them_are_accounted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slurm's database hears of the end of a step before it hears of the job's, or after."""
    steps = "COMPLETED|00:01.500|100000K", "COMPLETED|00:02.000|200000K", "COMPLETED|00:02.250|150000K"
    ends = "COMPLETED|00:05.750|", *steps
    answers = iter(["", "RUNNING|00:00|", "\n".join(ends[:3]), "\n".join(ends)])
    monkeypatch.setattr(jobs.time, "sleep", lambda _seconds: None)
    cluster = SimpleNamespace(ask=lambda *_command: next(answers))
    usage = jobs._accounted(cluster, "7", 2)
    assert (usage.cpu_seconds, usage.memory) == pytest.approx((5.75, 307.2))


def test_memory_is_that_of_the_program_and_not_of_whoever_started_it() -> None:
    here = bytearray(200_000_000)
    here[::4096] = bytes(len(here[::4096]))
    done = subprocess.run([sys.executable, "-c", jobs._MEASURED, sys.executable, "-S", "-c", ""], capture_output=True)
    code, _, kilobytes = json.loads(done.stdout)
    assert code == 0
    assert kilobytes < 100_000
