"""What Snakemake's start loads: no torch, once the facts that settings need of the methods are kept."""

import re
from pathlib import Path

import pytest

from tests.workflow.driver import Checkout

TARGETS = ("results/table2.tex", "results/pocket/all", "results/demo/all", "results/smoke/all")


def test_a_dry_run_of_every_scale_imports_no_torch(
    fresh: Checkout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkout = fresh.copy(tmp_path / "study")
    (checkout.folder / "results").mkdir(exist_ok=True)
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")
    answers = [checkout.snakemake("-n", *TARGETS) for _ in range(2)]
    assert [len(re.findall(r"\| +torch$", answer.text, re.MULTILINE)) for answer in answers] == [1, 0]
    assert all(
        answer.code == 0 and re.search(r"\| +ataka\.study\.plugins$", answer.text, re.MULTILINE) for answer in answers
    )
    assert len(answers[0].jobs) == len(answers[1].jobs) > 700
