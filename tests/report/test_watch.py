"""Does the picture of a study show what its files hold: numbers, failures, killed jobs, the time left?"""

import argparse
import base64
import json
import os
import platform
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from ataka.errors import UserError
from ataka.files.claim import Holder
from ataka.files.records import write_json
from ataka.study import Study, config
from report.forecast import devices, jobs, schedule
from report.forecast.devices import Device
from report.forecast.jobs import RULES, Job
from report.html import build
from report.watch import command, overview, places, remaining, screen, traces
from report.watch.overview import Overview, Watcher
from report.watch.places import Place
from report.watch.sights import SILENT, State
from tests.report import studies

HOME = Path(__file__).resolve().parents[2]
D, A = "digits", "resnet10-w8"
ROOT = "results/smoke"
SMOKE = config.load("smoke")
TABLE2 = jobs.behind(SMOKE, ROOT, [f"{ROOT}/table2.tex"])
RUN = f"{ROOT}/runs/{D}/{A}/natural/seed0/model.safetensors"
CELL = f"{ROOT}/cells/{D}/{A}/natural/seed0/pgd.csv"
LOG = f"{ROOT}/logs/train/{D}/{A}/natural/seed0/train.log"
SAYS = f"train {D}/{A}/natural seed 0"
HALF = f"{SAYS}: epoch 1.0/2  loss 0.5  20 images/s  8 s left"
NOBODY = 2**22 + 1
"""A number that no process can have."""
ONE = Device("thing", 2, "made up", lambda work: work.forwards / 100, 1.0)


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A checkout without results, on a device that is timed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(devices, "here", lambda _: ONE)
    return tmp_path


def write(path: str, text: str = "", *, ago: float = 0.0) -> Path:
    """A file that was written ``ago`` seconds before now."""
    file = Path(path)
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    os.utime(file, (time.time() - ago,) * 2)
    return file


def claim(process: int, *, host: str = platform.node(), job: str = "", ago: float = 0.0, of: str = RUN) -> None:
    (its,) = jobs.each(SMOKE, ROOT, [of]).values()
    signed = f"process {process} on {host}" + (f", Slurm job {job}" if job else "")
    write(str(traces.claimed_by(its) / "lock"), signed, ago=ago)


def look(target: str = f"{ROOT}/table2.tex") -> Overview:
    return Watcher(SMOKE, Place(ROOT, target)).look()


def state(of: str = RUN) -> tuple[State, str]:
    sight = look().sights[of]
    return sight.state, sight.words


def shown(watched: Overview, width: int = 100, most: int = 9, *, plain: bool = False) -> str:
    return "\n".join(line.plain for line in screen.lines(watched, width, most, plain=plain))


# ---- where files lie


WILDCARDS = {"root": re.escape(ROOT), "part": r"(?:/(?:member\d+|alpha[\d.]+))?", "arch": r"(?:timm/)?[^/]+"}


def stated_by_the_rules() -> dict[str, tuple[re.Pattern[str], str]]:
    """Each rule's first output, as a pattern of its wildcards, and its log, from the rules' own text."""
    stated = {}
    for file in (HOME / "rules").glob("*.smk"):
        for text in re.split(r"^rule ", file.read_text(), flags=re.MULTILINE)[1:]:
            output = re.search(r"output:.*?\"([^\"]+)\"", text, re.DOTALL)
            log = re.search(r"log:\s*\"([^\"]+)\"", text)
            if output and log:
                parts = re.split(r"\{(\w+)\}", output[1])
                for place in range(len(parts)):
                    name = parts[place]
                    parts[place] = f"(?P<{name}>{WILDCARDS.get(name, '[^/]+')})" if place % 2 else re.escape(name)
                stated[text.partition(":")[0]] = re.compile("".join(parts)), log[1]
    return stated


