"""Shared by several stages: device, images, networks of earlier stages, and the records beside outputs."""

import json
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import nn

from ataka import networks, plan
from ataka.attacks import acceleration
from ataka.attacks.finite import NotFinite
from ataka.datasets import Specification
from ataka.datasets.images import Split
from ataka.errors import Unusable, UserError, remedied
from ataka.files import claim, provenance, resume, tape
from ataka.files.disk import sha256
from ataka.files.prepared import load_split
from ataka.files.records import COST, read_json, write_json, write_rows
from ataka.files.tensors import fill, load_about, load_tensors
from ataka.machine import leases, slurm, torchrun
from ataka.machine.meter import Usage
from ataka.machine.progress import Progress
from ataka.models import normalised
from ataka.models.mixture import Average, Mixture
from ataka.plan import Cell, Node, Particles, Run, Shard, Tape, commands, digests
from ataka.study import Checkpoint, Study
from ataka.training import Failed


def device_of(study: Study) -> torch.device:
    """The device that the study asks for; sets torch's threads and kernels, float32 without TF32, and the switches."""
    torch.set_num_threads(study.threads)
    torch.backends.cudnn.deterministic = True
    torch.backends.cudnn.allow_tf32 = False  # as on the paper's cards, which had none
    acceleration.switch(acceleration.Switches(**study.speed.model_dump()))
    if study.device != "cpu":
        leases.gpu()  # before anything touches CUDA
    use_gpu = study.device != "cpu" and torch.cuda.is_available()
    if study.device == "cuda" and not use_gpu:
        where = "Slurm gave this job none (resources.STAGE.gpu)" if slurm.job() else "torch sees none here"
        raise UserError(f"device: cuda asks for a GPU, but {where}; use device: auto or cpu")
    return torch.device("cuda" if use_gpu else "cpu")


def delegated(study: Study, verb: str, node: Tape | Run, output: Path) -> bool:
    """Whether several processes have made ``output``, because the study asks for them: they are started here.

    On GPUs each has one of its own, and with fewer GPUs there are fewer processes. False in a process that is to do the
    work, alone or as one of several.
    """
    count = 1 if torchrun.is_rank() else plan.processes(study, node)
    if count > 1 and study.device != "cpu":
        count = leases.several(count) or count
    if count > 1:
        torchrun.launch([verb, output.as_posix(), "--config", json.dumps(study.overrides)], count)
    return count > 1


def load_images(study: Study, root: str, dataset: str, name: str) -> Split:
    """The split ``name`` as it was prepared; UserError if the file is damaged or was cut under other settings."""
    part = "test" if name == "test" else "train"
    path = plan.data_file(root, dataset, part)
    with remedied(f"prepare it: {commands.snakemake(study, path, force=True)}"):
        return load_split(path, name, plan.data_settings(study, dataset, part))


def load(study: Study, root: str, node: Run, device: torch.device) -> nn.Module:
    """A run's network with its weights, in evaluation mode; UserError unless they are those of its run.json."""
    method = study.method(node.method)
    require_current(study, root, node)
    facts = study.dataset(node.dataset).specification
    members = method.members if method.joint or not node.part else 1
    return filled(node.arch, facts, node.model(root), device, members=members, average=method.average)


