"""Does a command do its work to the end when nobody reads its output any more?"""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ataka.study.config import HOME

WORK = """
import sys
from pathlib import Path
from ataka.machine import terminal

terminal.print_what_is_read()
print("begins", flush=True)
sys.stdin.read()
for line in range(20_000):
    print("epoch", line)
    print("loss", line, file=sys.stderr)
Path(sys.argv[1]).touch()
"""
"""Prints a line, waits for the end of its input, prints much more, and then makes a file."""


def begin(options: list[str], done: Path, output: int) -> "subprocess.Popen[bytes]":
    command = [sys.executable, *options, "-c", WORK, str(done)]
    environment = os.environ | {"PYTHONPATH": str(HOME)}
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=output, stderr=output, env=environment)


@pytest.mark.parametrize("options", [[], ["-u"]], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("pair", [os.pipe, os.openpty], ids=["pipe", "terminal"])
def test_work_goes_on_without_a_reader(tmp_path: Path, pair: Callable[[], tuple[int, int]], options: list[str]) -> None:
    reader, writer = pair()
    process = begin(options, tmp_path / "done", writer)
    os.close(writer)
    assert os.read(reader, 100).strip() == b"begins"
    os.close(reader)
    process.communicate(timeout=60)
    assert process.returncode == 0
    assert (tmp_path / "done").exists()


@pytest.mark.parametrize(
    "set_",
    [
        {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"},
        {"PYTHONIOENCODING": "latin-1"},
        {"PYTHONIOENCODING": "ascii:backslashreplace"},
    ],
    ids=["C", "Latin-1", "as the user says"],
)
def test_a_character_that_the_encoding_lacks_ends_no_program(set_: dict[str, str]) -> None:
    work = "from ataka.machine import terminal; terminal.print_what_is_read(); print('a \\u2192 b')"
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("LC_", "PYTHON"))}
    environment |= {"PYTHONPATH": str(HOME)} | set_
    done = subprocess.run([sys.executable, "-c", work], env=environment, capture_output=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    expected = b"a \\u2192 b" if "ascii" in str(set_) else b"a ? b"
    assert done.stdout.strip() == expected


def test_a_pipe_may_have_taken_the_place_of_a_file(tmp_path: Path) -> None:
    """As in a warm job of a Snakemake whose output goes to a file."""
    work = (
        "import os, sys; os.dup2(int(sys.argv[1]), 1)\n"
        "from ataka.machine import terminal; terminal.print_what_is_read(); print('a \u2192 b')"
    )
    reader, writer = os.pipe()
    with (tmp_path / "log").open("wb") as log:
        subprocess.run(
            [sys.executable, "-c", work, str(writer)],
            env=os.environ | {"PYTHONPATH": str(HOME), "PYTHONIOENCODING": "latin-1"},
            stdout=log,
            pass_fds=[writer],
            timeout=60,
            check=True,
        )
    os.close(writer)
    assert os.read(reader, 100).strip() == b"a ? b"
    os.close(reader)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device of Linux")
def test_a_full_disk_is_an_error(tmp_path: Path) -> None:
    with Path("/dev/full").open("wb") as full:
        process = begin([], tmp_path / "done", full.fileno())
    process.communicate(timeout=60)
    assert process.returncode != 0
    assert not (tmp_path / "done").exists()