def test_every_log_lies_where_its_rule_says() -> None:
    study = config.load("smoke", {"attacks": {"aa": {"chunk": 4}}, "shards": {"aa": 4}})
    pages = ("all", "report.html", "union.csv", "cells.csv", "tables.pdf", "pictures.md")
    every = jobs.behind(study, ROOT, [f"{ROOT}/{name}" for name in pages])
    stated, seen = stated_by_the_rules(), set()
    for output, job in every.items():
        if job.rule in stated:  # all and supplement only gather, and have no log
            pattern, log = stated[job.rule]
            match = pattern.fullmatch(output)
            assert match, output
            assert str(traces.log_of(ROOT, job)) == log.format(**match.groupdict())
            seen.add(job.rule)
    assert seen == {*RULES} & stated.keys()
    assert len(seen) > 15


# ---- states


def test_a_folder_counts_as_its_files_do() -> None:
    """By hand: both splits and one network are there; the other jobs of Table 2 are to come."""
    for name in (f"{ROOT}/data/{D}/train.safetensors", f"{ROOT}/data/{D}/test.safetensors", RUN):
        write(name)
    watched = look()
    rows = {row[0]: row[1:] for row in watched.rows()}
    assert rows["stage"] == ["jobs", "done", "running", "to come"]
    trained = sum(job.rule == "train" for job in TABLE2.values())
    assert rows["prepare"] == ["2", "2", "", ""]
    assert rows["train"] == [str(trained), "1", "", str(trained - 1)]
    assert rows["all"] == [str(len(TABLE2)), "3", "", str(len(TABLE2) - 3)]
    assert watched.done == f"3 of {len(TABLE2)} jobs done"
    assert not watched.finished


def test_a_job_whose_process_lives_runs_with_its_last_words() -> None:
    write(LOG, f"{SAYS}: goes on after epoch 1 of 2\n{HALF}\n")
    claim(os.getpid())
    watched = look()
    (sight,) = watched.of("running")
    assert sight.name == SAYS
    (detail,) = watched.details(sight)
    assert detail.startswith("epoch 1.0/2, loss 0.5, 20 images/s, about ")
    assert watched.status.startswith("1 job runs; about ")


@pytest.mark.parametrize(
    ("process", "host", "ago", "expected"),
    [
        (NOBODY, platform.node(), 5.0, "stopped"),  # killed a moment ago
        (os.getpid(), platform.node(), 1e6, "stopped"),  # the number went to a later process: this one
        (NOBODY, "node17", SILENT / 2, "running"),  # nobody here can ask that machine, and its log still grows
        (NOBODY, "node17", SILENT * 2, "stopped"),
    ],
    ids=["killed", "number taken over", "elsewhere and writing", "elsewhere and silent"],
)
def test_a_job_whose_process_is_gone_is_stopped(process: int, host: str, ago: float, expected: State) -> None:
    write(LOG, f"{HALF}\n", ago=ago)
    claim(process, host=host, job="" if host == platform.node() else "42", ago=ago)
    watched = look()
    (sight,) = watched.of(expected)
    details = watched.details(sight)
    if host == "node17":
        assert "node17, Slurm job 42" in details[0]
    if expected == "stopped":
        assert details[0].startswith("last seen ")
        assert "epoch 1.0/2" in details[0]
        assert details[1:] == ["killed, or the machine went down: no last words", f"log: {LOG}"]
        assert watched.status.startswith("stopped: no job has run since ")
        assert "go on with: snakemake --cores all results/smoke/table2.tex" in watched.advice


def test_an_interrupted_job_says_from_where_it_goes_on() -> None:
    words = "interrupted; the next start goes on after epoch 1 of 2"
    write(LOG, f"{HALF}\n{words}\n", ago=5)
    assert state() == ("stopped", words)


CRASH = """Traceback (most recent call last):
  File "x.py", line 3
    1 / 0
ZeroDivisionError: division by zero
"""


