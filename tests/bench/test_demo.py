"""Does the demo ask for what it asked for when its speed was first measured, and is what it takes counted whole?"""

import csv
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy
import psutil
import pytest
import yaml

from bench import demo, page, timing
from tests.workflow.driver import HOME

ELSEWHERE = {"config/demo.yaml": {"about", "resources"}, "config/paper.yaml": {"about", "resources"}}
"""Parts that decide no work: sentences, and what jobs ask of a cluster."""
SINCE = {
    "config/paper.yaml: setups.table4.milestones",  # the authors' counting from 0; the demo has milestones of its own
    "config/methods.yaml: n-at-aka.easiest.options.naive",  # both are spelled by psi now
    "config/methods.yaml: p-at-aka.per-batch.options.weights_per",
}


def _before(path: str) -> Any:
    answer = subprocess.run(["git", "show", f"{demo.BEFORE}:{path}"], cwd=HOME, capture_output=True, text=True)
    if answer.returncode:
        pytest.skip(f"this clone has no commit {demo.BEFORE}")
    return yaml.safe_load(answer.stdout)


def _changed(before: Any, now: Any, where: str) -> Iterator[str]:
    """Where ``now`` lacks something of ``before``, or has another value."""
    if isinstance(before, dict) and isinstance(now, dict):
        for key in before:
            yield from _changed(before[key], now.get(key), f"{where}.{key}" if where else key)
    elif before != now:
        yield where


def test_the_demo_asks_for_the_images_epochs_and_steps_of_the_commit_that_it_is_compared_with() -> None:
    changes = set()
    for path in ("config/demo.yaml", "config/paper.yaml", "config/methods.yaml"):
        before, now = _before(path), yaml.safe_load((HOME / path).read_text())
        compared = {key: value for key, value in before.items() if key not in ELSEWHERE.get(path, ())}
        changes |= {f"{path}: {where}" for where in _changed(compared, now, "")}
    assert changes == SINCE


def test_a_changed_number_of_steps_would_be_seen() -> None:
    before = {"attacks": {"pgd": {"steps": 20, "step_size": 1}}, "epochs": 8}
    assert [*_changed(before, {"attacks": {"pgd": {"steps": 10, "step_size": 1, "more": 1}}}, "")] == [
        "attacks.pgd.steps",
        "epochs",
    ]


def test_the_processors_time_is_that_of_the_whole_tree() -> None:
    """Two processes below the first, each with half a second; the first waits."""
    burn = "import time; b = time.process_time()\nwhile time.process_time() - b < 0.5: pass\ntime.sleep(0.3)"
    code = (
        "import subprocess, sys\n"
        f"for process in [subprocess.Popen([sys.executable, '-c', {burn!r}]) for _ in 'ab']: process.wait()"
    )
    assert 0.9 < demo._watched(psutil.Popen([sys.executable, "-c", code])) < 3


def test_cells_are_compared_verdict_by_verdict(tmp_path: Path) -> None:
    for name, bits, accuracy in (("before", [1, 1, 0, 0], 50.0), ("now", [1, 0, 1, 0], 90.0)):
        cell = tmp_path / name / "cells/digits/net/sat/seed0/pgd.csv"
        cell.parent.mkdir(parents=True)
        cell.write_text(f"n,accuracy,ci_low,ci_high\n4,{accuracy},15,85\n")
        numpy.save(cell.with_suffix(".bits.npy"), numpy.packbits(numpy.array(bits, dtype=bool)))
    found = demo.compare(tmp_path / "before", tmp_path / "now")
    assert found == {"pgd": demo.Compared(cells=1, verdicts=4, apart=2, beyond=1)}
    (line,) = demo._differences("cells", found)
    assert line.note == "2 of 4 verdicts differ; cells outside the other's interval: 1"


def test_shares_are_those_of_the_first_and_stand_on_the_page(tmp_path: Path) -> None:
    took = {demo.BEFORE: demo.Took(600, 1200), "now": demo.Took(300, 480)}
    lines = [*demo.rows("five tables, round 1", took)]
    timing.write("demo", lines, tmp_path / "performance")
    page.write(tmp_path / "performance")
    assert "| now | 5.0 | 8.0 | 0.50, 0.40 of the CPU |  |" in (tmp_path / "performance.md").read_text()
    with (tmp_path / "performance/demo.csv").open(newline="") as file:
        assert [row["share"] for row in csv.DictReader(file)] == ["1.00", "0.50"]
