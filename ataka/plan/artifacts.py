"""The kinds of artifact, where each lies below a results folder, and from a path back to the artifact."""

import re
from dataclasses import dataclass, replace
from math import ceil
from pathlib import Path
from typing import Any

from ataka.errors import UserError
from ataka.study.config import DEFAULT_SCALE

ROOMS = ("data", "tapes", "runs", "cells", "particles")
"""The folders of a results folder, in the order in which they are made."""
BEFORE = ".before"
"""The folder of a results folder that keeps what is being made again, until it is made (rules/rollback.py)."""


@dataclass(frozen=True, slots=True)
class Tape:
    """The logits of an ensemble of teachers for every training image in every epoch."""

    dataset: str
    ensemble: str
    seed: int

    def folder(self, root: str | Path) -> Path:
        """Folder of the tape in the results folder ``root``."""
        return Path(root, "tapes", self.dataset, self.ensemble, f"seed{self.seed}")

    def manifest(self, root: str | Path) -> Path:
        """File that lists the tape's epochs and teachers; the last one to be written."""
        return self.folder(root) / "manifest.json"


@dataclass(frozen=True, slots=True)
class Run:
    """One training. ``part`` is empty, ``member2`` of an averaged ensemble, or the candidate ``alpha0.5``."""

    dataset: str
    arch: str
    method: str
    seed: int
    part: str = ""

    def folder(self, root: str | Path) -> Path:
        """Folder of the run in the results folder ``root``."""
        return Path(root, "runs", self.dataset, self.arch, self.method, f"seed{self.seed}", self.part)

    def model(self, root: str | Path) -> Path:
        """File of the trained weights."""
        return self.folder(root) / "model.safetensors"

    def choice(self, root: str | Path) -> Path:
        """The file of the alpha chosen for this data set, network and method."""
        return self.folder(root).parents[1 if self.part else 0] / "choice.json"

    @property
    def member(self) -> int | None:
        """Index of this member of an average; None for a run that is no member."""
        return int(self.part.removeprefix("member")) if self.part.startswith("member") else None

    @property
    def alpha(self) -> float | None:
        """Alpha of this candidate; None for a run that is no candidate."""
        return float(self.part.removeprefix("alpha")) if self.part.startswith("alpha") else None


@dataclass(frozen=True, slots=True)
class Particles:
    """Measurements of one generator's particles on a network: a row of Table 1."""

    dataset: str
    arch: str
    method: str
    seed: int
    generator: str

    def csv(self, root: str | Path) -> Path:
        """File of the measurements in the results folder ``root``."""
        folder = Path(root, "particles", self.dataset, self.arch, self.method, f"seed{self.seed}")
        return folder / f"{self.generator}.csv"

    @property
    def run(self) -> Run:
        """The network that the particles attack."""
        return Run(self.dataset, self.arch, self.method, self.seed)


@dataclass(frozen=True, slots=True)
class Cell:
    """One number of a table: a run under an attack."""

    dataset: str
    arch: str
    method: str
    seed: int
    attack: str

    def csv(self, root: str | Path) -> Path:
        """File of the cell in the results folder ``root``."""
        return Path(root, "cells", self.dataset, self.arch, self.method, f"seed{self.seed}", f"{self.attack}.csv")

    def bits(self, root: str | Path) -> Path:
        """File of the verdicts on the test images, beside the CSV."""
        return self.csv(root).with_suffix(".bits.npy")

    @property
    def run(self) -> Run:
        """The network that is attacked."""
        return Run(self.dataset, self.arch, self.method, self.seed)


