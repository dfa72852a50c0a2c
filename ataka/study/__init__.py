"""The typed settings of a study: what may stand in config/*.yaml, and which values are possible."""

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Literal

from pydantic import Field, field_validator, model_validator

from ataka import models
from ataka.errors import UserError, nearest
from ataka.study.attacks import CW, FGSM, PGD, WITHOUT_EPS, Attack, AutoAttack, CarliniWagnerL2, Clean, Fog
from ataka.study.fields import Budget, Settings, reading
from ataka.study.generators import Generator
from ataka.study.methods import Checkpoint, Ensemble, Method, Selection, Shared, Where
from ataka.study.setups import Data, Probe, Setup

__all__ = [
    "CW",
    "FGSM",
    "PGD",
    "WITHOUT_EPS",
    "Attack",
    "AutoAttack",
    "CarliniWagnerL2",
    "Checkpoint",
    "Clean",
    "Data",
    "Ensemble",
    "Fog",
    "Generator",
    "Measured",
    "Method",
    "Particles",
    "Probe",
    "Resources",
    "Selection",
    "Setup",
    "Shared",
    "Study",
    "Where",
]
_NAME = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)*")


class Measured(Settings):
    """A network whose particles Table 1 measures; the names are this scale's own."""

    arch: str
    method: str


class Particles(Settings):
    """Table 1: how far apart a generator's particles lie, and how strong they are."""

    dataset: str = Field("cifar10", description="the paper's name")
    networks: tuple[Measured, ...] = Field(min_length=1)
    count: int = reading(
        10,
        id="B4",
        sentence="two sets of 10 attacked samples",
        values="particles of an image; deviations divide by n - 1",
        ge=2,
    )
    images: int = reading(
        100,
        id="B2",
        sentence="we randomly pick a sample in CIFAR-10 dataset",
        values="the first so many test images, each a row; the first alone is printed as well",
        ge=1,
    )


class Resources(Settings):
    """What one job of a stage asks of a cluster."""

    gpu: int = Field(0, ge=0)
    mem_mb: int = Field(4000, ge=1)
    runtime: int = Field(60, ge=1, description="minutes")


