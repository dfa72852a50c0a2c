"""Statistics: means, intervals, paired tests and the power of either, Holm. Every test is scipy's or statsmodels'.

Two methods are compared on the same test images. From two seeds on the sample is one difference a seed, and the test a
paired t; it speaks of the methods. With one seed the sample is the images, and the test McNemar's, exact; it speaks of
the two networks alone. A trend over several methods is tested by their slope, seed by seed by the paired t, or image by
image by a Wald statistic.
"""

import math
from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import fmean, stdev
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray

Floats = NDArray[numpy.float64]
ALPHA = 0.05
"""The level of every verdict, over all claims of a table."""
POWER = 0.8
"""The power that a study must have to settle a claim."""
_MOST = 10**7
"""More units than anyone will measure."""

# scipy and statsmodels take seconds to load: each is imported by the function that needs it.


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


def holm(p: Sequence[float]) -> list[float]:
    """The p-values of a family, adjusted so that each may be compared with the family's level."""
    from statsmodels.stats.multitest import multipletests

    return [float(value) for value in multipletests(p, method="holm")[1]] if p else []


def at_least(r: int, p: Sequence[float]) -> float:
    """The p-value that at least ``r`` of some alternatives are true (Benjamini and Heller 2008).

    Of all it is the largest p (the intersection-union test), of one the smallest times their number (Bonferroni).
    """
    return min(1.0, (len(p) - r + 1) * sorted(p)[r - 1])


def mcnemar(gained: int, lost: int) -> float:
    """The exact test, one-sided: of at least ``gained`` among the discordant images, were either way as likely."""
    from scipy.stats import binomtest

    return float(binomtest(gained, gained + lost, alternative="greater").pvalue) if gained + lost else 1.0


class Paired(ABC):
    """A sample of paired differences, whose mean is compared with a bound."""

    @property
    @abstractmethod
    def estimate(self) -> float:
        """The mean difference."""

    @property
    @abstractmethod
    def size(self) -> int:
        """The number of units, seeds or images."""

    @abstractmethod
    def p_above(self, bound: float = 0.0) -> float:
        """The one-sided p-value of the evidence that the mean is above ``bound``."""

    @abstractmethod
    def p_below(self, bound: float = 0.0) -> float:
        """The one-sided p-value of the evidence that the mean is below ``bound``."""

    @abstractmethod
    def interval(self, confidence: float) -> tuple[float, float]:
        """The mean's confidence interval."""

    @abstractmethod
    def needed(self, bound: float, level: float, power: float = POWER) -> float:
        """The number of units that would tell the mean from ``bound`` at the one-sided ``level``, were it as estimated.

        inf where no number is enough, since the estimate equals the bound.
        """


@dataclass(frozen=True)
class PairedT(Paired):
    """Differences over seeds, or of a measurement over images: the paired t test.

    Accuracies are counts: differences that are all the same have no spread to test against, and p is 1. Of a
    ``continuous`` measurement that is all the same the sign test says how sure that is: (1/2)^n for n on one side.
    """

    differences: Floats
    continuous: bool = False

    @property
    def estimate(self) -> float:
        return float(self.differences.mean())

    @property
    def size(self) -> int:
        return len(self.differences)

    @property
    def without_spread(self) -> bool:
        """Whether all differences are equal, up to rounding."""
        return float(numpy.ptp(self.differences)) <= 1e-9 * float(numpy.abs(self.differences).max())

    def p_above(self, bound: float = 0.0) -> float:
        return self._p(bound, "greater", self.estimate > bound)

    def p_below(self, bound: float = 0.0) -> float:
        return self._p(bound, "less", self.estimate < bound)

    def interval(self, confidence: float) -> tuple[float, float]:
        if self.without_spread:
            return (self.estimate, self.estimate) if self.continuous else (-math.inf, math.inf)
        low, high = self._test(0.0, "two-sided").confidence_interval(confidence)
        return float(low), float(high)

    def needed(self, bound: float, level: float, power: float = POWER) -> float:
        from statsmodels.stats.power import TTestPower

        distance = abs(self.estimate - bound)
        if self.without_spread and not self.continuous:
            return self.size + 1  # nothing is known yet of the spread
        if distance == 0 or self.without_spread:
            return math.inf if distance == 0 else math.ceil(math.log2(1 / level))
        effect, power_of = distance / float(self.differences.std(ddof=1)), TTestPower().power
        return _fewest(lambda n: float(power_of(effect, n, level, alternative="larger")) >= power)

    def _p(self, bound: float, alternative: str, on_that_side: bool) -> float:
        if self.without_spread:
            return 0.5**self.size if self.continuous and on_that_side else 1.0
        return float(self._test(bound, alternative).pvalue)

    def _test(self, bound: float, alternative: str) -> Any:
        from scipy.stats import ttest_1samp

        return ttest_1samp(self.differences, bound, alternative=alternative)


