"""train: make a run: train, join, extract, adopt or import a network."""

import shutil
from collections.abc import Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ataka import networks, plan
from ataka.datasets.images import to_unit
from ataka.errors import UserError
from ataka.files.disk import replacing, sha256, sweep
from ataka.files.records import read_json, read_rows, write_rows
from ataka.files.tensors import load_tensors, save_tensors
from ataka.machine import ranks
from ataka.machine.meter import Meter
from ataka.models.mixture import Mixture
from ataka.plan import Run
from ataka.stages.common import (
    delegated,
    device_of,
    imported,
    load,
    load_images,
    naming,
    progress_of,
    reader_of,
    remedy,
    require_current,
    states_of,
    write_history,
    write_run,
    writing,
)
from ataka.stages.diagnose import diagnosed
from ataka.stages.select import chosen_alpha, selection_accuracies, selection_split
from ataka.stages.spread import assist, shared_out
from ataka.study import Setup, Study, config
from ataka.study.fields import number
from ataka.training import Adversarial, Failed
from ataka.training import train as run_training


def train(study: Study, root: str, node: Run) -> None:
    """Make a run: train it, join the members of an average, take the candidate or member that was chosen, or import."""
    method = study.method(node.method)
    if plan.members(study, node):
        _join(study, root, node)
    elif joint := plan.together(study, node):
        _extract(study, root, node, joint)
    elif plan.checkpoint(study, node):
        _import(study, root, node)
    elif plan.tuned(method) and not node.part:
        alpha = chosen_alpha(study, root, node)
        if node.seed == study.seeds[0]:
            _adopt(study, root, node, alpha)
        else:
            _train(study, root, node, alpha)
    else:
        given = None if method.alpha == "tuned" else method.alpha
        _train(study, root, node, given if node.alpha is None else node.alpha)


def _train(study: Study, root: str, node: Run, alpha: float | None) -> None:
    """Train, in the processes that the study asks for where networks train together."""
    if delegated(study, "train", node, node.model(root)):
        return
    device = device_of(study)
    with ranks.joined(device) as group:
        if group.rank:
            _assist(study, root, node, device, group)
        else:
            _lead(study, root, node, alpha, device, group)


def _assist(study: Study, root: str, node: Run, device: torch.device, group: ranks.Group) -> None:
    """Compute the steps of this process's networks for the first process of the ``group``."""
    method, setup = study.method(node.method), _setup(study, node)
    teachers, students = _networks(study, node, device)
    generator = method.generator or (method.ensemble and method.ensemble.generator)
    images = to_unit(load_images(study, root, node.dataset, setup.split).images[:2].to(device))
    ensemble = bool(teachers)
    shared = teachers or students
    assist(group, study.generators[str(generator)], setup, shared, images, seed=_seed(study, node), ensemble=ensemble)


def _setup(study: Study, node: Run) -> Setup:
    return study.setup(study.method(node.method).setup, node.dataset, node.arch)


def _seed(study: Study, node: Run) -> int:
    """The seed of a training's streams."""
    return node.seed if study.method(node.method).joint else networks.member_seed(node.seed, node.member)


def _networks(study: Study, node: Run, device: torch.device) -> tuple[list[nn.Module], list[nn.Module]]:
    """The teachers that train beside a student, and the students, all with their initial weights."""
    method, setup = study.method(node.method), _setup(study, node)
    facts = study.dataset(node.dataset).specification
    members = range(method.members) if method.joint else [node.member]
    seeds = [networks.member_seed(node.seed, member) for member in members]
    students = [networks.student(node.arch, facts, seed=seed, device=device, setup=setup) for seed in seeds]
    if not method.ensemble or not method.online:
        return [], students
    arch, count = study.teacher(node.dataset), method.ensemble.n
    theirs = study.setup(method.ensemble.setup, node.dataset, arch)
    return networks.teachers(arch, facts, count, seed=seeds[0], device=device, setup=theirs), students


