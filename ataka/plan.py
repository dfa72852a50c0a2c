"""What a study consists of: its artifacts, where each lies, and the settings that decide its bytes.

Four kinds of artifact have a name of their own: a `Tape` (the teachers' recorded logits), a `Run` (one training), a
`Cell` (one number of a table) and `Particles` (the measurements behind Table 1). Each knows its path below the results
folder and its settings; the SHA-256 of those settings is what Snakemake watches and what a table compares before it
takes a cell in.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from ataka import config, models
from ataka.config import DEFAULT_SCALE
from ataka.errors import UserError, nearest
from ataka.settings import readings_of
from ataka.study import Checkpoint, Ensemble, Method, Study

ROOMS = ("data", "tapes", "runs", "cells", "particles")
"""The folders of a results folder, in the order in which they are made."""
BEFORE = ".before"
"""The folder of a results folder that keeps what is being made again, until it is made (rules/rollback.py)."""
NATIVE_ENSEMBLE_SETUP = "table2"
"""The teachers' set-up that an ensemble's name leaves unsaid."""
_SAME_UNDER_IDENTITY = {"kind", "like", "bandwidth", "gamma", "repulsion", "one_over_n", "gradient_of"}
"""The generator's settings that make no difference where its kernel is exactly the identity (A1)."""


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
class Particles:
    """What a network says of one generator's particles: a row of Table 1."""

    dataset: str
    arch: str
    method: str
    seed: int
    generator: str

    def csv(self, root: str | Path) -> Path:
        folder = Path(root, "particles", self.dataset, self.arch, self.method, f"seed{self.seed}")
        return folder / f"{self.generator}.csv"

    @property
    def run(self) -> Run:
        return Run(self.dataset, self.arch, self.method, self.seed)


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


Node = Tape | Run | Cell | Particles


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
    ensembles = [method.ensemble for method in study.methods.values() if method.ensemble]
    larger = [_shared(ensemble) for ensemble in ensembles if ensemble.shares]
    named = {ensemble_name(study, tape.dataset, ensemble): ensemble for ensemble in [*larger, *ensembles]}
    if tape.ensemble not in named:
        raise UserError(f"no method has the ensemble '{tape.ensemble}'{nearest(tape.ensemble, named)}")
    return named[tape.ensemble]


def _shared(ensemble: Ensemble) -> Ensemble:
    assert ensemble.shares is not None
    return Ensemble(generator=ensemble.shares.generator, n=ensemble.shares.n, setup=ensemble.setup, shares=None)


def tape_of(study: Study, run: Run) -> Tape | None:
    """The tape that a run replays; None if it replays none."""
    method = study.method(run.method)
    if method.ensemble is None or method.online:
        return None
    return Tape(run.dataset, ensemble_name(study, run.dataset, method.ensemble), run.seed)


def source_of(study: Study, tape: Tape) -> Tape | None:
    """The tape whose first teachers may serve as ``tape``: whether they do, its manifest says once it is recorded."""
    ensemble = ensemble_of(study, tape)
    if ensemble.shares is None:
        return None
    mine, other = (study.generators[name].model_dump() for name in (ensemble.generator, ensemble.shares.generator))
    alike = all(mine[key] == other[key] for key in mine.keys() - _SAME_UNDER_IDENTITY)
    averaged = "ensemble" in (mine["gradient_of"], other["gradient_of"])  # the gradient then depends on n
    signed = mine["update"] == "sign" or mine["kind"] == other["kind"]  # PGD's steps are signed
    shuffled = mine["assignment"] == "shuffled"  # which particle teacher i sees then depends on n
    if not alike or averaged or shuffled or not signed or _feels_more(mine, other):
        return None
    name = ensemble_name(study, tape.dataset, _shared(ensemble))
    return Tape(tape.dataset, name, tape.seed) if name != tape.ensemble else None


