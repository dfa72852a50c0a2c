"""The paper's comparative sentences (report/paper/claims.yaml), and the claims that each makes.

A claim is one data set, student and comparison. It falls into *cases*, one for each attack (or statistic of particles),
and a case into *contrasts*, differences of methods (or generators) that all have to hold.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from itertools import combinations, product
from pathlib import Path
from typing import Literal, NamedTuple

from pydantic import Field, ValidationError, model_validator

from ataka.errors import UserError
from ataka.plan import Cell, Particles
from ataka.study import Study, strict_yaml
from ataka.study.fields import Settings
from report import names
from report.particles.particle_rows import STATISTICS
from report.sources import Source
from report.table import Names, refuse_twice

PATH = Path(__file__).parents[1] / "paper/claims.yaml"
Kind = Literal["superiority", "non-inferiority", "equivalence", "trend"]


class Comparison(Settings):
    """Methods, or generators of particles, and what they are compared with."""

    methods: Names
    than: tuple[str, ...] = ()
    statistics: tuple[str, ...] = Field((), description="of particles")


class Sentence(Settings):
    """A sentence of the paper, and how it is read: see the head of claims.yaml."""

    id: str
    table: int = Field(ge=1, le=5, description="whose claims are a family, for Holm's correction")
    where: str
    sentence: str
    reading: str = ""
    kind: Kind
    margin: float = Field(0.0, ge=0, description="points of accuracy, or nats of cross-entropy")
    hold_in: Literal["all", "most"] = Field("all", description="of the attacks")
    datasets: tuple[str, ...] = ()
    archs: tuple[str, ...] = ()
    attacks: tuple[str, ...] = ()
    network: str | None = Field(None, description="whose particles are compared")
    compare: tuple[Comparison, ...] = Field(min_length=1)

    @model_validator(mode="after")
    def _complete(self) -> "Sentence":
        of_cells, of_particles = (self.datasets, self.archs, self.attacks), [one.statistics for one in self.compare]
        if not (all(of_cells) and not any(of_particles) if self.network is None else all(of_particles)):
            raise ValueError("give datasets, archs and attacks, or a network and the statistics of its particles")
        if (self.kind in ("non-inferiority", "equivalence")) != (self.margin > 0):
            raise ValueError(f"{self.kind} {'has no margin' if self.margin else 'needs a margin'}")
        for one in self.compare:
            refuse_twice([*one.methods, *one.than])
            if not one.than and (self.kind not in ("equivalence", "trend") or len(one.methods) < 2):
                raise ValueError("than is missing")
            if one.than and self.kind == "trend":
                raise ValueError("a trend is over methods, in their order, than nothing")
            for name in one.statistics:
                if name not in STATISTICS:
                    raise ValueError(f"no statistic '{name}'")
        return self


class Contrast(NamedTuple):
    """A weighted sum of methods under one attack, or of generators in one statistic: a difference, or a slope."""

    under: str
    weights: tuple[tuple[str, float], ...]

    @property
    def reach(self) -> float:
        """The most that one image can move the contrast, in points."""
        return 100 * sum(max(weight, 0.0) for _, weight in self.weights)


@dataclass(frozen=True)
class Claim:
    """A claim: one data set, student and comparison of a sentence; names are the paper's."""

    sentence: Sentence
    comparison: Comparison
    dataset: str = ""
    arch: str = ""

    @property
    def id(self) -> str:
        """A name such as ``svgd-is-necessary/cifar10/resnet18/s-at-aka``, without parts that a sentence fixes."""
        several = len(self.sentence.compare) > 1
        parts = [self.sentence.id, self.dataset, self.arch]
        parts += [*self.comparison.statistics] or [self.comparison.methods[0]] if several else []
        return "/".join(filter(None, parts))

    @cached_property
    def cases(self) -> list[list[Contrast]]:
        """The contrasts under each attack, or in each statistic."""
        under = self.comparison.statistics or self.sentence.attacks
        return [[Contrast(name, weights) for weights in self._weights()] for name in under]

    @property
    def contrasts(self) -> list[Contrast]:
        """The contrasts of all cases."""
        return [contrast for case in self.cases for contrast in case]

    @property
    def required(self) -> int:
        """The number of cases in which the claim has to hold."""
        return len(self.cases) // 2 + 1 if self.sentence.hold_in == "most" else len(self.cases)

    def left_out(self, study: Study) -> list[str]:
        """The parts of the claim that a scale leaves out, in print; such a claim is not measured."""
        wanted: list[tuple[str, object]]
        if self.sentence.network is None:
            wanted = [
                (names.dataset(self.dataset, study), study.stand_in(self.dataset)),
                (names.arch(self.arch), study.stand_in(self.arch)),
                *((names.attack(name, study), study.attacks.get(name)) for name in self.sentence.attacks),
                *((names.method(name, study), not study.method(name).planned) for name in self._methods),
            ]
        else:
            dataset = study.particles.dataset
            network = f"particles of a {self.sentence.network} network"
            wanted = [(names.dataset(dataset, study), study.stand_in(dataset)), (network, self._network(study))]
        return [name for name, used in wanted if not used]

    def sources(self, study: Study) -> list[Source]:
        """The measurements that decide the claim; none where the scale leaves a part of the claim out."""
        if self.left_out(study):
            return []
        return [source for contrast in self.contrasts for at in self.samples(study, contrast) for source in at]

    def samples(self, study: Study, contrast: Contrast) -> list[list[Source]]:
        """The measurements of a contrast, in the order of its weights, for each seed (of particles, the first seed)."""
        members = [name for name, _ in contrast.weights]
        if self.sentence.network is not None:
            arch, method = self._network(study) or ("", "")
            dataset = str(study.stand_in(study.particles.dataset))
            return [[Particles(dataset, arch, method, study.seeds[0], name) for name in members]]
        dataset, arch = str(study.stand_in(self.dataset)), str(study.stand_in(self.arch))
        return [[Cell(dataset, arch, name, seed, contrast.under) for name in members] for seed in study.seeds]

    @property
    def _methods(self) -> tuple[str, ...]:
        return self.comparison.methods + self.comparison.than

    def _network(self, study: Study) -> tuple[str, str] | None:
        """The network of this scale whose particles are measured: trained as ``network``, or a variant of that."""
        fitting = (one for one in study.particles.networks if one.method.split(".")[0] == self.sentence.network)
        return next(((one.arch, one.method) for one in fitting), None)

    def _weights(self) -> Iterator[tuple[tuple[str, float], ...]]:
        methods, than = self.comparison.methods, self.comparison.than
        if self.sentence.kind == "trend":
            middle = (len(methods) - 1) / 2
            scale = sum((at - middle) ** 2 for at in range(len(methods)))
            yield tuple((name, (at - middle) / scale) for at, name in enumerate(methods))  # the least-squares slope
            return
        for one, other in product(methods, than) if than else combinations(methods, 2):
            yield (one, 1.0), (other, -1.0)


def load(path: Path = PATH) -> list[Claim]:
    """Every claim, in the paper's order; UserError where the YAML isn't what it should be."""
    try:
        sentences = [Sentence.model_validate(entry) for entry in strict_yaml.read(path)]
        refuse_twice([one.id for one in sentences])
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    except (TypeError, ValueError) as error:
        raise UserError(f"{path}: {error}") from None
    return [
        Claim(sentence, comparison, dataset, arch)
        for sentence in sentences
        for dataset in sentence.datasets or ("",)
        for arch in sentence.archs or ("",)
        for comparison in sentence.compare
    ]


def sources(study: Study, claims: list[Claim]) -> list[Source]:
    """Every measurement that the claims need at this scale."""
    return list(dict.fromkeys(source for claim in claims for source in claim.sources(study)))