@dataclass(frozen=True, slots=True)
class Shard:
    """Some chunks of a cell's attack, predicted by a job of their own: the ``index``-th, from 1, ``of`` so many.

    A shard lies beside its cell until the cell is joined from all of them.
    """

    dataset: str
    arch: str
    method: str
    seed: int
    attack: str
    index: int
    of: int

    def file(self, root: str | Path) -> Path:
        """File of the shard, beside the CSV of its cell."""
        return self.cell.csv(root).with_name(f"{self.attack}.{self.index}of{self.of}.safetensors")

    def images(self, count: int, chunk: int) -> range:
        """The shard's places among ``count`` images: whole chunks of ``chunk`` images, but for a short last one."""
        chunks = ceil(count / chunk)
        first, end = (place * chunks // self.of * chunk for place in (self.index - 1, self.index))
        return range(first, min(end, count))

    @property
    def cell(self) -> Cell:
        """The cell that the shard is a part of."""
        return Cell(self.dataset, self.arch, self.method, self.seed, self.attack)

    @property
    def run(self) -> Run:
        """The network that is attacked."""
        return self.cell.run


Node = Tape | Run | Cell | Shard | Particles


def root_of(scale: str) -> str:
    """``results`` for the default scale, ``results/demo`` and so on for the others."""
    return "results" if scale == DEFAULT_SCALE else f"results/{scale}"


def scale_of(root: str) -> str:
    """The scale whose results folder ``root`` is."""
    return Path(root).name if Path(root).name != "results" else DEFAULT_SCALE


def data_file(root: str | Path, dataset: str, part: str) -> Path:
    """The file of the prepared images: ``part`` is train (with validation, and so all) or test."""
    return Path(root, "data", dataset, f"{part}.safetensors")


def file_of(node: Node, root: str | Path) -> Path:
    """The file that an artifact is named by."""
    if isinstance(node, Tape):
        return node.manifest(root)
    if isinstance(node, Shard):
        return node.file(root)
    return node.model(root) if isinstance(node, Run) else node.csv(root)


_ARCH = r"(?P<arch>(?:timm/)?[^/]+)"
_SEED = r"seed(?P<seed>\d{1,9})"
_PATTERNS = (
    (Tape, re.compile(rf"tapes/(?P<dataset>[^/]+)/(?P<ensemble>[^/]+)/{_SEED}/manifest\.json")),
    (
        Run,
        re.compile(
            rf"runs/(?P<dataset>[^/]+)/{_ARCH}/(?P<method>[^/]+)/{_SEED}"
            r"(?:/(?P<part>member\d{1,3}|alpha\d{1,3}(?:\.\d{1,9})?))?/model\.safetensors"
        ),
    ),
    (
        Cell,
        re.compile(rf"cells/(?P<dataset>[^/]+)/{_ARCH}/(?P<method>[^/]+)/{_SEED}/(?P<attack>[^/]+)\.csv"),
    ),
    (
        Shard,
        re.compile(
            rf"cells/(?P<dataset>[^/]+)/{_ARCH}/(?P<method>[^/]+)/{_SEED}/(?P<attack>[^/]+)\."
            r"(?P<index>[1-9]\d{0,3})of(?P<of>[1-9]\d{0,3})\.safetensors"
        ),
    ),
    (
        Particles,
        re.compile(rf"particles/(?P<dataset>[^/]+)/{_ARCH}/(?P<method>[^/]+)/{_SEED}/(?P<generator>[^/]+)\.csv"),
    ),
)


class OtherName(UserError):
    """A path that would name an artifact if it were spelt as the study spells it."""


def _plain(node: Node) -> Node:
    """As the study calls it: ``member02`` and ``alpha0.50`` are other names of the same."""
    if not isinstance(node, Run) or not node.part:
        return node
    return replace(node, part=f"alpha{node.alpha:g}" if node.alpha is not None else f"member{node.member}")


def parse(path: str | Path) -> tuple[str, Node]:
    """The results folder and the artifact that a path names.

    UserError for a path that is none of a study's, OtherName for one that a study doesn't call so (`seed00`).
    """
    text = Path(path).as_posix()
    for kind, form in _PATTERNS:
        match = re.fullmatch(rf"(?:(?P<root>.*?)/)?{form.pattern}", text, re.ASCII)
        if match:
            fields: dict[str, Any] = {name: value or "" for name, value in match.groupdict().items()}
            root = fields.pop("root")
            node = kind(**fields | {name: int(fields[name]) for name in ("seed", "index", "of") if name in fields})
            if text == file_of(_plain(node), root).as_posix():
                return root, node
            raise OtherName(f"'{text}' is another name of {file_of(_plain(node), root)}: use that one")
    raise UserError(f"'{text}' is no artifact of a study; {forms()}")


def forms(root: str = "ROOT") -> str:
    """The forms of artifacts' paths, as a clause for messages."""
    return (
        f"such are {root}/tapes/DATASET/ENSEMBLE/seedN/manifest.json, "
        f"{root}/runs/DATASET/ARCH/METHOD/seedN/model.safetensors, {root}/cells/DATASET/ARCH/METHOD/seedN/ATTACK.csv, "
        f"{root}/particles/DATASET/ARCH/METHOD/seedN/GENERATOR.csv"
    )
