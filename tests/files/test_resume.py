"""Is an interrupted job, gone on with, the job that it would have been: bit for bit, or not at all?"""

import contextlib
import errno
import fcntl
import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from ataka.cli import main
from ataka.errors import UserError
from ataka.files import claim, resume, tensors
from ataka.files.records import read_json, read_rows
from ataka.files.tensors import load_about, save_tensors
from ataka.machine import memory
from ataka.machine.progress import Progress
from ataka.plan import digests
from ataka.stages import select
from ataka.study import config, layers
from ataka.training import loop, watchers
from tests.workflow.driver import heed_interrupts

ROOT, D, A, TEACHER = "results/smoke", "digits", "resnet10-w8", "wrn10-1"
RUNS, CELLS = f"{ROOT}/runs/{D}/{A}", f"{ROOT}/cells/{D}/{A}/natural/seed0"
FROZEN = f"{ROOT}/runs/{D}/{TEACHER}/natural/seed0/model.safetensors"
TAPE = f"{ROOT}/tapes/{D}/{TEACHER}-x3-svgd/seed0/manifest.json"
EPOCHS, STEPS = 4, 3
OVERRIDES: dict[str, Any] = {
    "data": {"train": 24, "validation": 16, "test": 24},
    "setups": {name: {"epochs": EPOCHS, "batch_size": 8} for name in ("table2", "natural", "sat", "rslad", "table4")}
    | {"best": {"like": "natural", "checkpoint": "best"}}
    | {"average": {"like": "table4", "swa": {"begin": "1/4"}}},
    "methods": {
        "en-rslad": {"teachers": {"robust": "natural"}},
        "mtard": {"teachers": {"robust": "natural"}, "options": {"rate": 0.3}},
        "s-cat-aka": {"alpha": 0.5},
        "natural.best": {"like": "natural", "setup": "best"},
        "s-cat-aka.average": {"like": "s-cat-aka", "setup": "average"},
    },
    "attacks": {"aa": {"chunk": 12}, "fog": {"chunk": 9}},
}
JOBS = {
    "independent": ("train", f"{RUNS}/natural/seed0/model.safetensors"),
    "best epoch": ("train", f"{RUNS}/natural.best/seed0/model.safetensors"),
    "attacks in training mode": ("train", f"{RUNS}/en-sat/seed0/member0/model.safetensors"),
    "frozen teachers": ("train", f"{RUNS}/en-rslad/seed0/model.safetensors"),
    "an objective's state": ("train", f"{RUNS}/mtard/seed0/model.safetensors"),
    "replay": ("train", f"{RUNS}/s-at-aka/seed0/alpha0.5/model.safetensors"),
    "joint": ("train", f"{RUNS}/s-cat-aka/seed0/model.safetensors"),
    "weight averages": ("train", f"{RUNS}/s-cat-aka.average/seed0/model.safetensors"),
    "tape": ("record", TAPE),
    "dropout": ("train", f"{ROOT}/runs/{D}/tests.dropout/natural/seed0/model.safetensors"),
}
ATTACKS = {name: ("evaluate", f"{CELLS}/{name}.csv") for name in ("aa", "pgd", "fog")}
NATURAL = JOBS["independent"]


def ataka(verb: str, path: str, **overrides: Any) -> int:
    return main([verb, path, "--config", json.dumps(layers.overlay(OVERRIDES, overrides))])


def made(verb: str, path: str, **overrides: Any) -> None:
    assert ataka(verb, path, **overrides) == 0


def bytes_of(path: str) -> dict[str, bytes]:
    """Everything that equal jobs write alike."""
    folder = Path(path).parent
    if path.endswith(".csv"):
        bits = Path(path).with_suffix(".bits.npy")
        return {bits.name: bits.read_bytes()}
    files = [file for pattern in ("*", "[!.]*/*") for file in folder.glob(pattern) if file.is_file()]
    return {str(file.relative_to(folder)): file.read_bytes() for file in files if file.name != "run.json"}


