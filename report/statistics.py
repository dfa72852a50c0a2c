"""Several seeds to one number. (Comparisons of methods and verdicts on claims will have their place here.)"""

from collections.abc import Sequence
from statistics import fmean, stdev
from typing import NamedTuple


class Summary(NamedTuple):
    """Mean and, from two seeds on, sample standard deviation (n - 1 in the denominator)."""

    mean: float
    spread: float | None
    seeds: int


def summarise(values: Sequence[float]) -> Summary | None:
    """The summary of one accuracy per seed; None of no values."""
    if not values:
        return None
    return Summary(fmean(values), stdev(values) if len(values) > 1 else None, len(values))
