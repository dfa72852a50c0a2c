"""The sources that each artifact is made from."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

from ataka import models
from ataka.errors import UserError, few, nearest
from ataka.plan.artifacts import Cell, Node, Particles, Run, Shard, Tape, file_of
from ataka.plan.sharding import require_shard
from ataka.study import Checkpoint, Ensemble, Method, Study
from ataka.study.networks import check_images

NATIVE_ENSEMBLE_SETUP = "table2"
"""The teachers' set-up that an ensemble's name leaves unsaid."""
_SHARED_OUT = ("ataka.objectives.at_aka", "ataka.objectives.cat_aka")
"""The objectives that stages/spread.py knows to share out."""
_SAME_UNDER_IDENTITY = {"kind", "like", "bandwidth", "gamma", "repulsion", "one_over_n", "gradient_of"}
"""The generator's settings that make no difference where its kernel is exactly the identity (A1)."""


def ensemble_name(study: Study, dataset: str, ensemble: Ensemble) -> str:
    """Such as ``wrn34-10-x3-svgd``: architecture, number of teachers, generator, and a set-up of its own."""
    arch = study.teacher(dataset).replace("/", "-")
    setup = "" if ensemble.setup == NATIVE_ENSEMBLE_SETUP else f".{ensemble.setup}"
    return f"{arch}-x{ensemble.n}-{ensemble.generator}{setup}"


def ensemble_of(study: Study, tape: Tape) -> Ensemble:
    """The ensemble that a tape's name stands for."""
    ensembles = [method.ensemble for method in study.methods.values() if method.ensemble]
    larger = [_shared(ensemble) for ensemble in ensembles if ensemble.shares]
    names = []
    for ensemble in reversed([*larger, *ensembles]):
        names.append(ensemble_name(study, tape.dataset, ensemble))
        if names[-1] == tape.ensemble:
            return ensemble
    raise UserError(f"no method has the ensemble '{tape.ensemble}'{nearest(tape.ensemble, names)}")


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


def adopts(study: Study, run: Run) -> bool:
    """Whether ``run`` takes the bytes of the candidate for alpha that is chosen."""
    return tuned(study.method(run.method)) and run.seed == study.seeds[0] and not run.part


def shared_out(study: Study, node: Tape | Run) -> int:
    """The number of networks in the training of ``node`` that may each have a process of its own.

    The teachers of a recording, those that train beside a student, and students of CAT-AKA. A network that trains alone
    has its one process, as has a joint training by an objective of others.
    """
    if isinstance(node, Tape):
        return ensemble_of(study, node).n
    method = study.method(node.method)
    if method.objective not in _SHARED_OUT or adopts(study, node):
        return 1
    beside = method.ensemble.n if method.ensemble and method.online else 1
    return method.members if method.joint else beside


def processes(study: Study, node: Tape | Run) -> int:
    """The number of processes that train ``node``, at most one for each network; decides no bit of it."""
    return min(study.processes, shared_out(study, node))


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
    archs = {role: study.teacher(run.dataset, method.architectures.get(role)) for role in method.teachers}
    return {role: Run(run.dataset, archs[role], teacher, run.seed) for role, teacher in method.teachers.items()}


def together(study: Study, run: Run) -> Run | None:
    """The joint run that ``run`` is one member of."""
    method = study.method(run.method)
    return Run(run.dataset, run.arch, method.member_of, run.seed) if method.member_of else None


def trained_on(study: Study, node: Tape | Run) -> Literal["train", "all"]:
    """The prepared images that the training of ``node`` itself sees."""
    if isinstance(node, Tape):
        return study.setup(ensemble_of(study, node).setup, node.dataset, study.teacher(node.dataset)).split
    return study.setup(study.method(node.method).setup, node.dataset, node.arch).split


def candidates(study: Study, run: Run) -> list[Run]:
    """The runs of the first seed among which alpha is chosen."""
    return [
        Run(run.dataset, run.arch, run.method, study.seeds[0], f"alpha{alpha:g}") for alpha in study.selection.alphas
    ]


def tuned(method: Method) -> bool:
    """Whether the alpha of a method is chosen from several candidates."""
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
        there = dict.fromkeys(f"{one.arch} on {one.dataset}" for one in method.checkpoints)
        raise UserError(
            f"methods.{run.method}.checkpoints: {len(fitting)} for {run.arch} on {run.dataset}, but members is "
            f"{method.members}; entries are for {few(there)}, and state scale '{study.scale}''s own names of both"
        )
    return fitting[run.member or 0]


def require_known(study: Study, node: Node) -> None:
    """UserError, with the nearest name, where ``node`` names a data set, network, method or part that is not there."""

    study.dataset(node.dataset)
    if isinstance(node, Tape):
        return
    try:
        models.check(node.arch)
    except ValueError as error:
        raise UserError(str(error)) from None
    check_images(study, node.arch, node.dataset)
    if isinstance(node, Particles):
        tested = study.data.test or study.dataset(node.dataset).specification.images[1]
        if study.particles.images > tested:
            raise UserError(
                f"particles.images: {study.particles.images} images are asked for, but the split of {node.dataset} has "
                f"{tested}"
            )
    method = study.method(node.method)
    if isinstance(node, Shard):
        require_shard(study, node)
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
    if isinstance(node, Cell | Shard | Particles):
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


def trainings_of(study: Study, nodes: Iterable[Node]) -> list[Tape | Run]:
    """The trainings that measurements, or networks, rest on, candidates for alpha among them."""
    there: dict[Tape | Run, None] = {}
    waiting = list(nodes)
    while waiting:
        needed = [need for need in needs(study, waiting.pop()) if need not in there]
        there |= dict.fromkeys(needed)
        waiting += needed
    return list(there)


def made_from(study: Study, node: Tape | Run, root: str | Path, alpha: float | None = None) -> list[Path]:
    """The files of this study that a training reads, beside images: ``alpha`` is the one chosen for it."""
    needed = needs(study, node)
    if not isinstance(node, Run) or node.part or not tuned(study.method(node.method)):
        return [file_of(source, root) for source in needed]
    grid = candidates(study, node)
    chosen = [candidate for candidate in grid if candidate.alpha == alpha]
    sources = chosen if node.seed == study.seeds[0] else [source for source in needed if source not in grid]
    return [node.choice(root), *(file_of(source, root) for source in sources)]