def remove(path: str) -> None:
    """What Snakemake does to the outputs of a job that failed, and more: the undeclared files of a tape, too."""
    for name in bytes_of(path) if Path(path).exists() else ():
        (Path(path).parent / name).unlink()
    for output in (Path(path), Path(path).parent / "run.json"):
        if path.endswith(".csv") or output.name == "run.json":
            output.unlink(missing_ok=True)


def states(path: str) -> list[Path]:
    return sorted(Path(path).parent.glob(".resume/**/*.safetensors"))


@pytest.fixture(scope="module", autouse=True)
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """One study, each of whose jobs has run without interruption."""
    folder = tmp_path_factory.mktemp("study")
    with contextlib.chdir(folder), pytest.MonkeyPatch.context() as patch:
        patch.setattr(loop, "PROBE", 16)  # they are watched, and know one class
        patch.setattr(watchers, "patience", lambda epochs: EPOCHS + 1)
        for split in ("train", "test"):
            made("prepare", f"{ROOT}/data/{D}/{split}.safetensors")
        made("train", FROZEN)
        made(*JOBS["tape"])
        for verb, path in (JOBS | ATTACKS).values():
            if not Path(path).exists():
                made(verb, path)
        yield folder


@pytest.fixture(autouse=True)
def every_chance(monkeypatch: pytest.MonkeyPatch) -> None:
    """A state at each chance, and small batches."""
    monkeypatch.setattr(resume, "pause", lambda cost, least=0.0: 0.0)
    monkeypatch.setattr(memory, "BATCH", 4)


