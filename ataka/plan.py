"""What a study consists of: its artifacts, where each lies, and the settings that decide its bytes.

Three kinds of artifact have a name of their own: a `Tape` (the teachers' recorded logits), a `Run` (one training)
and a `Cell` (one number of a table). Each knows its path below the results folder and its settings; the SHA-256
of those settings is what Snakemake watches and what a table compares before it takes a cell in.
"""

import hashlib
import json
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ataka import config, models
from ataka.config import DEFAULT_SCALE
from ataka.errors import UserError, nearest
from ataka.settings import readings_of
from ataka.study import Ensemble, Method, Study

NATIVE_ENSEMBLE_SETUP = "table2"
"""The teachers' set-up that an ensemble's name leaves unsaid."""


@dataclass(frozen=True)
class Tape:
    """What an ensemble of teachers said about every image in every epoch."""

    dataset: str
    ensemble: str
    seed: int

    def folder(self, root: str | Path) -> Path:
        return Path(root, "tapes", self.dataset, self.ensemble, f"seed{self.seed}")

    def manifest(self, root: str | Path) -> Path:
        return self.folder(root) / "manifest.json"


@dataclass(frozen=True)
class Run:
    """One training. ``part`` is empty, ``member2`` of an averaged ensemble, or the candidate ``alpha0.5``."""

    dataset: str
    arch: str
    method: str
    seed: int
    part: str = ""

    def folder(self, root: str | Path) -> Path:
        return Path(root, "runs", self.dataset, self.arch, self.method, f"seed{self.seed}", self.part)

    def model(self, root: str | Path) -> Path:
        return self.folder(root) / "model.safetensors"

    def choice(self, root: str | Path) -> Path:
        """Where the alpha chosen for this data set, network and method is written."""
        return self.folder(root).parents[1 if self.part else 0] / "choice.json"

    @property
    def member(self) -> int | None:
        return int(self.part.removeprefix("member")) if self.part.startswith("member") else None

    @property
    def alpha(self) -> float | None:
        return float(self.part.removeprefix("alpha")) if self.part.startswith("alpha") else None


@dataclass(frozen=True)
class Cell:
    """One number of a table: a run under an attack."""

    dataset: str
    arch: str
    method: str
    seed: int
    attack: str

    def csv(self, root: str | Path) -> Path:
        return Path(root, "cells", self.dataset, self.arch, self.method, f"seed{self.seed}", f"{self.attack}.csv")

    def bits(self, root: str | Path) -> Path:
        return self.csv(root).with_suffix(".bits.npy")

    @property
    def run(self) -> Run:
        return Run(self.dataset, self.arch, self.method, self.seed)


def root_of(scale: str) -> str:
    """``results`` for the default scale, ``results/demo`` and so on for the others."""
    return "results" if scale == DEFAULT_SCALE else f"results/{scale}"


def scale_of(root: str) -> str:
    """The scale whose results folder ``root`` is."""
    return Path(root).name if Path(root).name != "results" else DEFAULT_SCALE


# ---- how the artifacts hang together ------------------------------------------------------------------------


def ensemble_name(study: Study, dataset: str, ensemble: Ensemble) -> str:
    """Such as ``wrn34-10-x3-svgd``: architecture, number of teachers, generator, and a set-up of its own."""
    arch = study.teacher(dataset).replace("/", "-")
    setup = "" if ensemble.setup == NATIVE_ENSEMBLE_SETUP else f".{ensemble.setup}"
    return f"{arch}-x{ensemble.n}-{ensemble.generator}{setup}"


def ensemble_of(study: Study, tape: Tape) -> Ensemble:
    """The ensemble that a tape's name stands for."""
    named = {
        ensemble_name(study, tape.dataset, method.ensemble): method.ensemble
        for method in study.methods.values()
        if method.ensemble
    }
    if tape.ensemble not in named:
        raise UserError(f"no method has the ensemble '{tape.ensemble}'{nearest(tape.ensemble, named)}")
    return named[tape.ensemble]