@pytest.mark.parametrize(
    ("log", "reason"),
    [
        (f"{HALF}\nerror: {RUN}: no longer finite;\nlower the learning rate\n", f"{RUN}: no longer finite; lower the"),
        (f"{HALF}\n{CRASH}", "ZeroDivisionError: division"),
        ("error: device: cuda asks for a GPU\n", "device: cuda asks for a GPU"),
    ],
)
def test_a_failed_job_says_why_and_what_waits_for_it(log: str, reason: str) -> None:
    write(LOG, log, ago=3)
    watched = look()
    (sight,) = watched.of("failed")
    assert sight.words.startswith(reason)
    page = shown(watched)
    assert re.search(rf"failed \(1\)\n  {SAYS}\n    {re.escape(reason[:40])}", page)
    assert f"log: {LOG}" in page
    after = [job for job in TABLE2.values() if RUN in job.needs]
    assert f"{len(after) + 2} jobs wait for one that failed" in watched.advice  # the cells, and the table's two


def test_a_failure_that_was_followed_by_progress_is_none() -> None:
    write(LOG, f"error: an earlier one\n{HALF}\n", ago=1)
    claim(os.getpid())
    assert state()[0] == "running"


def test_a_job_that_has_only_just_begun_runs() -> None:
    write(LOG, "", ago=2)
    assert state()[0] == "running"
    write(LOG, "", ago=200)
    assert state()[0] == "stopped"


def test_a_job_by_hand_does_not_get_an_old_logs_words() -> None:
    write(LOG, "error: of last week\n", ago=1e4)
    claim(os.getpid())
    watched = look()
    (sight,) = watched.of("running")
    assert sight.line is None
    assert watched.details(sight)[0].startswith("starts")


FORCED = "; the previous result is kept"


@pytest.mark.parametrize(
    ("log", "expected"),
    [
        ("error: no disk\n", ("failed", f"no disk{FORCED}")),
        ("interrupted; the next start goes on after image 8 of 16\n", ("stopped", None)),
        (f"{HALF}\nwrote {RUN}\n", ("done", "")),
        ("error: an earlier attempt\n" + HALF + "\n", ("done", "")),
    ],
    ids=["failed", "interrupted", "made", "retried"],
)
def test_a_job_that_was_to_make_a_file_again_is_judged_by_its_latest_attempt(
    log: str, expected: tuple[State, str | None]
) -> None:
    """Snakemake's --force removes the file, and a failure restores it: the file alone says nothing."""
    write(RUN, ago=100)
    write(LOG, log, ago=20)
    watcher = Watcher(SMOKE, Place(ROOT, f"{ROOT}/table2.tex"))
    for _ in range(2):  # a log that hasn't changed is not read again
        watched = watcher.look()
        sight = watched.sights[RUN]
        assert (sight.state, sight.words) == (expected[0], sight.words if expected[1] is None else expected[1])
    if expected[0] == "done":
        assert "--forcerun" not in watched.restart
    else:
        assert sight.words.endswith(FORCED)
        assert f"go on with: snakemake --cores all {ROOT}/table2.tex --forcerun {RUN}" in watched.advice
    traces.note_start(ROOT, {}, [f"{ROOT}/table2.tex"])  # takes the file as it is
    assert state()[0] == "done"


def test_a_job_that_was_killed_over_a_file_that_was_there_is_stopped() -> None:
    write(RUN, ago=100)
    write(LOG, f"{HALF}\n", ago=20)
    claim(NOBODY, ago=25)
    assert state() == ("stopped", f"killed, or the machine went down: no last words{FORCED}")


# ---- what Snakemake notes


def lock(*files: str, ago: float = 0.0) -> None:
    write(".snakemake/locks/0.output.lock", "".join(f"{file}\n" for file in files), ago=ago)


def test_a_failure_before_the_start_that_runs_is_to_come_again() -> None:
    write(LOG, "error: it was\n", ago=100)
    lock(RUN, f"{ROOT}/table2.tex", ago=50)
    assert state() == ("to come", "")


def test_a_file_that_a_start_is_to_make_again_is_not_done() -> None:
    write(RUN, ago=100)
    assert state()[0] == "done"
    lock(RUN, ago=50)
    assert state()[0] == "to come"
    write(RUN, ago=10)
    assert state()[0] == "done"


