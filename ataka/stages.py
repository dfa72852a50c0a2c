"""The stages of a study, one function each: from settings and files to files. The rules call them by their verbs."""

import math
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from statistics import NormalDist
from typing import Any

import numpy
import torch
from torch import nn

from ataka import config, data, diagnostics, leases, networks, plan, provenance, resume, store, tape
from ataka.attacks import aa_warnings
from ataka.data import to_unit
from ataka.errors import UserError
from ataka.evaluation import Verdicts
from ataka.evaluation import evaluate as run_attack
from ataka.generator import DIAGNOSED, diagnose
from ataka.models.mixture import Mixture
from ataka.objectives.teachers import Teachers
from ataka.plan import Cell, Node, Particles, Run, Tape
from ataka.progress import Progress
from ataka.study import Study
from ataka.training import Failed
from ataka.training import train as run_training


def device_of(study: Study) -> torch.device:
    """The device that the study asks for; sets torch's threads, deterministic kernels, and float32 that is float32."""
    torch.set_num_threads(study.threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False  # as on the paper's cards, which had none
    if study.device != "cpu":
        leases.gpu()  # before anything touches CUDA
    use_gpu = study.device != "cpu" and torch.cuda.is_available()
    if study.device == "cuda" and not use_gpu:
        raise UserError("device: cuda is asked for, but torch sees no GPU here; use device: auto or cpu")
    return torch.device("cuda" if use_gpu else "cpu")


def data_file(root: str, dataset: str, part: str) -> Path:
    """Where the prepared images lie: ``part`` is train (with validation) or test."""
    return Path(root, "data", dataset, f"{part}.safetensors")


def load_images(study: Study, root: str, dataset: str, name: str) -> data.Split:
    """The split ``name`` as it was prepared; UserError if the file is damaged or was cut under other settings."""
    part = "test" if name == "test" else "train"
    return store.load_split(data_file(root, dataset, part), name, plan.data_settings(study, dataset, part))


def prepare(study: Study, root: str, dataset: str, part: str) -> None:
    """Cut a data set's ``part`` and write it for all jobs: train with validation, or test."""
    settings = study.data
    splits = data.split(
        dataset,
        settings.folder,
        train=settings.train,
        validation=settings.validation,
        test=settings.test,
        split_seed=settings.split_seed,
    )
    names = ("train", "validation") if part == "train" else ("test",)
    about = plan.data_settings(study, dataset, part)
    store.save_splits(data_file(root, dataset, part), {name: splits[name] for name in names}, about)


def record(study: Study, root: str, node: Tape) -> None:
    """Train an ensemble of teachers and record what they say; writes the tape, their weights and history.

    Where another tape holds the very same teachers (`tape.share`), nothing is trained.
    """
    device, progress = device_of(study), _progress(node)
    settings = plan.tape_settings(study, node)
    ensemble, arch = plan.ensemble_of(study, node), study.teacher(node.dataset)
    generator, setup = study.generators[ensemble.generator], study.setup(ensemble.setup, node.dataset, arch)
    train, probe = (load_images(study, root, node.dataset, name) for name in ("train", "validation"))
    folder = node.folder(root)
    about = {"settings": settings, "settings_sha256": plan.digest(settings), "data_sha256": train.digest()}
    source = plan.source_of(study, node)
    if source:
        _reader(study, root, source, train)  # refuses a tape of other settings or images
        if tape.share(source.manifest(root), folder, ensemble.n, about):
            progress.say(f"the kernel of {source.ensemble} was exactly the identity: its first {ensemble.n} serve here")
            return
        progress.say(f"the particles of {source.ensemble} felt each other, so these teachers are trained by themselves")
    teachers = networks.teachers(arch, node.dataset, ensemble.n, seed=node.seed, device=device)
    writer = tape.Writer(folder, generator.channels, count=len(train))
    classes = data.specification(node.dataset).classes
    store.require_space(folder, tape.size(len(generator.channels), ensemble.n, len(train), classes) * setup.epochs)
    with _states(study, node, folder, progress, data=about["data_sha256"]) as states:
        store.sweep(folder)
        try:
            history = run_training(
                teachers,
                Teachers(generator),
                train.to(device),
                data.specification(node.dataset),
                setup,
                seed=node.seed,
                writer=writer,
                progress=progress,
                states=states,
                probe=probe.to(device),
            )
        except Failed as error:
            rate = f"setups.{ensemble.setup}.learning_rate"
            raise UserError(f"{folder}: {error}; {states.last}; lower the learning rate ({rate})") from None
        weights = []
        for index, teacher in enumerate(teachers):
            path = folder / f"teacher{index}.safetensors"
            store.save_tensors(path, teacher.state_dict())
            weights.append({"file": path.name, "sha256": store.sha256(path)})
        _write_history(folder / "history.csv", history)
        _write_run(study, root, node, status="finished", **_time(states))
        peaks = {name: max(row[name] for row in history) for name in history[0] if name.endswith("_max")}
        said = _diagnose(generator, teachers, probe.to(device), node.seed)
        writer.finish(about | {"teachers": weights, "threads": study.threads, "diagnostics": said} | peaks)


def _diagnose(generator: Any, teachers: Sequence[nn.Module], images: data.Split, seed: int) -> dict[str, float]:
    few = images.first(min(DIAGNOSED, len(images)))
    return diagnose(generator, teachers, few.pixels(), few.labels, seed=seed)


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


def chosen_alpha(study: Study, root: str, node: Run) -> float:
    """The alpha that ``select`` chose; UserError if it chose under other settings."""
    choice = store.read_json(node.choice(root), "settings_sha256", "alpha")
    if choice["settings_sha256"] != plan.digest(plan.selection_settings(study, node.method)):
        raise UserError(f"{node.choice(root)} was chosen under other settings; delete it and run again")
    return float(choice["alpha"])


def _train(study: Study, root: str, node: Run, alpha: float | None) -> None:
    device, progress = device_of(study), _progress(node)
    method = study.method(node.method)
    options = config.options(study, node.method, node.dataset, node.arch)
    setup = study.setup(method.setup, node.dataset, node.arch)
    split, probe = (load_images(study, root, node.dataset, name) for name in ("train", "validation"))
    seeds = [networks.member_seed(node.seed, node.member)]
    if method.joint:
        seeds = [networks.member_seed(node.seed, member) for member in range(method.members)]
    own = [networks.student(node.arch, node.dataset, seed=seed, device=device) for seed in seeds]
    beside: list[nn.Module] = []
    extra: dict[str, Any] = {} if alpha is None else {"alpha": alpha}
    inputs: dict[str, Any] = {"data": split.digest(), "alpha": alpha}
    reader = None
    behind = plan.tape_of(study, node)
    said: dict[str, Any] = {}
    if behind:
        reader = _reader(study, root, behind, split)
        said = {"diagnostics": reader.manifest["diagnostics"]}
        inputs["tape"] = store.sha256(behind.manifest(root))
    elif method.ensemble:
        extra |= {"generator": study.generators[method.ensemble.generator], "online": True}
        arch, count = study.teacher(node.dataset), method.ensemble.n
        beside = networks.teachers(arch, node.dataset, count, seed=seeds[0], device=device)
    if method.generator is not None:
        extra["generator"] = study.generators[method.generator]
    if method.teachers:
        frozen = plan.frozen_teachers(study, node)
        extra["teachers"] = {role: _frozen(study, root, teacher, device) for role, teacher in frozen.items()}
        inputs["teachers"] = {role: store.sha256(teacher.model(root)) for role, teacher in frozen.items()}
    objective = import_module(str(method.objective)).create(options, **extra)
    status, folder = "finished", node.folder(root)
    with _states(study, node, folder, progress, **inputs) as states:
        store.sweep(folder)
        try:
            history = run_training(
                [*beside, *own],
                objective,
                split.to(device),
                data.specification(node.dataset),
                setup,
                seed=seeds[0] if not method.joint else node.seed,
                reader=reader,
                progress=progress,
                states=states,
                probe=probe.to(device),
            )
        except Failed as error:
            if node.alpha is None:
                raise UserError(
                    f"{folder}: {error}; {states.last}; lower the learning rate (setups.{method.setup}.learning_rate) "
                    "or, for AT-AKA, alpha"
                ) from None
            status, history = error.status, error.history
            progress.say(f"{status}: {error}; {states.last}; this candidate will not be chosen")
        _write_history(folder / "history.csv", history)
        _save(folder, own, joint=method.joint)
        if beside and status == "finished":
            said = {"diagnostics": _diagnose(extra["generator"], beside, probe.to(device), node.seed)}
        _write_run(study, root, node, status=status, alpha=alpha, **said, **_time(states))


def _states(study: Study, node: Node, folder: Path, progress: Progress, **inputs: Any) -> resume.States:
    """Where an interrupted job goes on, if it was made from the same ``inputs`` under the same settings and code."""
    identity = {
        "settings": plan.digest(plan.settings_of(study, node)),
        "code": provenance.code_digest(plan.code_of(study, node)),
        **inputs,
    }
    environment = {"device": _device_name(device_of(study)), "threads": study.threads, "torch": torch.__version__}
    return resume.States(folder / ".resume", identity, environment, progress)


def _time(states: resume.States) -> dict[str, Any]:
    """What it took, interruptions left out, and where they were."""
    return {"seconds": states.seconds, "resumed": states.resumed}


def _reader(study: Study, root: str, node: Tape, split: data.Split) -> tape.Reader:
    return tape.Reader(
        node.manifest(root),
        settings_sha256=plan.digest(plan.tape_settings(study, node)),
        data_sha256=split.digest(),
    )


def _frozen(study: Study, root: str, node: Run, device: torch.device) -> Mixture:
    """A run as a teacher: the average of its members, or of itself alone; nothing of it trains."""
    network = load(study, root, node, device)
    teacher = network if isinstance(network, Mixture) else Mixture([network])
    return teacher.eval().requires_grad_(False)


def _save(folder: Path, trained: Sequence[nn.Module], *, joint: bool) -> None:
    """One network's weights, or all members' in the file of an average."""
    state = Mixture(trained).state_dict() if joint else trained[-1].state_dict()
    store.save_tensors(folder / "model.safetensors", state)


def _extract(study: Study, root: str, node: Run, joint: Run) -> None:
    """One member of a joint run; the most robust one on the selection split where it is to be chosen."""
    device, method = device_of(study), study.method(node.method)
    mixture = load(study, root, joint, device)
    assert isinstance(mixture, Mixture)
    folder, member, more = node.folder(root), method.member, {}
    if member == "chosen":
        split = _selection_split(study, root, node)
        robust = [_selection_accuracies(study, network, split, node.seed)[1] for network in mixture.members]
        member = robust.index(max(robust))
        more = {"robust": robust, "split": study.selection_of(node.method).split}
        _progress(node).say(f"member {member} of {joint.method} is the most robust: {robust} %")
    assert isinstance(member, int)
    store.save_tensors(folder / "model.safetensors", mixture.members[member].state_dict())
    with store.replacing(folder / "history.csv") as part:
        shutil.copyfile(joint.folder(root) / "history.csv", part)
    seconds = store.read_json(joint.folder(root) / "run.json")["seconds"]
    _write_run(study, root, node, status="finished", seconds=seconds, member=member, **more)


def _import(study: Study, root: str, node: Run) -> None:
    """A network of others becomes a run: its weights under our names, in our format."""
    from ataka import checkpoints

    entry = plan.checkpoint(study, node)
    assert entry is not None
    network = networks.build(node.arch, node.dataset, device=torch.device("cpu"))
    checkpoints.load(entry.path, sha256=entry.sha256, network=network)
    folder = node.folder(root)
    store.save_tensors(folder / "model.safetensors", network.state_dict())
    store.write_rows(folder / "history.csv", [{"imported": entry.path}])
    _write_run(study, root, node, status="finished", seconds=0.0)


def _join(study: Study, root: str, node: Run) -> None:
    """One file of all members: what an attack sees as one network."""
    members = plan.members(study, node)
    tensors = {}
    for index, member in enumerate(members):
        _require_current(study, root, member, history=True)
        for name, tensor in store.load_tensors(member.model(root)).items():
            tensors[f"members.{index}.{name}"] = tensor
    folder = node.folder(root)
    store.save_tensors(folder / "model.safetensors", tensors)
    rows = [
        {"member": index, **row}
        for index, member in enumerate(members)
        for row in store.read_rows(member.folder(root) / "history.csv")
    ]
    _write_history(folder / "history.csv", rows)
    seconds = sum(store.read_json(member.folder(root) / "run.json")["seconds"] for member in members)
    _write_run(study, root, node, status="finished", seconds=seconds)


def _adopt(study: Study, root: str, node: Run, alpha: float) -> None:
    """The chosen candidate becomes the run: the same bytes."""
    chosen = Run(node.dataset, node.arch, node.method, node.seed, f"alpha{alpha:g}")
    _require_current(study, root, chosen, history=True)
    candidate, folder = chosen.folder(root), node.folder(root)
    for name in ("model.safetensors", "history.csv"):
        with store.replacing(folder / name) as part:
            shutil.copyfile(candidate / name, part)
    record = store.read_json(candidate / "run.json")
    kept = {name: record[name] for name in ("seconds", "diagnostics") if name in record}
    _write_run(study, root, node, status="finished", alpha=alpha, **kept)


def select(study: Study, root: str, node: Run) -> None:
    """Choose alpha: the candidate of the highest robust accuracy on the selection split; the first of equals.

    A candidate that diverged or predicts a single class is listed and not chosen. UserError if none is left.
    """
    device, progress = device_of(study), _progress(node, "select")
    settings = plan.selection_settings(study, node.method)
    choice, split = study.selection_of(node.method), _selection_split(study, root, node)
    grid = []
    for candidate in plan.candidates(study, node):
        entry: dict[str, Any] = {"alpha": candidate.alpha, "n": len(split), "clean": None, "robust": None}
        _require_current(study, root, candidate)
        entry["status"] = store.read_json(candidate.folder(root) / "run.json")["status"]
        if entry["status"] == "finished":
            network = load(study, root, candidate, device)
            alone = list(network.members) if isinstance(network, Mixture) else [network]
            found = [_selection_accuracies(study, one, split, candidate.seed) for one in alone]
            clean, robust = (round(sum(one[place] for one in found) / len(found), 4) for place in (0, 1))
            entry |= {"clean": clean, "robust": robust}
            if any(constant for _, _, constant in found):
                entry["status"] = "collapsed"
        grid.append(entry)
        progress.say(
            f"alpha {entry['alpha']:g}: {entry['status']}, clean {entry['clean']} %, robust {entry['robust']} %"
        )
    allowed = {"finished", "collapsed"} if choice.collapsed == "allow" else {"finished"}
    eligible = [entry for entry in grid if entry["status"] in allowed and entry["robust"] is not None]
    if not eligible:
        fates = ", ".join(f"alpha {entry['alpha']:g} {entry['status']}" for entry in grid)
        raise UserError(
            f"{node.choice(root).parent}: no alpha can be chosen: {fates}. Give selection.alphas smaller values, or "
            "lower the learning rate"
        )
    best = max(eligible, key=lambda entry: entry["robust"])
    progress.say(f"chose alpha {best['alpha']:g}")
    content = {"alpha": best["alpha"], "grid": grid, "split": choice.split, "seed": study.seeds[0]}
    content |= {"attack": choice.attack.model_dump(), "settings_sha256": plan.digest(settings)}
    content |= {
        "made_from": _digests(root, [candidate.model(root) for candidate in plan.candidates(study, node)]),
        "data_sha256": _data_digest(root, node.dataset, choice.split),
        "code_sha256": provenance.code_digest(plan.selection_code(study)),
    }
    store.write_json(node.choice(root), content)


def _selection_split(study: Study, root: str, node: Run) -> data.Split:
    choice = study.selection_of(node.method)
    split = load_images(study, root, node.dataset, choice.split).first(choice.attack.images)
    return split.to(device_of(study))


def _selection_accuracies(study: Study, network: nn.Module, split: data.Split, seed: int) -> tuple[float, float, bool]:
    """Clean and robust accuracy (%) by the selection's attack, and whether one class is predicted for all."""
    clean = run_attack(network, {"kind": "clean"}, split, seed=seed)
    robust = run_attack(network, study.selection.attack.model_dump(), split, seed=seed)
    return clean.accuracy, robust.accuracy, clean.constant


def evaluate(study: Study, root: str, node: Cell) -> None:
    """Attack a run's network on the test images; writes the cell, with what its health checks need, and its bits."""
    device = device_of(study)
    attack = study.attack(node.attack).model_dump()
    network = load(study, root, node.run, device)
    split = load_images(study, root, node.dataset, "test").to(device)
    progress, model = _progress(node), store.sha256(node.run.model(root))
    states = _states(study, node, node.csv(root).parent, progress, data=split.digest(), model=model)
    states.folder /= node.attack
    with states:
        with aa_warnings.heard() as warnings:
            verdicts = run_attack(network, attack, split, seed=node.seed, progress=progress, states=states)
            if attack["kind"] == "aa":
                aa_warnings.check(network, to_unit(split.images[: attack["chunk"]]))
        health: Mapping[str, object] = {}
        if attack["kind"] == "pgd":
            health = diagnostics.of_pgd(network, attack, split, seed=node.seed)
        elif attack["kind"] == "aa":
            health = {"before_square": verdicts.before_square, "warnings": "; ".join(warnings)}
        _write_cell(study, root, node, verdicts, health, model_sha256=model, data_sha256=split.digest())


def _write_cell(
    study: Study,
    root: str,
    node: Cell,
    verdicts: Verdicts,
    health: Mapping[str, object],
    *,
    model_sha256: str,
    data_sha256: str,
) -> None:
    attack = study.attack(node.attack).model_dump()
    correct, count = int(verdicts.correct.sum()), len(verdicts.correct)
    low, high = wilson(correct, count)
    environment = provenance.environment()
    bits = node.bits(root)
    with store.replacing(bits) as part, part.open("wb") as file:
        numpy.save(file, verdicts.correct.numpy())
    row = {
        "scale": study.scale,
        **asdict(node),
        "n": count,
        "correct": correct,
        "accuracy": f"{100 * correct / count:.4f}",
        "ci_low": f"{low:.4f}",
        "ci_high": f"{high:.4f}",
        **{name: _text(attack.get(name)) for name in ("eps", "steps", "step_size", "version", "chunk", "strength")},
        "model_sha256": model_sha256,
        "config_sha256": plan.digest(plan.cell_settings(study, node)),
        "git_commit": environment["git_commit"],
        "git_dirty": environment["git_dirty"],
        "device": _device_name(device_of(study)),
        "torch": torch.__version__,
        "threads": study.threads,
        "seconds": f"{verdicts.seconds:.3f}",
        "finished_at": provenance.now(),
        **{name: _exact(value) for name, value in health.items()},
        **store.read_json(node.run.folder(root) / "run.json").get("diagnostics", {}),
        "bits_sha256": store.sha256(bits),
        "data_sha256": data_sha256,
        "code_sha256": provenance.code_digest(plan.code_of(study, node)),
    }
    store.write_rows(node.csv(root), [store.sealed(row)])
    _progress(node).say(f"{correct} of {count} correct, {100 * correct / count:.2f} %")


def measure_particles(study: Study, root: str, node: Particles) -> None:
    """What a network says of one generator's particles of the first test images; writes a row an image."""
    from ataka import particles

    device, settings = device_of(study), plan.particles_settings(study, node)
    network = load(study, root, node.run, device)
    images = load_images(study, root, node.dataset, "test")
    split = images.first(study.particles.images).to(device)
    rows = particles.measure(
        network,
        split,
        study.generators[node.generator],
        count=study.particles.count,
        seed=node.seed,
        progress=_progress(node),
    )
    about = {"scale": study.scale, **asdict(node), "count": study.particles.count}
    environment = provenance.environment()
    after = {
        "model_sha256": store.sha256(node.run.model(root)),
        "config_sha256": plan.digest(settings),
        **{name: environment[name] for name in ("git_commit", "git_dirty")},
        "device": _device_name(device),
        "torch": torch.__version__,
        "threads": study.threads,
        "finished_at": provenance.now(),
        "data_sha256": images.digest(),
        "code_sha256": provenance.code_digest(plan.code_of(study, node)),
    }
    exact = [{name: _exact(value) for name, value in row.items()} for row in rows]
    store.write_rows(node.csv(root), [store.sealed(about | row | after) for row in exact])


def load(study: Study, root: str, node: Run, device: torch.device) -> nn.Module:
    """A run's network with its weights, in evaluation mode; UserError unless they are those of its run.json."""
    method = study.method(node.method)
    _require_current(study, root, node)
    if method.members > 1 and (method.joint or not node.part):
        members = [networks.build(node.arch, node.dataset, device=device) for _ in range(method.members)]
        network: nn.Module = Mixture(members, average=method.average).to(device)
    else:
        network = networks.build(node.arch, node.dataset, device=device)
    store.load_into(network, node.model(root))
    return network.eval()


def _require_current(study: Study, root: str, node: Run, *, history: bool = False) -> None:
    """UserError unless a run is of the settings in force, and its files are those that its run.json records."""
    folder, digests = node.folder(root), ("settings_sha256", "model_sha256", "history_sha256")
    record = store.read_json(folder / "run.json", *digests)
    again = f"train it again: snakemake --forcerun {node.model(root)}"
    if record["settings_sha256"] != plan.digest(plan.run_settings(study, node)):
        raise UserError(f"{node.model(root)} was trained under other settings than those in force; {again}")
    for name in ("model.safetensors", "history.csv") if history else ("model.safetensors",):
        if store.sha256(folder / name) != record[f"{name.split('.')[0]}_sha256"]:
            raise UserError(f"{folder / name} is damaged or another's: its SHA-256 is not its run.json's; {again}")


def wilson(correct: int, count: int) -> tuple[float, float]:
    """The 95 % Wilson interval of ``correct`` out of ``count``, in per cent.

    As scipy.stats.binomtest(...).proportion_ci(method="wilson"), whose import would cost every cell a second.
    """
    z = NormalDist().inv_cdf(0.975)
    share, shrink = correct / count, 1 + z * z / count
    centre = (share + z * z / (2 * count)) / shrink
    reach = z / shrink * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count))
    return 100 * max(centre - reach, 0.0), 100 * min(centre + reach, 1.0)


