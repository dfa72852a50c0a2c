"""select: choose alpha, or the most robust member, on the selection split."""

from torch import nn

from ataka import plan
from ataka.datasets.images import Split
from ataka.errors import UserError
from ataka.evaluation import evaluate as run_attack
from ataka.files import choices
from ataka.files.choices import Candidate, Choice
from ataka.files.records import read_json
from ataka.machine.meter import Meter
from ataka.models.mixture import Mixture
from ataka.plan import Run, digests
from ataka.stages.common import (
    data_digest,
    device_of,
    load,
    load_images,
    naming,
    progress_of,
    require_current,
    sha256s,
    write_cost,
    writing,
)
from ataka.study import Study


def chosen_alpha(study: Study, root: str, node: Run) -> float:
    """The alpha that ``select`` chose; UserError if it chose under other settings."""
    settings = plan.digest(plan.selection_settings(study, node.method))
    choice = choices.read(node.choice(root), settings_sha256=settings, collapsed=study.selection.collapsed)
    return choice.alpha


def select(study: Study, root: str, node: Run) -> None:
    """Choose alpha: the candidate of the highest robust accuracy on the selection split; the first of equals.

    A candidate that diverged, overfitted or predicts one class is listed and not chosen. UserError if none is left, and
    for a candidate whose logits or gradients are not finite.
    """
    device, progress, meter = device_of(study), progress_of(node, "select"), Meter()
    settings = plan.selection_settings(study, node.method)
    selection, split = study.selection_of(node.method), selection_split(study, root, node)
    grid = []
    for candidate in plan.candidates(study, node):
        assert candidate.alpha is not None
        require_current(study, root, candidate)
        status = read_json(candidate.folder(root) / "run.json")["status"]
        entry = Candidate(alpha=candidate.alpha, status=status, n=len(split))
        if status == "finished":
            network = load(study, root, candidate, device)
            alone = list(network.members) if isinstance(network, Mixture) else [network]
            with naming(candidate.model(root)):
                found = [selection_accuracies(study, one, split, candidate.seed) for one in alone]
            entry.clean, entry.robust = (round(sum(one[place] for one in found) / len(found), 4) for place in (0, 1))
            if any(constant for _, _, constant in found):
                entry.status = "collapsed"
        grid.append(entry)
        progress.say(f"alpha {entry.alpha:g}: {entry.status}, clean {entry.clean} %, robust {entry.robust} %")
    best = choices.best(grid, selection.collapsed)
    if best is None:
        fates = ", ".join(f"alpha {entry.alpha:g} {entry.status}" for entry in grid)
        raise UserError(
            f"{node.choice(root).parent}: no alpha can be chosen: {fates}. Give selection.alphas smaller values, or "
            "lower the learning rate"
        )
    progress.say(f"chose alpha {best.alpha:g}")
    choice = Choice(
        alpha=best.alpha,
        grid=tuple(grid),
        split=selection.split,
        seed=study.seeds[0],
        attack=selection.attack.settings,
        settings_sha256=plan.digest(settings),
        made_from=sha256s(root, [candidate.model(root) for candidate in plan.candidates(study, node)]),
        data_sha256=data_digest(root, node.dataset, selection.split),
        code_sha256=digests.code_digest(plan.selection_code(study)),
    )
    with writing(node.choice(root).parent):
        choices.write(node.choice(root), choice)
        write_cost(node.choice(root), meter)


def selection_split(study: Study, root: str, node: Run) -> Split:
    choice = study.selection_of(node.method)
    split = load_images(study, root, node.dataset, choice.split).first(choice.attack.images)
    return split.to(device_of(study))


def selection_accuracies(study: Study, network: nn.Module, split: Split, seed: int) -> tuple[float, float, bool]:
    """Clean and robust accuracy (%) by the selection's attack, and whether one class is predicted for all."""
    clean = run_attack(network, {"kind": "clean"}, split, seed=seed)
    robust = run_attack(network, study.selection.attack.settings, split, seed=seed)
    return clean.accuracy, robust.accuracy, clean.constant