@pytest.fixture
def interrupt(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """``interrupt(5)``: the fifth step of the next job is interrupted, ``interrupt(5, "alive")`` the fifth forward."""

    def arrange(count: int, method: str = "step", how: Callable[[], None] | None = None) -> None:
        real, seen = getattr(Progress, method), [0]

        def counting(self: Progress, *arguments: Any) -> None:
            seen[0] += 1
            if seen[0] == count:
                monkeypatch.setattr(Progress, method, real)
                (how or signal.raise_signal)(*([] if how else [signal.SIGINT]))
            real(self, *arguments)

        monkeypatch.setattr(Progress, method, counting)

    return arrange


@pytest.fixture
def natural(interrupt: Callable[..., None]) -> Iterator[str]:
    """A training that was interrupted in its last epoch."""
    path = NATURAL[1]
    expected = bytes_of(path)
    remove(path)
    interrupt(3 * STEPS + 2)
    assert ataka(*NATURAL) == 130
    yield path
    for state in states(path):
        state.unlink()
    if not Path(path).exists():
        made(*NATURAL)
    assert bytes_of(path) == expected


# ---- bit for bit


@pytest.mark.parametrize("shape", JOBS)
def test_a_training_interrupted_again_and_again_ends_as_if_nothing_had_been(
    shape: str, interrupt: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    verb, path = JOBS[shape]
    expected = bytes_of(path)
    remove(path)
    after = []
    for epoch in range(1, EPOCHS):
        interrupt(STEPS + 2)  # in each start an epoch ends, and another has begun
        assert ataka(verb, path) == 130
        assert f"interrupted; the next start goes on after epoch {epoch} of {EPOCHS}\n" in capfd.readouterr().err
        assert not Path(path).exists()
        after.append(f"epoch {epoch} of {EPOCHS}")
    made(verb, path)
    assert f"goes on after {after[-1]}" in capfd.readouterr().err
    assert bytes_of(path) == expected
    run = read_json(Path(path).parent / "run.json")
    assert [one["after"] for one in run["resumed"]] == after
    probed = {
        "independent": 0,
        "best epoch": 1,
        "attacks in training mode": 1,
        "frozen teachers": 1,
        "an objective's state": 1,
        "replay": 0,
        "joint": 3,
        "weight averages": 3,
        "tape": 3,
        "dropout": 0,
    }[shape]
    (row, *_) = read_rows(Path(path).parent / "history.csv")
    assert sum(name.startswith("probe_clean") for name in row) == probed
    assert not (Path(path).parent / ".resume").exists()


@pytest.mark.parametrize(
    ("attack", "method", "count"), [("aa", "alive", 30), ("aa", "alive", 47), ("pgd", "step", 3), ("fog", "alive", 5)]
)
def test_an_attack_interrupted_again_and_again_gives_the_same_bits(
    attack: str, method: str, count: int, interrupt: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    verb, path = ATTACKS[attack]
    expected = bytes_of(path)
    remove(path)
    starts = 0
    while not Path(path).exists():
        starts += 1
        assert starts < 20
        interrupt(count, method)
        assert ataka(verb, path) in (0, 130)
    said = capfd.readouterr().err
    assert starts > 2
    assert said.count(": goes on after image") == starts - 1
    assert (", before " in said) == (attack == "aa")
    assert bytes_of(path) == expected
    assert not (Path(path).parent / ".resume").exists()


def test_an_interrupt_before_the_first_safe_point_says_so(
    interrupt: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    expected = bytes_of(NATURAL[1])
    remove(NATURAL[1])
    interrupt(2)
    assert ataka(*NATURAL) == 130
    assert "interrupted; the next start begins anew" in capfd.readouterr().err
    assert not (Path(NATURAL[1]).parent / ".resume").exists()
    made(*NATURAL)
    assert bytes_of(NATURAL[1]) == expected


def test_a_clusters_signal_ends_a_job_as_ctrl_c_does(
    interrupt: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    before = signal.getsignal(signal.SIGTERM)
    remove(NATURAL[1])
    interrupt(2 * STEPS + 1, how=lambda: os.kill(os.getpid(), signal.SIGTERM))
    assert ataka(*NATURAL) == 143
    assert f"interrupted; the next start goes on after epoch 2 of {EPOCHS}" in capfd.readouterr().err
    assert signal.getsignal(signal.SIGTERM) == before
    made(*NATURAL)


def test_time_and_environment_before_an_interruption_are_recorded(
    natural: str, capfd: pytest.CaptureFixture[str]
) -> None:
    spent = json.loads(load_about(states(natural)[1])["content"])["usage"]
    made(*NATURAL, threads=2)
    assert "{'device': 'cpu', 'threads': 1, 'torch': '" in capfd.readouterr().err
    run = read_json(Path(natural).parent / "run.json")
    assert run["seconds"] > spent["seconds"] > 0
    assert run["cpu_seconds"] > spent["cpu_seconds"] > 0
    assert run["memory_mb"] >= spent["memory_mb"] > 0
    assert run["gpu_memory_mb"] is None
    assert [(one["after"], one["threads"]) for one in run["resumed"]] == [(f"epoch 3 of {EPOCHS}", 1)]
    made(*NATURAL)


# ---- the first minute


@pytest.fixture
def first_minute(monkeypatch: pytest.MonkeyPatch) -> None:
    """No state is due yet, and copies cost nothing."""
    monkeypatch.setattr(resume, "pause", lambda cost, least=60.0: least)


SIGNALS = {signal.SIGINT: 130, signal.SIGTERM: 143}


@pytest.mark.usefixtures("first_minute")
@pytest.mark.parametrize("number", SIGNALS, ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("shape", JOBS)
def test_an_interrupt_within_a_minute_writes_the_last_epochs_state(
    shape: str, number: int, interrupt: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    verb, path = JOBS[shape]
    expected = bytes_of(path)
    remove(path)
    for epoch, kept in ((2, 1), (3, 2)):
        interrupt((STEPS if epoch > 2 else 2 * STEPS) + 2, how=lambda: os.kill(os.getpid(), number))
        assert ataka(verb, path) == SIGNALS[number]
        assert f"interrupted; the next start goes on after epoch {epoch} of {EPOCHS}\n" in capfd.readouterr().err
        assert len(states(path)) == kept
    made(verb, path)
    assert bytes_of(path) == expected
    assert not (Path(path).parent / ".resume").exists()


@pytest.mark.usefixtures("first_minute")
@pytest.mark.parametrize("number", SIGNALS, ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize(("attack", "method", "count"), [("aa", "alive", 47), ("pgd", "step", 3), ("fog", "alive", 5)])
def test_an_interrupt_within_a_minute_writes_the_state_of_an_attack(
    attack: str,
    method: str,
    count: int,
    number: int,
    interrupt: Callable[..., None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    verb, path = ATTACKS[attack]
    expected = bytes_of(path)
    remove(path)
    interrupt(count, method, how=lambda: os.kill(os.getpid(), number))
    assert ataka(verb, path) == SIGNALS[number]
    assert "interrupted; the next start goes on after image" in capfd.readouterr().err
    assert len(states(path)) == 1
    made(verb, path)
    assert ": goes on after image" in capfd.readouterr().err
    assert bytes_of(path) == expected


@pytest.mark.usefixtures("first_minute")
@pytest.mark.parametrize("number", SIGNALS, ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize("generator", ["svgd", "pgd"])
def test_an_interrupt_within_a_minute_writes_the_rows_of_table_1(
    generator: str, number: int, interrupt: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    """Measured without an interruption, and in pieces of four images with two."""
    path = f"{ROOT}/particles/{D}/{A}/natural/seed0/{generator}.csv"
    few = {"particles": {"images": 11, "count": 3}}
    made("particles", path, **few)
    expected = numbers_of(path)
    for count in (1, 2):  # a restored piece is a step, too
        Path(path).unlink(missing_ok=True)
        interrupt(count, how=lambda: os.kill(os.getpid(), number))
        assert ataka("particles", path, **few) == SIGNALS[number]
    said = capfd.readouterr().err
    assert "interrupted; the next start goes on after image 4 of 11\n" in said
    assert "interrupted; the next start goes on after image 8 of 11\n" in said
    made("particles", path, **few)
    assert ": goes on after image 8 of 11" in capfd.readouterr().err
    assert numbers_of(path) == expected
    assert not (Path(path).parent / ".resume").exists()


def numbers_of(path: str) -> list[dict[str, str]]:
    """What equal jobs measure alike."""
    moment = {"finished_at", "seconds", "cpu_seconds", "memory_mb", "gpu_memory_mb", "seal"}
    return [{name: text for name, text in row.items() if name not in moment} for row in read_rows(Path(path))]


@pytest.mark.usefixtures("first_minute")
def test_an_interrupted_choice_of_alpha_goes_on_after_the_last_candidate(
    monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    path = f"{RUNS}/s-at-aka/choice.json"
    for alpha in ("0.1", "0.5"):
        candidate = f"{RUNS}/s-at-aka/seed0/alpha{alpha}/model.safetensors"
        if not Path(candidate).exists():
            made("train", candidate)
    made("select", path)
    expected = Path(path).read_bytes()
    Path(path).unlink()
    real, seen = select.selection_accuracies, []

    def interrupted(*arguments: Any) -> Any:
        seen.append(arguments)
        if len(seen) == 2:
            signal.raise_signal(signal.SIGINT)
        return real(*arguments)

    monkeypatch.setattr(select, "selection_accuracies", interrupted)
    assert ataka("select", path) == 130
    assert "interrupted; the next start goes on after alpha 0.1\n" in capfd.readouterr().err
    made("select", path)
    assert len(seen) == 3
    assert Path(path).read_bytes() == expected
    assert not (Path(path).parent / ".resume").exists()


@pytest.mark.usefixtures("first_minute")
def test_an_error_leaves_the_last_state_as_an_interrupt_does(
    interrupt: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    verb, path = NATURAL
    expected = bytes_of(path)
    remove(path)

    def fail() -> None:
        raise BrokenPipeError("nobody reads what it says")

    interrupt(2 * STEPS + 1, how=fail)
    with pytest.raises(BrokenPipeError):
        ataka(verb, path)
    assert len(states(path)) == 1
    made(verb, path)
    assert f": goes on after epoch 2 of {EPOCHS}" in capfd.readouterr().err
    assert bytes_of(path) == expected


@pytest.mark.usefixtures("first_minute")
def test_a_second_interrupt_stops_the_writing_and_says_where_the_job_stands(
    interrupt: Callable[..., None], monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    verb, path = NATURAL
    expected = bytes_of(path)
    remove(path)
    for count in (STEPS + 1, STEPS + 2):
        with monkeypatch.context() as patch:
            if count == STEPS + 2:
                patch.setattr(tensors, "save_file", lambda *_: signal.raise_signal(signal.SIGINT))
            interrupt(count, how=lambda: os.kill(os.getpid(), signal.SIGTERM))
            assert ataka(verb, path) == (143 if count == STEPS + 1 else 130)
        assert f"interrupted; the next start goes on after epoch 1 of {EPOCHS}\n" in capfd.readouterr().err
        assert [*Path(path).parent.glob(".resume/*")] == states(path)
        assert len(states(path)) == 1
    made(verb, path)
    assert bytes_of(path) == expected


def test_what_is_held_stays_as_it_was(tmp_path: Path, first_minute: None) -> None:
    """A job changes its tensors and its history after it has handed them over."""
    weights, history = torch.zeros(3, 4, 2, 2).to(memory_format=torch.channels_last), [1.0]
    folder = tmp_path / ".resume"
    with contextlib.suppress(KeyboardInterrupt), resume.States(folder, {}, {}, Progress.silent()) as kept:
        kept.keep("here", lambda: ({"weights": weights}, {"history": history}))
        weights += 1
        history.append(2.0)
        raise KeyboardInterrupt
    seen: list[resume.State] = []
    with resume.States(folder, {}, {}, Progress.silent()) as kept:
        assert kept.restore(seen.append)
    assert not seen[0].tensors["weights"].any()
    assert seen[0].facts == {"history": [1.0]}


SPEAKING = """
import sys
from ataka.cli import main
from ataka.machine.progress import Progress
from ataka.training import loop, watchers
Progress.__init__.__defaults__ = (sys.stderr, 0.0)
loop.PROBE, watchers.patience = 16, lambda epochs: epochs + 1
sys.exit(main(sys.argv[1:]))
"""
"""The command line, which prints a line at each step, and watches as these tests do."""


@pytest.mark.kills
@pytest.mark.parametrize("number", SIGNALS, ids=["Ctrl-C", "SIGTERM"])
@pytest.mark.parametrize(("job", "line"), [("independent", "epoch 2."), ("tape", "epoch 2."), ("aa", "image 12/")])
def test_a_process_that_gets_a_signal_in_its_first_minute_loses_nothing(job: str, line: str, number: int) -> None:
    """As a terminal or a cluster sends it, at the usual pace of states."""
    verb, path = (JOBS | ATTACKS)[job]
    longer = {} if job == "aa" else {"setups": {name: {"epochs": 40} for name in ("natural", "table2")}}
    usual = bytes_of(path)
    made(verb, path, **longer)
    expected = bytes_of(path)
    remove(path)
    command = [sys.executable, "-c", SPEAKING, verb, path, "--config", json.dumps(layers.overlay(OVERRIDES, longer))]
    process = subprocess.Popen(
        command,
        env={**os.environ, "PYTHONPATH": str(config.HOME)},
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=heed_interrupts,
    )
    assert process.stderr
    assert any(line in said for said in process.stderr)
    process.send_signal(number)
    said = process.stderr.read()
    assert process.wait(60) == SIGNALS[number]
    assert "interrupted; the next start goes on after " in said
    assert len(states(path)) == 1
    made(verb, path, **longer)
    assert bytes_of(path) == expected
    assert not (Path(path).parent / ".resume").exists()
    made(verb, path)
    assert bytes_of(path) == usual


# ---- what is not used


def flip(path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-5] ^= 1
    path.write_bytes(content)


DAMAGES: dict[str, Callable[[Path], object]] = {
    "a flipped bit": flip,
    "cut short": lambda path: os.truncate(path, path.stat().st_size // 2),
    "empty": lambda path: os.truncate(path, 0),
    "other bytes": lambda path: path.write_bytes(os.urandom(500)),
    "another file": lambda path: save_tensors(path, {}),
}


def order(path: str) -> tuple[Path, Path]:
    """The states of a job, the newest first."""
    first, second = states(path)
    numbers = [json.loads(load_about(state)["content"])["number"] for state in (first, second)]
    return (first, second) if numbers[0] > numbers[1] else (second, first)


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_state_gives_way_to_the_one_before(
    damage: str, natural: str, capfd: pytest.CaptureFixture[str]
) -> None:
    newest, _ = order(natural)
    DAMAGES[damage](newest)
    capfd.readouterr()
    made(*NATURAL)
    said = capfd.readouterr().err
    assert f"WARNING: {newest} is damaged and not used" in said
    assert f"goes on after epoch 2 of {EPOCHS}" in said


def test_when_both_are_damaged_it_begins_anew(natural: str, capfd: pytest.CaptureFixture[str]) -> None:
    for state in order(natural):
        flip(state)
    capfd.readouterr()
    made(*NATURAL)
    said = capfd.readouterr().err
    assert said.count("is damaged and not used (its checksum differs)") == 2
    assert "goes on" not in said


def test_a_state_of_other_settings_is_not_used(natural: str, capfd: pytest.CaptureFixture[str]) -> None:
    capfd.readouterr()
    made(*NATURAL, setups={"natural": {"learning_rate": 0.05}})
    said = capfd.readouterr().err
    assert said.count("is not used: it was made under other settings") == 2
    assert "goes on" not in said
    assert not states(natural)
    made(*NATURAL)


def test_a_state_of_other_code_is_not_used(
    natural: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(digests, "code_digest", lambda modules: "changed")
    made(*NATURAL)
    assert capfd.readouterr().err.count("is not used: it was made under other code") == 2


def test_a_state_of_another_format_is_not_used(
    natural: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(resume, "FORMAT", resume.FORMAT + 1)
    made(*NATURAL)
    assert capfd.readouterr().err.count("is not used: it was made under other format") == 2


@pytest.mark.parametrize("damage", [flip, Path.unlink], ids=["damaged", "missing"])
def test_a_recording_whose_files_are_no_longer_whole_begins_anew(
    damage: Callable[[Path], None], interrupt: Callable[..., None], capfd: pytest.CaptureFixture[str]
) -> None:
    expected = bytes_of(TAPE)
    remove(TAPE)
    interrupt(3 * STEPS + 1)
    assert ataka("record", TAPE) == 130
    damage(next(Path(TAPE).parent.glob("*/epoch0001.safetensors")))
    made("record", TAPE)
    said = capfd.readouterr().err
    assert f"can't go on after epoch 3 of {EPOCHS}" in said
    assert f"can't go on after epoch 2 of {EPOCHS}" in said
    assert f": goes on after epoch 1 of {EPOCHS}" not in said
    assert bytes_of(TAPE) == expected


# ---- what stands in the way


def test_a_full_disk_keeps_no_job_from_its_claim_or_its_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with claim.claimed(tmp_path / ".resume"):
        assert (tmp_path / ".resume/lock").read_bytes() == b""
    assert not (tmp_path / ".resume").exists()


def test_a_full_disk_does_not_stop_a_training(
    natural: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for state in states(natural):
        state.unlink()
    real = tensors.save_file

    def full(held: Any, path: Path, metadata: Any) -> None:
        if ".resume" in str(path):
            path.write_bytes(b"half of it")
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        real(held, path, metadata)

    monkeypatch.setattr(tensors, "save_file", full)
    capfd.readouterr()
    made(*NATURAL)
    said = capfd.readouterr().err
    assert said.count("WARNING") == 1
    assert f"epoch 1 of {EPOCHS} can't be kept: " in said
    assert "No space left on device; the work goes on, but if interrupted, the next start begins anew" in said


def test_a_state_that_could_not_be_replaced_stays(natural: str, monkeypatch: pytest.MonkeyPatch) -> None:
    newest, before = order(natural)
    kept = newest.read_bytes(), before.read_bytes()

    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "full")

    with monkeypatch.context() as patch:
        patch.setattr(tensors, "save_file", full)
        assert ataka(*NATURAL) == 2  # the model itself can't be written either
    assert (newest.read_bytes(), before.read_bytes()) == kept
    assert not list(Path(natural).parent.rglob("*.part"))


def test_two_processes_do_not_make_the_same_files(
    natural: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(claim, "PATIENCE", 0.0)
    folder = Path(natural).parent / ".resume"
    with (folder / "lock").open("w") as other:
        other.write("process 123 on elsewhere")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        assert ataka(*NATURAL) == 2
    assert f"{folder}: process 123 on elsewhere is at this; wait for it, or end it" in capfd.readouterr().err
    assert len(states(natural)) == 2
    made(*NATURAL)


def test_states_are_kept_once_a_minute_and_cost_little(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.undo()
    assert resume.pause(0.0) == 60
    assert resume.pause(30.0) == 600
    assert resume.pause(0.01, least=0.0) == 0.2
    with resume.States(tmp_path / ".resume", {}, {}, Progress.silent()) as kept:
        for _ in range(3):
            kept.keep("somewhere", lambda: ({}, {}))
        assert [path.name for path in (tmp_path / ".resume").iterdir()] == ["lock"]


@pytest.mark.parametrize("seconds", [0.01, 1.0, 30.0])
def test_states_cost_little(seconds: float, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A copy takes so many seconds, and there is a chance for one each second."""
    monkeypatch.undo()
    now, copies = [0.0], []
    monkeypatch.setattr(resume, "time", SimpleNamespace(monotonic=lambda: now[0]))

    def make() -> tuple[dict[str, torch.Tensor], dict[str, Any]]:
        now[0] += seconds
        copies.append(now[0])
        return {}, {}

    with resume.States(tmp_path / ".resume", {}, {}, Progress.silent()) as kept:
        while now[0] < 10_000:
            kept.keep("somewhere", make)
            now[0] += 1
    assert len(copies) > 10
    assert (len(copies) - 1) * seconds <= 0.05 * now[0]


# ---- jobs that keep no states


OTHERS = {
    "prepared": ("prepare", f"{ROOT}/data/{D}/test.safetensors", ".resume/test"),
    "extracted": ("train", f"{RUNS}/s-cat-aka.s1/seed0/model.safetensors", ".resume"),
    "particles": ("particles", f"{ROOT}/particles/{D}/{A}/natural/seed0/pgd.csv", ".resume/pgd"),
    "shared": ("record", TAPE.replace("-x3-", "-x2-"), ".resume"),
}


@pytest.mark.parametrize("artifact", OTHERS)
def test_nor_do_two_processes_write_the_same_where_nothing_is_kept(
    artifact: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(claim, "PATIENCE", 0.0)
    verb, path, place = OTHERS[artifact]
    few = {"particles": {"images": 3, "count": 3}}
    existed = Path(path).exists()
    folder = Path(path).parent / place
    folder.mkdir(parents=True)
    with (folder / "lock").open("w") as other:
        other.write("process 123 on elsewhere")
        other.flush()
        fcntl.flock(other, fcntl.LOCK_EX)
        assert ataka(verb, path, **few) == 2
    assert f"{folder}: process 123 on elsewhere is at this; wait for it, or end it" in capfd.readouterr().err
    assert Path(path).exists() == existed
    made(verb, path, **few)
    assert Path(path).exists()
    assert not (Path(path).parent / ".resume").exists()


def test_a_claim_names_the_slurm_job_to_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim, "PATIENCE_ON_A_CLUSTER", 0.0)
    monkeypatch.setenv("SLURM_JOB_ID", "12")
    with claim.claimed(tmp_path), pytest.raises(UserError) as refused:
        claim.claim(tmp_path)
    assert re.search(r": process \d+ on .+, Slurm job 12 is at this; .+: scancel 12$", str(refused.value))


def test_many_at_once_hold_the_lock_one_after_the_other(tmp_path: Path) -> None:
    """Though each takes the lock and its folder along when it leaves."""
    script = """
import sys
from pathlib import Path
from ataka.files import claim
claim.PATIENCE = 60
for _ in range(40):
    with claim.claimed(Path("job/.resume/part")):
        inside = Path("inside")
        inside.touch(exist_ok=False)
        inside.unlink()
"""
    jobs = [
        subprocess.Popen(
            [sys.executable, "-c", script], cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(config.HOME)}
        )
        for _ in range(3)
    ]
    assert [job.wait(120) for job in jobs] == [0, 0, 0]
    assert not list((tmp_path / "job").iterdir())
