"""Other engines than Slurm's plug-in, by their profiles alone: their results are those of a local run."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.slurm.cluster import Cluster
from tests.slurm.conftest import unavailable
from tests.slurm.study import OnCluster, cancel_one, equal, finished, with_table
from tests.workflow.driver import HOME, Checkout

pytestmark = [pytest.mark.slurm, pytest.mark.long]
Local = Callable[[Callable[[Checkout], list[str]]], Checkout]
GENERIC = ("--profile", "profiles/cluster-generic", "--cores", "1")
CONDOR = ("--profile", "profiles/htcondor", "--cores", "1")


def plugin_of(profile: str, folder: Path) -> Path:
    """The plug-in that the profile's first lines install, in ``folder``."""
    lines = (HOME / "profiles" / profile / "config.yaml").read_text(encoding="utf-8").splitlines()
    command = next(line for line in lines if "pip install" in line).split("pip install", 1)[1]
    wanted = [word.strip("'") for word in command.split()]
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(folder)]
    done = subprocess.run([*pip, *wanted], capture_output=True, text=True)
    if done.returncode:
        unavailable(f"pip can't install the plug-in of {profile}: {done.stderr.strip().splitlines()[-1]}")
    return folder


@pytest.mark.parametrize("cluster", [False], ids=[""], indirect=True)
def test_a_table_by_commands_of_ones_own_though_a_job_was_cancelled(
    code: Checkout, cluster: Cluster, locally: Local, tmp_path: Path
) -> None:
    plugin = plugin_of("cluster-generic", tmp_path / "plugin")
    study = OnCluster(code.copy(tmp_path / "study").folder, cluster, plugin, GENERIC)
    (study.folder / ".venv/bin").mkdir(parents=True)
    (study.folder / ".venv/bin/python").symlink_to(sys.executable)
    log = tmp_path / "terminal"

    def trainings() -> list[str]:
        return cluster.ask("squeue", "--noheader", "--name=train", "--states=running", "--format=%i").split()

    process = study.begin(*with_table(study), 'resources={"train": {"gpu": 1, "runtime": 7}}', log=log)
    cancelled = cancel_one(trainings, study, process, log)
    answer = finished(process, log)
    assert answer.code == 0, answer.text
    assert f"external jobid '{cancelled}'" in answer.text
    asked = cluster.ask("squeue", "--noheader", "--states=all", "--name=train", "--format=%T %l %b").splitlines()
    assert sorted(set(asked)) == ["CANCELLED 7:00 gres:gpu:1", "COMPLETED 7:00 gres:gpu:1"]
    asked = cluster.ask("squeue", "--noheader", "--states=all", "--name=evaluate", "--format=%T %b").splitlines()
    assert set(asked) == {"COMPLETED N/A"}
    equal(study, locally(with_table), more_than=12)


def test_htcondor_is_asked_for_what_each_stage_needs(code: Checkout, locally: Local, tmp_path: Path) -> None:
    """A dry run as far as HTCondor goes: plug-in and bindings are real, and the jobs run on this machine."""
    plugin = plugin_of("htcondor", tmp_path / "plugin")
    study, notes = code.copy(tmp_path / "study"), tmp_path / "submitted.jsonl"
    environment = {**study.environment, "PYTHONPATH": f"{plugin}:{HOME}", "CONDOR_CONFIG": "/dev/null"}
    command = [sys.executable, "-m", "tests.slurm.condor", str(notes), *CONDOR, *with_table(study)]
    done = subprocess.run(command, cwd=study.folder, env=environment, capture_output=True, text=True, timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    submitted = [json.loads(line) for line in notes.read_text(encoding="utf-8").splitlines()]
    asked = {
        line["batch_name"].partition("-")[0]: (line["request_memory"], line.get("request_gpus"), line["getenv"])
        for line in submitted
    }
    assert asked == {
        "prepare": ("8000MB", None, "True"),
        "record": ("64000MB", "1", "True"),
        **dict.fromkeys(("train", "select", "evaluate"), ("16000MB", "1", "True")),
    }
    equal(study, locally(with_table), more_than=12)
