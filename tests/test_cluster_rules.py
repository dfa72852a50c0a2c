"""What a start of Snakemake decides for a cluster: attempts, orphans, files without a record, resources by attack."""

import inspect
import os
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest
import yaml

from ataka.files.records import write_json, write_rows
from ataka.files.resume import State, States
from ataka.machine import attempts, slurm, warm
from ataka.machine.progress import Progress
from ataka.plan import Run, settings
from ataka.study import Study, config
from ataka.study.resources import Limits
from rules import groups, orphans
from rules.resources import GROUP, RuleResources
from rules.retries import MOST_SILENT, Retries
from rules.scales import Scales as RuleScales
from rules.scales import node_of, output_of
from rules.signatures import all_signed
from rules.unrecorded import Unrecorded

RETRIES = 100
NAMES = {"root": "results/smoke", "dataset": "digits", "arch": "resnet10-w8", "method": "natural", "seed": "0"}
CELL = SimpleNamespace(**NAMES, attack="pgd")
PATH = "results/smoke/cells/digits/resnet10-w8/natural/seed0/pgd.csv"


class Wildcards(list[str]):
    """A job's wildcards: their values, and each by its name."""

    def __init__(self) -> None:
        super().__init__(vars(CELL).values())
        vars(self).update(vars(CELL))


class Job:
    """One job of Snakemake's graph."""

    def __init__(self, *output: str) -> None:
        self.output, self.wildcards, self.restart_times, self.attempt = output, Wildcards(), RETRIES, 1
        self.rule = SimpleNamespace(name="evaluate")


class Workflow:
    """The parts of Snakemake's workflow that rules ask, in its main process."""

    is_main_process, local_exec, remote_exec, touch = True, False, False, False

    def __init__(self, jobs: list[Job], ids: dict[str, list[str]] | None = None) -> None:
        self.group = SimpleNamespace(restart_times=RETRIES, attempt=1)
        self.dag = SimpleNamespace(needrun_jobs=lambda: jobs, get_job_group=lambda _: self.group)
        self.dag.forcefiles, self.dag.forcerules = set(), []
        self.records: dict[str, str] = {}
        self.persistence = SimpleNamespace(
            external_jobids=lambda job: (ids or {}).get(job.output[0], []), metadata=self.records.get
        )
        self.group_settings = SimpleNamespace(group_components={})


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def note(number: int, code: int | None, message: str = "") -> None:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv(attempts.NUMBER, str(number))
        written = attempts.Note(attempts.file_of("results/smoke", PATH))
        if code is not None:
            written.end(code, message)


# ---- attempts


@pytest.mark.parametrize(("ends", "factor"), [([], 1), ([143], 1), ([None], 2), ([143, None, 130, None], 4), ([2], 1)])
def test_each_kill_doubles_the_memory_and_nothing_else_does(ends: list[int | None], factor: int) -> None:
    for number, code in enumerate(ends, 1):
        note(number, code)
    assert Retries(Workflow([]), ["results/smoke"]).memory("evaluate", CELL, len(ends) + 1) == factor


