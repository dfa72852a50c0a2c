"""The typed settings of a study: what may stand in config/*.yaml, and which values are possible."""

from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, PrivateAttr, field_validator, model_validator

from ataka import datasets
from ataka.datasets import Dataset
from ataka.errors import UserError, nearest
from ataka.study import references
from ataka.study.archives import Archive
from ataka.study.attacks import AttackEntry
from ataka.study.data import Data
from ataka.study.fields import Budget, Settings, reading
from ataka.study.generators import Generator
from ataka.study.methods import Checkpoint, Ensemble, Method, Shared, Where
from ataka.study.particles import Measured, Particles
from ataka.study.resources import Resources, Stage
from ataka.study.selection import Selection
from ataka.study.setups import Precision, Probe, Setup
from ataka.study.speed import Speed
from ataka.study.words import Plainly

__all__ = [
    "AttackEntry",
    "Checkpoint",
    "Data",
    "Ensemble",
    "Generator",
    "Measured",
    "Method",
    "Particles",
    "Precision",
    "Probe",
    "Resources",
    "Selection",
    "Setup",
    "Shared",
    "Speed",
    "Stage",
    "Study",
    "Where",
]


class Study(Settings):
    """Everything that decides a study's numbers, and what its jobs ask of the machine."""

    scale: str
    about: Plainly = Field(description="one sentence for captions: what this scale is")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = reading(
        ...,
        id="G5",
        sentence="(no number of seeds is reported)",
        values="the root seeds of independent repetitions",
        min_length=1,
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    without_gpu: Literal["stop", "go-on"] = Field(
        "stop", description="whether a study that would take days may start on this machine without a GPU"
    )
    other_code: Literal["stop", "make-again"] = Field(
        "stop", description="whether results of other code are made again that Snakemake has no record of, as of a copy"
    )
    warm_start: bool = Field(False, description="fork jobs from a process that has loaded torch: for short ones")
    threads: int = Field(1, ge=1, le=1024, description="torch's threads in each job; changes bits, so it is recorded")
    processes: int = Field(
        1,
        ge=1,
        le=64,
        description="processes that share out networks which train together, at most one for each: the teachers of a "
        "recording, or beside a student, and CAT-AKA's students. Each has the scale's threads and, where there are "
        "several, a GPU of its own. Decides no bit",
    )
    shards: dict[str, Annotated[int, Field(ge=1, le=9999)]] = Field(
        default_factory=dict,
        description="by an attack's name: the jobs that share the chunks of one cell, at most one a chunk. Decides no "
        "verdict. For attacks in canonical chunks alone: AutoAttack in all its kinds, APGD, Fog",
    )
    speed: Speed = Speed()
    eps: Budget = Field(description="the adversarial budget wherever none is given")
    data: Data
    stand_ins: dict[str, str | None] = Field(
        default_factory=dict,
        description="what this scale uses in place of the paper's data sets and networks",
    )
    tables: tuple[str, ...] = Field(
        (),
        description="folders of tables of your own, NAME.yaml, beside report/paper/tables; relative to the checkout",
    )
    datasets: dict[str, Archive] = Field(
        default_factory=dict,
        description="data sets of one's own: arrays in an .npz file, or images in folders, by the name of the data set",
    )
    teachers: dict[str, str] = Field(description="the teachers' architecture for each data set of the tables")
    setups: dict[str, Setup]
    generators: dict[str, Generator]
    attacks: dict[str, AttackEntry | None] = Field(
        description="by the name of their column; null: left out at this scale"
    )
    selection: Selection
    particles: Particles
    resources: dict[Stage, Resources]
    methods: dict[str, Method]

    _left_out: dict[str, str] = PrivateAttr(default_factory=dict)
    _overrides: dict[str, Any] = PrivateAttr(default_factory=dict)

    @property
    def overrides(self) -> Mapping[str, Any]:
        """The settings that a command line laid over the scale's."""
        return self._overrides

    def under(self, overrides: Mapping[str, Any]) -> "Study":
        """This study, which knows that ``overrides`` are in it."""
        study = self.model_copy()
        study._overrides = dict(overrides)
        return study

    @property
    def left_out(self) -> Mapping[str, str]:
        """Variants that the settings of their method rule out, and why (variants.py); they count as planned."""
        return self._left_out

    def without(self, left_out: Mapping[str, str]) -> "Study":
        """This study, which says why these of its methods are left out."""
        study = self.model_copy()
        study._left_out = {**self._left_out, **left_out}
        return study

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"a seed is listed twice: {list(seeds)}")
        return seeds

    @field_validator("shards", mode="before")
    @classmethod
    def _shards_by_attack(cls, shards: object) -> object:
        if isinstance(shards, int | str):
            raise ValueError("give the number by an attack's name, as {aa: 3}: only some attacks can be shared out")
        return shards

    @field_validator("resources")
    @classmethod
    def _light_evaluations_alone(cls, resources: dict[Stage, Resources]) -> dict[Stage, Resources]:
        for stage, asked in resources.items():
            if asked.light and stage != "evaluate":
                raise ValueError(f"{stage}.light: only evaluations have attacks of few forwards")
        return resources

    @model_validator(mode="after")
    def _names_exist(self) -> "Study":
        references.check(self)
        return self

    def selection_of(self, name: str) -> Selection:
        """The selection of alpha for the method ``name``."""
        split = self.method(name).chosen_on
        return self.selection if split is None else self.selection.model_copy(update={"split": split})

    def stand_in(self, name: str) -> str | None:
        """The name that stands at this scale for the paper's ``name``; None where the scale leaves ``name`` out."""
        return self.stand_ins.get(name, name)

    def dataset(self, name: str) -> Dataset:
        """The data set of that name (of this scale, not the paper's), or a UserError that names the nearest."""
        if name in self.datasets:
            return self.datasets[name].dataset(name, datasets.archive_folder(self.data.folder))
        return datasets.find(name, self.datasets)

    def teacher(self, dataset: str, named: str | None = None) -> str:
        """The teachers' architecture on ``dataset`` (a name of this scale), or that ``named`` by the paper's name."""
        for paper_name, arch in self.teachers.items():
            if self.stand_in(paper_name) == dataset:
                used = self.stand_in(named or arch)
                if used is None:
                    raise UserError(f"stand_ins.{named or arch} is null, but it teaches {dataset}: name a network")
                return used
        raise UserError(f"teachers: no architecture is given for '{dataset}'{nearest(dataset, self.teachers)}")

    def setup(self, name: str, dataset: str, arch: str) -> Setup:
        """The set-up ``name`` for a data set and a network of this scale."""
        return self.setups[name].at(self.at(dataset, arch, self.setups[name].where))

    def at(self, dataset: str, arch: str, names: Collection[str]) -> list[str]:
        """The paper's ``names`` that ``dataset`` or ``arch`` stand in for at this scale."""
        return [name for name in names if self.stand_in(name) in (dataset, arch)]

    def attack(self, name: str) -> AttackEntry:
        """The attack of that column, or a UserError that names the nearest."""
        if name not in self.attacks:
            raise UserError(f"no attack '{name}' in the configuration{nearest(name, self.attacks)}")
        entry = self.attacks[name]
        if entry is None:
            raise UserError(f"scale '{self.scale}' leaves out the attack '{name}': attacks.{name} is null")
        return entry

    def attack_on(self, name: str, dataset: str) -> AttackEntry:
        """The attack of that column on images of ``dataset``: where its files lie depends on both."""
        entry = self.attack(name)
        if not entry.files:
            return entry
        return entry.placed(datasets.archive_folder(self.data.folder), self.dataset(dataset).specification.label)

    def method(self, name: str) -> Method:
        """The method of that name, or a UserError that names the nearest."""
        if name not in self.methods:
            raise UserError(f"no method '{name}' in config/methods.yaml{nearest(name, self.methods)}")
        return self.methods[name]