def filled(
    arch: str, facts: Specification, path: Path, device: torch.device, *, members: int, average: Average
) -> nn.Module:
    """The network in a run's file ``path``, in evaluation mode: a single one, or the ``average`` of ``members``."""
    tensors = load_tensors(path)

    def build(prefix: str = "") -> nn.Module:
        held = {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
        return normalised.as_saved(networks.build(arch, facts, device=device), held)

    if members > 1:
        network: nn.Module = Mixture([build(f"members.{index}.") for index in range(members)], average=average)
    else:
        network = build()
    fill(network, tensors, path)
    return network.to(device).eval()


class Imported(NamedTuple):
    """A network of others on the CPU, the place of its weights in their file, and both in words."""

    network: nn.Module
    weights: str
    words: str


def imported(entry: Checkpoint, facts: Specification) -> Imported:
    """The network that ``entry`` names, for a data set of these ``facts``; UserError if the file doesn't fit."""
    from ataka.models import checkpoints

    cpu = torch.device("cpu")
    network = networks.build(entry.arch, facts, device=cpu)
    statistics = entry.normalise.model_dump() if entry.normalise else {}
    loaded = checkpoints.load(entry.path, sha256=entry.sha256, network=network, weights=entry.weights, **statistics)
    networks.require_logits(loaded.network, entry.arch, facts, device=cpu)
    place = f", its {loaded.weights}" if loaded.weights else ""
    behind = "behind a" if normalised.MEAN in loaded.network.state_dict() else "without a"
    return Imported(*loaded, f"the weights of {entry.path}{place}, {behind} normalisation of images")


def require_current(study: Study, root: str, node: Run, *, history: bool = False) -> None:
    """UserError unless a run is of the settings in force, and its files are those that its run.json records."""
    folder, digests = node.folder(root), ("settings_sha256", "model_sha256", "history_sha256")
    with remedied(f"train it: {commands.snakemake(study, node.model(root), force=True)}"):
        record = read_json(folder / "run.json", *digests)
        if record["settings_sha256"] != plan.digest(plan.run_settings(study, node)):
            raise Unusable(f"{node.model(root)} was trained under other settings than those in force")
        for name in ("model.safetensors", "history.csv") if history else ("model.safetensors",):
            if sha256(folder / name) != record[f"{name.split('.')[0]}_sha256"]:
                raise Unusable(f"{folder / name} is damaged or another's: its SHA-256 is not its run.json's")


def reader_of(study: Study, root: str, node: Tape, split: Split) -> tape.Reader:
    """The tape of ``node``, checked against its settings and the images of ``split``; UserError with a remedy."""
    remedy = f"record it: {commands.snakemake(study, node.manifest(root), force=True)}"
    with remedied(remedy):
        return tape.Reader(
            node.manifest(root),
            settings_sha256=plan.digest(plan.tape_settings(study, node)),
            data_sha256=split.digest(),
            remedy=remedy,
        )


def states_of(
    study: Study,
    node: Node,
    folder: Path,
    progress: Progress,
    kind: Callable[..., resume.States] = resume.States,
    **inputs: Any,
) -> resume.States:
    """The checkpoints of a job, as ``kind`` keeps them, valid under the same settings, code and ``inputs`` alone.

    The settings and code are those of ``node``, where ``inputs`` don't give others.
    """
    identity = {
        "settings": plan.digest(plan.settings_of(study, node)),
        "code": digests.code_digest(plan.code_of(study, node)),
        **inputs,
    }
    environment = {"device": device_name(device_of(study)), "threads": study.threads, "torch": torch.__version__}
    return kind(folder / ".resume", identity, environment, progress)


def writing(folder: Path, part: str = "") -> AbstractContextManager[None]:
    """A context in which this process alone writes to ``folder`` or its ``part``; for jobs without checkpoints."""
    return claim.claimed(folder / ".resume" / part)


@contextmanager
def naming(path: str | Path) -> Iterator[None]:
    """A context in which an attack that meets numbers that are not finite names ``path``, the network's."""
    try:
        yield
    except NotFinite as error:
        raise error.within(str(path)) from None


def remedy(error: Failed, setup: str) -> str:
    """Advice for the message of a failed training under ``setup``."""
    if error.status == "overfitted":
        return (
            "attack with more and smaller steps, or lower the learning rate; where overfitting is what the study is to "
            f"show, setups.{setup}.probe.overfitted: record lets it go on"
        )
    return f"lower the learning rate (setups.{setup}.learning_rate) or, for a student of AT-AKA, alpha"


def write_cost(output: Path, usage: Usage) -> None:
    """Write what a job took beside its ``output``, which holds nothing of the moment."""
    write_json(output.with_suffix(COST), asdict(usage) | {"finished_at": provenance.now()})


def progress_of(node: Node, verb: str | None = None) -> Progress:
    """The progress of a job, which opens each line with the verb, the node and its seed."""
    name = "/".join(str(value) for key, value in asdict(node).items() if value != "" and key != "seed")
    verb = verb or {Tape: "record", Run: "train", Cell: "evaluate", Shard: "shard", Particles: "particles"}[type(node)]
    return Progress(f"{verb} {name} seed {node.seed}", sys.stderr)


def device_name(device: torch.device) -> str:
    """Name of the device in records: the GPU's own name, or ``cpu``."""
    return torch.cuda.get_device_name(device) if device.type == "cuda" else "cpu"


def write_run(study: Study, root: str, node: Tape | Run, usage: Usage, *, status: str, **more: Any) -> None:
    """Write run.json: the training's names, settings, readings and sources, the digests of its outputs, its cost."""
    folder, settings = node.folder(root), plan.settings_of(study, node)
    record = {**asdict(node), "status": status, "settings": settings, "settings_sha256": plan.digest(settings), **more}
    record |= {"readings": plan.readings_in(study, node), "history_sha256": sha256(folder / "history.csv")}
    if isinstance(node, Run):
        record |= {"model_sha256": sha256(node.model(root))}
    if "data" in settings:
        record |= {"data_sha256": data_digest(root, node.dataset, plan.trained_on(study, node))}
    record |= {"made_from": sha256s(root, plan.made_from(study, node, root, more.get("alpha")))}
    record |= origin(study, node) | asdict(usage)
    write_json(folder / "run.json", record)


def measured(
    study: Study, node: Cell | Particles, usage: Usage, *, model_sha256: str, data_sha256: str
) -> dict[str, Any]:
    """The fields of a measurement's row for its names, the digest of its settings, its sources and its cost."""
    about = {"scale": study.scale, **asdict(node)}
    about |= {"model_sha256": model_sha256, "config_sha256": plan.digest(plan.settings_of(study, node))}
    made = origin(study, node)
    named = ("git_commit", "git_dirty", "device", "torch", "threads", "finished_at", "code_sha256")
    return about | {name: made[name] for name in named} | {"data_sha256": data_sha256, **asdict(usage)}


def origin(study: Study, node: Node) -> dict[str, Any]:
    """Fields of every record: code, machine and time of a node in the making."""
    return {
        "code_sha256": digests.code_digest(plan.code_of(study, node)),
        "threads": study.threads,
        "device": device_name(device_of(study)),
        "torch": torch.__version__,
        "finished_at": provenance.now(),
        **provenance.environment(),
    }


def data_digest(root: str, dataset: str, name: str) -> str:
    """SHA-256 of the prepared images: ``name`` is train, validation, all or test."""
    part = "test" if name == "test" else "train"
    return str(load_about(plan.data_file(root, dataset, part))["sha256"][name])


def sha256s(root: str, paths: Sequence[Path]) -> dict[str, str]:
    """SHA-256 of files, by their paths below the results folder."""
    return {path.relative_to(root).as_posix(): sha256(path) for path in paths}


def write_history(path: Path, history: Sequence[Mapping[str, Any]]) -> None:
    """Write a history with each float as its shortest exact text, so that equal runs give equal bytes."""
    write_rows(path, [{name: exact(value) for name, value in row.items()} for row in history])


def exact(value: object) -> object:
    """A float as its shortest exact text."""
    return repr(value) if isinstance(value, float) else value


def as_text(value: object) -> object:
    """A field as CSV text: None is empty, and a float has six significant digits."""
    return "" if value is None else f"{value:g}" if isinstance(value, float) else value
