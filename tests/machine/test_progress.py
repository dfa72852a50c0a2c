"""Does progress say what a person wants to know, in a person's units?"""

import sys

import pytest
import torch

from ataka.machine.progress import Progress, duration


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
