"""The modules whose code decides an artifact's bytes."""

from ataka import models
from ataka.plan.artifacts import Cell, Node, Run, Shard, Tape
from ataka.plan.code import code_digest
from ataka.plan.lineage import frozen_teachers
from ataka.study import Study, config

__all__ = ["attack_code", "code_digest", "code_of", "data_code", "run_code", "selection_code", "tape_code"]

PROBE = "ataka.training.probe"
"""The module that the training loop loads by name, for networks that are probed."""


def data_code(study: Study, dataset: str) -> tuple[str, ...]:
    """Modules that decide the prepared images of a data set."""
    return ("ataka.datasets.splits", study.dataset(dataset).module)


def tape_code(study: Study, tape: Tape) -> tuple[str, ...]:
    """Modules that decide the bytes of a tape."""
    return (
        "ataka.training",
        PROBE,
        "ataka.networks",
        "ataka.objectives.teachers",
        *models.sources(study.teacher(tape.dataset)),
    )


def run_code(study: Study, run: Run) -> tuple[str, ...]:
    """Modules that decide the weights of a run."""
    method = study.method(run.method)
    modules = ["ataka.networks", *models.sources(run.arch)]
    if method.checkpoints:
        modules.append("ataka.models.checkpoints")
    if method.objective is not None:
        facts = config.facts(study, run.method, run.dataset, run.arch)
        modules += ["ataka.training", method.objective, *facts.sources]
        if facts.probed or study.setup(method.setup, run.dataset, run.arch).checkpoint == "best":
            modules.append(PROBE)
    if method.members > 1 and not run.part:
        modules.append("ataka.models.mixture")
    if method.member == "chosen":
        modules += selection_code(study)
    archs = {teacher.arch for teacher in frozen_teachers(study, run).values()}
    if method.online:
        archs.add(study.teacher(run.dataset))
    for arch in sorted(archs):
        modules.extend(models.sources(arch))
    return tuple(modules)


def selection_code(study: Study) -> tuple[str, ...]:
    """Modules that decide the accuracies by which an alpha is chosen."""
    return ("ataka.evaluation", study.selection.attack.module)


def attack_code(study: Study, attack: str) -> tuple[str, ...]:
    """Modules that decide the verdicts of an attack."""
    return ("ataka.evaluation", *study.attack(attack).code)


def code_of(study: Study, node: Node) -> tuple[str, ...]:
    """The modules whose code decides an artifact's bytes."""
    if isinstance(node, Tape):
        return tape_code(study, node)
    if isinstance(node, Run):
        return run_code(study, node)
    return attack_code(study, node.attack) if isinstance(node, Cell | Shard) else ("ataka.particles",)