def test_a_killed_snakemake_leaves_its_lock() -> None:
    write(LOG, f"{HALF}\n", ago=500)
    claim(NOBODY, ago=600)
    lock(*TABLE2, ago=700)
    assert any("snakemake --unlock" in sentence for sentence in look().advice)


@pytest.mark.parametrize("method", ["natural", "s-at-aka"])
def test_a_job_in_a_clusters_queue(method: str) -> None:
    """Snakemake encodes a file's path as its mark's name, in pieces where it would be too long for the disk."""
    output = f"{ROOT}/runs/{D}/{A}/{method}/seed0/{'alpha0.1/' if method == 's-at-aka' else ''}model.safetensors"
    coded = base64.urlsafe_b64encode(output.encode()).decode()
    cut = f"@{coded[:50]}/{coded[50:]}" if method == "natural" else coded
    write(f".snakemake/incomplete/{cut}", json.dumps({"external_jobid": "4242"}))
    write(".snakemake/incomplete/damaged", "{")
    write(f"{ROOT}/data/{D}/train.safetensors")
    assert state(output) == ("queued", "cluster job 4242")
    assert "1 job is queued" in look().status


@pytest.mark.parametrize(
    ("line", "expected"), [("Provided cores: 8", 8), ("Provided remote nodes: 40", 40), ("nothing", 1)]
)
def test_jobs_at_once_are_those_of_the_last_start(line: str, expected: int) -> None:
    write(".snakemake/log/2026-01-01T000000.0.snakemake.log", "Provided cores: 99\n" if expected > 1 else "")
    write(".snakemake/log/2026-01-02T000000.0.snakemake.log", f"Building DAG of jobs...\n{line}\n")
    write(RUN)
    assert look().left.basis.startswith(f"{expected} job")


# ---- which targets count


def test_targets_are_those_of_a_start_that_runs() -> None:
    lock(*jobs.behind(SMOKE, ROOT, [f"{ROOT}/table5.tex"]))
    assert look("").inner == (f"{ROOT}/table5.tex",)


def test_targets_are_the_fewest_tables_that_explain_the_files() -> None:
    for name, job in TABLE2.items():
        if job.rule != "render":
            write(name)
    assert look("").inner == (f"{ROOT}/table2.tex",)
    only = next(name for name in jobs.behind(SMOKE, ROOT, [f"{ROOT}/table4.tex"]) if "en-sat.t4" in name)
    write(only)
    assert look("").inner == (f"{ROOT}/table2.tex", f"{ROOT}/table4.tex")


def test_targets_are_those_of_the_last_start_once_it_has_ended() -> None:
    """Every table is there, and the page failed: a study that is finished but for the page is not finished."""
    page = f"{ROOT}/report.html"
    every = jobs.behind(SMOKE, ROOT, [page])
    for name in every:
        if name != page:
            write(name)
    traces.note_start(ROOT, {}, [page])
    write(f"{ROOT}/logs/html.log", "error: no table\n")
    watched = look("")
    assert watched.inner == (page,)
    assert not watched.finished
    assert [(sight.name, sight.words) for sight in watched.of("failed")] == [("html report.html", "no table")]
    assert watched.advice == [f"go on with: snakemake --cores all {page}"]
    partial = overview.unfinished(SMOKE, ROOT)
    assert partial
    assert partial.of("failed") == watched.of("failed")


@pytest.mark.parametrize("noted", ["[", "{}", '["tabel2.tex"]', '["cells/digits/resnet10-w8/nobody/seed0/pgd.csv", 1]'])
def test_a_target_that_no_rule_makes_any_more_is_left_out(noted: str) -> None:
    write(f"{ROOT}/logs/targets.json", noted)
    for name, job in TABLE2.items():
        if job.rule != "render":
            write(name)
    assert look("").inner == (f"{ROOT}/table2.tex",)


def test_a_target_that_another_needs_is_none_of_its_own() -> None:
    traces.note_start(ROOT, {}, [CELL])
    lock(f"{ROOT}/table2.tex")
    assert look("").inner == (f"{ROOT}/table2.tex",)


