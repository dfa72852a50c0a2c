"""The evidence of a verdict, checked like a table's measurements: a cell's bits, or the numbers of particles."""

from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray

from ataka.files.records import read_rows, require_sealed
from ataka.plan import Cell, Particles
from ataka.study import Study
from report.accuracies import measurements
from report.particles import particle_rows
from report.particles.particle_rows import ParticleSet
from report.sources import Source


def measured(study: Study, root: str, cell: Cell) -> measurements.Measurement:
    """A cell's row, checked; UserError unless it is sealed and made under these settings."""
    where = cell.csv(root)
    rows = read_rows(where, measurements.COLUMNS)
    measurement = measurements.check(rows, study, cell, str(where))
    require_sealed(rows, where)
    return measurement


def bits(study: Study, root: str, cell: Cell) -> measurements.Bits:
    """Whether each test image is still classified correctly, (N,); UserError unless they are the cell's own."""
    return measurements.bits(measured(study, root, cell), root)


def load(study: Study, root: str, source: Source) -> Any:
    """A cell's bits, one for each image, or each statistic of a generator's particles, one number for each image."""
    if isinstance(source, Cell):
        return bits(study, root, source)
    return statistics(particles(study, root, source))


def particles(study: Study, root: str, source: Particles) -> ParticleSet:
    """A generator's rows, checked; UserError unless they are sealed and made under these settings."""
    path = source.csv(root)
    rows = read_rows(path, particle_rows.COLUMNS)
    measured_rows = particle_rows.check(rows, study, source, str(path))
    require_sealed(rows, path)
    return measured_rows


def statistics(particles: ParticleSet) -> dict[str, NDArray[numpy.float64]]:
    """Each statistic of a generator's particles, one number for each image."""
    return {name: numpy.asarray(values) for name, values in particles.numbers.items()}


def files(root: str, source: Source) -> list[Path]:
    """The files that ``load`` reads."""
    return [source.csv(root), source.bits(root)] if isinstance(source, Cell) else [source.csv(root)]