@pytest.mark.parametrize(("code", "last"), [(2, True), (143, False), (None, False), (1, False)])
def test_after_a_mistake_the_second_attempt_is_the_last_for_its_group_too(
    code: int | None, last: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    job = Job(PATH)
    workflow = Workflow([Job("results/smoke/another"), job])
    note(1, code, "its logits are not finite")
    assert Retries(workflow, ["results/smoke"]).in_vain("evaluate", CELL, 2) == last
    assert (job.attempt == RETRIES + 1) == last == (workflow.group.attempt == RETRIES + 1)
    assert f"{PATH}: attempt 1 (" in capsys.readouterr().err


def test_what_slurm_never_begins_is_not_submitted_for_ever() -> None:
    job = Job(PATH)
    retries = Retries(Workflow([job]), ["results/smoke"])
    for attempt in range(2, MOST_SILENT + 1):
        assert not retries.in_vain("evaluate", CELL, attempt)
        assert job.attempt == 1
    assert not retries.in_vain("evaluate", CELL, MOST_SILENT + 1)  # should it begin after all, it works
    assert job.attempt == RETRIES + 1


def test_attempts_of_an_earlier_start_count_no_more() -> None:
    note(1, 2, "the learning rate")
    retries = Retries(Workflow([Job(PATH)]), ["results/smoke"])
    retries.begin()
    assert not retries.in_vain("evaluate", CELL, 2)


def test_the_last_words_of_what_was_not_made_are_printed_at_the_end(capsys: pytest.CaptureFixture[str]) -> None:
    note(1, 2, "alpha diverged; lower the learning rate")
    Retries(Workflow([Job(PATH), Job("results/smoke/made")]), ["results/smoke"]).report()
    assert capsys.readouterr().err.startswith(f"not made: {PATH}: attempt 1 (")


# ---- settings


def test_the_settings_of_a_network_are_worked_out_once_for_its_cells_and_its_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """They take a tenth of a dry run."""
    worked_out: list[Run] = []

    def run_settings(study: Study, run: Run) -> dict[str, Any]:
        worked_out.append(run)
        return settings.run_settings(study, run)

    monkeypatch.setattr("ataka.plan.run_settings", run_settings)
    scales: Any = RuleScales({})
    study, cell, run = scales.studies["results/smoke"], node_of(CELL), Run("digits", "resnet10-w8", "natural", 0)
    assert scales.settings(CELL, cell) == settings.digest(settings.settings_of(study, cell))
    assert scales.settings(CELL, run) == settings.digest(settings.settings_of(study, run))
    scales.settings(CELL, replace(cell, attack="fgsm"))
    assert worked_out == [run]


# ---- resources


class Scales:
    def __init__(self, **overrides: Any) -> None:
        self._study = config.load("paper", overrides)

    def study(self, wildcards: Any) -> Any:
        return self._study


def resources(workflow: Workflow, **overrides: Any) -> RuleResources:
    return RuleResources(Scales(**overrides), Retries(workflow, ["results/smoke"]), workflow)  # type: ignore[arg-type]


def of_attack(name: str) -> Any:
    return SimpleNamespace(**{**NAMES, "attack": name})


def test_light_attacks_ask_for_less_and_alone_are_grouped() -> None:
    workflow = Workflow([])
    asked = resources(workflow)
    light, heavy = (of_attack("clean"), of_attack("fgsm"), of_attack("pgd")), (of_attack("aa"), of_attack("fog"))
    minutes, memory = asked.runtime("evaluate"), asked.mem_mb("evaluate")
    assert max(minutes(cell, 1) for cell in light) < min(minutes(cell, 1) for cell in heavy)
    assert max(memory(cell, 1) for cell in light) < min(memory(cell, 1) for cell in heavy)
    assert [asked.group(cell) for cell in (*light, *heavy)] == [None] * 5
    workflow.group_settings.group_components[GROUP] = 8
    assert [asked.group(cell) for cell in (*light, *heavy)] == [GROUP] * 3 + [None] * 2


@pytest.mark.parametrize(
    ("jobs", "started"),
    [(["evaluate"] * 8, 1), (["evaluate"], 0), (["train"] * 2, 0), (["train", "evaluate"], 0)],
)
def test_only_the_snakemake_that_runs_a_group_of_evaluations_starts_them_warm(
    monkeypatch: pytest.MonkeyPatch, jobs: list[str], started: int
) -> None:
    """Each of a group's steps has a Snakemake of its own, with one job."""
    opened: list[tuple[str, ...]] = []

    class Server:
        environment: ClassVar = {warm.ADDRESS: "an address"}

        def __init__(self, *modules: str) -> None:
            opened.append(modules)

        def close(self) -> None:
            opened.clear()

    monkeypatch.setattr(warm, "Server", Server)
    monkeypatch.setattr(groups, "_servers", [])
    monkeypatch.setattr(groups, "atexit", SimpleNamespace(register=lambda _: None))
    monkeypatch.setattr(os, "environ", {**os.environ})
    workflow: Any = Workflow([])
    workflow.remote_exec = True
    workflow.dag_settings = SimpleNamespace(target_jobs=[SimpleNamespace(rulename=name) for name in jobs])
    asked = resources(workflow)
    assert [asked.group(CELL) for _ in jobs] == [None] * len(jobs)
    assert len(opened) == started
    assert os.environ.get(warm.ADDRESS) == ("an address" if started else None)


def test_a_shard_asks_for_its_share_of_the_time_and_the_job_that_joins_them_for_little() -> None:
    asked = resources(Workflow([]), shards={"aa": 8, "fog": 8})
    cell, shard = of_attack("aa"), SimpleNamespace(**{**vars(of_attack("aa")), "shard": "2of8"})
    for wildcards in (cell, shard):
        vars(wildcards).update(root="results", dataset="cifar10", arch="resnet18")
    minutes, memory = asked.runtime("evaluate"), asked.mem_mb("evaluate")
    assert (minutes(shard, 1), memory(shard, 1)) == (180, 16000)
    assert (minutes(cell, 1), memory(cell, 1)) == (minutes(of_attack("pgd"), 1), memory(of_attack("pgd"), 1))
    assert asked.gpu("evaluate")(shard, 1) == asked.gpu("evaluate")(cell, 1) == 1  # a cell states its device


@pytest.mark.parametrize(("runtime", "jobs", "share"), [(1440, 7, 206), (60, 8, 15), (10, 3, 10), (600, 1, 600)])
def test_a_share_of_the_time_is_rounded_up_and_never_shorter_than_a_start(runtime: int, jobs: int, share: int) -> None:
    assert Limits(mem_mb=5, runtime=runtime).shared(jobs) == Limits(mem_mb=5, runtime=share)


def test_no_job_of_the_papers_scale_asks_for_more_than_a_day() -> None:
    assert max(asked.runtime for asked in config.load("paper").resources.values()) <= 24 * 60


def test_a_recording_asks_for_what_its_processes_take() -> None:
    recording = SimpleNamespace(root="results", dataset="cifar10", ensemble="wrn34-10-x3-svgd", seed="0")
    one = resources(Workflow([]))
    for processes, there in ((2, 2), (3, 3), (8, 3)):
        asked = resources(Workflow([]), processes=processes)
        assert asked.gpu("record")(recording, 1) == there
        assert asked.threads(recording) == there * one.threads(recording)
        assert asked.mem_mb("record")(recording, 1) == there * one.mem_mb("record")(recording, 1)
        assert asked.runtime("record")(recording, 1) == one.runtime("record")(recording, 1)
        assert asked.nodes(recording) == 1
        assert asked.threads(CELL) == one.threads(CELL)
        assert asked.gpu("evaluate")(CELL, 1) == 1
    assert one.nodes(recording) is None


def test_so_does_a_training_of_several_networks_and_no_other() -> None:
    def run(method: str, part: str) -> Any:
        return SimpleNamespace(root="results", dataset="cifar10", arch="resnet18", method=method, seed="0", part=part)

    one, asked = resources(Workflow([])), resources(Workflow([]), processes=2)
    for wildcards, there in (
        (run("s-cat-aka", "/alpha0.1"), 2),
        (run("s-at-aka.input-adv", "/alpha0.1"), 2),
        (run("s-cat-aka", ""), 1),  # adopts a candidate
        (run("s-at-aka", "/alpha0.1"), 1),  # replays a tape
        (run("en-sat", "/member0"), 1),
    ):
        assert asked.gpu("train")(wildcards, 1) == there
        assert asked.threads(wildcards) == there * one.threads(wildcards)
        assert asked.mem_mb("train")(wildcards, 1) == there * one.mem_mb("train")(wildcards, 1)
        assert asked.nodes(wildcards) == (1 if there > 1 else None)


def test_a_job_without_a_gpu_does_not_name_it_and_one_in_vain_waits_for_none() -> None:
    asked = resources(Workflow([Job(PATH)]))
    assert asked.gpu("prepare")(SimpleNamespace(root="results", dataset="cifar10", split="train"), 1) is None
    assert asked.gpu("evaluate")(CELL, 1) == 1
    note(1, 2, "its logits are not finite")
    assert asked.gpu("evaluate")(CELL, 2) is None
    assert asked.runtime("evaluate")(CELL, 2) <= 10


# ---- orphans


def squeue(monkeypatch: pytest.MonkeyPatch, folder: Path, answer: str, code: int = 0) -> None:
    """A program of that name, which answers as Slurm would."""
    program = folder / "bin/squeue"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\nexit {code}\n", encoding="utf-8")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")