def test_a_folder_with_images_alone_counts_for_every_table() -> None:
    write(f"{ROOT}/data/{D}/train.safetensors")
    watched = look("")
    assert watched.inner == (f"{ROOT}/all",)
    assert watched.status.startswith("not started")


def test_settings_of_the_last_start_count(capsys: pytest.CaptureFixture[str]) -> None:
    """A start with a method of its own: without its settings nobody knows the method's files."""
    methods = {"methods": {"alone": {"like": "en-sat", "members": 1}}}
    cell = CELL.replace("/natural/", "/alone/")
    lock(cell)
    write(f"{ROOT}/data/{D}/train.safetensors")
    command.watch(given_as())
    text = " ".join(capsys.readouterr().out.split())
    assert f"not counted: 1 file that Snakemake is to make, such as {cell}; if it was started with --config" in text
    traces.note_start(ROOT, methods, [cell])
    for given in ("{}", json.dumps(methods)):
        command.watch(given_as(config=given))
        text = capsys.readouterr().out
        assert "not counted" not in text
        assert text.startswith(f"{ROOT}: {cell.removeprefix(f'{ROOT}/')}\n")
    write(f"{ROOT}/logs/settings.json", "[")
    assert traces.settings(ROOT) == {}


# ---- the time left


def record(output: str, seconds: float) -> None:
    write(output)
    usage = {"seconds": seconds, "cpu_seconds": seconds, "memory_mb": 1.0, "gpu_memory_mb": None}
    write_json(Path(output).with_name("run.json"), usage)


def test_without_a_finished_job_the_time_is_the_plans() -> None:
    write(f"{ROOT}/data/{D}/train.safetensors")
    left = look(CELL).left
    every = jobs.behind(SMOKE, ROOT, [CELL])
    rest = [job for name, job in every.items() if not name.endswith("train.safetensors")]
    assert left.basis == "1 job at once, as planned for thing (made up)"
    assert left.seconds == pytest.approx(sum(ONE.job_seconds(job) for job in rest))


def test_the_pace_of_finished_jobs_counts() -> None:
    """The network took thrice its plan; the cell will, too: no other kind is known."""
    every = jobs.behind(SMOKE, ROOT, [CELL])
    for name in every:
        if "/data/" in name:
            write(name)
    record(RUN, 3 * (ONE.job_seconds(every[RUN]) - ONE.start))
    left = look(CELL).left
    assert left.basis == "1 job at once, at the pace of 1 finished jobs"
    assert left.seconds == pytest.approx(ONE.start + 3 * (ONE.job_seconds(every[CELL]) - ONE.start))


@pytest.mark.parametrize(("kind", "factor"), [("cores", 2), ("jobs", 1)])
def test_a_recordings_processes_share_cores_and_no_jobs(kind: str, factor: int) -> None:
    """Two jobs of two processes follow each other on two cores; as two jobs of a cluster they run at once."""
    job = Job("record", "a", processes=2)
    notes = traces.Notes({}, {}, (kind, 2))
    every = {name: remaining._counted(job._replace(output=name), notes) for name in "ab"}
    assert schedule.wall_seconds(every, {"a": 5.0, "b": 5.0}, 2) == factor * 5


def test_a_running_jobs_own_word_counts_less_its_age() -> None:
    write(LOG, f"{SAYS}: epoch 1.0/2  20 images/s  50 s left\n", ago=20)
    claim(os.getpid())
    assert look(RUN).left.each[RUN] == pytest.approx(30, abs=2)


def test_a_share_that_is_done_counts_where_the_log_has_no_word() -> None:
    write(LOG, f"{SAYS}: epoch 0.5/2\n")
    claim(os.getpid())
    assert look(RUN).left.each[RUN] == pytest.approx(0.75 * ONE.job_seconds(TABLE2[RUN]))


