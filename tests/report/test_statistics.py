"""Intervals, paired tests and power, against scipy, statsmodels, hand computations and simulated studies."""

import math

import numpy
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.weightstats import ttost_paired

from report.statistics import ALPHA, Floats, PairedBits, PairedT, at_least, holm, summarise


@pytest.fixture
def draw() -> numpy.random.Generator:
    return numpy.random.default_rng(20240521)


def bits(up: int, down: int, same: int) -> PairedBits:
    """Two networks: so many images on which only the first is right, only the second, and neither or both."""
    return PairedBits(numpy.repeat([100.0, -100.0, 0.0], [up, down, same]), reach=100)


def seeds(mean: float, deviation: float, n: int) -> PairedT:
    """``n`` differences of exactly this mean and deviation."""
    spread = stats.norm.ppf((numpy.arange(n) + 0.5) / n)
    return PairedT(mean + deviation * spread / spread.std(ddof=1))


def two_sided(sample: PairedT | PairedBits) -> float:
    return min(1.0, 2 * min(sample.p_above(), sample.p_below()))


def test_a_summary_has_a_deviation_from_two_seeds_on() -> None:
    assert summarise([]) is None
    assert summarise([50.0]) == (50.0, None, 1)
    assert summarise([50.0, 52.0]) == (51.0, pytest.approx(math.sqrt(2)), 2)


# ---- exact and by hand


@pytest.mark.parametrize(("up", "down"), [(0, 1), (5, 0), (6, 0), (9, 2), (40, 60), (7, 7)])
def test_two_networks_are_compared_by_mcnemars_exact_test(up: int, down: int) -> None:
    sample = bits(up, down, 300)
    assert two_sided(sample) == pytest.approx(stats.binomtest(up, up + down).pvalue)
    assert two_sided(sample) == pytest.approx(mcnemar([[150, up], [down, 150]], exact=True).pvalue)
    assert sample.discordant == (up, down)
    assert sample.estimate == pytest.approx(100 * (up - down) / (300 + up + down))


def test_without_discordant_images_there_is_no_difference() -> None:
    sample = bits(0, 0, 360)
    assert (sample.p_above(), sample.p_below(), sample.estimate) == (1.0, 1.0, 0.0)
    assert sample.needed(0, 0.025) == math.inf
    low, high = sample.interval(0.95)
    assert -1 < low < 0 < high < 1
    assert bits(0, 0, 10).p_above(-1) > ALPHA  # ten images can't show a margin of one point


def test_seeds_are_compared_by_the_paired_t(draw: numpy.random.Generator) -> None:
    one, other = draw.normal(50, 1, (2, 5))
    sample = PairedT(one - other)
    assert two_sided(sample) == pytest.approx(stats.ttest_rel(one, other).pvalue)
    assert sample.p_above() == pytest.approx(stats.ttest_rel(one, other, alternative="greater").pvalue)
    assert sample.interval(0.95) == pytest.approx(stats.ttest_rel(one, other).confidence_interval(0.95))


def test_two_one_sided_tests_are_statsmodels_own(draw: numpy.random.Generator) -> None:
    one, other = draw.normal(50, 0.3, (2, 6))
    sample = PairedT(one - other)
    theirs = ttost_paired(one, other, -1, 1)[0]
    assert max(sample.p_above(-1), sample.p_below(1)) == pytest.approx(theirs)


def test_differences_of_counts_that_are_all_the_same_prove_nothing() -> None:
    sample = PairedT(numpy.array([6.25, 6.25]))
    assert (sample.p_above(), sample.p_below(), sample.p_below(9)) == (1.0, 1.0, 1.0)
    assert sample.interval(0.95) == (-math.inf, math.inf)
    assert sample.needed(0, 0.025) == 3


def test_measurements_that_are_all_the_same_are_the_same() -> None:
    sample = PairedT(numpy.zeros(100), continuous=True)
    assert (sample.p_above(), sample.p_below(), sample.p_above(-1), sample.p_below(1)) == (1.0, 1.0, 0.5**100, 0.5**100)
    assert sample.interval(0.95) == (0.0, 0.0)
    assert sample.needed(0, 0.025) == math.inf


@pytest.mark.parametrize("n", [4, 5, 6, 30])
def test_few_measurements_that_are_all_the_same_are_not_much(n: int) -> None:
    """The sign test: below a bound of 1 nat are n of n."""
    sample = PairedT(numpy.zeros(n), continuous=True)
    assert sample.p_below(1) == pytest.approx(stats.binomtest(n, n, alternative="greater").pvalue)
    assert (sample.p_below(1) < 0.025) == (n >= sample.needed(1, 0.025) == 6)


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []


def test_how_many_of_several_hold_by_hand() -> None:
    p = [0.2, 0.01, 0.03]
    assert at_least(3, p) == 0.2  # all: the weakest
    assert at_least(2, p) == pytest.approx(2 * 0.03)
    assert at_least(1, p) == pytest.approx(3 * 0.01)  # any: Bonferroni
    assert at_least(1, [0.9, 0.8]) == 1.0


# ---- intervals cover


def test_the_paired_ts_interval_covers(draw: numpy.random.Generator) -> None:
    samples = draw.normal(1.5, 0.8, (1500, 3))
    covered = [low <= 1.5 <= high for low, high in (PairedT(one).interval(0.95) for one in samples)]
    assert numpy.mean(covered) == pytest.approx(0.95, abs=0.02)


