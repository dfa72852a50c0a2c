"""What a verdict rests on, checked like a table's measurements: a cell's bits, one an image; an image's particles."""

from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from ataka.errors import UserError
from ataka.plan import Cell
from ataka.study import Study
from report.accuracies import cells
from report.particles import rows as particle_rows
from report.sources import Source, read_rows, require_sealed

Bits = NDArray[numpy.bool_]


def bits(study: Study, root: str, cell: Cell, remedy: str) -> Bits:
    """Whether each test image is still classified correctly, (N,); UserError unless they are the cell's own."""
    path, where = cell.bits(root), cell.csv(root)
    rows = read_rows(where, cells.COLUMNS)
    measured = cells.check(rows, study, cell, str(where), remedy)
    require_sealed(rows, where, remedy)
    try:
        found = numpy.load(path, allow_pickle=False)
        whole = measured.are_its(path)
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path} can't be read: {error}; {remedy}") from None
    if (
        not whole
        or found.dtype != bool
        or found.shape != (measured.n,)
        or int(found.sum()) != int(measured.fields["correct"])
    ):
        raise UserError(f"{path} isn't of {where}, which has {measured.fields['correct']} of {measured.n}; {remedy}")
    return found  # type: ignore[no-any-return]


def load(study: Study, root: str, source: Source, remedy: str) -> Any:
    """A cell's bits, or each statistic of a generator's particles, an image a number."""
    if isinstance(source, Cell):
        return bits(study, root, source, remedy)
    path = source.csv(root)
    rows = read_rows(path, particle_rows.COLUMNS)
    found = particle_rows.check(rows, study, source, str(path), remedy)
    require_sealed(rows, path, remedy)
    return {name: numpy.asarray(values) for name, values in found.numbers.items()}


def files(root: str, source: Source) -> list[Path]:
    """What ``load`` reads."""
    return [source.csv(root), source.bits(root)] if isinstance(source, Cell) else [source.csv(root)]
