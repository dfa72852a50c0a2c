"""A cell's numbers, checked: they add up, and are those of the bits beside it."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from ataka.errors import UserError
from ataka.plan import Cell
from ataka.study import Study
from report.sources import require_in_force

Bits = NDArray[numpy.bool_]
# fmt: off
COLUMNS = [
    "scale", "dataset", "arch", "method", "seed", "attack",
    "n", "correct", "accuracy", "ci_low", "ci_high",
    "eps", "steps", "step_size",
    "model_sha256", "config_sha256",
    "git_commit", "git_dirty",
    "device", "torch", "threads", "seconds", "finished_at",
]
# fmt: on
"""What every cell states; it may state more."""
_ROUNDING = 0.005 + 1e-9
"""Accuracies may be written with two decimals."""


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

    def are_its(self, bits: Path) -> bool:
        """Whether a file has the SHA-256 that the cell states of its bits; a cell that states none has no say."""
        return self.fields.get("bits_sha256") in (None, hashlib.sha256(bits.read_bytes()).hexdigest())

    @property
    def rows(self) -> list[dict[str, str]]:
        return [self.fields]


def check(rows: Sequence[dict[str, str]], study: Study, cell: Cell, where: str, remedy: str) -> Measurement:
    """``rows`` as a measurement of ``cell``; UserError, naming ``where``, if they can't be one."""
    if len(rows) != 1:
        raise UserError(f"{where} has {len(rows)} rows, a cell has one; {remedy}")
    require_in_force(rows[0], study, cell, where, remedy)
    try:
        return _measurement(cell, rows[0])
    except ValueError as error:
        raise UserError(f"{where} doesn't add up: {error}; was it edited? {remedy}") from None


def _measurement(cell: Cell, fields: dict[str, str]) -> Measurement:
    n, correct = int(fields["n"]), int(fields["correct"])
    accuracy, low, high = (float(fields[name]) for name in ("accuracy", "ci_low", "ci_high"))
    if not 0 <= correct <= n or n < 1:
        raise ValueError(f"{correct} of {n} images can't be correct")
    if not abs(accuracy - 100 * correct / n) <= _ROUNDING:
        raise ValueError(f"accuracy {fields['accuracy']} with {correct} of {n} correct")
    if not -_ROUNDING <= low <= accuracy + _ROUNDING <= high + 2 * _ROUNDING <= 100 + 3 * _ROUNDING:
        raise ValueError(f"accuracy {fields['accuracy']} within [{fields['ci_low']}, {fields['ci_high']}]")
    return Measurement(cell, n, accuracy, low, high, fields["eps"], fields)


def bits(measurement: Measurement, root: str | Path, remedy: str) -> Bits:
    """Whether each test image is still classified correctly, (N,); UserError unless they are the cell's own."""
    path, where = measurement.cell.bits(root), measurement.cell.csv(root)
    try:
        found: Any = numpy.load(path)
        whole = measurement.are_its(path)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} can't be read: {error}; {remedy}") from None
    correct = int(measurement.fields["correct"])
    if not whole or found.dtype != numpy.bool_ or found.shape != (measurement.n,) or found.sum() != correct:
        raise UserError(
            f"{path} holds other verdicts than those of {where} ({correct} of {measurement.n} correct); {remedy}"
        )
    return found  # type: ignore[no-any-return]