def tape_of(study: Study, run: Run) -> Tape | None:
    """The tape that a run replays; None if it replays none."""
    method = study.method(run.method)
    if method.ensemble is None or method.online:
        return None
    return Tape(run.dataset, ensemble_name(study, run.dataset, method.ensemble), run.seed)


def members(study: Study, run: Run) -> list[Run]:
    """The independently seeded networks that are averaged into ``run``."""
    count = study.method(run.method).members
    return [Run(run.dataset, run.arch, run.method, run.seed, f"member{index}") for index in range(count)]


def candidates(study: Study, run: Run) -> list[Run]:
    """The runs of the first seed among which alpha is chosen."""
    return [
        Run(run.dataset, run.arch, run.method, study.seeds[0], f"alpha{alpha:g}") for alpha in study.selection.alphas
    ]


def tuned(method: Method) -> bool:
    return method.alpha == "tuned"


def needs(study: Study, node: Tape | Run | Cell) -> list[Tape | Run]:
    """The artifacts that ``node`` is made from."""
    if isinstance(node, Cell):
        return [node.run]
    if isinstance(node, Tape):
        return []
    method = study.method(node.method)
    if method.members > 1 and not node.part:
        return list(members(study, node))
    first = tuned(method) and not node.part
    needed: list[Tape | Run] = list(candidates(study, node)) if first else []
    tape = tape_of(study, node)
    return [*needed, tape] if tape else needed


# ---- the settings that decide an artifact's bytes -----------------------------------------------------------


def digest(settings: Any) -> str:
    """SHA-256 of settings in canonical JSON."""
    return hashlib.sha256(json.dumps(settings, sort_keys=True).encode()).hexdigest()


def data_settings(study: Study, dataset: str, split: str) -> dict[str, Any]:
    """What decides one prepared split: ``train`` (with validation) or ``test``."""
    data = study.data
    settings: dict[str, Any] = {"dataset": dataset, "split": split, "split_seed": data.split_seed}
    if split == "train":
        return settings | {"train": data.train, "validation": data.validation}
    return settings | {"test": data.test}


def tape_settings(study: Study, tape: Tape) -> dict[str, Any]:
    """What decides a tape, whoever replays it."""
    ensemble = ensemble_of(study, tape)
    return {
        "arch": study.teacher(tape.dataset),
        "n": ensemble.n,
        "generator": study.generators[ensemble.generator].model_dump(mode="json"),
        "setup": study.setups[ensemble.setup].model_dump(mode="json"),
        "data": data_settings(study, tape.dataset, "train"),
        "seed": tape.seed,
    }


def run_settings(study: Study, run: Run) -> dict[str, Any]:
    """What decides a trained network: method, readings, set-up, data, seed, and the tape behind it."""
    method = study.method(run.method)
    settings: dict[str, Any] = {
        "arch": run.arch,
        "objective": method.objective,
        "options": asdict(config.options(study, run.method)),
        "setup": study.setups[method.setup].model_dump(mode="json"),
        "data": data_settings(study, run.dataset, "train"),
        "seed": run.seed,
        "part": run.part,
    }
    tape = tape_of(study, run)
    if tape is not None:
        settings["tape"] = tape_settings(study, tape)
    elif method.ensemble:
        online = Tape(run.dataset, ensemble_name(study, run.dataset, method.ensemble), run.seed)
        settings["teachers"] = tape_settings(study, online)
    if method.members > 1 and not run.part:
        settings |= {"members": method.members, "average": method.average}
    if tuned(method) and not run.part:
        settings["selection"] = selection_settings(study)
    elif not tuned(method):
        settings["alpha"] = method.alpha
    return settings


def selection_settings(study: Study) -> dict[str, Any]:
    """What decides which alpha is chosen."""
    settings = study.selection.model_dump(mode="json") | {"seed": study.seeds[0]}
    if study.selection.split == "test":
        settings["test"] = study.data.test
    return settings


