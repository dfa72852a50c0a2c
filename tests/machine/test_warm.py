"""A job that starts warm is the job that it would have been: its output, exit code, signals and end."""

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import get_args

import pytest

from ataka.machine import warm
from ataka.study import Stage
from ataka.study.config import HOME

SPLIT = "results/smoke/data/digits/test.safetensors"
WORKER = """
import ctypes, os, signal, sys, time

def killed(arguments):
    print("killed:", *arguments)

def main(arguments):
    if arguments == ["see"]:  # as C sees it, CUDA's driver for one
        see = ctypes.CDLL(None).getenv
        see.restype = ctypes.c_char_p
        print(see(b"CUDA_VISIBLE_DEVICES").decode(), os.getppid())
        return 0
    if arguments == ["work"]:
        while time.process_time() < 1:
            pass
        return 0
    if arguments == ["save"]:  # for longer than a cluster waits
        signal.signal(signal.SIGTERM, lambda number, frame: print("heard", flush=True))
    if arguments in (["sleep"], ["save"]):
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


def test_the_gpus_that_a_job_sees_are_its_commands_own(server: warm.Server, cold: dict[str, str], folder: Path) -> None:
    """A step of a cluster's job may see others than the job."""
    job = start(cold | server.environment | {"CUDA_VISIBLE_DEVICES": "3"}, folder, "see")
    assert job.communicate(timeout=30)[0].split() == ["3", str(server.process)]


ASKED = """
import importlib, sys, torch

def asked(*_arguments, **_named):
    raise SystemExit("asked for CUDA")

for name in ("is_available", "device_count", "_lazy_init", "current_device", "get_device_properties"):
    setattr(torch.cuda, name, asked)
for name in sys.argv[1:]:
    importlib.import_module(name)
"""


def test_what_the_server_loads_asks_nothing_of_cuda(cold: dict[str, str], folder: Path) -> None:
    """A process that has asked CUDA for anything leaves its forks without."""
    stages = [f"ataka.stages.{stage}" for stage in get_args(Stage)]
    command = [sys.executable, "-c", ASKED, "ataka.cli", *stages, "report.cli"]
    ended = subprocess.run(command, cwd=folder, env=cold, capture_output=True, text=True, timeout=60)
    assert (ended.returncode, ended.stderr) == (0, "")


@pytest.mark.kills
def test_a_job_that_was_killed_right_after_sigterm_ended_by_sigterm(
    server: warm.Server, cold: dict[str, str], folder: Path
) -> None:
    """As a cluster kills the rest of a batch step whose shell has ended."""
    job = start(cold | server.environment, folder, "save")
    assert job.stdout is not None
    process = int(job.stdout.readline())
    job.send_signal(signal.SIGTERM)
    assert job.stdout.readline() == "heard\n"
    os.kill(process, signal.SIGKILL)
    assert job.communicate(timeout=30)[0] == "killed: save\n"
    assert job.returncode == 143


def opened(environment: dict[str, str], *modules: str) -> warm.Server:
    """A server with ``environment`` that may still load ``modules``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", environment["PYTHONPATH"])
        return warm.Server(*modules)


def test_a_command_waits_for_a_server_that_still_loads(cold: dict[str, str], folder: Path) -> None:
    (folder / "slow.py").write_text("import time; time.sleep(1)")
    server = opened(cold, "slow")
    job = start(cold | server.environment | {"CUDA_VISIBLE_DEVICES": "0"}, folder, "see")
    assert job.communicate(timeout=30)[0].split() == ["0", str(server.process)]
    server.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_reaches_a_command_that_waits_for_a_server(
    cold: dict[str, str], folder: Path, number: signal.Signals
) -> None:
    (folder / "slow.py").write_text("import time; time.sleep(1)")
    server = opened(cold, "slow")
    job = start(cold | server.environment, folder, "sleep")
    time.sleep(0.5)
    job.send_signal(number)
    job.communicate(timeout=30)
    assert job.returncode != 0
    server.close()


def test_a_command_whose_server_fails_does_the_work_itself(cold: dict[str, str], folder: Path) -> None:
    (folder / "broken.py").write_text("import time; time.sleep(1); raise SystemExit")
    server = opened(cold, "broken")
    job = start(cold | server.environment, folder, "some", "words")
    assert job.communicate(timeout=30) == (f"{job.pid} some words mine\n", "")
    assert job.returncode == 5
    server.close()


def test_a_server_whose_owner_was_quicker_ends_in_silence(
    cold: dict[str, str], capfd: pytest.CaptureFixture[str]
) -> None:
    """As under Snakemake's --touch, which is done before torch is loaded."""
    server = opened(cold, "torch")
    server.close()
    assert server._process.returncode == 0
    assert capfd.readouterr() == ("", "")


def test_the_time_of_a_job_counts_as_that_of_the_servers_owner(cold: dict[str, str], folder: Path) -> None:
    """As a cluster's accounts count it: by processes that their parents have waited for."""
    before = _cpu_seconds_of_children()
    server = opened(cold, "worker")
    assert start(cold | server.environment, folder, "work").wait(30) == 0
    server.close()
    assert _cpu_seconds_of_children() - before > 1


def _cpu_seconds_of_children() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


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
        job = start(cold | server.environment, folder, "words")
        assert job.communicate(timeout=30)[0].split()[1:] == ["words", "mine"]
        assert job.returncode == 5
    finally:
        server.close()
        server._folder.cleanup()
        place.rmdir()
