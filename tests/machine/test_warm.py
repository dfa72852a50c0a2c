"""A job that starts warm is the job that it would have been: its output, exit code, signals and end."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from ataka.machine import warm
from ataka.study.config import HOME

SPLIT = "results/smoke/data/digits/test.safetensors"
WORKER = """
import os, signal, sys, time

def main(arguments):
    if arguments == ["sleep"]:
        try:
            print(os.getpid(), flush=True)
            time.sleep(60)
        except KeyboardInterrupt:
            print("interrupted", file=sys.stderr)
            return 130
    print(os.getpid(), *arguments, os.environ["MARK"], flush=True)
    if arguments == ["raise"]:
        raise RuntimeError("a defect")
    if arguments == ["exit"]:
        sys.exit(3)
    return 5
"""
CLIENT = "import sys; from ataka.machine import warm; sys.exit(warm.run('worker', sys.argv[1:]))"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a module that tells who runs it."""
    folder = tmp_path_factory.mktemp("warm")
    (folder / "worker.py").write_text(WORKER)
    return folder


@pytest.fixture(scope="module")
def cold(folder: Path) -> dict[str, str]:
    path = os.pathsep.join([str(HOME), str(folder)])
    return {**os.environ, "PYTHONPATH": path, "MARK": "mine"} | {warm.ADDRESS: str(folder / "nobody")}


@pytest.fixture(scope="module")
def server(cold: dict[str, str]) -> Iterator[warm.Server]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", cold["PYTHONPATH"])
        patch.setenv("MARK", "the server's")
        server = warm.Server("ataka.cli", "ataka.stages.train", "report.cli")
    until(Path(server.environment[warm.ADDRESS]).exists)
    yield server
    server.close()


@pytest.fixture(params=["warm", "cold"])
def environment(request: pytest.FixtureRequest, cold: dict[str, str]) -> dict[str, str]:
    if request.param == "cold":
        return cold
    server: warm.Server = request.getfixturevalue("server")
    return cold | server.environment


def until(happened: object, patience: float = 20) -> None:
    deadline = time.monotonic() + patience
    while not happened():  # type: ignore[operator]
        assert time.monotonic() < deadline
        time.sleep(0.02)


def start(environment: dict[str, str], folder: Path, *arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", CLIENT, *arguments],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    )


def gone(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().split(")")[1].split()[0] == "Z"
    except FileNotFoundError:
        return True


def test_output_environment_and_exit_code_are_the_jobs_own(environment: dict[str, str], folder: Path) -> None:
    job = start(environment, folder, "some", "words")
    said, complained = job.communicate(timeout=30)
    assert said.split()[1:] == ["some", "words", "mine"]
    assert complained == ""
    assert job.returncode == 5


@pytest.mark.parametrize(("ending", "code", "complaint"), [("raise", 1, "RuntimeError: a defect"), ("exit", 3, "")])
def test_a_defect_is_reported_where_it_happened(
    environment: dict[str, str], folder: Path, ending: str, code: int, complaint: str
) -> None:
    job = start(environment, folder, ending)
    assert complaint in job.communicate(timeout=30)[1]
    assert job.returncode == code


def test_an_interrupt_reaches_the_job(environment: dict[str, str], folder: Path) -> None:
    job = start(environment, folder, "sleep")
    assert job.stdout is not None
    process = int(job.stdout.readline().split()[0])
    job.send_signal(signal.SIGINT)
    assert job.communicate(timeout=30)[1] == "interrupted\n"
    assert job.returncode == 130
    until(lambda: gone(process))


@pytest.mark.kills
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_job_ends_with_its_command(environment: dict[str, str], folder: Path, number: signal.Signals) -> None:
    job = start(environment, folder, "sleep")
    assert job.stdout is not None
    process = int(job.stdout.readline().split()[0])
    job.send_signal(number)
    job.communicate(timeout=30)
    assert job.returncode != 0
    until(lambda: gone(process))


@pytest.mark.kills
def test_a_command_ends_with_its_job(server: warm.Server, cold: dict[str, str], folder: Path) -> None:
    job = start(cold | server.environment, folder, "sleep")
    assert job.stdout is not None
    os.kill(int(job.stdout.readline().split()[0]), signal.SIGKILL)
    job.communicate(timeout=30)
    assert job.returncode == 137


def test_the_bytes_are_the_same(server: warm.Server, cold: dict[str, str], tmp_path: Path) -> None:
    written = []
    for name, environment in {"warm": cold | server.environment, "cold": cold}.items():
        place = tmp_path / name
        place.mkdir()
        command = [sys.executable, "-m", "ataka", "prepare", SPLIT]
        subprocess.run(command, cwd=place, env=environment, check=True, timeout=60)
        written.append((place / SPLIT).read_bytes())
    assert written[0] == written[1]


def test_a_server_whose_owner_was_quicker_ends_in_silence(cold: dict[str, str], tmp_path: Path) -> None:
    """As under Snakemake's --touch, which is done before torch is loaded."""
    command = [sys.executable, "-m", "ataka.machine.warm", str(tmp_path / "gone" / "socket")]
    ended = subprocess.run(command, cwd=tmp_path, env=cold, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert (ended.returncode, ended.stderr) == (0, "")


def test_the_server_ends_with_its_owner(cold: dict[str, str], tmp_path: Path) -> None:
    owner = (
        "import time; from ataka.machine.warm import Server; s = Server(); print(s.process, flush=True); time.sleep(60)"
    )
    command = [sys.executable, "-c", owner]
    with subprocess.Popen(command, cwd=tmp_path, env=cold, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        server = int(process.stdout.readline())
        assert not gone(server)
        process.kill()
    until(lambda: gone(server))


@pytest.mark.parametrize("length", [80, 82, 200])
def test_a_long_folder_for_temporary_files_is_no_obstacle(
    cold: dict[str, str], folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, length: int
) -> None:
    place = Path("/tmp", f"ataka-test-{os.getpid()}-{length}".ljust(length - len("/tmp/"), "x"))
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    monkeypatch.setenv("PYTHONPATH", cold["PYTHONPATH"])
    server = warm.Server("worker")
    try:
        until(Path(server.environment[warm.ADDRESS]).exists)
        job = start(cold | server.environment, folder, "words")
        assert job.communicate(timeout=30)[0].split()[1:] == ["words", "mine"]
        assert job.returncode == 5
    finally:
        server.close()
        server._folder.cleanup()
        place.rmdir()
