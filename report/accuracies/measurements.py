"""A cell's numbers, checked: they add up, and are those of the bits beside it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from ataka.errors import Unusable
from ataka.files.cells import COLUMNS as COLUMNS
from ataka.files.cells import parse
from ataka.files.disk import sha256
from ataka.plan import Cell
from ataka.study import Study
from report.sources import require_in_force

Bits = NDArray[numpy.bool_]


@dataclass(frozen=True)
class Measurement:
    """A cell that may stand in a table. ``fields`` is its row, as it was written."""

    cell: Cell
    n: int
    accuracy: float
    ci_low: float
    ci_high: float
    eps: str
    fields: dict[str, str]

    @property
    def rows(self) -> list[dict[str, str]]:
        """The row of the measurement's CSV."""
        return [self.fields]


def check(rows: Sequence[dict[str, str]], study: Study, cell: Cell, where: str) -> Measurement:
    """``rows`` as a measurement of ``cell``; UserError, naming ``where``, if they can't be one."""
    measurement = of(rows, cell, where)
    require_in_force(rows[0], study, cell, where)
    return measurement


def of(rows: Sequence[dict[str, str]], cell: Cell, where: str) -> Measurement:
    """``rows`` as a measurement of ``cell``, under whichever settings; UserError if they don't add up."""
    row = parse(rows, where)
    return Measurement(cell, row.n, row.accuracy, row.ci_low, row.ci_high, row.eps, dict(rows[0]))


def bits(measurement: Measurement, root: str | Path) -> Bits:
    """Whether each test image is still classified correctly, (N,); UserError unless they are the cell's own."""
    path, where = measurement.cell.bits(root), measurement.cell.csv(root)
    try:
        found: Any = numpy.load(path)
        whole = sha256(path) == measurement.fields["bits_sha256"]
    except (OSError, ValueError, EOFError) as error:
        raise Unusable(f"{path} can't be read: {error}") from None
    correct = int(measurement.fields["correct"])
    if not whole or found.dtype != numpy.bool_ or found.shape != (measurement.n,) or found.sum() != correct:
        raise Unusable(f"{path} holds other verdicts than those of {where} ({correct} of {measurement.n} correct)")
    return found  # type: ignore[no-any-return]
