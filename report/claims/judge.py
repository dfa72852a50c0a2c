"""Measured cells to verdicts.

A contrast holds with a p-value, and is reversed with another. A claim's contrasts under one attack are a case, which
holds if all of them do (intersection-union: the largest p) and is reversed if any is (Bonferroni). The claim holds if
all its cases do, or most; it is reversed if so many are reversed that the others can't be enough (partial conjunction,
Benjamini and Heller 2008). Its p-value is the smaller of the two, doubled where both can be wrong at once: a difference
of 0 neither holds nor is reversed, whereas one is always within a margin or beyond it. Holm's correction is over the
claims of a table that are measured. Then a claim is supported, contradicted, or inconclusive.
"""

import functools
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from ataka.errors import UserError
from ataka.study import Study
from report import evidence
from report.claims.sentences import Claim, Contrast, Sentence
from report.claims.sentences import sources as sources_of
from report.problems import Problems
from report.sources import Source
from report.statistics import ALPHA, POWER, Paired, PairedBits, PairedT, at_least, holm

Word = Literal["supported", "contradicted", "inconclusive", "not measured"]
Evidence = Mapping[Source, Any]


@dataclass(frozen=True)
class Outcome:
    """A contrast and its sample of ``n`` images and ``seeds`` seeds."""

    sentence: Sentence
    contrast: Contrast
    sample: Paired
    n: int
    seeds: int

    @cached_property
    def p_holds(self) -> float:
        """Evidence that it is as the sentence says."""
        margin, sample = self.sentence.margin, self.sample
        if self.sentence.kind == "equivalence":  # two one-sided tests
            return max(sample.p_above(-margin), sample.p_below(margin))
        return sample.p_above(-margin)

    @cached_property
    def p_reversed(self) -> float:
        """Evidence that it is the other way round."""
        margin, sample = self.sentence.margin, self.sample
        if self.sentence.kind == "equivalence":
            return min(1.0, 2 * min(sample.p_above(margin), sample.p_below(-margin)))
        return sample.p_below(-margin)

    def needed_to_hold(self, level: float) -> float:
        """So many units would show that it holds; inf where it doesn't as measured."""
        margin, estimate, sample = self.sentence.margin, self.sample.estimate, self.sample
        if self.sentence.kind == "equivalence":  # both have to succeed
            each = 1 - (1 - POWER) / 2
            inside = abs(estimate) < margin
            return max(sample.needed(bound, level, each) for bound in (-margin, margin)) if inside else math.inf
        return sample.needed(-margin, level) if estimate > -margin else math.inf

    def needed_to_reverse(self, level: float) -> float:
        """So many units would show that it is the other way round; inf where it isn't as measured."""
        margin, estimate, sample = self.sentence.margin, self.sample.estimate, self.sample
        if self.sentence.kind == "equivalence":
            outside = abs(estimate) > margin
            return sample.needed(math.copysign(margin, estimate), level / 2) if outside else math.inf
        return sample.needed(-margin, level) if estimate < -margin else math.inf


@dataclass(frozen=True)
class Measured:
    """A claim's contrasts, tested."""

    claim: Claim
    cases: list[list[Outcome]]

    @property
    def two_sided(self) -> bool:
        """Whether both directions are tested: a sentence without a margin doesn't favour one."""
        return self.claim.sentence.margin == 0

    @cached_property
    def p_holds(self) -> float:
        """Evidence that enough cases hold."""
        return at_least(self.claim.required, [self._holds(case) for case in self.cases])

    @cached_property
    def p_reversed(self) -> float:
        """Evidence that so many cases are reversed that too few can hold."""
        return at_least(self._enough_reversed, [self._reversed(case) for case in self.cases])

    @property
    def comparisons(self) -> int:
        """The number of contrasts in all cases."""
        return sum(map(len, self.cases))

    @property
    def p(self) -> float:
        """The p-value of the claim, not corrected for other claims."""
        return min(1.0, (2 if self.two_sided else 1) * min(self.p_holds, self.p_reversed))

    @property
    def leaning(self) -> Word:
        """The verdict for which the evidence is stronger, significant or not."""
        return "supported" if self.p_holds < self.p_reversed else "contradicted"

    def decisive(self, word: Word) -> Outcome:
        """The contrast whose p-value is the claim's: the most reversed, or the weakest of those that have to hold."""
        if word == "contradicted":
            case = sorted(self.cases, key=self._reversed)[self._enough_reversed - 1]
            return min(case, key=lambda one: (one.p_reversed, one.sample.estimate))
        case = sorted(self.cases, key=self._holds)[self.claim.required - 1]
        return max(case, key=lambda one: (one.p_holds, -one.sample.estimate))

    def needed(self, family: int) -> float:
        """So many units would settle it either way, at Bonferroni's level in a family of so many claims."""
        level = ALPHA / family / (2 if self.two_sided else 1)
        required, reversals = self.claim.required, self._enough_reversed
        each = level / (len(self.cases) - required + 1)
        hold = sorted(max(outcome.needed_to_hold(each) for outcome in case) for case in self.cases)
        each = level / (len(self.cases) - reversals + 1)
        reverse = sorted(min(outcome.needed_to_reverse(each / len(case)) for outcome in case) for case in self.cases)
        return min(hold[required - 1], reverse[reversals - 1])

    @property
    def _enough_reversed(self) -> int:
        """With so many cases reversed the others are too few."""
        return len(self.cases) - self.claim.required + 1

    @staticmethod
    def _holds(case: Sequence[Outcome]) -> float:
        return max(outcome.p_holds for outcome in case)

    @staticmethod
    def _reversed(case: Sequence[Outcome]) -> float:
        return min(1.0, len(case) * min(outcome.p_reversed for outcome in case))