@pytest.mark.parametrize(("n", "up", "down"), [(32, 0.2, 0.1), (360, 0.03, 0.02), (360, 0.25, 0.1)])
def test_bonett_and_prices_interval_covers(draw: numpy.random.Generator, n: int, up: float, down: float) -> None:
    drawn, times = numpy.unique(draw.multinomial(n, [up, down, 1 - up - down], 2000), axis=0, return_counts=True)
    intervals = (bits(*one).interval(0.95) for one in drawn)
    covered = [low <= 100 * (up - down) <= high for low, high in intervals]
    assert times @ covered / times.sum() == pytest.approx(0.955, abs=0.02)


@pytest.mark.parametrize(("n", "up", "down"), [(32, 5, 2), (360, 60, 20), (10000, 300, 280)])
def test_the_interval_is_nearly_bonett_and_prices(n: int, up: int, down: int) -> None:
    """Their formula of 2012 by hand: the same centre, and half a width that is smaller by a known factor."""
    shares = numpy.array([up + 1, down + 1]) / (n + 2)
    centre, variance = shares[0] - shares[1], shares.sum() - (shares[0] - shares[1]) ** 2
    half = stats.norm.ppf(0.975) * math.sqrt(variance / (n + 2))
    low, high = bits(up, down, n - up - down).interval(0.95)
    assert (low + high) / 2 == pytest.approx(100 * centre)
    assert (high - low) / 2 == pytest.approx(100 * half * math.sqrt((n + 2) / (n + 1)))


def test_the_test_against_a_margin_keeps_its_level(draw: numpy.random.Generator) -> None:
    """At the margin's edge one network in twenty may be called no worse."""
    drawn, times = numpy.unique(draw.multinomial(1000, [0.04, 0.06, 0.9], 2000), axis=0, return_counts=True)
    called = [bits(*one).p_above(-2) < ALPHA for one in drawn]
    assert times @ called / times.sum() == pytest.approx(ALPHA, abs=0.02)


def test_the_slope_over_four_networks_keeps_its_level(draw: numpy.random.Generator) -> None:
    weights = numpy.array([-0.3, -0.1, 0.1, 0.3])
    slopes = (100 * (draw.random((800, 200, 4)) < 0.5)) @ weights
    p = [PairedBits(one, reach=40, pair=False).p_above() for one in slopes]
    assert numpy.mean(numpy.array(p) < ALPHA) == pytest.approx(ALPHA, abs=0.025)


# ---- power


def rejections(samples: Floats, bound: float, level: float) -> float:
    """How often differences over seeds, a row a study, are found to be above ``bound``."""
    return float((stats.ttest_1samp(samples, bound, axis=1, alternative="greater").pvalue < level).mean())


@pytest.mark.parametrize(("mean", "bound", "level"), [(2.0, 0.0, 0.025), (2.0, 0.0, 0.001), (0.4, -0.6, 0.05)])
def test_so_many_seeds_have_the_power(draw: numpy.random.Generator, mean: float, bound: float, level: float) -> None:
    needed = int(seeds(mean, 1.5, 4).needed(bound, level))
    assert rejections(draw.normal(mean, 1.5, (20_000, needed)), bound, level) == pytest.approx(0.8, abs=0.1)
    assert rejections(draw.normal(mean, 1.5, (20_000, needed)), bound, level) > 0.79
    assert rejections(draw.normal(mean, 1.5, (20_000, needed - 1)), bound, level) < 0.81


@pytest.mark.parametrize(("up", "down", "same"), [(30, 20, 350), (60, 20, 920), (12, 4, 9984)])
def test_so_many_images_have_the_power(draw: numpy.random.Generator, up: int, down: int, same: int) -> None:
    sample = bits(up, down, same)
    needed = int(sample.needed(0, 0.025))
    counts = draw.multinomial(needed, numpy.array([up, down, same]) / sample.size, 20_000)
    p = stats.binom.sf(counts[:, 0] - 1, counts[:, 0] + counts[:, 1], 0.5)
    assert (p < 0.025).mean() == pytest.approx(0.78, abs=0.04)  # the exact test is a little conservative


def same_but_over(n: int, sample: PairedT | PairedBits) -> PairedT | PairedBits:
    """What ``n`` seeds or images would say that are like those measured."""
    if isinstance(sample, PairedT):
        return seeds(sample.estimate, float(sample.differences.std(ddof=1)), n)
    up, down = (round(count * n / sample.size) for count in sample.discordant)
    return bits(up, down, n - up - down)


@pytest.mark.parametrize("sample", [seeds(1.0, 2.0, 5), bits(60, 40, 900)])
def test_the_boundary_is_where_the_calculation_says(sample: PairedT | PairedBits) -> None:
    """With the differences as measured, a power of a half is where the verdict turns."""
    needed = sample.needed(0, ALPHA / 2, power=0.5)
    fewer, more = math.floor(0.85 * needed), math.ceil(1.15 * needed)
    assert two_sided(same_but_over(fewer, sample)) > ALPHA > two_sided(same_but_over(more, sample))


def test_more_than_anyone_will_measure() -> None:
    assert seeds(1e-5, 1, 10).needed(0, 0.025) > 1e7
    assert seeds(0.0, 1, 10).needed(0, 0.025) > 1e7
