"""The rows and columns of a table of accuracies, and hence the cells that the table needs."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import fmean
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import Field, field_validator, model_validator

from ataka.errors import UserError, nearest
from ataka.plan import Cell
from ataka.study import Study, words
from ataka.study.words import Perhaps
from report import names
from report.accuracies import costs, differences, health, measurements, sanity
from report.accuracies.differences import Comparison
from report.accuracies.measurements import Measurement
from report.accuracies.trainings import Below, Records
from report.sources import Source
from report.table import Entry, Names, Table, refuse_twice


class Block(NamedTuple):
    """One data set and student: in the paper, and what this scale uses in their place."""

    paper_dataset: str
    paper_arch: str
    dataset: str
    arch: str


class Column(Entry):
    """An attack, or the mean over several, seed by seed. An attack's name alone stands for ``{attack: NAME}``.

    Or a ``field`` of the cells that is the same for every attack, or a cost (``costs.FIELDS``): never the best.
    """

    alone = ("attack",)

    attack: str | None = None
    mean_of: Names | None = None
    field: str | None = Field(
        None, description=f"of the cells, or {', '.join(costs.FIELDS)}; a mean over seeds of the row's method"
    )
    label: Perhaps = Field("", description="its heading; of an attack by itself, the attack's own where it is left out")
    note: Perhaps = Field("", description="what it shows, for the caption")

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Column":
        _require_one(self, "attack", "mean_of", "field")
        return self

    @property
    def attacks(self) -> tuple[str, ...]:
        """The attacks that the column shows or averages."""
        return self.mean_of or ((self.attack,) if self.attack else ())

    @property
    def name(self) -> str:
        """Its attack, or ``mean(...)`` of several."""
        return _name(self.attack, mean=self.mean_of)

    def heading(self, study: Study) -> str:
        """The words above its numbers."""
        return words.read(self.label) or names.attack(str(self.attack), study)

    def kept(self, study: Study) -> "Column | None":
        """This column without the attacks that the scale leaves out; a mean needs two."""
        kept = tuple(name for name in self.attacks if study.attacks[name])
        if self.field:
            return self
        if self.mean_of and len(kept) > 1:
            return self.model_copy(update={"mean_of": kept})
        return self if kept and not self.mean_of else None

    def combine(self, values: Sequence[float | None]) -> float | None:
        """The number of this column from those of its attacks; None where one is lacking."""
        known = [value for value in values if value is not None]
        return fmean(known) if len(known) == len(values) else None


class Row(Entry):
    """A method, or what is derived from several, seed by seed. A method's name alone stands for ``{method: NAME}``."""

    alone = ("method",)

    method: str | None = None
    mean_of: Names | None = None
    range_of: Names | None = Field(None, description="the largest minus the smallest; never marked as the best")
    label: Perhaps = Field("", description="of a method, its own where it is left out")

    @model_validator(mode="after")
    def _of_one_kind(self) -> "Row":
        _require_one(self, "method", "mean_of", "range_of")
        return self

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods that the row shows, averages or spans."""
        return self.mean_of or self.range_of or (str(self.method),)

    @property
    def name(self) -> str:
        """Its method, or ``mean(...)`` or ``range(...)`` of several."""
        return _name(self.method, mean=self.mean_of, range=self.range_of)

    def heading(self, study: Study) -> str:
        """The words before its numbers."""
        return words.read(self.label) or names.method(str(self.method), study)

    def combine(self, values: Sequence[float | None]) -> float | None:
        """The number of this row from those of its methods; None where one is lacking."""
        known = [value for value in values if value is not None]
        if len(known) < len(values):
            return None
        return max(known) - min(known) if self.range_of else fmean(known)


class AccuracyTable(Table):
    """Data sets below each other, students side by side where they fit, methods by attacks."""

    noun: ClassVar[str] = "cells"
    csv_columns: ClassVar[list[str]] = measurements.COLUMNS
    entry_keys: ClassVar[list[str]] = [*Row.model_fields, *Column.model_fields]

    kind: Literal["accuracies"] = "accuracies"
    datasets: Names = Field(
        description="below each other, by the paper's names, for which a smaller scale has stand-ins"
    )
    archs: Names = Field(description="students, side by side where they fit, by the paper's names")
    columns: tuple[Column, ...] = Field(min_length=1, description="attacks of config/")
    rows: tuple[tuple[Row, ...], ...] = Field(
        min_length=1, description="methods of config/, in groups divided by some space"
    )
    variants: bool = Field(
        False,
        description="compare each variant with the method that it varies by a paired test, instead of looking for the "
        "best",
    )
    against: str = Field(
        "",
        description="a row's method that each other row is compared with by a paired test, and a variant X.w with its "
        "variant of the same word w, where it has a row; the best is looked for in any case",
    )
    undefended: str = Field(
        "",
        description="the row of natural training: a row that leaves no more images right under an attack, or that "
        "did not learn, is an error (docs/health.md)",
    )

    @field_validator("datasets", "archs")
    @classmethod
    def _distinct(cls, listed: tuple[str, ...]) -> tuple[str, ...]:
        refuse_twice(listed)
        return listed

    @field_validator("columns")
    @classmethod
    def _distinct_columns(cls, columns: tuple[Column, ...]) -> tuple[Column, ...]:
        refuse_twice([column.attack or column.field or column.label for column in columns])
        return columns

    @field_validator("rows", mode="before")
    @classmethod
    def _rows_are_groups(cls, given: Any) -> Any:
        alone = [row for row in given if not isinstance(row, list)] if isinstance(given, list) else []
        if alone:
            raise ValueError(
                f"rows stand in groups, each a list: write [{alone[0]}] for {alone[0]}, or [{given}] for one"
            )
        return given

    @field_validator("rows")
    @classmethod
    def _distinct_rows(cls, groups: tuple[tuple[Row, ...], ...]) -> tuple[tuple[Row, ...], ...]:
        refuse_twice([row.method or row.label for group in groups for row in group])
        return groups

    @property
    def lines(self) -> list[Row]:
        """Every row, top to bottom."""
        return [row for group in self.rows for row in group]

    @property
    def ranked(self) -> bool:
        """Whether the best numbers are marked."""
        return bool(self.against) or not self.variants

    def methods(self, study: Study) -> list[str]:
        return list(dict.fromkeys(method for row in self.lines for method in row.methods))

    def blocks(self, study: Study) -> list[Block]:
        """The (paper data set, paper arch, data set, arch) that the scale keeps, in the paper's order."""
        pairs = [(dataset, arch) for dataset in self.datasets for arch in self.archs]
        kept = [
            Block(dataset, arch, used_dataset, used_arch)
            for dataset, arch in pairs
            if (used_dataset := study.stand_in(dataset)) and (used_arch := study.stand_in(arch))
        ]
        if not kept:
            raise UserError(f"scale '{study.scale}' leaves out every data set or student of {self.name}: see stand_ins")
        return kept

    def kept_columns(self, study: Study) -> list[Column]:
        """The columns whose attacks the scale keeps."""
        kept = [column for each in self.columns if (column := each.kept(study))]
        if not kept:
            raise UserError(f"scale '{study.scale}' leaves out every attack of {self.name}: see attacks")
        return kept

    def attacks(self, study: Study) -> list[str]:
        """The attacks of the columns that are kept."""
        return list(dict.fromkeys(attack for column in self.kept_columns(study) for attack in column.attacks))

    def heading_of(self, study: Study, attack: str) -> str:
        """The table's name for an attack."""
        headings = (column.heading(study) for column in self.columns if column.attack == attack)
        return next(headings, names.attack(attack, study))

    def sources(self, study: Study) -> list[Source]:
        return list(self.cells(study))

    def cells(self, study: Study) -> list[Cell]:
        """Every cell, in the table's own order; planned methods have none."""
        self._refuse_unknown_names(study)
        wanted = (
            Cell(block.dataset, block.arch, method, seed, attack)
            for block in self.blocks(study)
            for method in self._implemented(study)
            for seed in study.seeds
            for attack in self.attacks(study)
        )
        return list(dict.fromkeys(wanted))  # two of the paper's networks may have the same stand-in

    def check(self, rows: Sequence[dict[str, str]], study: Study, source: Source, where: str) -> Measurement:
        assert isinstance(source, Cell)
        return measurements.check(rows, study, source, where)

    def verify(self, measurement: Measurement, root: str) -> None:
        _bits(measurement, root)

    def comparisons(self, study: Study) -> list[Comparison]:
        """The paired tests that the table makes."""
        made = [differences.VARIED] if self.variants else []
        if self.against:
            made = [replace(measurement, words="the method that it varies") for measurement in made]
            words = next((row.heading(study) for row in self.lines if row.method == self.against), self.against)
            made.append(differences.against(self.against, self.methods(study), words))
        return made

    def records(self, study: Study, sources: Iterable[Source]) -> list[Path]:
        runs = list(dict.fromkeys(source.run for source in sources))
        curves = [run.folder("") / "history.csv" for run in runs if self.undefended]
        jobs = [path for run in runs if self._shows_costs for path in costs.artifacts(study, run)]
        stated = (path.with_name("run.json") if path.name == "model.safetensors" else path for path in jobs)
        return list(dict.fromkeys([*curves, *stated]))

    def examined(self, measurements: list[Measurement], study: Study, root: str) -> list[Measurement]:
        read = {measurement.cell: _bits(measurement, root) for measurement in measurements}
        bits = {cell: verdicts for cell, verdicts in read.items() if verdicts is not None}
        return self.compared(measurements, study, bits, Below(root))

    def compared(
        self,
        measurements: list[Measurement],
        study: Study,
        bits: Mapping[Cell, measurements.Bits],
        records: Records,
    ) -> list[Measurement]:
        """The measurements with their health, and, in a table of variants, with the marks of differences.

        Of ``bits`` those of other cells are left out: a table says the same of its cells wherever it is shown.
        """
        shown = {one.cell: bits[one.cell] for one in measurements if one.cell in bits}
        examined = health.examine(measurements, study, shown)
        examined = differences.examine(examined, shown, self.comparisons(study))
        if self.undefended:
            examined = sanity.examine(examined, study, shown, records, self.undefended)
        return costs.examine(examined, study, records) if self._shows_costs else examined

    def sound(self, measurements: list[Measurement], study: Study, root: str) -> tuple[list[Measurement], list[str]]:
        failures = sanity.failures(measurements, study, root, self.path)
        sound = [measurement for measurement in measurements if measurement.cell.run not in failures]
        return sound, list(failures.values())

    @property
    def _shows_costs(self) -> bool:
        return any(column.field in costs.FIELDS for column in self.columns)

    def _refuse_unknown_names(self, study: Study) -> None:
        attacks: Iterable[str] = (attack for column in self.columns for attack in column.attacks)
        self.refuse_unknown("rows", "method", self.methods(study), study.methods)
        self.refuse_unknown("columns", "attack", attacks, study.attacks)
        for key in ("against", "undefended"):
            name, rows = getattr(self, key), [row.method for row in self.lines if row.method]
            if name and name not in rows:
                raise UserError(f"{self.path}: {key}: the table has no row '{name}'{nearest(name, rows)}")

    def _implemented(self, study: Study) -> Iterator[str]:
        return (name for name in self.methods(study) if not study.method(name).planned)


def _bits(measurement: Measurement, root: str) -> measurements.Bits | None:
    """The bits beside a cell, where there are any."""
    return measurements.bits(measurement, root) if measurement.cell.bits(root).exists() else None


def _name(alone: str | None, **several: Sequence[str] | None) -> str:
    return alone or next(f"{kind}({','.join(names)})" for kind, names in several.items() if names)


def _require_one(entry: Row | Column, *ways: str) -> None:
    given = [way for way in ways if getattr(entry, way)]
    if len(given) != 1:
        raise ValueError(f"give one of {', '.join(ways)}" + (f", not {' and '.join(given)}" if given else ""))
    if given != [ways[0]]:
        if given != ["field"]:
            refuse_twice(getattr(entry, given[0]))
        if not entry.label:
            raise ValueError("label is missing")
