"""A table of a dozen jobs on a cluster, one of them cancelled, beside a training that diverges."""

import json
import re
from collections.abc import Callable

import pytest

from tests.slurm.study import OnCluster, cancel_one, equal, finished, with_table
from tests.workflow.driver import Answer, Checkout

pytestmark = pytest.mark.slurm
Local = Callable[[Callable[[Checkout], list[str]]], Checkout]
WILD = "results/smoke/runs/digits/resnet10-w8/natural.wild/seed0/model.safetensors"
"""A run whose learning rate lets every training diverge."""
SETTINGS = (
    f"setups={json.dumps({'wild': {'like': 'natural', 'learning_rate': 1e6}})}",
    f"methods={json.dumps({'natural.wild': {'like': 'natural', 'setup': 'wild'}})}",
)


@pytest.fixture(scope="module")
def disturbed(on_the_cluster: OnCluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[OnCluster, Answer, str]:
    """The study, what Snakemake printed, and the Slurm job of a training that was cancelled while it ran."""
    study, log = on_the_cluster, tmp_path_factory.mktemp("log") / "terminal"
    process = study.begin(WILD, *with_table(study), *SETTINGS, log=log)
    cancelled = cancel_one(lambda: study.running("rule_train", "s-at-aka"), study, process, log)
    return study, finished(process, log), cancelled


def test_the_table_is_the_local_one_though_a_job_was_cancelled(
    disturbed: tuple[OnCluster, Answer, str], locally: Local
) -> None:
    study, answer, cancelled = disturbed
    assert f"SLURM-job '{cancelled}' failed, SLURM status is: 'CANCELLED'" in answer.text
    assert "render short" in answer.jobs, answer.text
    equal(study, locally(with_table), more_than=12)


def test_the_jobs_that_work_are_slurms_and_the_others_run_beside_snakemake(
    disturbed: tuple[OnCluster, Answer, str],
) -> None:
    _, answer, _ = disturbed
    submitted = re.findall(r"submitted with SLURM jobid \d+ \(log: \S+/rule_(\w+)/", answer.text)
    assert {*submitted} == {"prepare", "record", "train", "select", "evaluate"}


def test_a_mistake_ends_at_the_second_attempt_in_its_own_words(disturbed: tuple[OnCluster, Answer, str]) -> None:
    """The profile would allow a hundred retries."""
    study, answer, _ = disturbed
    assert answer.code == 1
    assert len(re.findall(r"submitted with SLURM jobid \d+ \(log: \S+natural\.wild", answer.text)) == 2
    assert answer.text.count("lower the learning rate") == 2, answer.text
    assert f"not made: {WILD}: attempt 1 (Slurm job " in answer.text
    left = list((study.folder / "results/smoke/logs/attempts").rglob("*.jsonl"))
    assert [path.parent.parent.name for path in left] == ["natural.wild"]