class Study(Settings):
    """Everything that decides a study's numbers, and what its jobs ask of the machine."""

    scale: str
    about: str = Field(description="one sentence for captions: what this scale is")
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
    warm_start: bool = Field(False, description="fork jobs from a process that has loaded torch: for short ones")
    threads: int = Field(1, ge=1, le=1024, description="torch's threads in each job; changes bits, so it is recorded")
    eps: Budget = Field(description="the adversarial budget wherever none is given")
    data: Data
    stand_ins: dict[str, str | None] = Field(
        default_factory=dict,
        description="what this scale uses in place of the paper's data sets and networks",
    )
    teachers: dict[str, str] = Field(description="the teachers' architecture for each data set of the tables")
    setups: dict[str, Setup]
    generators: dict[str, Generator]
    attacks: dict[str, Attack | None] = Field(description="by the name of their column; null: left out at this scale")
    selection: Selection
    particles: Particles
    resources: dict[Literal["prepare", "record", "train", "select", "evaluate", "particles"], Resources]
    methods: dict[str, Method]

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"a seed is listed twice: {list(seeds)}")
        return seeds

    @model_validator(mode="after")
    def _names_exist(self) -> "Study":
        for name, method in self.methods.items():
            self._check_method(name, method)
        different = {f"setups.{name}": setup.where for name, setup in self.setups.items()}
        for place, where in (different | {f"methods.{name}": one.where for name, one in self.methods.items()}).items():
            for key in where:
                if key not in self.teachers and not _is_architecture(key):
                    raise ValueError(f"{place}.where: '{key}' is neither a data set of the tables nor a network")
        for measured in self.particles.networks:
            _known(measured.method, self.methods, "particles.networks")
            _architecture(measured.arch, "particles.networks")
        _known(self.particles.dataset, self.teachers, "particles.dataset")
        for dataset, arch in self.teachers.items():
            _architecture(self.stand_ins.get(arch, arch), f"teachers.{dataset}")
        for name, used in self.stand_ins.items():
            if name not in self.teachers and not _is_architecture(name):
                advice = nearest(name, self.teachers)
                raise ValueError(f"stand_ins: '{name}' is neither a data set of the tables nor a network{advice}")
            if _is_architecture(name):
                _architecture(used, f"stand_ins.{name}")
        return self

    def _check_method(self, name: str, method: Method) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"methods.{name}: a name is lower case, digits and '-', variants after a '.'")
        _known(method.setup, self.setups, f"methods.{name}.setup")
        ways = {"objective": method.objective, "checkpoints": method.checkpoints, "member_of": method.member_of}
        given = [way for way, value in ways.items() if value]
        if len(given) > 1:
            raise ValueError(f"methods.{name}: {' and '.join(given)} exclude each other")
        if method.generator is not None:
            _known(method.generator, self.generators, f"methods.{name}.generator")
        for role, teacher in method.teachers.items():
            _known(teacher, self.methods, f"methods.{name}.teachers.{role}")
            if self.methods[teacher].teachers:
                raise ValueError(f"methods.{name}.teachers.{role}: {teacher} has teachers itself")
        if method.chosen_on is not None and method.alpha != "tuned" and method.member != "chosen":
            raise ValueError(f"methods.{name}.chosen_on: nothing is chosen, alpha is {method.alpha}")
        if method.average_of is not None:
            _known(method.average_of, self.methods, f"methods.{name}.average_of")
            if method.members < 2 or self.methods[method.average_of].members != method.members or method.joint:
                raise ValueError(
                    f"methods.{name}.average_of: {method.average_of} has no {method.members} members for it"
                )
        if method.attacked == "member" and method.members == 1:
            raise ValueError(f"methods.{name}.attacked: it is one network, which has no members")
        if method.member_of is not None:
            _known(method.member_of, self.methods, f"methods.{name}.member_of")
            together = self.methods[method.member_of]
            if not together.joint:
                raise ValueError(f"methods.{name}.member_of: the members of {method.member_of} don't train together")
            if method.member is None or (method.member != "chosen" and method.member >= together.members):
                raise ValueError(f"methods.{name}.member: say 'chosen', or 0 to {together.members - 1}")
        elif method.member is not None:
            raise ValueError(f"methods.{name}.member needs member_of")
        if method.ensemble:
            self._check_ensemble(name, method, method.ensemble)
        elif method.online:
            raise ValueError(f"methods.{name}.online needs an ensemble to train beside")
        elif method.members > 1 and method.alpha == "tuned" and not method.joint:
            raise ValueError(f"methods.{name}.members: alpha is tuned for one network, not for several")

    def _check_ensemble(self, name: str, method: Method, ensemble: Ensemble) -> None:
        _known(ensemble.generator, self.generators, f"methods.{name}.ensemble.generator")
        _known(ensemble.setup, self.setups, f"methods.{name}.ensemble.setup")
        teacher, student = self.setups[ensemble.setup], self.setups[method.setup]
        if student.augmentation != teacher.augmentation:
            raise ValueError(
                f"methods.{name}: the student sees the images that its teachers saw, but augmentation is "
                f"{student.augmentation} (set-up {method.setup}) and {teacher.augmentation} (set-up {ensemble.setup})"
            )
        if student.epochs > teacher.epochs:
            raise ValueError(
                f"methods.{name}: the student trains {student.epochs} epochs (set-up {method.setup}) "
                f"but its tape has only {teacher.epochs} (set-up {ensemble.setup})"
            )
        if method.members > 1:
            raise ValueError(f"methods.{name}.members: a student of an ensemble is one network, not several")
        if ensemble.shares:
            _known(ensemble.shares.generator, self.generators, f"methods.{name}.ensemble.shares.generator")
            if ensemble.shares.n < ensemble.n:
                raise ValueError(f"methods.{name}.ensemble.shares.n: {ensemble.shares.n} are fewer than {ensemble.n}")

    def selection_of(self, name: str) -> Selection:
        """How alpha of the method ``name`` is chosen."""
        split = self.method(name).chosen_on
        return self.selection if split is None else self.selection.model_copy(update={"split": split})

    def stand_in(self, name: str) -> str | None:
        """What this scale uses where the paper has ``name``; None where it leaves it out."""
        return self.stand_ins.get(name, name)

    def teacher(self, dataset: str) -> str:
        """The teachers' architecture on ``dataset`` (a name of this scale, not the paper's)."""
        for paper_name, arch in self.teachers.items():
            if self.stand_in(paper_name) == dataset:
                used = self.stand_in(arch)
                if used is None:
                    raise UserError(f"stand_ins.{arch} is null, but it teaches {dataset}: name a network")
                return used
        raise UserError(f"teachers: no architecture is given for '{dataset}'{nearest(dataset, self.teachers)}")

    def setup(self, name: str, dataset: str, arch: str) -> Setup:
        """The set-up ``name`` for a data set and a network of this scale."""
        return self.setups[name].at(self.at(dataset, arch, self.setups[name].where))

    def at(self, dataset: str, arch: str, names: Collection[str]) -> list[str]:
        """Those of the paper's ``names`` that stand for ``dataset`` or ``arch`` at this scale."""
        return [name for name in names if self.stand_in(name) in (dataset, arch)]

    def attack(self, name: str) -> Attack:
        """The attack of that column, or a UserError that names the nearest."""
        if name not in self.attacks:
            raise UserError(f"no attack '{name}' in the configuration{nearest(name, self.attacks)}")
        found = self.attacks[name]
        if found is None:
            raise UserError(f"scale '{self.scale}' leaves out the attack '{name}': attacks.{name} is null")
        return found

    def method(self, name: str) -> Method:
        """The method of that name, or a UserError that names the nearest."""
        if name not in self.methods:
            raise UserError(f"no method '{name}' in config/methods.yaml{nearest(name, self.methods)}")
        return self.methods[name]


def _known(name: str, names: Mapping[str, object], where: str) -> None:
    if name not in names:
        raise ValueError(f"{where}: '{name}' is not defined{nearest(name, names)}")


def _architecture(arch: str | None, where: str) -> None:
    if arch is not None:
        try:
            models.check(arch)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None


def _is_architecture(name: str) -> bool:
    try:
        models.check(name)
    except ValueError:
        return False
    return True