@dataclass(frozen=True)
class PairedBits(Paired):
    """A comparison of networks on every image; ``contrasts``: each image's share of the difference, in points.

    A ``pair`` of networks against 0: McNemar's exact test; no discordant image, no difference. Against another
    bound, of several networks, and for the interval: the Wald statistic of the mean with one more image at each
    extreme, ``reach`` points up and down. For a pair that is nearly Bonett and Price's, whose variance is divided by
    n + 2, this one by n + 1: the interval is wider by the square root of (n + 2) / (n + 1).
    """

    contrasts: Floats
    reach: float
    pair: bool = True

    @property
    def estimate(self) -> float:
        return float(self.contrasts.mean())

    @property
    def size(self) -> int:
        return len(self.contrasts)

    @property
    def discordant(self) -> tuple[int, int]:
        """Images that speak for the difference, and against it."""
        return int((self.contrasts > 0).sum()), int((self.contrasts < 0).sum())

    def p_above(self, bound: float = 0.0) -> float:
        return self._mcnemar("greater") if self._is_exact(bound) else self._wald(bound, "larger")

    def p_below(self, bound: float = 0.0) -> float:
        return self._mcnemar("less") if self._is_exact(bound) else self._wald(bound, "smaller")

    def interval(self, confidence: float) -> tuple[float, float]:
        low, high = self._adjusted().zconfint_mean(1 - confidence)
        return max(float(low), -self.reach), min(float(high), self.reach)

    def needed(self, bound: float, level: float, power: float = POWER) -> float:
        """The number of images needed at the observed rate of discordant images (Connor 1987)."""
        from statsmodels.stats.power import normal_sample_size_one_tail

        if self._is_exact(bound):
            up, down = (count / self.size for count in self.discordant)
            distance, as_seen = abs(up - down), up + down - (up - down) ** 2
            spreads = math.sqrt(up + down), math.sqrt(max(as_seen, 0.0))
        else:
            distance = abs(self.estimate - bound)
            spreads = (float(self._adjusted().std),) * 2
        if distance == 0:
            return math.inf
        return float(math.ceil(normal_sample_size_one_tail(distance, power, level, *spreads)))

    def _is_exact(self, bound: float) -> bool:
        return self.pair and bound == 0

    def _mcnemar(self, alternative: str) -> float:
        up, down = self.discordant
        return mcnemar(up, down) if alternative == "greater" else mcnemar(down, up)

    def _wald(self, bound: float, alternative: str) -> float:
        return float(self._adjusted().ztest_mean(bound, alternative=alternative)[1])

    def _adjusted(self) -> Any:
        from statsmodels.stats.weightstats import DescrStatsW

        values, counts = numpy.unique(self.contrasts, return_counts=True)
        return DescrStatsW([*values, -self.reach, self.reach], weights=[*counts, 1, 1])


def _fewest(enough: Callable[[int], bool]) -> float:
    """The smallest number from two on that is enough, where more are enough too."""
    low, high = 1, 2
    while not enough(high):
        low, high = high, 2 * high
        if low > _MOST:
            return high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high