def _feels_more(mine: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Whether particles of ``mine`` may feel each other where those of ``other`` did not: its kernel is wider."""
    if other["bandwidth"] == "median":
        return True
    return bool(mine["kind"] == "svgd" and (mine["bandwidth"] == "median" or mine["bandwidth"] > other["bandwidth"]))


def members(study: Study, run: Run) -> list[Run]:
    """The independently trained networks that are averaged into ``run``; none of a joint or a single one."""
    method = study.method(run.method)
    if run.part or method.joint or method.members == 1:
        return []
    trained = method.average_of or run.method
    return [Run(run.dataset, run.arch, trained, run.seed, f"member{index}") for index in range(method.members)]


def frozen_teachers(study: Study, run: Run) -> dict[str, Run]:
    """The runs that a distilled student learns from, by the part they play."""
    method = study.method(run.method)
    if not method.teachers:
        return {}
    arch = study.teacher(run.dataset)
    return {role: Run(run.dataset, arch, teacher, run.seed) for role, teacher in method.teachers.items()}


def together(study: Study, run: Run) -> Run | None:
    """The joint run that ``run`` is one member of."""
    method = study.method(run.method)
    return Run(run.dataset, run.arch, method.member_of, run.seed) if method.member_of else None


def candidates(study: Study, run: Run) -> list[Run]:
    """The runs of the first seed among which alpha is chosen."""
    return [
        Run(run.dataset, run.arch, run.method, study.seeds[0], f"alpha{alpha:g}") for alpha in study.selection.alphas
    ]


def tuned(method: Method) -> bool:
    return method.alpha == "tuned"


def tuned_run(study: Study, run: Run) -> Run | None:
    """The run whose choice of alpha is behind ``run``: itself, the joint run that it comes from, or none."""
    source = together(study, run) or run
    return source if tuned(study.method(source.method)) else None


def checkpoint(study: Study, run: Run) -> Checkpoint | None:
    """The file of others that ``run`` is; UserError if its method has files, but none for this data set and network."""
    method = study.method(run.method)
    if not method.checkpoints or (method.members > 1 and not run.part):
        return None
    fitting = [one for one in method.checkpoints if (one.dataset, one.arch) == (run.dataset, run.arch)]
    if len(fitting) != method.members:
        raise UserError(
            f"methods.{run.method}.checkpoints: {len(fitting)} for {run.arch} on {run.dataset}, "
            f"but members is {method.members}"
        )
    return fitting[run.member or 0]


def require_known(study: Study, node: Node) -> None:
    """UserError, with the nearest name, where ``node`` names a data set, network, method or part that is not there."""
    from ataka import data  # needs torch

    data.specification(node.dataset)
    if isinstance(node, Tape):
        return
    try:
        models.check(node.arch)
    except ValueError as error:
        raise UserError(str(error)) from None
    method = study.method(node.method)
    if not isinstance(node, Run) or not node.part:
        return
    if node.alpha is not None and not (tuned(method) and node.alpha <= 1):
        raise UserError(f"{node.method} has no candidate '{node.part}': its alpha is {method.alpha}")
    apart = 1 if method.joint else method.members
    if node.member is not None and (apart == 1 or node.member >= apart):
        together = " (trained together)" if method.joint else ""
        raise UserError(f"{node.method} has no '{node.part}': its number of members is {method.members}{together}")


def needs(study: Study, node: Node) -> list[Tape | Run]:
    """The artifacts that ``node`` is made from."""
    if isinstance(node, Cell | Particles):
        return [node.run]
    if isinstance(node, Tape):
        source = source_of(study, node)
        return [source] if source else []
    if parts := members(study, node):
        return list(parts)
    if joint := together(study, node):
        return [joint]
    first = tuned(study.method(node.method)) and not node.part
    needed: list[Tape | Run] = list(candidates(study, node)) if first else []
    tape = tape_of(study, node)
    return [*needed, *([tape] if tape else []), *frozen_teachers(study, node).values()]


def file_of(node: Node, root: str | Path) -> Path:
    """The file that an artifact is named by."""
    if isinstance(node, Tape):
        return node.manifest(root)
    return node.model(root) if isinstance(node, Run) else node.csv(root)


def made_from(study: Study, node: Tape | Run, root: str | Path, alpha: float | None = None) -> list[Path]:
    """The files of this study that a training reads, beside images: ``alpha`` is the one chosen for it."""
    needed = needs(study, node)
    if not isinstance(node, Run) or node.part or not tuned(study.method(node.method)):
        return [file_of(one, root) for one in needed]
    grid = candidates(study, node)
    chosen = [one for one in grid if one.alpha == alpha]
    behind = chosen if node.seed == study.seeds[0] else [one for one in needed if one not in grid]
    return [node.choice(root), *(file_of(one, root) for one in behind)]


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
        "generator": generator_settings(study, ensemble.generator),
        "setup": setup_settings(study, ensemble.setup, tape.dataset, study.teacher(tape.dataset)),
        "data": data_settings(study, tape.dataset, "train"),
        "seed": tape.seed,
    }


def generator_settings(study: Study, generator: str) -> dict[str, Any]:
    return study.generators[generator].model_dump(mode="json", exclude={"like"})


def setup_settings(study: Study, setup: str, dataset: str, arch: str) -> dict[str, Any]:
    """A set-up as it is for one data set and network; whether overfitting stops it decides no byte of what finishes."""
    used = study.setup(setup, dataset, arch)
    return used.model_dump(mode="json", exclude={"where": True, "like": True, "probe": {"overfitted"}})


def run_settings(study: Study, run: Run) -> dict[str, Any]:
    """What decides a trained network: method, readings, set-up, data, seed, and whatever it learns from."""
    method = study.method(run.method)
    settings: dict[str, Any] = {"arch": run.arch, "part": run.part}
    if method.members > 1 and (method.joint or not run.part):
        settings |= {"members": method.members, "average": method.average}
        if method.average_of is not None:
            settings["average_of"] = run_settings(study, members(study, run)[0])
    if joint := together(study, run):
        settings |= {"of": run_settings(study, joint), "member": method.member}
        return settings | ({"selection": selection_settings(study, run.method)} if method.member == "chosen" else {})
    if method.checkpoints:
        parts = members(study, run) or [run]
        return settings | {"checkpoints": [one.sha256 for part in parts if (one := checkpoint(study, part))]}
    settings |= {
        "objective": method.objective,
        "options": asdict(config.options(study, run.method, run.dataset, run.arch)),
        "setup": setup_settings(study, method.setup, run.dataset, run.arch),
        "data": data_settings(study, run.dataset, "train"),
        "seed": run.seed,
    }
    tape = tape_of(study, run)
    if tape is not None:
        settings["tape"] = tape_settings(study, tape)
    elif method.ensemble:
        online = Tape(run.dataset, ensemble_name(study, run.dataset, method.ensemble), run.seed)
        settings["teachers"] = tape_settings(study, online)
    if method.generator is not None:
        settings["generator"] = generator_settings(study, method.generator)
    if method.teachers:
        frozen = frozen_teachers(study, run)
        settings["frozen"] = {role: run_settings(study, teacher) for role, teacher in frozen.items()}
    if tuned(method) and not run.part:
        settings["selection"] = selection_settings(study, run.method)
    elif not tuned(method):
        settings["alpha"] = method.alpha
    if tuned(method):  # a candidate that was stopped is kept, as one
        probe = study.setup(method.setup, run.dataset, run.arch).probe
        settings["overfitted"] = probe.overfitted if probe else None
    return settings


def selection_settings(study: Study, method: str) -> dict[str, Any]:
    """What decides which alpha of a method is chosen."""
    selection = study.selection_of(method)
    settings = selection.model_dump(mode="json") | {"seed": study.seeds[0]}
    if selection.split == "test":
        settings["test"] = study.data.test
    return settings


def cell_settings(study: Study, cell: Cell) -> dict[str, Any]:
    """What decides a cell: the run, the test images and the attack."""
    method = study.method(cell.method)
    settings = {
        "run": run_settings(study, cell.run),
        "test": data_settings(study, cell.dataset, "test"),
        "attack": study.attack(cell.attack).model_dump(mode="json"),
    }
    return settings | ({"attacked": method.attacked} if method.members > 1 else {})


def particles_settings(study: Study, node: Particles) -> dict[str, Any]:
    """What decides the measurements of one generator's particles: the network, the images, the generator."""
    if node.generator not in study.generators:
        raise UserError(f"no generator '{node.generator}' in config/{nearest(node.generator, study.generators)}")
    return {
        "run": run_settings(study, node.run),
        "test": data_settings(study, node.dataset, "test"),
        "generator": generator_settings(study, node.generator),
        "count": study.particles.count,
        "images": study.particles.images,
    }


def settings_of(study: Study, node: Node) -> dict[str, Any]:
    """What decides an artifact's bytes."""
    if isinstance(node, Tape):
        return tape_settings(study, node)
    if isinstance(node, Run):
        return run_settings(study, node)
    return cell_settings(study, node) if isinstance(node, Cell) else particles_settings(study, node)


def readings_in(study: Study, node: Tape | Run) -> dict[str, str]:
    """The readings that a training is made under: setting to value, with the question's number."""
    if isinstance(node, Tape):
        ensemble, arch = ensemble_of(study, node), study.teacher(node.dataset)
        setup = study.setup(ensemble.setup, node.dataset, arch)
        return _told({"generator": study.generators[ensemble.generator], "setup": setup, "data": study.data})
    if joint := together(study, node):
        member = f"{study.method(node.method).member} [D4]"
        return readings_in(study, joint) | {"member": member}
    method = study.method(node.method)
    found = {"average": f"{method.average} [E1]", "attacked": f"{method.attacked} [E1]"} if method.members > 1 else {}
    if method.checkpoints:
        return found
    groups: dict[str, Any] = {
        "options": config.options(study, node.method, node.dataset, node.arch),
        "setup": study.setup(method.setup, node.dataset, node.arch),
        "data": study.data,
    }
    generator = method.generator or (method.ensemble.generator if method.ensemble else None)
    if generator is not None:
        groups["generator"] = study.generators[generator]
    if tuned(method):
        groups["selection"] = study.selection_of(node.method)
    return found | _told(groups)


def _told(groups: dict[str, Any]) -> dict[str, str]:
    return {path: f"{value} [{number}]" for path, number, value in readings_of(groups)}


def readings(study: Study) -> dict[str, str]:
    """How the study reads the paper's open sentences: setting to value, with the question's number.

    Hyper-parameters that several methods share under one value are listed once.
    """
    found: dict[str, str] = {}
    for path, number, value in readings_of(study):
        group, _, name = path.partition(".")
        if group in ("generators", "setups", "attacks"):  # what they share is listed once
            entry, _, field = name.partition(".")
            if found.setdefault(f"{group}.*.{field}", f"{value} [{number}]") != f"{value} [{number}]":
                found[f"{group}.{entry}.{field}"] = f"{value} [{number}]"
        elif group != "methods":
            found[path] = f"{value} [{number}]"
    for name, method in study.methods.items():
        if method.objective is not None:
            owner = method.objective.rsplit(".", 1)[-1]
            given = [*readings_of(config.options(study, name))]
            if method.members > 1:
                given += [("average", "E1", method.average), ("attacked", "E1", method.attacked)]
            if method.chosen_on is not None:
                found[f"{name}.chosen_on"] = f"{method.chosen_on} [C1]"
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
    modules = ["ataka.networks", *models.sources(run.arch)]
    if method.checkpoints:
        modules.append("ataka.checkpoints")
    if method.objective is not None:
        modules += ["ataka.training", method.objective]
    if method.members > 1 and not run.part:
        modules.append("ataka.models.mixture")
    if method.member == "chosen":
        modules += selection_code(study)
    if method.online or method.teachers:
        modules.extend(models.sources(study.teacher(run.dataset)))
    return tuple(modules)


def selection_code(study: Study) -> tuple[str, ...]:
    return ("ataka.evaluation", f"ataka.attacks.{study.selection.attack.kind}")


def attack_code(study: Study, attack: str) -> tuple[str, ...]:
    kind = study.attack(attack).kind
    return ("ataka.evaluation", f"ataka.attacks.{kind}", *(["ataka.diagnostics"] if kind == "pgd" else []))


def code_of(study: Study, node: Node) -> tuple[str, ...]:
    """The modules whose code decides an artifact's bytes."""
    if isinstance(node, Tape):
        return tape_code(study, node)
    if isinstance(node, Run):
        return run_code(study, node)
    return attack_code(study, node.attack) if isinstance(node, Cell) else ("ataka.particles",)


# ---- from a path to the artifact ----------------------------------------------------------------------------

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
        Particles,
        re.compile(rf"particles/(?P<dataset>[^/]+)/{_ARCH}/(?P<method>[^/]+)/{_SEED}/(?P<generator>[^/]+)\.csv"),
    ),
)


