"""Is a cell's row what its numbers make, whoever reads it?"""

from typing import Any

import numpy
import pytest
from scipy import stats

from ataka.errors import UserError
from ataka.files import cells
from ataka.files.records import seal


def about(**changes: Any) -> dict[str, Any]:
    text = {name: "x" for name in cells.COLUMNS if name not in ("n", "correct", "accuracy", "ci_low", "ci_high")}
    cost = {"seconds": 1.5, "cpu_seconds": 1.4, "memory_mb": 300.5, "gpu_memory_mb": None}
    return text | {"seed": 0, "threads": 1} | cost | changes


@pytest.mark.parametrize("correct", [0, 1, 7, 12])
def test_a_row_that_is_written_is_read_as_it_was(correct: int) -> None:
    row = cells.row(correct, 12, about(steps=None, loss_rise="0.03"))
    assert row["seal"] == seal(row)
    assert [*row][: len(cells.COLUMNS)] == cells.COLUMNS
    read = cells.parse([row], "here")
    assert (read.n, read.correct, read.accuracy) == (12, correct, pytest.approx(100 * correct / 12, abs=1e-4))
    assert (row["steps"], row["loss_rise"], row["accuracy"]) == ("", "0.03", f"{100 * correct / 12:.4f}")
    assert (read.memory_mb, read.gpu_memory_mb) == (300.5, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"accuracy": "50.0001"}, "accuracy is 50.0001, but 6 of 12 correct make 50.0000"),
        ({"ci_low": "nan"}, "ci_low is 'nan'"),
        ({"ci_high": "100"}, "ci_high is 100.0000, but"),
        ({"correct": "13"}, "13 of 12 images can't be correct"),
        ({"correct": "-1"}, "-1 of 12 images can't be correct"),
        ({"n": "0", "correct": "0"}, "0 of 0 images can't be correct"),
        ({"n": "many"}, "n is 'many'"),
        ({"seed": "0.5"}, "seed is '0.5'"),
        ({"threads": ""}, "threads is ''"),
        ({"memory_mb": "much"}, "memory_mb is 'much'"),
    ],
)
def test_a_row_that_does_not_add_up_is_refused_by_name(changes: dict[str, str], message: str) -> None:
    row = cells.row(6, 12, about())
    with pytest.raises(UserError) as caught:
        cells.parse([row | changes], "here")
    assert f"here doesn't add up: {message}" in str(caught.value)
    assert str(caught.value).endswith("(was it edited?); delete it and run again")
    with pytest.raises(UserError, match="here has 2 rows, a cell has one"):
        cells.parse([row, row], "here")


@pytest.mark.parametrize(("correct", "n"), [(0, 1), (0, 360), (1, 3), (12, 12), (37, 360), (9_999, 10_000)])
def test_wilsons_interval_is_scipys(correct: int, n: int) -> None:
    theirs = stats.binomtest(correct, n).proportion_ci(0.95, method="wilson")
    assert cells.wilson(correct, n) == pytest.approx((100 * theirs.low, 100 * theirs.high), abs=1e-9)


@pytest.mark.parametrize("accuracy", [0.1, 0.5, 0.86])
def test_wilsons_interval_covers(accuracy: float) -> None:
    n = 200
    intervals = (cells.wilson(correct, n) for correct in range(n + 1))
    covered = [low <= 100 * accuracy <= high for low, high in intervals]
    assert stats.binom.pmf(numpy.arange(n + 1), n, accuracy) @ covered == pytest.approx(0.95, abs=0.02)
