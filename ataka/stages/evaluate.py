"""evaluate: attack a network; one number of a table."""

from collections.abc import Mapping
from importlib import import_module

import numpy
from numpy.typing import NDArray

from ataka.attacks.verdicts import Verdicts
from ataka.evaluation import evaluate as run_attack
from ataka.files import cells
from ataka.files.disk import replacing, sha256
from ataka.files.records import read_json, write_rows
from ataka.models.mixture import Mixture
from ataka.plan import Cell
from ataka.stages.common import as_text, device_of, exact, load, load_images, measured, naming, progress_of, states_of
from ataka.study import Study

_ALWAYS = ("eps", "steps", "step_size")
"""Options that every cell states, empty where the attack has none of that name; it also states the attack's others."""


def evaluate(study: Study, root: str, node: Cell) -> None:
    """Attack a run's network on the test images; writes the cell, with what its health checks need, and its bits."""
    device = device_of(study)
    attack = study.attack(node.attack)
    network = load(study, root, node.run, device)
    attacked = network
    if study.method(node.method).attacked == "member":
        assert isinstance(network, Mixture)
        attacked = network.members[0]
    split = load_images(study, root, node.dataset, "test").to(device)
    progress, model = progress_of(node), sha256(node.run.model(root))
    states = states_of(study, node, node.csv(root).parent, progress, data=split.digest(), model=model)
    states.folder /= node.attack
    with naming(node.run.model(root)), states:

        def run() -> Verdicts:
            return run_attack(
                network,
                attack.settings,
                split,
                seed=node.seed,
                progress=progress,
                states=states,
                attacked=attacked,
            )

        if attack.diagnosis:
            diagnose = import_module(attack.diagnosis).diagnose
            verdicts, health = diagnose(run, attacked, attack.settings, split, seed=node.seed)
        else:
            verdicts, health = run(), {}
        options = dict.fromkeys(_ALWAYS) | {name: attack.options[name] for name in attack.options if name != "images"}
        about = {
            **{name: as_text(value) for name, value in options.items()},
            **measured(study, node, states.usage, model_sha256=model, data_sha256=split.digest()),
            **{name: exact(value) for name, value in health.items()},
            **read_json(node.run.folder(root) / "run.json").get("diagnostics", {}),
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