@dataclass(frozen=True)
class Judged:
    """A claim that is measured, among ``family`` of its table."""

    measured: Measured
    p_holm: float
    family: int

    @property
    def claim(self) -> Claim:
        """The claim that is judged."""
        return self.measured.claim

    @property
    def word(self) -> Word:
        """The verdict at the corrected level."""
        return self.measured.leaning if self.p_holm < ALPHA else "inconclusive"

    @property
    def decisive(self) -> Outcome:
        """The contrast whose p-value is the claim's."""
        return self.measured.decisive(self.word)

    @cached_property
    def needed(self) -> float | None:
        """Units, seeds or images, that would settle it; None where it is settled."""
        if self.word != "inconclusive":
            return None
        return max(self.measured.needed(self.family), self.decisive.sample.size + 1)


@dataclass(frozen=True)
class NotMeasured:
    """A claim of which this scale leaves something out, or that isn't measured yet."""

    claim: Claim
    why: str

    @property
    def word(self) -> Word:
        """The verdict of a claim whose cells are not there."""
        return "not measured"


Verdict = Judged | NotMeasured


def gather(study: Study, root: str, claims: Sequence[Claim], *, partial: bool = False) -> Evidence:
    """The checked evidence for the claims; UserError for a missing or stale file, unless ``partial`` leaves it out."""
    results: dict[Source, Any] = {}
    problems = Problems()
    for source in sources_of(study, list(claims)):
        load = functools.partial(evidence.load, study, root, source)
        loaded = problems.attempt(source.csv(root), load, needed=evidence.files(root, source))
        if loaded is not None:
            results[source] = loaded
    if not partial:
        problems.insist(study, f"{root}/claims.csv", "judge what there is: --partial")
    return results


def judge(study: Study, claims: Sequence[Claim], results: Evidence) -> list[Verdict]:
    """A verdict on each claim, in their order."""
    judged: dict[Claim, Judged] = {}
    families: dict[int, list[Measured]] = {}
    for claim in claims:
        if one := _measured(study, claim, results):
            families.setdefault(claim.sentence.table, []).append(one)
    for family in families.values():
        judged |= {one.claim: one for one in correct(family)}
    return [judged.get(claim) or NotMeasured(claim, _why(study, claim)) for claim in claims]


def correct(family: Sequence[Measured]) -> list[Judged]:
    """The claims of one table, by Holm's correction."""
    adjusted = holm([one.p for one in family])
    return [Judged(one, p, len(family)) for one, p in zip(family, adjusted, strict=True)]


def _why(study: Study, claim: Claim) -> str:
    left_out = claim.left_out(study)
    return f"this scale leaves out {', '.join(left_out)}" if left_out else "not measured yet"


def _measured(study: Study, claim: Claim, results: Evidence) -> Measured | None:
    sources = claim.sources(study)
    if not sources or not all(source in results for source in sources):
        return None
    sample = _particles if claim.sentence.network is not None else _accuracies
    return Measured(claim, [[sample(study, claim, contrast, results) for contrast in case] for case in claim.cases])


def _accuracies(study: Study, claim: Claim, contrast: Contrast, results: Evidence) -> Outcome:
    def weigh(cells: Sequence[Source]) -> Any:
        bits = [results[cell] for cell in cells]
        if len({len(bit) for bit in bits}) > 1:
            raise UserError(f"{claim.id}: its cells under {contrast.under} are over different images")
        return 100 * sum(weight * one for (_, weight), one in zip(contrast.weights, bits, strict=True))

    seeds = [weigh(cells) for cells in claim.samples(study, contrast)]
    return Outcome(claim.sentence, contrast, paired(seeds, contrast), len(seeds[0]), len(seeds))


def paired(seeds: Sequence[Any], contrast: Contrast) -> Paired:
    """The sample of a contrast from what each image adds to it, seed by seed."""
    from numpy import array

    if len(seeds) > 1:
        return PairedT(array([seed.mean() for seed in seeds]))
    return PairedBits(seeds[0], contrast.reach, pair=len(contrast.weights) == 2)


def _particles(study: Study, claim: Claim, contrast: Contrast, results: Evidence) -> Outcome:
    (sources,) = claim.samples(study, contrast)
    values = [results[source][contrast.under] for source in sources]
    differences = sum(weight * one for (_, weight), one in zip(contrast.weights, values, strict=True))
    return Outcome(claim.sentence, contrast, PairedT(differences, continuous=True), len(differences), 1)