def _lead(study: Study, root: str, node: Run, alpha: float | None, device: torch.device, group: ranks.Group) -> None:
    """Train as the first process of the ``group``, which may be alone."""
    progress, method, setup = progress_of(node), study.method(node.method), _setup(study, node)
    options = config.options(study, node.method, node.dataset, node.arch)
    facts = study.dataset(node.dataset).specification
    split, validation = (load_images(study, root, node.dataset, name) for name in (setup.split, "validation"))
    teachers, students = _networks(study, node, device)
    extra: dict[str, Any] = {} if alpha is None else {"alpha": alpha}
    inputs: dict[str, Any] = {"data": split.digest(), "alpha": alpha}
    reader = None
    recorded = plan.tape_of(study, node)
    diagnosis: dict[str, Any] = {}
    if recorded:
        reader = reader_of(study, root, recorded, split)
        diagnosis = {"diagnostics": reader.manifest["diagnostics"]}
        inputs["tape"] = sha256(recorded.manifest(root))
    elif method.ensemble:
        extra |= {"generator": study.generators[method.ensemble.generator], "online": True}
    if method.generator is not None:
        extra["generator"] = study.generators[method.generator]
    if method.teachers:
        frozen = plan.frozen_teachers(study, node)
        extra["teachers"] = {role: _frozen(study, root, teacher, device) for role, teacher in frozen.items()}
        inputs["teachers"] = {role: sha256(teacher.model(root)) for role, teacher in frozen.items()}
    objective = import_module(str(method.objective)).create(options, **extra)
    if isinstance(objective, Adversarial) and not config.facts(study, node.method).probed:
        raise UserError(
            f"methods.{node.method}.objective: {method.objective} creates an objective with budgets, but its class is "
            "none of the module's names, so that nothing knows beforehand that its networks are probed: import the "
            "class at the module's top"
        )
    if group.count > 1:
        count = len(teachers or students)
        objective = shared_out(objective, setup, group, classes=facts.classes, count=count)
        progress.say(f"{group.count} processes train {count} networks")
    status, folder = "finished", node.folder(root)
    with naming(folder), states_of(study, node, folder, progress, **inputs) as states:
        sweep(folder)
        states.carry(objective)
        try:
            history = run_training(
                [*teachers, *students],
                objective,
                split.to(device),
                facts,
                setup,
                seed=_seed(study, node),
                teachers=len(teachers),
                reader=reader,
                progress=progress,
                states=states,
                validation=validation.to(device),
                eps=number(study.eps),
            )
        except Failed as error:
            if node.alpha is None:
                raise UserError(f"{folder}: {error}; {states.last}; {remedy(error, method.setup)}") from None
            status, history = error.status, error.history
            progress.say(f"{status}: {error}; this candidate will not be chosen")
        write_history(folder / "history.csv", history)
        _save(folder, students, joint=method.joint)
        if teachers and status == "finished":
            diagnosis = {"diagnostics": diagnosed(extra["generator"], teachers, validation.to(device), node.seed)}
        more = diagnosis | {"resumed": states.resumed} | ({"processes": group.count} if group.count > 1 else {})
        write_run(study, root, node, states.usage, status=status, alpha=alpha, **more)


def _frozen(study: Study, root: str, node: Run, device: torch.device) -> Mixture:
    """A run as a teacher: the average of its members, or of itself alone; nothing of it trains."""
    network = load(study, root, node, device)
    teacher = network if isinstance(network, Mixture) else Mixture([network])
    return teacher.eval().requires_grad_(False)


def _save(folder: Path, trained: Sequence[nn.Module], *, joint: bool) -> None:
    """Write the weights of one network, or those of all members in the file of an average."""
    state = Mixture(trained).state_dict() if joint else trained[-1].state_dict()
    save_tensors(folder / "model.safetensors", state)


def _extract(study: Study, root: str, node: Run, joint: Run) -> None:
    """Copy one member of a joint run; for ``member: chosen`` the most robust member on the selection split."""
    device, method, meter = device_of(study), study.method(node.method), Meter()
    mixture = load(study, root, joint, device)
    assert isinstance(mixture, Mixture)
    folder, member, more = node.folder(root), method.member, {}
    if member == "chosen":
        split = selection_split(study, root, node)
        with naming(joint.model(root)):
            robust = [selection_accuracies(study, network, split, node.seed)[1] for network in mixture.members]
        member = robust.index(max(robust))
        more = {"robust": robust, "split": study.selection_of(node.method).split}
        progress_of(node).say(f"member {member} of {joint.method} is the most robust: {robust} %")
    assert isinstance(member, int)
    with writing(folder):
        save_tensors(folder / "model.safetensors", mixture.members[member].state_dict())
        with replacing(folder / "history.csv") as part:
            shutil.copyfile(joint.folder(root) / "history.csv", part)
        write_run(study, root, node, meter.read(), status="finished", member=member, **more)


def _import(study: Study, root: str, node: Run) -> None:
    """A network of others becomes a run: its weights under our names, in our format."""
    entry, meter = plan.checkpoint(study, node), Meter()
    assert entry is not None
    loaded = imported(entry, study.dataset(node.dataset).specification)
    progress_of(node, "import").say(loaded.words)
    folder = node.folder(root)
    with writing(folder):
        save_tensors(folder / "model.safetensors", loaded.network.state_dict())
        write_rows(folder / "history.csv", [{"imported": entry.path, "weights": loaded.weights}])
        write_run(study, root, node, meter.read(), status="finished")


def _join(study: Study, root: str, node: Run) -> None:
    """Join all members in one file, which an attack sees as one network."""
    members, meter = plan.members(study, node), Meter()
    tensors = {}
    for index, member in enumerate(members):
        require_current(study, root, member, history=True)
        for name, tensor in load_tensors(member.model(root)).items():
            tensors[f"members.{index}.{name}"] = tensor
    folder = node.folder(root)
    rows = [
        {"member": index, **row}
        for index, member in enumerate(members)
        for row in read_rows(member.folder(root) / "history.csv")
    ]
    with writing(folder):
        save_tensors(folder / "model.safetensors", tensors)
        write_history(folder / "history.csv", rows)
        write_run(study, root, node, meter.read(), status="finished")


def _adopt(study: Study, root: str, node: Run, alpha: float) -> None:
    """The chosen candidate becomes the run: the same bytes."""
    meter = Meter()
    chosen = Run(node.dataset, node.arch, node.method, node.seed, f"alpha{alpha:g}")
    require_current(study, root, chosen, history=True)
    candidate, folder = chosen.folder(root), node.folder(root)
    record = read_json(candidate / "run.json")
    kept = {name: record[name] for name in ("diagnostics",) if name in record}
    with writing(folder):
        for name in ("model.safetensors", "history.csv"):
            with replacing(folder / name) as part:
                shutil.copyfile(candidate / name, part)
        write_run(study, root, node, meter.read(), status="finished", alpha=alpha, **kept)
