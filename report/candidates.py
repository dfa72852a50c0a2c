"""The chosen alpha and its candidates: the rows of {root}/TABLE.choices.csv."""

from pathlib import Path

from ataka import plan
from ataka.files import choices
from ataka.plan import Run
from ataka.study import Study

COLUMNS = ["dataset", "arch", "method", "alpha", "status", "split", "seed", "n", "clean", "robust", "chosen"]


def load(root: str | Path, study: Study, run: Run) -> choices.Choice:
    """The choice of alpha behind ``run``; UserError if it doesn't hold under the settings in force."""
    settings = plan.digest(plan.selection_settings(study, run.method))
    allowed = study.selection.collapsed
    return choices.read(run.choice(root), settings_sha256=settings, collapsed=allowed)


def rows(root: str | Path, study: Study, run: Run) -> list[dict[str, object]]:
    """A row for each candidate of ``load``."""
    choice = load(root, study, run)
    return [
        {
            "dataset": run.dataset,
            "arch": run.arch,
            "method": run.method,
            "alpha": f"{candidate.alpha:g}",
            "status": candidate.status,
            "split": choice.split,
            "seed": choice.seed,
            "n": candidate.n,
            "clean": candidate.clean,
            "robust": candidate.robust,
            "chosen": "yes" if candidate.alpha == choice.alpha else "no",
        }
        for candidate in choice.grid
    ]
