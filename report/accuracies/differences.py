"""Paired tests of a method's number against another method's: the method that a variant varies, or a table's reference.

``examine`` makes the tests as a table is collected: with one seed by McNemar's exact test on images' verdicts, which
speaks of these two networks, from two seeds on by a paired t over the seeds; two-sided, with Holm's correction over the
table's comparisons of one kind. The adjusted p-values stand in the rows of the method's cells, and a table's marks
follow from these.
"""

from collections import defaultdict
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy

from ataka.plan import Cell
from report.accuracies.measurements import Bits, Measurement
from report.grammar import counted
from report.layout import DIFFERS, DIFFERS_TOO
from report.statistics import ALPHA, PairedT, holm, mcnemar


@dataclass(frozen=True)
class Comparison:
    """One kind of comparison: its ``column`` in the rows of cells, its mark, and the words for the other method.

    ``other`` gives the method that a method is compared with, by their names; "" for none.
    """

    column: str
    mark: str
    words: str
    other: Callable[[str], str]


def varied(method: str) -> str:
    """The method that ``method`` is a variant of, by its name; "" of one that is none."""
    return method.rpartition(".")[0]


VARIED = Comparison("p_holm", DIFFERS, "the default", varied)


def against(reference: str, methods: Collection[str], words: str) -> Comparison:
    """Each of a table's ``methods`` against ``reference``, which ``words`` call so.

    A variant such as ``mtard.swa`` is compared with the reference's own variant ``.swa`` where the table has one.
    """

    def other(method: str) -> str:
        alike = f"{reference}.{method.rpartition('.')[2]}"
        chosen = alike if "." in method and alike in methods else reference
        return "" if method in (reference, chosen) else chosen

    return Comparison("p_reference", DIFFERS_TOO, words, other)


def examine(
    measurements: Sequence[Measurement], bits: Mapping[Cell, Bits], comparisons: Iterable[Comparison] = (VARIED,)
) -> list[Measurement]:
    """The same, with the p-values of each comparison that has both methods on the same images and seeds."""
    groups: dict[Cell, list[Cell]] = defaultdict(list)
    for measurement in measurements:
        groups[replace(measurement.cell, seed=0)].append(measurement.cell)
    examined = list(measurements)
    for comparison in comparisons:
        raw = {of: p for of, cells in groups.items() if (p := _p(cells, bits, comparison.other)) is not None}
        adjusted = dict(zip(raw, holm([*raw.values()]), strict=True))
        examined = [
            replace(measurement, fields=measurement.fields | _stated(measurement.cell, adjusted, comparison))
            for measurement in examined
        ]
    return examined


def _stated(cell: Cell, adjusted: Mapping[Cell, float], comparison: Comparison) -> dict[str, str]:
    of = replace(cell, seed=0)
    return {comparison.column: f"{adjusted[of]:.6f}" if of in adjusted else ""}


def _p(cells: Sequence[Cell], bits: Mapping[Cell, Bits], other_of: Callable[[str], str]) -> float | None:
    """Two-sided; None for a method without a counterpart image by image and seed by seed."""
    pairs = [(bits.get(cell), bits.get(replace(cell, method=other_of(cell.method)))) for cell in cells]
    known = [(mine, other) for mine, other in pairs if mine is not None and other is not None]
    if not known or len(known) < len(pairs) or any(len(mine) != len(other) for mine, other in known):
        return None
    if len(known) == 1:
        ((mine, other),) = known
        gained, lost = int((mine & ~other).sum()), int((other & ~mine).sum())
        return min(1.0, 2 * min(mcnemar(gained, lost), mcnemar(lost, gained)))
    sample = PairedT(numpy.array([100 * (mine.mean() - other.mean()) for mine, other in known]))
    return min(1.0, 2 * min(sample.p_above(), sample.p_below()))


class Differences:
    """The marks and the notes of one table on these differences."""

    def __init__(self, measurements: Sequence[Measurement], comparisons: Iterable[Comparison] = (VARIED,)) -> None:
        self._p = {
            comparison: {
                measurement.cell: float(text)
                for measurement in measurements
                if (text := measurement.fields.get(comparison.column))
            }
            for comparison in comparisons
        }
        self._seeds = len({measurement.cell.seed for measurement in measurements})

    def mark(self, cells: Iterable[Cell]) -> str:
        """The marks of a number that comes from ``cells``, of one method under one attack; "" for none."""
        cells = list(cells)
        return "".join(
            comparison.mark for comparison, p in self._p.items() if any(p.get(cell, 1.0) < ALPHA for cell in cells)
        )

    def notes(self) -> Iterator[str]:
        """A note for each mark, where anything was compared."""
        test = "paired t over seeds" if self._seeds > 1 else "exact McNemar: it speaks of these two networks"
        for comparison, by_cell in self._p.items():
            compared = {replace(cell, seed=0): p for cell, p in by_cell.items()}
            if compared:
                differ = sum(p < ALPHA for p in compared.values())
                made = counted(len(compared), "comparison")
                yield (
                    f"{comparison.mark}: differs from {comparison.words} at {ALPHA:.0%} ({test}; Holm's correction "
                    f"over {made}, of which {differ} {'differs' if differ == 1 else 'differ'})."
                )
