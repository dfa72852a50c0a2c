"""Which rows and columns a table has (tables/*.yaml), and hence which cells and choices of alpha it needs."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Annotated, NamedTuple

import yaml
from pydantic import Field, ValidationError, field_validator

from ataka import plan
from ataka.errors import UserError, nearest
from ataka.plan import Cell, Run
from ataka.settings import Settings
from ataka.study import Study

FOLDER = Path(__file__).with_name("tables")
Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Block(NamedTuple):
    """One data set and student: in the paper, and what this scale uses in their place."""

    paper_dataset: str
    paper_arch: str
    dataset: str
    arch: str


class Table(Settings):
    """A table of accuracies: data sets below each other, students side by side, methods by attacks."""

    name: str
    number: int = Field(ge=1, description="its number in the paper")
    title: str = Field(min_length=1, description="the caption's first sentence, without a full stop")
    datasets: Names
    archs: Names
    columns: Names = Field(description="attacks")
    rows: tuple[Names, ...] = Field(min_length=1, description="methods, in groups divided by a rule")

    @field_validator("datasets", "archs", "columns", "rows")
    @classmethod
    def _distinct(cls, names: tuple[str | tuple[str, ...], ...]) -> tuple[str | tuple[str, ...], ...]:
        flat = [name for entry in names for name in ([entry] if isinstance(entry, str) else entry)]
        twice = [name for name in dict.fromkeys(flat) if flat.count(name) > 1]
        if twice:
            raise ValueError(f"'{twice[0]}' is listed twice")
        return names

    @property
    def methods(self) -> list[str]:
        """Every row, top to bottom."""
        return [method for group in self.rows for method in group]

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

    def cells(self, study: Study) -> list[Cell]:
        """Every number that this table needs, in its own order; planned methods have none."""
        self.check(study)
        wanted = (
            Cell(block.dataset, block.arch, method, seed, attack)
            for block in self.blocks(study)
            for method in self._implemented(study)
            for seed in study.seeds
            for attack in self.columns
        )
        return list(dict.fromkeys(wanted))  # two of the paper's networks may have the same stand-in

    def tuned_runs(self, study: Study) -> list[Run]:
        """One run, of the first seed, for each (data set, arch, method) whose alpha was chosen."""
        self.check(study)
        wanted = (
            Run(block.dataset, block.arch, method, study.seeds[0])
            for block in self.blocks(study)
            for method in self._implemented(study)
            if plan.tuned(study.method(method))
        )
        return list(dict.fromkeys(wanted))

    def check(self, study: Study) -> None:
        """Raise UserError for a row or a column that the configuration doesn't have."""
        self._refuse_unknown("rows", "method", self.methods, study.methods)
        self._refuse_unknown("columns", "attack", self.columns, study.attacks)

    def _implemented(self, study: Study) -> Iterator[str]:
        return (name for name in self.methods if study.method(name).objective is not None)

    def _refuse_unknown(self, key: str, noun: str, names: Iterable[str], known: Iterable[str]) -> None:
        for name in names:
            if name not in known:
                where = f"report/tables/{self.name}.yaml: {key}"
                raise UserError(f"{where}: no {noun} '{name}' in config/{nearest(name, known)}")


def names(folder: Path = FOLDER) -> list[str]:
    """All tables."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load(name: str, folder: Path = FOLDER) -> Table:
    """The table called ``name``; UserError where there is none or its YAML is not one of a table."""
    if name not in names(folder):
        raise UserError(f"no table '{name}' in report/tables/{nearest(name, names(folder))}")
    path = folder / f"{name}.yaml"
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except yaml.YAMLError as error:
        raise UserError(f"{path} is no valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a mapping of keys to values")
    try:
        return Table.model_validate(content | {"name": name})
    except ValidationError as error:
        raise UserError(_explain(error, path)) from None


def _explain(error: ValidationError, path: Path) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            message = f"unknown key{nearest(where, set(Table.model_fields) - {'name'})}"
        elif problem["type"] == "missing":
            message = "is missing"
        lines.append(f"{path}: {where}: {message}")
    return "\n".join(lines)
