"""A checkout whose Snakemake gives its jobs to a cluster with Slurm, and a table of a dozen jobs."""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from tests.slurm.cluster import Cluster
from tests.workflow.driver import Answer, Checkout
from tests.workflow.test_determinism import EXACT, files

ROOT = "results/smoke"
TABLE = f"{ROOT}/short.tex"
PROFILE = ("--profile", "profiles/slurm", "--cores", "1", "--slurm-init-seconds-before-status-checks", "16")
"""README's command, for a scale of one thread whose jobs take some fifteen seconds."""
OWN_TABLE = """\
heading: S1
label: tab:short
title: One method under two attacks, accuracy (%)
caption: A table of a dozen jobs.
datasets: [cifar10]
archs: [resnet18]
columns: [clean, pgd]
rows:
  - [s-at-aka]
"""


class OnCluster(Checkout):
    """A checkout on ``cluster``'s login node, with the plug-in in the folder ``plugin``."""

    def __init__(self, folder: Path, cluster: Cluster, plugin: Path, profile: Sequence[str] = PROFILE) -> None:
        super().__init__(folder)
        self.cluster, self.plugin, self.profile = cluster, plugin, profile
        self._begun: list[subprocess.Popen[bytes]] = []

    @property
    def environment(self) -> dict[str, str]:
        return {**super().environment, **self.cluster.environment, "PYTHONPATH": str(self.plugin)}

    def begin(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Snakemake on the cluster, in the background."""
        process = self.start(*self.profile, *arguments, log=log)
        self._begun.append(process)
        return process

    def end(self) -> None:
        """Kill what a failed test has left behind: first Snakemake, which would submit cancelled jobs again."""
        for process in self._begun:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
        if held := self.cluster.jobs():
            self.cluster.ask("scancel", "--full", *held)

    def on_cluster(self, *arguments: str, timeout: float = 600) -> Answer:
        return self.run("snakemake", *self.profile, *arguments, timeout=timeout)

    def held(self) -> Mapping[str, tuple[str, str]]:
        """Each queued or running job's state and comment, by its id; the comment names rule and wildcards."""
        lines = self.cluster.ask("squeue", "--noheader", "--format", "%i|%T|%k").splitlines()
        return {name: (state, comment) for name, state, comment in (line.split("|", 2) for line in lines)}

    def running(self, *words: str) -> list[str]:
        """The ids of the running jobs whose comments have all of ``words``."""
        held = self.held().items()
        return [
            name for name, (state, comment) in held if state == "RUNNING" and all(word in comment for word in words)
        ]


def with_table(checkout: Checkout) -> list[str]:
    """Write the short table into ``checkout``; the arguments that ask for it."""
    folder = checkout.folder / "own"
    folder.mkdir(exist_ok=True)
    (folder / "short.yaml").write_text(OWN_TABLE, encoding="utf-8")
    return [TABLE, "--config", 'tables=["own"]']


def until(reached: Callable[[], object], process: "subprocess.Popen[bytes]", log: Path, seconds: float = 180) -> None:
    """Wait for ``reached`` while ``process`` runs."""
    deadline = time.monotonic() + seconds
    while not reached():
        text = log.read_text("utf-8", "replace")
        assert process.poll() is None, f"Snakemake ended with code {process.returncode}:\n{text}"
        assert time.monotonic() < deadline, text
        time.sleep(0.2)


def cancel_one(
    running: Callable[[], Sequence[str]], study: OnCluster, process: "subprocess.Popen[bytes]", log: Path
) -> str:
    """Wait for a job that ``running`` names, and cancel it; its id."""
    cancelled: list[str] = []

    def begun() -> list[str]:
        cancelled[:] = running()[:1]
        return cancelled

    until(begun, process, log)
    study.cluster.ask("scancel", *cancelled)
    return cancelled[0]


def equal(study: Checkout, local: Checkout, *, more_than: int = 0) -> None:
    """Assert that the files that have to be the same, ``more_than`` so many, are those of a local run in every byte."""
    made, expected = files(study, *EXACT), files(local, *EXACT)
    assert len(expected) > more_than
    assert made.keys() == expected.keys()
    assert [name for name in expected if made[name] != expected[name]] == []


def finished(process: "subprocess.Popen[bytes]", log: Path, seconds: float = 600) -> Answer:
    return Answer(process.wait(seconds), log.read_text("utf-8", "replace"))
