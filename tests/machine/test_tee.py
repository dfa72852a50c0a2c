"""A job's log: whole to the job's last word, whoever signals the job or takes the file away."""

import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ataka.machine import tee


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "logs/train.log"


@pytest.fixture
def copying(log: Path) -> Iterator["subprocess.Popen[bytes]"]:
    process = subprocess.Popen(
        [sys.executable, str(tee.__file__), str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    yield process
    process.kill()
    process.communicate()


def say(process: "subprocess.Popen[bytes]", line: str, log: Path) -> None:
    """Write a line, and wait until it is in the log."""
    assert process.stdin is not None
    process.stdin.write(f"{line}\n".encode())
    process.stdin.flush()
    deadline = time.monotonic() + 30
    while not (log.exists() and line in log.read_text(encoding="utf-8")):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_the_last_word_of_a_job_that_is_ended_stands_in_the_log(
    copying: "subprocess.Popen[bytes]", log: Path, number: signal.Signals
) -> None:
    say(copying, "epoch 1", log)
    copying.send_signal(number)
    say(copying, "interrupted; the next start goes on after epoch 1", log)
    shown, _ = copying.communicate()
    assert log.read_bytes() == shown == b"epoch 1\ninterrupted; the next start goes on after epoch 1\n"


def test_a_log_that_a_rejected_successor_took_away_is_there_again(
    copying: "subprocess.Popen[bytes]", log: Path
) -> None:
    say(copying, "epoch 1", log)
    log.unlink()  # as Snakemake does before an attempt
    say(copying, "epoch 2", log)
    assert log.read_text(encoding="utf-8") == "epoch 1\nepoch 2\n"
    successor = subprocess.run(
        [sys.executable, str(tee.__file__), str(log)], input=b"error: process 7 is at this\n", capture_output=True
    )
    assert successor.returncode == 0
    assert log.read_text(encoding="utf-8") == "error: process 7 is at this\n"
    say(copying, "epoch 3", log)
    assert log.read_text(encoding="utf-8") == "epoch 1\nepoch 2\nepoch 3\n"
    assert [path.name for path in log.parent.iterdir()] == [log.name]


def test_a_log_that_cannot_be_written_costs_no_job(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    command = [sys.executable, str(tee.__file__), str(tmp_path / "file/train.log")]
    done = subprocess.run(command, input=b"epoch 1\n", capture_output=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"epoch 1\n", b"")


def test_an_empty_log_is_a_file(log: Path) -> None:
    subprocess.run([sys.executable, str(tee.__file__), str(log)], input=b"", check=True)
    assert log.read_bytes() == b""
