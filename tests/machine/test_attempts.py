"""What a job notes of its attempts, and when a further attempt is in vain."""

import json
import sys
from pathlib import Path

import pytest

from ataka import cli
from ataka.errors import UserError
from ataka.machine import attempts
from ataka.machine.attempts import Attempt

CELL = "results/smoke/cells/digits/resnet10-w8/natural/seed0/pgd.csv"
NOTES = Path("results/smoke/logs/attempts/cells/digits/resnet10-w8/natural/seed0/pgd.jsonl")


def ended(number: int, code: int | None, message: str = "") -> Attempt:
    return Attempt(number, "node7", code, message)


KILLED = [ended(number, None) for number in (1, 2, 3)]


@pytest.mark.parametrize(
    ("past", "vain"),
    [
        ([], False),
        ([ended(1, 143, "the next start goes on after epoch 3")], False),
        ([ended(number, 143, "the next start begins anew") for number in range(1, 50)], False),
        ([ended(1, 2, "alpha diverged")], True),
        ([ended(1, 143), ended(2, 2, "alpha diverged")], True),
        ([ended(1, 1, "OSError: a node's disk")], False),
        ([ended(1, 1, "OSError: a node's disk"), ended(2, 1, "OSError: a node's disk")], True),
        ([ended(1, 1, "OSError: a node's disk"), ended(2, 1, "CUDA error")], False),
        (KILLED[:2], False),
        (KILLED, True),
    ],
)
def test_only_what_a_retry_can_mend_is_tried_again(past: list[Attempt], vain: bool) -> None:
    reason = attempts.given_up(past)
    assert (reason is not None) == vain
    if reason is not None:
        assert past[-1].message in reason


def test_a_mistake_is_said_again_by_the_second_attempt_which_does_no_work(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    started: list[str] = []

    def fails(given: object) -> None:
        started.append("evaluate")
        raise UserError("alpha 0.9 diverged; lower the learning rate")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(cli, "_evaluate", fails)
    for number in (1, 2):
        monkeypatch.setenv(attempts.NUMBER, str(number))
        monkeypatch.setenv("SLURM_JOB_ID", str(40 + number))
        assert cli.main(["evaluate", CELL]) == 2
        assert "alpha 0.9 diverged; lower the learning rate" in capsys.readouterr().err
    assert started == ["evaluate"]
    (noted,) = attempts.read(NOTES)
    assert (noted.code, noted.message) == (2, "alpha 0.9 diverged; lower the learning rate")
    assert "Slurm job 41 on " in str(noted)


def test_a_job_that_succeeds_leaves_no_notes_and_one_that_breaks_leaves_its_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(attempts.NUMBER, "1")

    def breaks(_given: object) -> None:
        raise ZeroDivisionError("division by zero")

    monkeypatch.setattr(cli, "_evaluate", breaks)
    with pytest.raises(ZeroDivisionError):
        cli.main(["evaluate", CELL])
    assert [(past.code, past.message) for past in attempts.read(NOTES)] == [(1, "ZeroDivisionError: division by zero")]
    monkeypatch.setattr(cli, "_evaluate", lambda _given: None)
    monkeypatch.setenv(attempts.NUMBER, "2")
    assert cli.main(["evaluate", CELL]) == 0
    assert attempts.read(NOTES) == []


def test_without_a_number_nothing_is_noted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(attempts.NUMBER, raising=False)
    monkeypatch.setattr(cli, "_evaluate", lambda _given: None)
    assert cli.main(["evaluate", CELL]) == 0
    assert list(tmp_path.iterdir()) == []


def test_a_line_that_a_kill_cut_short_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "notes.jsonl"
    lines = [
        json.dumps(vars(ended(1, None))),
        json.dumps(vars(ended(1, 143, "at epoch 2"))),
        json.dumps(vars(ended(2, None))),
    ]
    path.write_text("\n".join([*lines, '{"number": 3, "pla']), encoding="utf-8")
    assert [(past.number, past.code) for past in attempts.read(path)] == [(1, 143), (2, None)]
    assert [past.number for past in attempts.read(path, before=2)] == [1]


def test_reading_notes_loads_no_torch() -> None:
    """A second attempt in vain ends at once, so the modules that it needs must not load torch."""
    import subprocess

    code = "import sys, ataka.machine.attempts, ataka.machine.slurm; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