def _text(value: object) -> object:
    return "" if value is None else f"{value:g}" if isinstance(value, float) else value


def _progress(node: Node, verb: str | None = None) -> Progress:
    name = "/".join(str(value) for key, value in asdict(node).items() if value != "" and key != "seed")
    verb = verb or {Tape: "record", Run: "train", Cell: "evaluate", Particles: "particles"}[type(node)]
    return Progress(f"{verb} {name} seed {node.seed}", sys.stderr)


def _device_name(device: torch.device) -> str:
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def _write_run(study: Study, root: str, node: Tape | Run, *, status: str, **more: Any) -> None:
    """The record beside a training: what it was, what it was made from, and the digests of what it wrote."""
    folder, settings = node.folder(root), plan.settings_of(study, node)
    record = {**asdict(node), "status": status, "settings": settings, "settings_sha256": plan.digest(settings), **more}
    record |= {"readings": plan.readings_in(study, node), "history_sha256": store.sha256(folder / "history.csv")}
    if isinstance(node, Run):
        record |= {"model_sha256": store.sha256(node.model(root))}
    if "data" in settings:
        record |= {"data_sha256": _data_digest(root, node.dataset, "train")}
    record |= {"made_from": _digests(root, plan.made_from(study, node, root, more.get("alpha")))}
    record |= {"code_sha256": provenance.code_digest(plan.code_of(study, node))}
    record |= {"threads": study.threads, "device": _device_name(device_of(study))}
    record |= {"finished_at": provenance.now(), **provenance.environment()}
    store.write_json(folder / "run.json", record)


def _data_digest(root: str, dataset: str, name: str) -> str:
    part = "test" if name == "test" else "train"
    return str(store.load_about(data_file(root, dataset, part))["sha256"][name])


def _digests(root: str, paths: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of files, by their paths below the results folder."""
    return {path.relative_to(root).as_posix(): store.sha256(path) for path in paths}


def _write_history(path: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Losses as shortest exact text, so that equal runs give equal bytes."""
    store.write_rows(path, [{name: _exact(value) for name, value in row.items()} for row in history])


def _exact(value: object) -> object:
    """A float as its shortest exact text."""
    return repr(value) if isinstance(value, float) else value
