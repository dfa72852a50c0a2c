"""One GPU a job, also when its holder dies without a word."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch

from ataka.errors import UserError
from ataka.machine import leases
from ataka.study.config import HOME

HOLD = """
import sys, time
from ataka.machine import leases
leased = leases.free(sys.argv[1:])
print(*leased, flush=True)
time.sleep(60)
"""


@pytest.fixture
def jobs(tmp_path: Path) -> Iterator["Jobs"]:
    started = Jobs(tmp_path)
    yield started
    for process in started.processes:
        process.kill()
        process.communicate()


class Jobs:
    """Processes that hold something, with a folder of locks of their own."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.processes = folder, []
        self.environment = {**os.environ, "TMPDIR": str(folder), "PYTHONPATH": str(HOME)}

    def start(self, code: str, *arguments: str) -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        self.processes.append(process)
        return process

    def said(self, process: subprocess.Popen[str]) -> str:
        assert process.stdout is not None
        return process.stdout.readline().strip()


def test_every_job_gets_a_gpu_of_its_own(jobs: Jobs) -> None:
    assert {jobs.said(jobs.start(HOLD, "0", "1", "GPU-a/b")) for _ in range(3)} == {"0", "1", "GPU-a/b"}


@pytest.mark.kills
@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_a_dead_jobs_gpu_is_free_again(jobs: Jobs, number: signal.Signals) -> None:
    first = jobs.start(HOLD, "0")
    assert jobs.said(first) == "0"
    second = jobs.start(HOLD, "0")
    assert second.stderr is not None
    assert second.stderr.readline() == "waiting for a GPU: other jobs hold 0\n"
    assert second.poll() is None
    first.send_signal(number)
    assert jobs.said(second) == "0"


def test_the_process_sees_its_gpu_alone(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(leases.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(leases, "_held", [])
    monkeypatch.setenv(leases.VISIBLE, "3,5")
    (lock,) = leases.free(["3"]).values()
    assert lock is not None
    leases.gpu()
    assert os.environ[leases.VISIBLE] == "5"
    leases.gpu()
    assert len(leases._held) == 1
    lock.release()
    leases._held[0].release()


SLURM = ("SLURM_JOB_ID", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "SLURM_GPUS_ON_NODE")


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A machine with two GPUs, outside of Slurm."""
    monkeypatch.setattr(leases.tempfile, "gettempdir", lambda: str(tmp_path))
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: len(os.environ.get(leases.VISIBLE, "0,1").split(",")))
    monkeypatch.setattr(leases, "_held", [])
    monkeypatch.delenv(leases.VISIBLE, raising=False)
    for name in SLURM:
        monkeypatch.delenv(name, raising=False)
    return monkeypatch


@pytest.mark.parametrize("granted", [name for name in SLURM if name != "SLURM_JOB_ID"])
def test_the_gpu_that_slurm_granted_needs_no_lease(two_gpus: pytest.MonkeyPatch, granted: str) -> None:
    """With cgroups each job sees its own GPU as device 0: a lease of 0 would let the second job wait for the first."""
    (lock,) = leases.free(["0"]).values()
    assert lock is not None
    for name, value in {"SLURM_JOB_ID": "12", granted: "1", leases.VISIBLE: "0"}.items():
        two_gpus.setenv(name, value)
    leases.gpu()
    assert leases._held == []
    assert os.environ[leases.VISIBLE] == "0"
    lock.release()


@pytest.mark.parametrize("granted", [{}, {"SLURM_JOB_GPUS": ""}, {"SLURM_GPUS_ON_NODE": "0"}])
def test_a_job_of_slurms_without_a_granted_gpu_sees_none(two_gpus: pytest.MonkeyPatch, granted: dict[str, str]) -> None:
    """Where devices aren't constrained, all GPUs of the node are there, and belong to other jobs."""
    for name, value in {"SLURM_JOB_ID": "12", **granted}.items():
        two_gpus.setenv(name, value)
    leases.gpu()
    assert leases._held == []
    assert os.environ[leases.VISIBLE] == ""


def test_the_processes_of_a_slurm_job_share_its_gpus_with_each_other_alone(two_gpus: pytest.MonkeyPatch) -> None:
    locks = [leases.free([device], of=of)[device] for device, of in (("0", ""), ("1", ""), ("0", "job12-"))]
    for name, value in {"SLURM_JOB_ID": "12", "SLURM_JOB_GPUS": "4,5", leases.VISIBLE: "0,1"}.items():
        two_gpus.setenv(name, value)
    leases.gpu()
    assert os.environ[leases.VISIBLE] == "1"
    for lock in [*locks, *leases._held]:
        assert lock is not None
        lock.release()


@pytest.mark.parametrize(("asked", "leased"), [(2, "0,1"), (3, "0,1"), (1, "0")])
def test_a_job_of_several_processes_leases_a_gpu_for_each(
    two_gpus: pytest.MonkeyPatch, asked: int, leased: str
) -> None:
    assert leases.several(asked) == len(leased.split(","))
    assert os.environ[leases.VISIBLE] == leased
    for rank, device in enumerate(leased.split(",")):
        two_gpus.setenv("TORCHELASTIC_RUN_ID", "job")
        two_gpus.setenv("LOCAL_RANK", str(rank))
        two_gpus.setenv(leases.VISIBLE, leased)
        two_gpus.setattr(leases, "_held", [])
        for _ in range(2):
            leases.gpu()
            assert os.environ[leases.VISIBLE] == device


def test_a_job_that_waits_for_several_gpus_holds_none(jobs: Jobs) -> None:
    """Two jobs that each held a GPU, and waited for the other's, would wait for ever."""
    single = jobs.start(HOLD, "1")
    assert jobs.said(single) == "1"
    several = jobs.start(HOLD.replace("(sys.argv[1:])", "(sys.argv[1:], 2)"), "0", "1")
    assert several.stderr is not None
    assert several.stderr.readline().startswith("waiting for a GPU")
    third = jobs.start(HOLD, "0")
    assert jobs.said(third) == "0"
    for process in (single, third):
        process.kill()
    assert jobs.said(several) == "0 1"


def test_without_gpus_nothing_is_leased(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(leases, "_held", [])
    monkeypatch.delenv(leases.VISIBLE, raising=False)
    leases.gpu()
    assert leases._held == []
    assert leases.VISIBLE not in os.environ


@pytest.mark.parametrize(
    ("kind", "reason"), [("file", "it is a file"), ("another's", "it belongs to user 4321"), ("closed", "denied")]
)
def test_a_folder_that_cannot_hold_leases_is_named_with_the_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, reason: str
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    user = os.getuid()
    place = tmp_path / f"ataka-gpus-{user}"
    if kind == "file":
        place.touch()
    if kind == "another's":
        place.mkdir()
        place = place.rename(tmp_path / "ataka-gpus-4321")
        monkeypatch.setattr(os, "getuid", lambda: 4321)
        monkeypatch.setattr(Path, "stat", lambda *_, **__: SimpleNamespace(st_uid=user, st_mode=0o40700))
        reason = reason.replace("4321", str(user))
    if kind == "closed":

        def refuse(*_: object, **__: object) -> None:
            raise PermissionError(13, "denied")

        monkeypatch.setattr(leases.FileLock, "acquire", refuse)
    with pytest.raises(UserError) as caught:
        leases.free(["0"])
    assert str(caught.value).startswith(f"can't lease a GPU in {place}: ")
    assert reason in str(caught.value)
    assert "set TMPDIR" in str(caught.value)


def test_a_machine_without_gpus_needs_no_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path / "absent"))
    assert leases.free([]) == {}
