"""A cell over several jobs of the real Snakemake: is it the cell that one job makes, and is nothing made twice?"""

from pathlib import Path

import pytest

from tests.workflow.driver import ARCH, Answer, Checkout, cell
from tests.workflow.test_table import OF_A_MOMENT, rows

CELL = cell("natural", "aa")
SHARDS = [CELL.replace(".csv", f".{index}of3.safetensors") for index in (1, 2, 3)]
CHUNKS = 'attacks={"aa": {"chunk": 4}}'
"""Four of them, of the smoke scale's 16 images."""
THREE = 'shards={"aa": 3}'
EVALUATE = f"evaluate {ARCH} natural seed 0 under aa"


def sharing(*indices: int) -> list[str]:
    return sorted(f"shard {index}of3 of {ARCH} natural seed 0 under aa" for index in indices)


def told(checkout: Checkout) -> tuple[list[dict[str, str]], bytes]:
    """What the cell and its bits say, but for what is of the moment."""
    path = checkout.folder / CELL
    said = [{name: text for name, text in row.items() if name not in OF_A_MOMENT} for row in rows(path)]
    return said, path.with_suffix(".bits.npy").read_bytes()


def left(checkout: Checkout) -> list[Path]:
    return sorted((checkout.folder / CELL).parent.glob("*.safetensors"))


@pytest.fixture(scope="module")
def by_one_job(fresh: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """A checkout with the cell as one job makes it. Only dry runs may use it."""
    checkout = fresh.copy(tmp_path_factory.mktemp("one") / "study")
    answer = checkout.snakemake(CELL, "--config", CHUNKS)
    assert answer.code == 0, answer.text
    return checkout


@pytest.fixture(scope="module")
def by_three(by_one_job: Checkout, tmp_path_factory: pytest.TempPathFactory) -> tuple[Checkout, Answer, Answer]:
    """One with the cell from three shards, of which one was lost before; both starts."""
    checkout = by_one_job.copy(tmp_path_factory.mktemp("three") / "study")
    for path in (checkout.folder / CELL, (checkout.folder / CELL).with_suffix(".bits.npy")):
        path.unlink()
    first = checkout.snakemake(*SHARDS, "--config", CHUNKS, THREE)
    (checkout.folder / SHARDS[1]).unlink()
    return checkout, first, checkout.snakemake(CELL, "--config", CHUNKS, THREE)


def test_a_cell_from_shards_is_that_of_one_job_but_for_its_time(
    by_one_job: Checkout, by_three: tuple[Checkout, Answer, Answer]
) -> None:
    checkout, first, then = by_three
    assert (first.code, then.code) == (0, 0), first.text + then.text
    assert told(checkout) == told(by_one_job)


def test_a_lost_shard_is_made_again_alone_and_none_stays(by_three: tuple[Checkout, Answer, Answer]) -> None:
    checkout, first, then = by_three
    assert sorted(first.jobs) == sharing(1, 2, 3)
    assert sorted(then.jobs) == sorted([EVALUATE, *sharing(2)])
    assert not left(checkout)
    assert "put back" not in then.text


def test_the_number_of_shards_makes_no_cell_again(
    by_one_job: Checkout, by_three: tuple[Checkout, Answer, Answer]
) -> None:
    for checkout, shards in ((by_one_job, THREE), (by_three[0], 'shards={"aa": 2}')):
        answer = checkout.snakemake("-n", CELL, "--config", CHUNKS, shards)
        assert answer.idle, answer.text


def test_shards_of_other_settings_are_made_again(by_three: tuple[Checkout, Answer, Answer], tmp_path: Path) -> None:
    checkout = by_three[0].copy(tmp_path / "study")
    assert checkout.snakemake(*SHARDS, "--config", CHUNKS, THREE).code == 0
    answer = checkout.snakemake(CELL, "--config", 'attacks={"aa": {"chunk": 4, "queries": 10}}', THREE)
    assert answer.code == 0, answer.text
    assert sorted(answer.jobs) == sorted([EVALUATE, *sharing(1, 2, 3)])
    assert told(checkout)[0][0]["queries"] == "10"
    assert "put back" not in answer.text
    assert not left(checkout)
    assert not (checkout.folder / "results/smoke/.before").exists()
