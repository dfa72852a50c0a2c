"""Do the paper's own printed numbers agree with its sentence? Arithmetic on what it printed; nothing is tested."""

from typing import NamedTuple

from report.claims.sentences import Claim, Contrast
from report.paper import published
from report.particles.particle_layout import STATISTICS

_ROUNDING = 1e-9


class Printed(NamedTuple):
    """The number of printed comparisons that agree with the sentence, and whether the sentence holds as read."""

    agreeing: int
    all: int
    holds: bool

    def __str__(self) -> str:
        return ("yes" if self.holds else "no") + ("" if self.agreeing == self.all else f" ({self.agreeing}/{self.all})")


def agreement(claim: Claim) -> Printed | None:
    """None where the paper doesn't print what the claim compares."""
    cases = [[_difference(claim, contrast) for contrast in case] for case in claim.cases]
    if any(difference is None for case in cases for difference in case):
        return None
    held = [[_holds(claim, difference or 0.0) for difference in case] for case in cases]
    flat = [outcome for case in held for outcome in case]
    return Printed(sum(flat), len(flat), sum(map(all, held)) >= claim.required)


def _holds(claim: Claim, difference: float) -> bool:
    margin, kind = claim.sentence.margin + _ROUNDING, claim.sentence.kind
    if kind == "equivalence":
        return abs(difference) <= margin
    return difference >= -margin if kind == "non-inferiority" else difference > _ROUNDING


def _difference(claim: Claim, contrast: Contrast) -> float | None:
    numbers = [(weight, _number(claim, name, contrast.under)) for name, weight in contrast.weights]
    known = [weight * number for weight, number in numbers if number is not None]
    return sum(known) if len(known) == len(numbers) else None


def _number(claim: Claim, method: str, under: str) -> float | None:
    if claim.sentence.network is not None:
        statistic = STATISTICS[under].published
        number = published.lookup(1, "cifar10", "unspecified", method, statistic) if statistic else None
    else:  # a row that stands in two tables has the same numbers in both
        rows = (published.lookup(table, claim.dataset, claim.arch, method, under) for table in (2, 3, 4, 5))
        number = next(filter(None, rows), None)
    return number.value if number else None
