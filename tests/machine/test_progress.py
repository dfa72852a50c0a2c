"""Does progress say what a person wants to know, in a person's units?"""

import sys

import pytest
import torch

from ataka.machine.progress import Progress, duration, parse


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


# ---- read again


def test_lines_of_progress_are_read_as_they_were_said(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    now = [0.0]
    monkeypatch.setattr("ataka.machine.progress.time.monotonic", lambda: now[0])
    progress = Progress("train digits/x: y seed 0", sys.stderr, every=0.0)
    progress.start(10, 1000)
    now[0] = 100.0
    progress.step(2500, torch.tensor(0.5))  # 25 images a second, 7500 left
    progress.end_epoch(10, {"loss": 0.25, "loss_teacher": 3.0})
    progress.start(1, 512)
    progress.doing = "square on 29 of 128 images"
    progress.alive()
    now[0] = 1e6
    progress.step(128)
    said = capsys.readouterr().err.splitlines()
    epoch, end, doing, slow = map(parse, said)
    assert epoch == ("epoch 2.5/10", 0.25, ("loss 0.5", "25 images/s"), 300.0)
    assert end == ("epoch 10.0/10", 1.0, ("loss 0.25", "loss_teacher 3", "100 images/s"), None)
    assert doing == ("image 0/512", 0.0, ("square on 29 of 128 images",), None)
    assert slow
    assert slow[:2] == ("image 128/512", 0.25)
    assert slow.left == pytest.approx(3 * (1e6 - 100), rel=0.02)


def test_a_step_of_many_forwards_counts_these(capsys: pytest.CaptureFixture[str]) -> None:
    """Of Fog, whose step is a chunk, the images alone would stand still for minutes."""
    progress = Progress("evaluate x", sys.stderr, every=0.0)
    progress.start(1, 256)
    for _ in range(2):
        progress.alive()
    progress.step(128)
    progress.alive()
    said = [line and (line.where, line.facts[:1]) for line in map(parse, capsys.readouterr().err.splitlines())]
    assert said[:2] == [("image 0/256", ("forward 1",)), ("image 0/256", ("forward 2",))]
    assert [line and line[0] for line in said[2:]] == ["image 128/256"] * 2
    assert said[3] == ("image 128/256", ("forward 1",))


@pytest.mark.parametrize(
    "line",
    [
        "",
        "error: epoch 3 is not there",
        "train x: 12 of 16 correct, 75.00 %",
        "interrupted; the next start goes on after epoch 7 of 10",
        "train x: goes on after epoch 7 of 10",
        "train x: epoch 1/0",
    ],
)
def test_other_lines_are_no_progress(line: str) -> None:
    assert parse(line) is None


@pytest.mark.parametrize("seconds", [3.0, 59.0, 61.0, 4000.0, 9000.0, 2e5, 9e7])
def test_a_duration_is_read_to_its_digits(seconds: float) -> None:
    line = parse(f"x: image 1/2  {duration(seconds)} left")
    assert line
    assert line.left == pytest.approx(seconds, rel=0.5 if seconds < 120 else 0.05)
