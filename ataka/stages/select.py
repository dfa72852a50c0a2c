"""select: choose alpha, or the most robust member, on the selection split."""

from typing import Any

from torch import nn

from ataka import plan
from ataka.datasets.images import Split
from ataka.errors import UserError
from ataka.evaluation import evaluate as run_attack
from ataka.files.records import read_json, write_json
from ataka.models.mixture import Mixture
from ataka.plan import Run, digests
from ataka.stages.common import (
    data_digest,
    device_of,
    load,
    load_images,
    progress_of,
    require_current,
    sha256s,
    writing,
)
from ataka.study import Study


def chosen_alpha(study: Study, root: str, node: Run) -> float:
    """The alpha that ``select`` chose; UserError if it chose under other settings."""
    choice = read_json(node.choice(root), "settings_sha256", "alpha")
    if choice["settings_sha256"] != plan.digest(plan.selection_settings(study, node.method)):
        raise UserError(f"{node.choice(root)} was chosen under other settings; delete it and run again")
    return float(choice["alpha"])


def select(study: Study, root: str, node: Run) -> None:
    """Choose alpha: the candidate of the highest robust accuracy on the selection split; the first of equals.

    A candidate that diverged, overfitted or predicts one class is listed and not chosen. UserError if none is left.
    """
    device, progress = device_of(study), progress_of(node, "select")
    settings = plan.selection_settings(study, node.method)
    choice, split = study.selection_of(node.method), selection_split(study, root, node)
    grid = []
    for candidate in plan.candidates(study, node):
        entry: dict[str, Any] = {"alpha": candidate.alpha, "n": len(split), "clean": None, "robust": None}
        require_current(study, root, candidate)
        entry["status"] = read_json(candidate.folder(root) / "run.json")["status"]
        if entry["status"] == "finished":
            network = load(study, root, candidate, device)
            alone = list(network.members) if isinstance(network, Mixture) else [network]
            found = [selection_accuracies(study, one, split, candidate.seed) for one in alone]
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
        "made_from": sha256s(root, [candidate.model(root) for candidate in plan.candidates(study, node)]),
        "data_sha256": data_digest(root, node.dataset, choice.split),
        "code_sha256": digests.code_digest(plan.selection_code(study)),
    }
    with writing(node.choice(root).parent):
        write_json(node.choice(root), content)


def selection_split(study: Study, root: str, node: Run) -> Split:
    choice = study.selection_of(node.method)
    split = load_images(study, root, node.dataset, choice.split).first(choice.attack.images)
    return split.to(device_of(study))


def selection_accuracies(study: Study, network: nn.Module, split: Split, seed: int) -> tuple[float, float, bool]:
    """Clean and robust accuracy (%) by the selection's attack, and whether one class is predicted for all."""
    clean = run_attack(network, {"kind": "clean"}, split, seed=seed)
    robust = run_attack(network, study.selection.attack.model_dump(), split, seed=seed)
    return clean.accuracy, robust.accuracy, clean.constant