def test_nothing_is_timed_for_a_picture(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where no plan is kept, the time is not known: a login node neither loads torch nor computes."""
    monkeypatch.undo()
    monkeypatch.chdir(Path.cwd())

    def timed(*_: object) -> None:
        raise AssertionError("torch was asked")

    monkeypatch.setattr(devices, "_answers", {})
    monkeypatch.setattr(devices.importlib, "import_module", timed)
    monkeypatch.setattr(devices.plugins, "facts", lambda module, question, answer: answer())
    devices._operations.cache_clear()
    with devices.from_kept_facts(), pytest.raises(devices.Unknown):
        devices.card(SMOKE, "h100").job_seconds(TABLE2[RUN])
    with devices.from_kept_facts(), pytest.raises(devices.Unknown):
        devices.gpu(SMOKE)


def test_watching_loads_no_torch() -> None:
    asked = "import sys, report.watch.command; print([m for m in ('torch', 'pandas', 'snakemake') if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", asked], cwd=HOME, capture_output=True, text=True, check=True)
    assert done.stdout == "[]\n"


# ---- the screen


@pytest.fixture
def busy() -> Overview:
    """Something of every state, with long words."""
    every = list(TABLE2.values())
    cells = [job for job in every if job.rule == "evaluate"]
    for place, job in enumerate(cells[:20]):
        log = traces.log_of(ROOT, job)
        if place % 3 == 0:
            write(str(log), "error: " + "the learning rate – ‘η’ – is too large; " * 4 + "\n", ago=9)
        elif place % 3 == 1:
            write(str(log), f"evaluate x: image 3/16  {'square on 3 of 16 images ' * 3}  2 images/s\n", ago=2)
            claim(os.getpid(), of=job.output)
        else:
            write(str(log), "evaluate x: image 3/16\n", ago=200)
    return look()


@pytest.mark.parametrize("width", [40, 60, 100])
def test_no_line_is_wider_than_the_screen(busy: Overview, width: int) -> None:
    lines = shown(busy, width).splitlines()
    assert max(map(len, lines)) <= width
    assert "failed (7)" in lines
    assert "stopped (6)" in lines
    assert "running (7)" in lines


def test_all_of_ours_is_ascii_where_the_terminal_is(busy: Overview) -> None:
    text = shown(busy, plain=True)
    assert text.replace("–", "").replace("‘", "").replace("’", "").replace("η", "").isascii()
    assert re.search(r"^\.+  0 of \d+ jobs done$", text, re.MULTILINE)


@pytest.mark.parametrize(
    ("height", "listed", "stages"), [(10, 0, False), (18, 3, False), (28, 3, True), (60, 3, True), (200, 20, True)]
)
def test_the_picture_fits_a_screen(busy: Overview, height: int, listed: int, stages: bool) -> None:
    console = Console(force_terminal=True, width=80, height=height, legacy_windows=False)
    lines = screen.fitting(busy, console).plain.splitlines()
    assert len(lines) < height
    assert sum(line.startswith("  evaluate ") for line in lines) >= listed
    assert any(line.startswith("stage ") for line in lines) is stages


def given_as(**changes: Any) -> argparse.Namespace:
    usual = {"path": ROOT, "once": False, "interval": 5.0, "config": "{}"}
    return argparse.Namespace(**usual | changes)


def test_a_picture_for_a_pipe(busy: Overview, capsys: pytest.CaptureFixture[str]) -> None:
    command.watch(given_as())
    text = capsys.readouterr().out
    assert text.startswith(f"{ROOT}: table2.tex\n")
    assert "\x1b" not in text
    assert "failed (7)" in text


def test_ctrl_c_ends_quietly_and_leaves_the_last_picture(
    busy: Overview, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    waited = []

    def sleep(seconds: float) -> None:
        waited.append(seconds)
        if len(waited) == 3:
            raise KeyboardInterrupt

    monkeypatch.setattr(command.time, "sleep", sleep)
    console = Console(force_terminal=True, width=70, height=30, legacy_windows=False)
    command.watch(given_as(interval=7.0), console)
    assert waited == [7.0, 7.0, 7.0]
    after = capsys.readouterr().out.rpartition("\x1b[?1049l")[2]  # what is printed once the screen is given back
    assert "jobs done" in after


def test_a_finished_study_says_so_and_ends(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    for name in TABLE2:
        write(name)
    monkeypatch.setattr(command.time, "sleep", lambda _: pytest.fail("there is nothing to wait for"))
    command.watch(given_as(), Console(force_terminal=True, width=70, height=30, legacy_windows=False))
    text = re.sub(r"\x1b\[[\d;?]*[a-z]", "", capsys.readouterr().out)
    assert f"finished: all {len(TABLE2)} jobs are done" in text
    assert "stage" not in text


# ---- the folder


def snapshot(folder: Path) -> dict[Path, tuple[int, int]]:
    return {path: (path.stat().st_mtime_ns, path.stat().st_size) for path in folder.rglob("*")}


def test_nothing_is_written(busy: Overview, here: Path) -> None:
    before = snapshot(here)
    look("")
    assert snapshot(here) == before


def test_results_are_watched_from_anywhere(
    busy: Overview, here: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path_factory.mktemp("elsewhere"))
    place = places.find(f"{here}/{ROOT}/")
    watched = Watcher(SMOKE, place).look()
    assert [row[1:] for row in watched.rows()] == [row[1:] for row in busy.rows()]
    assert watched.restart == busy.restart
    copied = here / "copy/smoke"
    copied.parent.mkdir()
    (here / ROOT).rename(copied)
    assert Watcher(SMOKE, places.find(str(copied))).look().of("failed")


@pytest.mark.parametrize(
    ("path", "message"),
    [
        ("results/smkoe", "there is no results folder 'results/smkoe'; did you mean 'results/smoke'?"),
        ("reslts/smoke", "there is no results folder 'reslts/smoke'; did you mean 'results/smoke'?"),
        ("results/demo", "there is no results folder 'results/demo'"),
        (
            "results/smoke/tabel2.tex",
            "no rule makes 'results/smoke/tabel2.tex'; did you mean 'results/smoke/table2.tex'",
        ),
        ("results", "'results' holds nothing of a study yet; start one: snakemake --cores all results/all"),
    ],
)
def test_mistakes_name_the_nearest(busy: Overview, path: str, message: str) -> None:
    with pytest.raises(UserError, match=re.escape(message)):
        command.watch(given_as(path=path))


def test_no_interval_of_nothing() -> None:
    with pytest.raises(UserError, match="--interval: 0"):
        command.watch(given_as(interval=0.0))


# ---- the page


def test_the_page_shows_the_same_and_nothing_once_all_is_done(tmp_path: Path, study: Study) -> None:
    """Every cell is there, and nothing of the jobs before and after."""
    root = studies.root(tmp_path)
    studies.write(root, study)
    path, _ = build.write(study, str(root), partial=True)
    watched = overview.unfinished(study, str(root))
    assert watched
    text = path.read_text(encoding="utf-8")
    (block,) = re.findall(r'<section id="progress".*?</section>\n', text, re.DOTALL)
    assert f"{watched.done}. Not started" not in block
    assert f"{watched.done}. " in block
    assert time.strftime("%d %B %Y", time.localtime(watched.at)) in block
    _, *rows = watched.rows()
    assert ["evaluate", "24", "24"] in [row[:3] for row in rows]
    for title, *fields in rows:
        assert f'<th scope="row">{title}</th>' + "".join(f"<td>{field}</td>" for field in fields) in block
    assert build.without_progress(text) == build.text(build.gather(study, str(root), partial=True))
    for name in watched.sights:
        if not Path(name).exists():
            write(name)
    assert overview.unfinished(study, str(root)) is None


def test_a_process_of_this_machine_is_alive_while_it_runs() -> None:
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    holder = Holder(child.pid, platform.node(), "", time.time())
    assert holder.is_alive()
    child.communicate(b"\n")
    assert holder.is_alive() is False
    assert holder._replace(host="elsewhere").is_alive() is None
