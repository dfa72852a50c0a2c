"""A job is to make something again and fails: is what was there before still there, and nothing else than that?"""

import json
import os
import signal
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.workflow.driver import TABLE, Answer, Checkout, ask_all, cell

ROOT = "results/smoke"
RUNS = f"{ROOT}/runs/digits/resnet10-w8"
NATURAL, PGD = f"{RUNS}/natural/seed0/model.safetensors", cell("natural", "pgd")
SLOW = ("--config", 'setups={"natural": {"epochs": 5000, "milestones": []}}')
STUDENT = f"{RUNS}/s-at-aka/seed0/model.safetensors"
HOT = (
    *("--config", 'setups={"hot": {"like": "table2", "learning_rate": 1e30}}'),
    'methods={"s-at-aka": {"setup": "hot"}}',
)

State = dict[str, tuple[bytes, int]]
"""Bytes and time of every file of a results folder."""


def state(checkout: Checkout) -> State:
    root = checkout.folder / ROOT
    files = [path for path in root.rglob("*") if path.is_file()]
    return {
        str(path.relative_to(checkout.folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in files
        if path.relative_to(root).parts[0] != "logs"
    }


def diverge(setup: str) -> tuple[str, str]:
    return "--config", f"setups={json.dumps({setup: {'learning_rate': 1e30}})}"


@dataclass
class Damage:
    """What is done to ``file`` (nothing, or one byte of it), what Snakemake is then asked, and what it answers."""

    asked: tuple[str, ...]
    said: str
    file: str = ""
    made: str | tuple[str, ...] = "never"
    """Starts the paths of what is made before the job that fails."""


DAMAGE = {
    "a damaged model under a forced cell": Damage(("--force", PGD), "model.safetensors is damaged", NATURAL),
    "an edited choice": Damage(
        (TABLE,), "choice.json was changed after it was written", f"{RUNS}/s-at-aka/choice.json"
    ),
    "an edited cell": Damage((TABLE,), "was changed after it was written", PGD),
    "a training that diverges": Damage((TABLE, *diverge("natural")), "no longer finite"),
    "teachers that diverge": Damage((TABLE, *diverge("table2")), "no longer finite"),
    "candidates that all diverge": Damage(
        (STUDENT, *HOT), "no alpha can be chosen", made=(f"{RUNS}/s-at-aka/seed0/alpha", f"{RUNS}/s-at-aka/.resume/")
    ),
}


def spoil(path: Path) -> None:
    """Another digit, where one stands."""
    content = bytearray(path.read_bytes())
    place = next(index for index in range(len(content) * 2 // 3, len(content)) if chr(content[index]) in "12345678")
    content[place] += 1
    path.write_bytes(content)


@dataclass
class Failed:
    checkout: Checkout
    before: State
    after: State
    answer: Answer


@pytest.fixture(scope="module")
def failed(copy_of_built: Callable[[], Checkout]) -> dict[str, Failed]:
    cases = {name: (damage, copy_of_built()) for name, damage in DAMAGE.items()}
    before = {}
    for name, (damage, checkout) in cases.items():
        if damage.file:
            spoil(checkout.folder / damage.file)
        before[name] = state(checkout)
    answers = ask_all(
        {name: lambda case=case: case[1].snakemake(*case[0].asked, timeout=600) for name, case in cases.items()}
    )
    return {name: Failed(case[1], before[name], state(case[1]), answers[name]) for name, case in cases.items()}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_job_that_fails_leaves_every_file_as_it_was(failed: dict[str, Failed], damage: str) -> None:
    case, asked = failed[damage], DAMAGE[damage]
    assert case.answer.code == 1, case.answer.text
    assert asked.said in case.answer.text, case.answer.text
    assert "put back as it was before: results/smoke/" in case.answer.text
    changed = {path for path in {*case.before, *case.after} if case.before.get(path) != case.after.get(path)}
    assert all(path.startswith(asked.made) for path in changed), changed


@pytest.mark.parametrize("damage", [name for name, one in DAMAGE.items() if not one.file and one.made == "never"])
def test_what_was_put_back_counts_under_the_settings_that_it_was_made_under(
    failed: dict[str, Failed], damage: str
) -> None:
    checkout = failed[damage].checkout
    assert checkout.snakemake("-n", TABLE).idle
    assert checkout.snakemake("-n", *DAMAGE[damage].asked).jobs
    verified = checkout.run("ataka", "verify", ROOT)
    assert verified.code == 0, verified.text


# ---- an interrupt, and the death of Snakemake itself


@dataclass
class Stopped:
    checkout: Checkout
    before: State
    after: State
    text: str


def stop(checkout: Checkout, log: Path, number: signal.Signals) -> Stopped:
    """Train for long what is there already, and stop that when it is under way."""
    before = state(checkout)
    process = checkout.start(NATURAL, *SLOW, log=log)
    try:
        began = time.monotonic()
        while " images/s" not in (said := log.read_text(encoding="utf-8")):
            assert time.monotonic() - began < 120, said
            time.sleep(0.1)
        os.killpg(process.pid, number)
        process.wait(timeout=60)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
    return Stopped(checkout, before, state(checkout), log.read_text(encoding="utf-8"))


def test_an_interrupt_puts_back_what_was_there(copy_of_built: Callable[[], Checkout], tmp_path: Path) -> None:
    stopped = stop(copy_of_built(), tmp_path / "terminal", signal.SIGINT)
    assert f"put back as it was before: {NATURAL} and 2 more" in stopped.text
    assert {path for path in stopped.after if "/.resume/" not in path} == {*stopped.before}
    assert all(stopped.after[path] == content for path, content in stopped.before.items())
    assert stopped.checkout.snakemake("-n", TABLE).idle


@pytest.fixture(scope="module")
def killed(copy_of_built: Callable[[], Checkout], tmp_path_factory: pytest.TempPathFactory) -> Stopped:
    """Snakemake and its jobs were killed."""
    return stop(copy_of_built(), tmp_path_factory.mktemp("killed") / "terminal", signal.SIGKILL)


def contents(files: State) -> dict[str, bytes]:
    return {path: content for path, (content, _) in files.items() if "/.resume/" not in path}


def test_what_a_killed_snakemake_had_kept_is_put_back_by_the_next_and_made_again(killed: Stopped) -> None:
    aside = {path.replace("/.before/", "/"): found for path, found in killed.after.items() if "/.before/" in path}
    assert {Path(path).name for path in aside} == {"model.safetensors", "history.csv", "run.json"}
    assert {path: killed.before[path] for path in aside} == aside
    assert NATURAL not in killed.after
    answer = killed.checkout.snakemake("--unlock", NATURAL)
    assert answer.code == 0, answer.text
    assert "put back as it was before: results/smoke/runs/" in answer.text
    for _ in range(2):  # a failure more or less
        assert contents(state(killed.checkout)) == contents(killed.before)
        assert killed.checkout.snakemake(NATURAL, *diverge("natural")).code == 1
    answer = killed.checkout.snakemake(NATURAL)
    assert answer.jobs == ["train digits resnet10-w8 natural seed 0"]
    again, before = contents(state(killed.checkout)), contents(killed.before)
    assert again.keys() == before.keys()
    record = str(Path(NATURAL).with_name("run.json"))  # tells when
    assert {path for path in before if again[path] != before[path]} == {record}
