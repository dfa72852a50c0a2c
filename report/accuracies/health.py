"""Health checks: signs of masked gradients, or of a failed attack, in the numbers of a table (docs/health.md).

``examine`` looks at cells and the bits beside them when a table is collected and notes in each cell's row which
``checks`` were made and which were raised (``health``); a table's marks are a function of these two.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ataka.plan import Cell, Run
from ataka.study import Study
from ataka.study.attacks import AttackEntry, Check
from ataka.study.fields import number
from report.accuracies.measurements import Bits, Measurement
from report.layout import LETTERS
from report.statistics import mcnemar

LEVEL = 0.01
"""The level of the one-sided exact McNemar test of an attack against a weaker attack."""
_ORDER = f"a weaker attack leaves significantly less (exact McNemar, one-sided, {LEVEL:.0%}, on the same images)"


def meanings(study: Study) -> dict[str, str]:
    """The words of each check for a number that raises the check: ``order``, then the checks of the study's attacks."""
    brought = (check for attack in study.attacks.values() if attack for check in attack.checks)
    return {"order": _ORDER} | {check.name: check.meaning for check in brought}


def examine(measurements: Sequence[Measurement], study: Study, bits: Mapping[Cell, Bits]) -> list[Measurement]:
    """The same, each row with ``checks`` and ``health``: the names of the checks made, and of those raised."""
    of_run: dict[Run, list[tuple[AttackEntry, Bits]]] = defaultdict(list)
    for cell, verdicts in bits.items():
        of_run[cell.run].append((study.attack(cell.attack), verdicts))
    examined = []
    for measurement in measurements:
        attack = study.attack(measurement.cell.attack)
        others = _comparable(attack, of_run[measurement.cell.run])
        made = dict(_ordered(attack, bits.get(measurement.cell), others))
        for check in attack.checks:
            quantity = _quantity(check, measurement, bits.get(measurement.cell), others)
            limit = _number(measurement, check.above) if isinstance(check.above, str) else check.above
            if quantity is not None and limit is not None:
                # written so that NaN raises it
                made[check.name] = not quantity <= limit and (check.at_zero or measurement.fields["correct"] != "0")
        columns = {"checks": ";".join(made), "health": ";".join(name for name, raised in made.items() if raised)}
        examined.append(replace(measurement, fields=measurement.fields | columns))
    return examined


def _comparable(attack: AttackEntry, measured: Iterable[tuple[AttackEntry, Bits]]) -> dict[str, Bits]:
    """By kind, the verdicts of the first attack that has no other budget than ``attack``."""
    by_kind: dict[str, Bits] = {}
    for other, verdicts in measured:
        if None in (attack.eps, other.eps) or number(str(attack.eps)) == number(str(other.eps)):
            by_kind.setdefault(other.kind, verdicts)
    return by_kind


def _ordered(attack: AttackEntry, verdicts: Bits | None, others: Mapping[str, Bits]) -> Iterator[tuple[str, bool]]:
    """Whether a weaker attack, the first in ``beats`` that was measured, leaves significantly fewer images right."""
    weaker = next((others[kind] for kind in attack.beats if kind in others), None)
    if weaker is not None and verdicts is not None:
        stronger, weaker = common(verdicts, weaker)
        yield "order", mcnemar(int((stronger & ~weaker).sum()), int((weaker & ~stronger).sum())) < LEVEL


def _quantity(
    check: Check, measurement: Measurement, verdicts: Bits | None, others: Mapping[str, Bits]
) -> float | None:
    """The number that a check compares with its limit; None where what it needs is not there."""
    if not check.against:
        return _number(measurement, check.quantity)
    if verdicts is None or check.against not in others:
        return None
    right, other = common(verdicts, others[check.against])
    alone = int((right & ~other).sum())
    return float(alone) if check.quantity == "images" else 100 * (int(right.sum()) - int(other.sum())) / len(right)


def _number(measurement: Measurement, column: str) -> float | None:
    """A column of a cell; None where the cell has none, or states nothing there."""
    return float(measurement.fields[column]) if measurement.fields.get(column) else None


def common(one: Bits, other: Bits) -> tuple[Bits, Bits]:
    """The verdicts on the images of both: each attack takes the first so many."""
    count = min(len(one), len(other))
    return one[:count], other[:count]


# ---- what is printed


class Checks(NamedTuple):
    """The names of health checks, each as often as it was ``made`` or ``raised``."""

    made: list[str]
    raised: list[str]

    @property
    def outcome(self) -> str:
        """``3 raised of 60`` or ``none raised of 60``; ``none could be made`` where nothing was checked."""
        if not self.made:
            return "none could be made"
        return f"{format(len(self.raised), ',') if self.raised else 'none'} raised of {len(self.made):,}"


def checks(rows: Iterable[Mapping[str, str]]) -> Checks:
    """The checks that ``examine`` noted in the rows of cells."""
    made, raised = [], []
    for row in rows:
        made += _names(row, "checks")
        raised += _names(row, "health")
    return Checks(made, raised)


def _names(row: Mapping[str, str], column: str) -> list[str]:
    return list(filter(None, row.get(column, "").split(";")))


class Marks:
    """The marks of one table: a letter for each check that some number of it raises."""

    def __init__(self, measurements: Sequence[Measurement], study: Study) -> None:
        self._meanings = meanings(study)
        self._raised = {measurement.cell: _names(measurement.fields, "health") for measurement in measurements}
        self._checks = checks(measurement.fields for measurement in measurements)
        names = [name for name in self._meanings if any(name in raised for raised in self._raised.values())]
        self._letters = dict(zip(names, LETTERS, strict=False))

    def of(self, cells: Iterable[Cell]) -> str:
        """The marks of a number that comes from ``cells``."""
        raised = {name for cell in cells for name in self._raised.get(cell, ())}
        return "".join(letter for name, letter in self._letters.items() if name in raised)

    def notes(self) -> Iterator[str]:
        """The number of checks made and raised, and the meaning of the marks."""
        meanings = "; ".join(f"{letter}: {self._meanings[name]}" for name, letter in self._letters.items())
        yield f"Health checks: {self._checks.outcome}." + (f" {meanings}." if meanings else "")
