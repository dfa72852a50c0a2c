"""What is called bitwise reproducible is: Table 2 with one job at a time and with two."""

from pathlib import Path

import pytest

from tests.workflow.driver import TABLE, Answer, Checkout
from tests.workflow.test_table import OF_A_MOMENT, rows

EXACT = ("*.safetensors", "*.bits.npy", "history.csv", "choice.json", "table2.choices.csv")
"""Files whose every byte is the same."""


@pytest.fixture(scope="module")
def another(fresh: Checkout, tmp_path_factory: pytest.TempPathFactory) -> Checkout:
    """The same table by another run of Snakemake, one job at a time."""
    checkout = fresh.copy(tmp_path_factory.mktemp("another") / "study")
    answer: Answer = checkout.run("snakemake", "--cores", "1", TABLE, timeout=900)
    assert answer.code == 0, answer.text
    return checkout


def files(checkout: Checkout, *patterns: str) -> dict[str, bytes]:
    root = checkout.folder / "results/smoke"
    found = [path for pattern in patterns for path in root.rglob(pattern) if ".resume" not in path.parts]
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in found}


def test_every_byte_that_should_be_equal_is(built: Checkout, another: Checkout) -> None:
    first, second = files(built, *EXACT), files(another, *EXACT)
    assert first.keys() == second.keys()
    assert len(first) > 90
    assert [name for name in first if first[name] != second[name]] == []


def test_cells_differ_in_the_moment_alone(built: Checkout, another: Checkout) -> None:
    def numbers(checkout: Checkout) -> dict[str, list[dict[str, str]]]:
        root: Path = checkout.folder / "results/smoke"
        return {
            path.relative_to(root).as_posix(): [
                {name: value for name, value in row.items() if name not in (*OF_A_MOMENT, "seal")} for row in rows(path)
            ]
            for path in root.joinpath("cells").rglob("*.csv")
        }

    assert numbers(built) == numbers(another)


def test_the_tables_say_the_same(built: Checkout, another: Checkout) -> None:
    def table(checkout: Checkout, kind: str) -> str:
        return (checkout.folder / TABLE).with_suffix(kind).read_text(encoding="utf-8")

    assert table(built, ".tex") == table(another, ".tex")
    assert table(built, ".md") == table(another, ".md")
