"""The whole of smoke's Table 2, a lost node, a time limit, memory that is too small, and a killed Snakemake."""

import json
import os
import re
import signal
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

from tests.slurm.study import OnCluster, cancel_one, equal, finished, until, with_table
from tests.workflow.driver import TABLE, Checkout

pytestmark = [pytest.mark.slurm, pytest.mark.long]
Local = Callable[[Callable[[Checkout], list[str]]], Checkout]
RUN = "results/smoke/runs/digits/resnet10-w8/natural/seed0"
MODEL = f"{RUN}/model.safetensors"
CELL = "results/smoke/cells/digits/resnet10-w8/natural/seed0/aa.csv"


def whole_table(_checkout: Checkout) -> list[str]:
    return [TABLE]


def long_training(_checkout: Checkout) -> list[str]:
    """A training of two minutes and more: longer than the shortest limit that Slurm knows."""
    setups = {"natural": {"epochs": 1600, "batch_size": 8, "milestones": []}}
    return [MODEL, "--config", f"setups={json.dumps(setups)}", 'data={"train": 160, "validation": 16, "test": 16}']


def shared_cell(_checkout: Checkout) -> list[str]:
    """AutoAttack on a cell of two chunks."""
    return [CELL, "--config", 'attacks={"aa": {"chunk": 8}}']


def long_group(_checkout: Checkout) -> list[str]:
    """Two evaluations, one of which takes half a minute."""
    cells = [CELL.replace("aa", attack) for attack in ("clean", "pgd")]
    light = 'resources={"evaluate": {"light": {"forwards": 10000}}}'
    return [*cells, "--config", 'attacks={"pgd": {"steps": 4000}}', light]


def forked(study: OnCluster) -> list[int]:
    """The processes that a warm server has forked for evaluations of ``study``."""

    def is_warm(process: str) -> bool:
        return b"ataka.machine.warm" in Path("/proc", process, "cmdline").read_bytes()

    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it has ended
            parent = (folder / "stat").read_text().rpartition(")")[2].split()[1]
            here = (folder / "cwd").resolve() == study.folder.resolve()
            if here and is_warm(folder.name) and is_warm(parent):
                found.append(int(folder.name))
    return found


def test_table_2_in_groups_is_the_local_one_though_its_node_was_lost(
    study: OnCluster, locally: Local, tmp_path: Path
) -> None:
    log = tmp_path / "terminal"
    process = study.begin(*whole_table(study), "--group-components", "evaluations=4", log=log)
    lost: list[str] = []
    until(lambda: lost.extend(study.running("rule_train")) or lost, process, log)
    study.cluster.stop_node()
    time.sleep(5)
    study.cluster.start_node()
    assert "Restarts=1" in study.cluster.ask(
        "scontrol", "show", "job", lost[0]
    )  # Slurm queues the jobs again by itself
    answer = finished(process, log, seconds=2400)
    assert answer.code == 0, answer.text
    equal(study, locally(whole_table))


def test_a_cancelled_group_was_forked_and_is_made_again(study: OnCluster, locally: Local, tmp_path: Path) -> None:
    """Its evaluations are children of a process of the batch step, and end with their steps."""
    log = tmp_path / "terminal"
    process = study.begin(*long_group(study), "--group-components", "evaluations=2", log=log)
    attempt = study.folder / "results/smoke/logs/attempts/cells/digits/resnet10-w8/natural/seed0/pgd.jsonl"
    until(attempt.exists, process, log)
    time.sleep(2)
    (worker,) = forked(study)
    (cancelled,) = study.held()
    study.cluster.ask("scancel", cancelled)
    until(lambda: worker not in forked(study), process, log)
    answer = finished(process, log)
    assert answer.code == 0, answer.text
    assert "Error in group evaluations" in answer.text
    note = rf"pgd.csv: attempt 1 \(Slurm job {cancelled} on .*\) was ended, as at its time limit: interrupted"
    assert re.search(note, answer.text), answer.text
    assert not forked(study)
    equal(study, locally(long_group))


def test_a_time_limit_cuts_a_long_job_into_short_ones(study: OnCluster, locally: Local, tmp_path: Path) -> None:
    resources = 'resources={"train": {"runtime": 1}}'
    answer = study.on_cluster(*long_training(study), resources, timeout=1500)
    assert answer.code == 0, answer.text
    assert "TIMEOUT" in answer.text
    assert re.search(r"was ended, as at its time limit: interrupted; the next start goes on after epoch", answer.text)
    resumed = json.loads((study.folder / RUN / "run.json").read_text(encoding="utf-8"))["resumed"]
    assert resumed
    equal(study, locally(long_training))


def test_jobs_share_a_cell_and_one_of_them_is_cancelled(study: OnCluster, locally: Local, tmp_path: Path) -> None:
    log = tmp_path / "terminal"
    process = study.begin(*shared_cell(study), 'shards={"aa": 2}', log=log)
    cancelled = cancel_one(lambda: study.running("rule_shard"), study, process, log)
    answer = finished(process, log)
    assert answer.code == 0, answer.text
    assert f"SLURM-job '{cancelled}' failed, SLURM status is: 'CANCELLED'" in answer.text
    assert len(re.findall(r"submitted with SLURM jobid \d+ \(log: \S+/rule_shard/", answer.text)) == 3
    equal(study, locally(shared_cell))


def test_a_killed_job_gets_more_memory(study: OnCluster) -> None:
    resources = 'resources={"prepare": {"mem_mb": 2000}, "train": {"mem_mb": 450}}'
    answer = study.on_cluster(MODEL, "--config", resources)
    assert answer.code == 0, answer.text
    assert f"{MODEL}: attempt 1 (Slurm job " in answer.text
    assert "was killed without a word, as for its memory; the next asks for twice its memory" in answer.text
    asked = study.cluster.ask("squeue", "--states=all", "--noheader", "--format", "%m|%k|%Z").splitlines()
    ours = [line.split("|")[0] for line in asked if "rule_train" in line and line.endswith(str(study.folder))]
    assert ours == sorted(ours, reverse=True)
    assert {"450M", "900M"} <= {*ours}


def test_after_a_kill_of_snakemake_no_work_is_done_twice(study: OnCluster, tmp_path: Path) -> None:
    log, table = tmp_path / "terminal", with_table(study)
    process = study.begin(*table, log=log)
    until(lambda: study.running("rule_record"), process, log)
    orphans = sorted(study.held())
    study.cluster.ask("scontrol", "suspend", *orphans)  # so that it doesn't end while we ask
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    assert study.on_cluster("--unlock", *table).code == 0
    refused = study.on_cluster(*table)
    assert refused.code == 2, refused.text
    assert f"scancel {' '.join(orphans)}" in refused.text
    assert sorted(study.held()) == orphans
    study.cluster.ask("scontrol", "resume", *orphans)
    while study.held():
        time.sleep(1)
    manifest = next((study.folder / "results/smoke/tapes").rglob("manifest.json"))
    made = manifest.stat().st_mtime_ns
    again = study.on_cluster("-n", *table)
    assert not [job for job in again.jobs if job.startswith("record")], again.text
    changed = study.on_cluster("-n", *table, 'setups={"table2": {"learning_rate": 0.05}}')
    assert [job for job in changed.jobs if job.startswith("record")], changed.text
    assert "is made again: it was made under other settings, and Snakemake has no record" in changed.text
    answer = study.on_cluster(*table)
    assert answer.code == 0, answer.text
    assert manifest.stat().st_mtime_ns == made
