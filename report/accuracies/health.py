"""Health checks: which numbers of a table show a sign of masked gradients or of an attack that failed (docs/health.md).

``examine`` looks at cells and the bits beside them when a table is collected and notes in each cell's row which
``checks`` were made and which were raised (``health``); what a table prints is a function of these two.
"""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from ataka.errors import UserError
from ataka.plan import Cell, Run
from ataka.study import Study
from report.accuracies.cells import Measurement
from report.layout import LETTERS

Bits = NDArray[numpy.bool_]

LEVEL = 0.01
"""Of the one-sided exact McNemar test of one attack against a weaker one."""
GAP = 6.0
"""Points that PGD may leave above AutoAttack."""
ZERO_GRADIENTS = 1.0
"""Per cent of the images that may have no gradient."""
RISE = 0.05
"""What PGD's last tenth of steps may bring of the loss it gains; a loss that grows evenly brings 0.1."""
SQUARE = 0.2
"""Points that Square may take from what AutoAttack's other components leave: where AutoAttack itself warns."""

CHECKS = {
    "order": f"a weaker attack leaves significantly less (exact McNemar, one-sided, {LEVEL:.0%}, on the same images)",
    "subset": "counts as robust an image that is misclassified without any attack",
    "gap": f"more than {GAP:g} points above AutoAttack on the same images",
    "square": f"Square takes more than {SQUARE:g} points from what the white-box components leave",
    "zero-gradient": f"no gradient at more than {ZERO_GRADIENTS:g}% of the images",
    "rising": f"the loss still rises: the last tenth of the steps brings more than {RISE:.0%} of its gain",
    "unbounded": "an attack without a bound leaves more than chance",
    "warning": "AutoAttack warns",
}
"""What each check says of a number that raises it, in the order of a table's marks."""
_WEAKER = {"fgsm": ("clean",), "pgd": ("fgsm", "clean"), "aa": ("pgd", "fgsm", "clean")}
"""Kinds of attack, and those that each has to beat: the first that there is. Any other has to beat clean images."""


def read_bits(root: str | Path, one: Measurement, remedy: str) -> Bits | None:
    """The bits beside a cell, one an image; None where there are none, UserError if they are another's."""
    path = one.cell.bits(root)
    if not path.exists():
        return None
    try:
        bits: Any = numpy.load(path)
        whole = one.are_its(path)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} can't be read: {error}; {remedy}") from None
    if not whole or bits.dtype != numpy.bool_ or bits.shape != (one.n,) or int(one.fields["correct"]) != bits.sum():
        raise UserError(f"{path} holds other verdicts than the cell beside it; {remedy}")
    return bits  # type: ignore[no-any-return]


def examine(measurements: Sequence[Measurement], study: Study, bits: Mapping[Cell, Bits]) -> list[Measurement]:
    """The same, each row with ``checks`` and ``health``: the names of the checks made, and of those raised."""
    beside: dict[Run, dict[str, Bits]] = defaultdict(dict)
    for cell, its in bits.items():
        beside[cell.run].setdefault(study.attack(cell.attack).kind, its)  # of one kind, the table's first
    examined = []
    for one in measurements:
        kind = study.attack(one.cell.attack).kind
        found = dict(_alone(kind, one.fields))
        if one.cell in bits:
            found |= _beside(kind, bits[one.cell], beside[one.cell.run])
        made = [name for name in CHECKS if name in found]
        columns = {"checks": ";".join(made), "health": ";".join(name for name in made if found[name])}
        examined.append(replace(one, fields=one.fields | columns))
    return examined


def _alone(kind: str, fields: Mapping[str, str]) -> Iterator[tuple[str, bool]]:
    """The checks of what was measured beside the attack (ataka/diagnostics.py); none of a cell that has none of it."""
    if kind == "pgd" and fields.get("zero_gradient_share"):
        yield "zero-gradient", 100 * float(fields["zero_gradient_share"]) > ZERO_GRADIENTS
        yield "rising", float(fields["loss_rise"]) > RISE and fields["correct"] != "0"  # there is nothing below 0
        yield "unbounded", float(fields["accuracy_at_eps_1"]) > 100 / int(fields["classes"])
    if kind == "aa" and fields.get("before_square"):
        fell = int(fields["before_square"]) - int(fields["correct"])
        yield "square", 100 * fell > SQUARE * int(fields["n"])
        yield "warning", bool(fields["warnings"])


def _beside(kind: str, own: Bits, others: Mapping[str, Bits]) -> Iterator[tuple[str, bool]]:
    """The checks of a cell's bits against those of the same run under other attacks, on the images of both."""
    weaker = next((others[name] for name in _WEAKER.get(kind, ("clean",)) if name in others), None)
    if weaker is not None and kind != "clean":
        own_, weaker = _common(own, weaker)
        yield "order", p_stronger(gained=int((own_ & ~weaker).sum()), lost=int((weaker & ~own_).sum())) < LEVEL
    if kind == "aa" and "clean" in others:
        own_, clean = _common(own, others["clean"])
        yield "subset", bool((own_ & ~clean).any())
    if kind == "pgd" and "aa" in others:
        own_, strongest = _common(own, others["aa"])
        yield "gap", 100 * (int(own_.sum()) - int(strongest.sum())) > GAP * len(own_)


def _common(one: Bits, other: Bits) -> tuple[Bits, Bits]:
    """The verdicts on the images of both: each attack takes the first so many."""
    count = min(len(one), len(other))
    return one[:count], other[:count]


def p_stronger(*, gained: int, lost: int) -> float:
    """One-sided exact McNemar: the probability of at least ``gained`` among the images that changed, were both alike.

    ``gained`` images withstand the stronger attack and not the weaker one, ``lost`` the other way round.
    """
    changed = gained + lost
    return 1.0 if gained <= lost else sum(math.comb(changed, k) for k in range(gained, changed + 1)) / 2**changed


# ---- what a table prints


class Marks:
    """The marks of one table: a letter for each check that some number of it raises."""

    def __init__(self, measurements: Sequence[Measurement]) -> None:
        self._raised = {one.cell: _names(one, "health") for one in measurements}
        self.made = sum(len(_names(one, "checks")) for one in measurements)
        names = [name for name in CHECKS if any(name in raised for raised in self._raised.values())]
        self._letters = dict(zip(names, LETTERS, strict=False))

    def of(self, cells: Iterable[Cell]) -> str:
        """The marks of a number that comes from ``cells``."""
        raised = {name for cell in cells for name in self._raised.get(cell, ())}
        return "".join(letter for name, letter in self._letters.items() if name in raised)

    def notes(self) -> Iterator[str]:
        """What the marks mean, and how many checks were made."""
        count = sum(map(len, self._raised.values()))
        if not self.made:
            yield "Health checks (docs/health.md): none could be made of these cells."
        elif not count:
            yield f"Health checks (docs/health.md): none raised of {self.made:,}."
        else:
            meanings = [f"{letter}: {CHECKS[name]}" for name, letter in self._letters.items()]
            yield f"Health checks (docs/health.md): {count:,} raised of {self.made:,}. {'; '.join(meanings)}."


def _names(one: Measurement, column: str) -> list[str]:
    return [name for name in one.fields.get(column, "").split(";") if name in CHECKS]
