"""Do the measurements of speed run, and say what they measured?"""

import csv
import shutil
from functools import partial
from pathlib import Path
from types import ModuleType

import pytest
import torch
from torch import Tensor

from ataka import streams
from ataka.attacks import linf
from ataka.training import Batch
from bench import __main__ as command
from bench import attacks, gpu, networks, timing, training


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
