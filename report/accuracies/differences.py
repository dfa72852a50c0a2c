"""Tests of a variant's number against the number of the method that the variant varies, for tables of readings.

``examine`` tests this as the table is collected: with one seed by McNemar's exact test on images' verdicts, which
speaks of these two networks, from two seeds on by a paired t over the seeds; two-sided, with Holm's correction over the
table. The adjusted p-value stands in the rows of the variant's cells (``p_holm``), and a table's marks follow from it.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace

import numpy

from ataka.plan import Cell
from report.accuracies.measurements import Bits, Measurement
from report.layout import DIFFERS
from report.statistics import ALPHA, PairedT, holm, mcnemar


def varied(method: str) -> str:
    """The method that ``method`` is a variant of, by its name; "" of one that is none."""
    return method.rpartition(".")[0]


def examine(measurements: Sequence[Measurement], bits: Mapping[Cell, Bits]) -> list[Measurement]:
    """The same, with ``p_holm`` in the rows of each variant whose method was measured on the same images and seeds."""
    groups: dict[Cell, list[Measurement]] = defaultdict(list)
    for one in measurements:
        groups[replace(one.cell, seed=0)].append(one)
    raw = {of: p for of, cells in groups.items() if (p := _p([one.cell for one in cells], bits)) is not None}
    adjusted = dict(zip(raw, holm([*raw.values()]), strict=True))
    return [
        replace(one, fields=one.fields | {"p_holm": f"{adjusted[of]:.6f}" if of in adjusted else ""})
        for one in measurements
        for of in [replace(one.cell, seed=0)]
    ]


def _p(cells: Sequence[Cell], bits: Mapping[Cell, Bits]) -> float | None:
    """Two-sided; None for no variant, or one that has no counterpart image by image and seed by seed."""
    pairs = [(bits.get(cell), bits.get(replace(cell, method=varied(cell.method)))) for cell in cells]
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
    """The marks and the note of one table on these differences."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._p = {one.cell: float(text) for one in measurements if (text := one.fields.get("p_holm"))}
        self._seeds = len({one.cell.seed for one in measurements})

    def mark(self, cells: Iterable[Cell]) -> str:
        """The mark of a number that comes from ``cells``; "" for none."""
        return DIFFERS if any(self._p.get(cell, 1.0) < ALPHA for cell in cells) else ""

    def notes(self) -> Iterator[str]:
        """The note that explains the mark; none where nothing was compared."""
        compared = {replace(cell, seed=0): p for cell, p in self._p.items()}
        if compared:
            test = "paired t over seeds" if self._seeds > 1 else "exact McNemar: it speaks of these two networks"
            yield (
                f"{DIFFERS}: differs from the default at {ALPHA:.0%} ({test}; Holm's correction over "
                f"{len(compared)} comparisons, of which {sum(p < ALPHA for p in compared.values())} differ)."
            )
