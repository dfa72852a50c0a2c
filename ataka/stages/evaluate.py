"""evaluate: attack a network; one number of a table."""

from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy
from numpy.typing import NDArray
from torch import nn

from ataka.attacks.verdicts import Verdicts
from ataka.datasets.images import Split
from ataka.errors import remedied
from ataka.evaluation import evaluate as run_attack
from ataka.files import cells
from ataka.files.disk import replacing, sha256
from ataka.files.records import read_json, write_rows
from ataka.files.resume import States
from ataka.files.shards import Joined
from ataka.machine.progress import Progress
from ataka.models.mixture import Mixture
from ataka.plan import Cell, commands
from ataka.stages.common import as_text, device_of, exact, load, load_images, measured, naming, progress_of, states_of
from ataka.study import Study

_ALWAYS = ("eps", "steps", "step_size")
"""Options that every cell states, empty where the attack has none of that name; it also states the attack's others."""


@dataclass(frozen=True)
class Subject:
    """A network to attack, on its device: the ``path`` that messages name, and the digest that identifies it.

    Attacks see ``attacked``. The verdicts are those of ``network``, which computes the same function or an average.
    """

    network: nn.Module
    attacked: nn.Module
    path: str
    sha256: str
    diagnostics: Mapping[str, Any] = field(default_factory=dict)
    """Further columns of the cell."""


def evaluate(study: Study, root: str, node: Cell, shards: Sequence[str] = ()) -> None:
    """Attack a run's network on the test images; writes the cell, with what its health checks need, and its bits.

    The verdicts are joined from the files ``shards``, where these are given.
    """
    subject, split = subject_of(study, root, node)
    remedy = f"make it again: {commands.snakemake(study, node.csv(root), force=True, forcerun=shards)}"
    with remedied(remedy) if shards else nullcontext():
        measure(study, root, node, subject, split, progress_of(node), [Path(shard) for shard in shards])


def subject_of(study: Study, root: str, node: Cell) -> tuple[Subject, Split]:
    """The network of a cell and the test images, on the study's device."""
    device = device_of(study)
    network = load(study, root, node.run, device)
    attacked = network
    if study.method(node.method).attacked == "member":
        assert isinstance(network, Mixture)
        attacked = network.members[0]
    split = load_images(study, root, node.dataset, "test").to(device)
    path = node.run.model(root)
    diagnostics = read_json(node.run.folder(root) / "run.json").get("diagnostics", {})
    return Subject(network, attacked, str(path), sha256(path), diagnostics), split


def measure(
    study: Study,
    root: str,
    node: Cell,
    subject: Subject,
    split: Split,
    progress: Progress,
    shards: Sequence[Path] = (),
) -> None:
    """Attack ``subject`` on ``split``, both on one device; writes the cell and its bits. Resumes if interrupted.

    Begins with the predictions of the files ``shards``, where these are given: those of all images.
    """
    attack, data = study.attack(node.attack), split.digest()
    settings = study.attack_on(node.attack, node.dataset).settings
    kept = partial(Joined, paths=shards) if shards else States
    states = states_of(study, node, node.csv(root).parent, progress, kept, data=data, model=subject.sha256)
    states.folder /= node.attack
    with naming(subject.path), states:

        def run() -> Verdicts:
            return run_attack(
                subject.network,
                settings,
                split,
                seed=node.seed,
                progress=progress,
                states=states,
                attacked=subject.attacked,
            )

        if attack.diagnosis:
            diagnose = import_module(attack.diagnosis).diagnose
            verdicts, health = diagnose(run, subject.attacked, settings, split, seed=node.seed)
        else:
            verdicts, health = run(), {}
        options = dict.fromkeys(_ALWAYS) | {name: attack.options[name] for name in attack.options if name != "images"}
        about = {
            **{name: as_text(value) for name, value in options.items()},
            **measured(study, node, states.usage, model_sha256=subject.sha256, data_sha256=data),
            **{name: exact(value) for name, value in health.items()},
            **subject.diagnostics,
        }
        row = _write(root, node, verdicts.correct.numpy(), about)
    progress.say(f"{row['correct']} of {row['n']} correct, {float(row['accuracy']):.2f} %")


def _write(root: str, node: Cell, correct: NDArray[numpy.bool_], about: Mapping[str, object]) -> dict[str, str]:
    """Write the bits, and the row that states their digest."""
    bits = node.bits(root)
    with replacing(bits) as part, part.open("wb") as file:
        numpy.save(file, correct)
    row = cells.row(int(correct.sum()), len(correct), {**about, "bits_sha256": sha256(bits)})
    write_rows(node.csv(root), [row])
    return row