def test_a_start_that_would_do_an_orphans_work_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    squeue(monkeypatch, tmp_path, f"7|{tmp_path}|\n8|{tmp_path}|\n9|/elsewhere|")
    workflow = Workflow([Job(PATH), Job("b"), Job("c")], {PATH: ["7"], "c": ["9", "6"]})
    with pytest.raises(SystemExit) as ended:
        orphans.refuse_orphans(workflow)  # type: ignore[arg-type]
    assert ended.value.code == 2
    assert "scancel 7. Then" in capsys.readouterr().err


def test_a_job_that_was_submitted_at_the_last_moment_is_known_by_its_comment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    made = "rule_evaluate_wildcards_results_smoke_digits_resnet10-w8_natural_0_pgd"
    squeue(monkeypatch, tmp_path, f"7|{tmp_path}|{made}\n8|{tmp_path}|{made.replace('pgd', 'aa')}\n9|/else|{made}")
    with pytest.raises(SystemExit):
        orphans.refuse_orphans(Workflow([Job(PATH)]))  # type: ignore[arg-type]
    assert "scancel 7. Then" in capsys.readouterr().err


@pytest.mark.parametrize("code", [0, 1])
def test_without_orphans_a_start_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, code: int) -> None:
    squeue(monkeypatch, tmp_path, "7|/elsewhere|", code)
    orphans.refuse_orphans(Workflow([Job(PATH)], {PATH: ["7"]}))  # type: ignore[arg-type]


