"""select: choose alpha, or the most robust member, on the selection split."""

from typing import Any

from torch import Tensor, nn

from ataka import plan
from ataka.datasets.images import Split
from ataka.errors import UserError, remedied
from ataka.evaluation import evaluate as run_attack
from ataka.files import choices
from ataka.files.choices import Candidate, Choice
from ataka.files.records import read_json
from ataka.files.resume import State
from ataka.models.mixture import Mixture
from ataka.plan import Run, commands, digests
from ataka.stages.common import (
    data_digest,
    device_of,
    load,
    load_images,
    naming,
    progress_of,
    require_current,
    sha256s,
    states_of,
    write_cost,
)
from ataka.study import Study


def chosen_alpha(study: Study, root: str, node: Run) -> float:
    """The alpha that ``select`` chose; UserError if it chose under other settings."""
    settings = plan.digest(plan.selection_settings(study, node.method))
    path, collapsed = node.choice(root), study.selection.collapsed
    with remedied(f"choose it: {commands.snakemake(study, path, force=True)}"):
        return choices.read(path, settings_sha256=settings, collapsed=collapsed).alpha


def select(study: Study, root: str, node: Run) -> None:
    """Choose alpha: the candidate of the highest robust accuracy on the selection split; the first of equals.

    A candidate that diverged, overfitted or predicts one class is listed and not chosen. UserError if none is left, and
    for a candidate whose logits or gradients are not finite.
    """
    progress, selection = progress_of(node, "select"), study.selection_of(node.method)
    split, candidates = selection_split(study, root, node), plan.candidates(study, node)
    settings = plan.digest(plan.selection_settings(study, node.method))
    code = digests.code_digest(plan.selection_code(study))
    for candidate in candidates:
        require_current(study, root, candidate)
    inputs: dict[str, Any] = {"settings": settings, "code": code, "data": split.digest()}
    inputs["candidates"] = sha256s(root, [candidate.folder(root) / "run.json" for candidate in candidates])
    with states_of(study, node, node.choice(root).parent, progress, **inputs) as states:
        grid: list[Candidate] = []

        def take(state: State) -> None:
            grid.extend(Candidate(**entry) for entry in state.facts["grid"])

        def kept() -> tuple[dict[str, Tensor], dict[str, Any]]:
            return {}, {"grid": [entry.model_dump() for entry in grid]}

        states.restore(take)
        for candidate in candidates[len(grid) :]:
            entry = _examined(study, root, candidate, split)
            grid.append(entry)
            progress.say(f"alpha {entry.alpha:g}: {entry.status}, clean {entry.clean} %, robust {entry.robust} %")
            states.keep(f"alpha {entry.alpha:g}", kept)
        best = choices.best(grid, selection.collapsed)
        if best is None:
            fates = ", ".join(f"alpha {entry.alpha:g} {entry.status}" for entry in grid)
            raise UserError(
                f"{node.choice(root).parent}: no alpha can be chosen: {fates}. Give selection.alphas smaller values, "
                "or lower the learning rate"
            )
        progress.say(f"chose alpha {best.alpha:g}")
        choice = Choice(
            alpha=best.alpha,
            grid=tuple(grid),
            split=selection.split,
            seed=study.seeds[0],
            attack=selection.attack.settings,
            settings_sha256=settings,
            made_from=sha256s(root, [candidate.model(root) for candidate in candidates]),
            data_sha256=data_digest(root, node.dataset, selection.split),
            code_sha256=code,
        )
        choices.write(node.choice(root), choice)
        write_cost(node.choice(root), states.usage)


def _examined(study: Study, root: str, candidate: Run, split: Split) -> Candidate:
    """A candidate's status, and its accuracies on ``split`` if its training ended well."""
    assert candidate.alpha is not None
    status = read_json(candidate.folder(root) / "run.json")["status"]
    entry = Candidate(alpha=candidate.alpha, status=status, n=len(split))
    if status == "finished":
        network = load(study, root, candidate, device_of(study))
        alone = list(network.members) if isinstance(network, Mixture) else [network]
        with naming(candidate.model(root)):
            accuracies = [selection_accuracies(study, one, split, candidate.seed) for one in alone]
        entry.clean, entry.robust = (
            round(sum(accuracy[place] for accuracy in accuracies) / len(accuracies), 4) for place in (0, 1)
        )
        if any(constant for _, _, constant in accuracies):
            entry.status = "collapsed"
    return entry


def selection_split(study: Study, root: str, node: Run) -> Split:
    """The images by which an alpha is chosen, on the study's device."""
    choice = study.selection_of(node.method)
    split = load_images(study, root, node.dataset, choice.split).first(choice.attack.images)
    return split.to(device_of(study))


def selection_accuracies(study: Study, network: nn.Module, split: Split, seed: int) -> tuple[float, float, bool]:
    """Clean and robust accuracy (%) by the selection's attack, and whether one class is predicted for all."""
    clean = run_attack(network, {"kind": "clean"}, split, seed=seed)
    robust = run_attack(network, study.selection.attack.settings, split, seed=seed)
    return clean.accuracy, robust.accuracy, clean.constant