def _is_plain(node: Node) -> bool:
    """Whether it is called as the study calls it: ``member02`` and ``alpha0.50`` are other names of the same."""
    if not isinstance(node, Run) or not node.part:
        return True
    return node.part in (f"member{node.member}", f"alpha{node.alpha:g}" if node.alpha is not None else "")


def parse(path: str | Path) -> tuple[str, Node]:
    """The results folder and the artifact that a path names; UserError for a path that is none of a study's."""
    text = Path(path).as_posix()
    for kind, form in _PATTERNS:
        match = re.fullmatch(rf"(?:(?P<root>.*?)/)?{form.pattern}", text, re.ASCII)
        if match:
            fields: dict[str, Any] = {name: value or "" for name, value in match.groupdict().items()}
            root = fields.pop("root")
            node = kind(**fields | {"seed": int(fields["seed"])})
            if text == file_of(node, root).as_posix() and _is_plain(node):
                return root, node
    raise UserError(f"'{text}' is no artifact of a study; {forms()}")


def forms(root: str = "ROOT") -> str:
    """What the paths of artifacts look like."""
    return (
        f"such are {root}/tapes/DATASET/ENSEMBLE/seedN/manifest.json, "
        f"{root}/runs/DATASET/ARCH/METHOD/seedN/model.safetensors, {root}/cells/DATASET/ARCH/METHOD/seedN/ATTACK.csv, "
        f"{root}/particles/DATASET/ARCH/METHOD/seedN/GENERATOR.csv"
    )