def test_a_machine_without_slurm_has_no_orphans(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    assert slurm.unfinished(Path.cwd()) == {}


# ---- files without Snakemake's record


class Params:
    """The digests in force."""

    def settings(self, _wildcards: Any) -> str:
        return "settings"

    def code(self, _wildcards: Any) -> str:
        return "code"

    selection_settings, selection_code = settings, code


def record(stage: str, path: Path, settings: str, code: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".safetensors" and stage == "evaluate":
        States(path.parent, {"settings": settings, "code": code}, {}, Progress.silent()).write(path, State("", {}, {}))
        return
    if stage in ("evaluate", "particles"):
        write_rows(path, [{"config_sha256": settings, "code_sha256": code}])
        return
    path.touch()
    content = {"settings_sha256": settings, "code_sha256": code}
    write_json(path if stage == "select" else path.with_name("run.json"), content)
    if stage == "record":
        write_json(path, {"settings_sha256": settings})


STAGES: dict[Any, Any] = {
    "record": SimpleNamespace(root="results/smoke", dataset="digits", ensemble="wrn10-1-x3-svgd", seed="0"),
    "train": SimpleNamespace(**NAMES, part=""),
    "select": SimpleNamespace(**NAMES),
    "evaluate": CELL,
    "particles": SimpleNamespace(**NAMES, generator="svgd"),
    "a shard": SimpleNamespace(**NAMES, attack="aa", shard="2of3"),
}


@pytest.mark.parametrize("name", STAGES)
@pytest.mark.parametrize(("settings", "code"), [("settings", "code"), ("other", "code"), ("settings", "other")])
def test_a_file_without_snakemakes_record_is_made_again_only_under_other_settings_or_code(
    name: str, settings: str, code: str
) -> None:
    stage: Any = "evaluate" if name == "a shard" else name
    wildcards, workflow = STAGES[name], Workflow([])
    path = output_of(stage, wildcards)
    record(stage, path, settings, code)
    check = Unrecorded(Scales(), Params(), workflow).check  # type: ignore[arg-type]
    check(stage, wildcards)
    assert workflow.dag.forcefiles == (set() if (settings, code) == ("settings", "code") else {str(path)})
    workflow.dag.forcefiles.clear()
    workflow.records[str(path)] = "what Snakemake recorded"
    check(stage, wildcards)
    assert workflow.dag.forcefiles == set()


@pytest.mark.parametrize(
    ("code", "forced", "touch", "decided", "refused"),
    [
        ("code", False, False, "stop", False),  # other settings alone: the user has changed these
        ("other", False, False, "stop", True),
        ("other", False, False, "make-again", False),
        ("other", False, True, "stop", False),
        ("other", True, False, "stop", False),
    ],
)
def test_results_of_other_code_are_made_again_only_after_the_user_has_decided(
    code: str, forced: bool, touch: bool, decided: str, refused: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    workflow, study = Workflow([]), config.load("smoke", {"other_code": decided, "seeds": [0]})
    workflow.touch = touch
    workflow.dag.forcerules = [SimpleNamespace(name="evaluate")] if forced else []
    record("evaluate", Path(PATH), "other", code)
    unrecorded = Unrecorded(SimpleNamespace(study=lambda _: study), Params(), workflow)  # type: ignore[arg-type]
    unrecorded.check("evaluate", CELL)
    if not refused:
        unrecorded.refuse()
        return
    with pytest.raises(SystemExit) as ended:
        unrecorded.refuse()
    assert ended.value.code == 2
    message = capsys.readouterr().err
    assert PATH in message
    assert message.endswith("--config other_code=make-again 'seeds=[0]'\n")


def test_the_numbers_in_htcondors_profile_are_those_of_the_papers_scale() -> None:
    """That profile can't read them from the scale."""
    profile = yaml.safe_load((config.HOME / "profiles/htcondor/config.yaml").read_text(encoding="utf-8"))
    limits = config.load("paper").resources
    for rule, asked in profile["set-resources"].items():
        stage = limits["evaluate" if rule == "shard" else rule]
        assert asked["htcondor_request_mem_mb"] == f"{stage.mem_mb} * 2 ** (attempt - 1)", rule
        assert asked.get("request_gpus", 0) == stage.gpu, rule
    assert {*profile["set-resources"]} == {*limits, "shard"}


def test_a_signed_method_answers_as_the_method_and_shows_its_signature() -> None:
    class Functions:
        def __init__(self) -> None:
            self.asked: list[str] = []

        def threads(self, wildcards: str, attempt: int = 1) -> int:
            self.asked.append(wildcards)
            return attempt

        def _private(self) -> None: ...

    functions = all_signed(Functions())
    assert inspect.signature(functions.threads) == inspect.signature(Functions().threads)
    assert functions.threads("a", attempt=3) == 3
    assert functions.threads("b") == 1
    assert functions.asked == ["a", "b"]
    assert inspect.ismethod(functions._private)
