"""Does the command that a message tells make what was wrong, under the user's own settings?"""

import csv
import json
import shlex
from pathlib import Path

import pytest

from tests.workflow.driver import Answer, Checkout, cell

CELLS = [cell("natural", attack) for attack in ("clean", "pgd")]
SETTINGS = {"attacks": {"pgd": {"steps": 3}}, "seeds": [0], "setups": {"natural": {"epochs": 1, "milestones": []}}}
GIVEN = [f"{key}={json.dumps(value)}" for key, value in SETTINGS.items()]


@pytest.fixture(scope="module")
def told(fresh: Checkout, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, Answer]:
    """A study whose cells were edited, and what verify says of it."""
    checkout = fresh.copy(tmp_path_factory.mktemp("remedies") / "study")
    answer = checkout.snakemake(*CELLS, "--config", *GIVEN)
    assert answer.code == 0, answer.text
    for path in CELLS:
        file = checkout.folder / path
        file.write_text(file.read_text().replace("natural,0", "natural,1"))
    return checkout, checkout.run("ataka", "verify", "results/smoke", "--config", json.dumps(SETTINGS))


def test_one_command_mends_all_under_the_same_settings(told: tuple[Checkout, Answer]) -> None:
    checkout, answer = told
    assert answer.code == 2
    (line,) = [line for line in answer.text.splitlines() if line.startswith("make again: ")]
    name, *words = shlex.split(line.removeprefix("make again: "))
    assert name == "snakemake"
    mended = checkout.run("snakemake", *words)
    assert mended.code == 0, mended.text
    assert sorted(mended.jobs) == [
        f"evaluate digits resnet10-w8 natural seed 0 under {attack}" for attack in ("clean", "pgd")
    ]
    with Path(checkout.folder / CELLS[1]).open() as file:
        assert [row["steps"] for row in csv.DictReader(file)] == ["3"]
    again = checkout.run("ataka", "verify", "results/smoke", "--config", json.dumps(SETTINGS))
    assert again.code == 0, again.text
    assert checkout.snakemake("-n", *CELLS, "--config", *GIVEN).idle
