"""The criterion of catastrophic overfitting, on counts of images that withstood a PGD as each epoch ended.

Adversarial training may lose, within an epoch or two, the robustness that the network had, while its clean accuracy
stays: it has learnt to fool its own attack (Wong, Rice and Kolter, "Fast is better than free", 2020, section 5.4).
"""

from collections.abc import Sequence
from math import exp, lgamma, log

LEVEL = 1e-5
"""The level of both tests of ``lost``. With verdicts of pure noise, drawn anew in each epoch, at most 1 training in
300, of 300 epochs each, would be stopped (tests/training/test_probe.py); real verdicts vary less, as their images
and starts stay the same."""
RECENT = 5
"""Epochs back in which robustness may have been seen: a loss over more epochs is not sudden."""


def lost(past: Sequence[int], robust: int, clean: int, count: int, classes: int) -> int | None:
    """The number of epochs since the robustness was there that is lost now; None if none was lost.

    ``past``: how many of ``count`` images withstood PGD as each earlier epoch ended; ``robust`` do now, ``clean`` are
    right without it. Lost is what, in one of the RECENT epochs, was significantly above chance (binomial), of which at
    most a tenth is left, significantly less (McNemar, as if no image had withstood in both epochs: the most cautious
    that the counts allow), while as many images as withstood then are still right without an attack: a network that
    knows nothing any more has collapsed, and that is told by other means.
    """
    recent = past[-RECENT:]
    before = max(recent, default=0)
    if not 10 * robust <= before <= clean or before == 0:
        return None
    had = _tail(before, count, 1 / classes) <= LEVEL
    fell = _tail(before, before + robust, 1 / 2) <= LEVEL
    return 1 + recent[::-1].index(before) if had and fell else None


def _tail(least: int, count: int, chance: float) -> float:
    """P(X >= least), X binomial: scipy's sf(least - 1), whose import would cost every job a second."""
    ways = (lgamma(count + 1) - lgamma(hits + 1) - lgamma(count - hits + 1) for hits in range(least, count + 1))
    odds = (hits * log(chance) + (count - hits) * log(1 - chance) for hits in range(least, count + 1))
    return sum(map(exp, map(sum, zip(ways, odds, strict=True))))