def cell_settings(study: Study, cell: Cell) -> dict[str, Any]:
    """What decides a cell: the run, the test images and the attack."""
    if cell.attack not in study.attacks:
        raise UserError(f"no attack '{cell.attack}' in the configuration{nearest(cell.attack, study.attacks)}")
    return {
        "run": run_settings(study, cell.run),
        "test": data_settings(study, cell.dataset, "test"),
        "attack": study.attacks[cell.attack].model_dump(mode="json"),
    }


def readings(study: Study) -> dict[str, str]:
    """How the study reads the paper's open sentences: setting to value, with the question's number.

    Hyper-parameters that several methods share under one value are listed once.
    """
    found: dict[str, str] = {}
    for path, number, value in readings_of(study):
        if not path.startswith("methods."):
            found[path] = f"{value} [{number}]"
    for name, method in study.methods.items():
        if method.objective is not None:
            owner = method.objective.rsplit(".", 1)[-1]
            given = [*readings_of(config.options(study, name))]
            given += [("average", "E1", method.average)] if method.members > 1 else []
            for path, number, value in given:
                text = f"{value} [{number}]"
                shared = found.setdefault(f"{owner}.{path}", text) == text
                if not shared:  # a variant's own reading
                    found[f"{name}.{path}"] = text
    return found


# ---- the modules whose code decides an artifact's bytes -----------------------------------------------------


def tape_code(study: Study, tape: Tape) -> tuple[str, ...]:
    return (
        "ataka.training",
        "ataka.networks",
        "ataka.objectives.teachers",
        *models.sources(study.teacher(tape.dataset)),
    )


def run_code(study: Study, run: Run) -> tuple[str, ...]:
    method = study.method(run.method)
    assert method.objective is not None
    modules = ["ataka.training", "ataka.networks", method.objective, *models.sources(run.arch)]
    if method.members > 1 and not run.part:
        modules.append("ataka.models.mixture")
    if method.online:
        modules.extend(models.sources(study.teacher(run.dataset)))
    return tuple(modules)


def attack_code(study: Study, attack: str) -> tuple[str, ...]:
    return ("ataka.evaluation", f"ataka.attacks.{study.attacks[attack].kind}")


# ---- from a path to the artifact ----------------------------------------------------------------------------

_ARCH = r"(?P<arch>(?:timm/)?[^/]+)"
_PATTERNS = (
    (Tape, re.compile(r"tapes/(?P<dataset>[^/]+)/(?P<ensemble>[^/]+)/seed(?P<seed>\d+)/manifest\.json")),
    (
        Run,
        re.compile(
            rf"runs/(?P<dataset>[^/]+)/{_ARCH}/(?P<method>[^/]+)/seed(?P<seed>\d+)"
            r"(?:/(?P<part>member\d+|alpha\d+(?:\.\d+)?))?/model\.safetensors"
        ),
    ),
    (
        Cell,
        re.compile(rf"cells/(?P<dataset>[^/]+)/{_ARCH}/(?P<method>[^/]+)/seed(?P<seed>\d+)/(?P<attack>[^/]+)\.csv"),
    ),
)


def parse(path: str | Path) -> tuple[str, Tape | Run | Cell]:
    """The results folder and the artifact that a path names; UserError for a path that is none of a study's."""
    text = Path(path).as_posix()
    for kind, form in _PATTERNS:
        match = re.fullmatch(rf"(?:(?P<root>.*?)/)?{form.pattern}", text, re.ASCII)
        if match:
            fields: dict[str, Any] = {name: value or "" for name, value in match.groupdict().items()}
            root = fields.pop("root")
            return root, kind(**fields | {"seed": int(fields["seed"])})
    raise UserError(
        f"'{text}' is no artifact of a study; such are ROOT/tapes/DATASET/ENSEMBLE/seedN/manifest.json, "
        "ROOT/runs/DATASET/ARCH/METHOD/seedN/model.safetensors, ROOT/cells/DATASET/ARCH/METHOD/seedN/ATTACK.csv"
    )
