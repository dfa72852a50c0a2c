"""The rows and columns of a table of particles, and hence the measurements that the table needs."""

from collections.abc import Sequence
from typing import ClassVar, Literal

from pydantic import Field, field_validator

from ataka.errors import UserError, nearest
from ataka.plan import Particles, Run
from ataka.study import Study, words
from ataka.study.words import Label
from report.particles import particle_rows
from report.particles.particle_rows import STATISTICS, ParticleSet
from report.sources import Source
from report.table import Entry, Names, Table, refuse_twice


class GeneratorRow(Entry):
    """A generator. Its name alone stands for ``{generator: NAME, label: NAME}``."""

    alone = ("generator", "label")

    generator: str
    label: Label

    @property
    def heading(self) -> str:
        """The words before its numbers."""
        return words.read(self.label)


class ParticleTable(Table):
    """Generators by statistics. Networks, images and their number are the configuration's (``particles``)."""

    noun: ClassVar[str] = "sets of particles"
    csv_columns: ClassVar[list[str]] = particle_rows.COLUMNS
    entry_keys: ClassVar[list[str]] = list(GeneratorRow.model_fields)

    kind: Literal["particles"]
    columns: Names = Field(description=f"statistics: {', '.join(STATISTICS)}")
    rows: tuple[tuple[GeneratorRow, ...], ...] = Field(min_length=1, description="in groups divided by some space")

    @field_validator("columns")
    @classmethod
    def _known(cls, columns: tuple[str, ...]) -> tuple[str, ...]:
        refuse_twice(columns)
        for name in columns:
            if name not in STATISTICS:
                raise ValueError(f"no statistic '{name}'{nearest(name, STATISTICS)}")
        return columns

    @field_validator("rows")
    @classmethod
    def _distinct(cls, groups: tuple[tuple[GeneratorRow, ...], ...]) -> tuple[tuple[GeneratorRow, ...], ...]:
        refuse_twice([row.generator for group in groups for row in group])
        return groups

    @property
    def lines(self) -> list[GeneratorRow]:
        """Every row, top to bottom."""
        return [row for group in self.rows for row in group]

    def methods(self, study: Study) -> list[str]:
        return list(dict.fromkeys(network.method for network in study.particles.networks))

    def networks(self, study: Study) -> list[Run]:
        """The networks whose particles are measured."""
        paper, dataset = study.particles.dataset, study.stand_in(study.particles.dataset)
        if dataset is None:
            raise UserError(
                f"scale '{study.scale}' leaves out {paper}, which {self.name} is measured on: see stand_ins"
            )
        return [Run(dataset, network.arch, network.method, study.seeds[0]) for network in study.particles.networks]

    def sources(self, study: Study) -> list[Source]:
        self.refuse_unknown("rows", "generator", [row.generator for row in self.lines], study.generators)
        wanted = (
            Particles(run.dataset, run.arch, run.method, run.seed, row.generator)
            for run in self.networks(study)
            for row in self.lines
        )
        return list(dict.fromkeys(wanted))

    def check(self, rows: Sequence[dict[str, str]], study: Study, source: Source, where: str) -> ParticleSet:
        assert isinstance(source, Particles)
        return particle_rows.check(rows, study, source, where)
