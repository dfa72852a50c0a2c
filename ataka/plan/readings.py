"""The readings of the paper's open sentences in a study, and in each training of the study."""

from collections.abc import Collection, Iterable, Sequence
from typing import Any

from ataka.plan.artifacts import Cell, Node, Particles, Run, Shard, Tape
from ataka.plan.lineage import ensemble_of, together, tuned
from ataka.study import Study, config
from ataka.study.fields import readings_of


def readings_in(study: Study, node: Tape | Run) -> dict[str, str]:
    """The readings that a training is made under: setting to value, with the question's number."""
    if isinstance(node, Tape):
        ensemble, arch = ensemble_of(study, node), study.teacher(node.dataset)
        setup = study.setup(ensemble.setup, node.dataset, arch)
        return _texts(
            readings_of({"generator": study.generators[ensemble.generator], "setup": setup, "data": study.data})
        )
    if joint := together(study, node):
        member = f"{study.method(node.method).member} [D4]"
        return readings_in(study, joint) | {"member": member}
    method = study.method(node.method)
    texts = {"average": f"{method.average} [E1]", "attacked": f"{method.attacked} [E1]"} if method.members > 1 else {}
    if method.checkpoints:
        return texts
    texts |= _texts(config.facts(study, node.method, node.dataset, node.arch).readings, "options.")
    texts |= {f"architectures.{role}": f"{arch} [E3]" for role, arch in method.architectures.items()}
    groups: dict[str, Any] = {"setup": study.setup(method.setup, node.dataset, node.arch), "data": study.data}
    generator = method.generator or (method.ensemble.generator if method.ensemble else None)
    if generator is not None:
        groups["generator"] = study.generators[generator]
    if tuned(method):
        groups["selection"] = study.selection_of(node.method)
    return texts | _texts(readings_of(groups))


def _texts(readings: Iterable[tuple[str, str, Any]], below: str = "") -> dict[str, str]:
    return {f"{below}{path}": f"{value} [{number}]" for path, number, value in readings}


def all_readings(study: Study, nodes: Iterable[Node] | None = None) -> dict[str, str]:
    """The study's readings of the paper's open sentences: setting to value, with the question's number.

    With ``nodes`` those alone that these artifacts are made under. Hyper-parameters that several methods share under
    one value are listed once.
    """
    texts: dict[str, str] = {}
    study, unused = (study, set()) if nodes is None else _used_by(study, list(nodes))
    for path, number, value in readings_of(study):
        group, _, name = path.partition(".")
        if group in unused:
            continue
        if group in ("generators", "setups", "attacks"):  # what they share is listed once
            entry, _, field = name.partition(".")
            if texts.setdefault(f"{group}.*.{field}", f"{value} [{number}]") != f"{value} [{number}]":
                texts[f"{group}.{entry}.{field}"] = f"{value} [{number}]"
        elif group != "methods":
            texts[path] = f"{value} [{number}]"
    for name, method in study.methods.items():
        if method.objective is not None:
            owner = method.objective.rsplit(".", 1)[-1]
            given = [*config.facts(study, name).readings]
            if method.members > 1:
                given += [("average", "E1", method.average), ("attacked", "E1", method.attacked)]
            if method.chosen_on is not None:
                texts[f"{name}.chosen_on"] = f"{method.chosen_on} [C1]"
            for path, number, value in given:
                text = f"{value} [{number}]"
                shared = texts.setdefault(f"{owner}.{path}", text) == text
                if not shared:  # a variant's own reading
                    texts[f"{name}.{path}"] = text
    return texts


def _used_by(study: Study, nodes: Sequence[Node]) -> tuple[Study, set[str]]:
    """The study with the methods, set-ups, generators and attacks of ``nodes`` alone; the groups that none uses."""
    trained = [node if isinstance(node, Tape | Run) else node.run for node in nodes]
    methods = {run.method: study.method(run.method) for run in trained if isinstance(run, Run)}
    ensembles = [ensemble_of(study, tape) for tape in trained if isinstance(tape, Tape)]
    setups = {ensemble.setup for ensemble in ensembles} | {one.setup for one in methods.values() if one.objective}
    generators = {ensemble.generator for ensemble in ensembles} | {one.generator for one in methods.values()}
    generators |= {node.generator for node in nodes if isinstance(node, Particles)}
    attacks = {node.attack for node in nodes if isinstance(node, Cell | Shard)}
    wanted: dict[str, Collection[str | None]] = {
        "methods": set(methods),
        "setups": setups,
        "generators": generators,
        "attacks": attacks,
    }
    kept = {
        group: {name: entry for name, entry in getattr(study, group).items() if name in names}
        for group, names in wanted.items()
    }
    unused = set()
    if not any(isinstance(node, Particles) for node in nodes):
        unused.add("particles")
    if not any(tuned(method) or method.member == "chosen" for method in methods.values()):
        unused.add("selection")
    return study.model_copy(update=kept), unused
