"""Which alpha was chosen among which candidates: the choice.json of a run, read and checked."""

import json
import math
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ValidationError

from ataka import plan
from ataka.errors import UserError
from ataka.files.records import seal
from ataka.plan import Run
from ataka.study import Study

COLUMNS = ["dataset", "arch", "method", "alpha", "status", "split", "seed", "n", "clean", "robust", "chosen"]


class Candidate(BaseModel):
    """One alpha: how its training ended, and its accuracies (%) where it got so far."""

    alpha: float
    status: Literal["finished", "diverged", "collapsed", "overfitted"]
    n: int | None = None
    clean: float | None = None
    robust: float | None = None


class Choice(BaseModel):
    """The alpha of a (data set, arch, method), and the grid that it was chosen from."""

    alpha: float
    settings_sha256: str
    split: str
    seed: int
    grid: tuple[Candidate, ...]


def read(root: str | Path, study: Study, run: Run, remedy: str) -> list[dict[str, object]]:
    """One row for each candidate; UserError if it was chosen under other settings than those in force."""
    path = run.choice(root)
    choice = _load(path, remedy)
    if choice.settings_sha256 != plan.digest(plan.selection_settings(study, run.method)):
        raise UserError(f"{path}: alpha was chosen under other settings; {remedy}")
    chosen = [candidate for candidate in choice.grid if candidate.alpha == choice.alpha]
    eligible = ("finished", "collapsed") if study.selection.collapsed == "allow" else ("finished",)
    if not chosen or chosen[0].status not in eligible:
        raise UserError(f"{path}: alpha {choice.alpha:g} is no candidate that may be chosen; {remedy}")
    return [
        {
            "dataset": run.dataset,
            "arch": run.arch,
            "method": run.method,
            "alpha": f"{candidate.alpha:g}",
            "status": candidate.status,
            "split": choice.split,
            "seed": choice.seed,
            "n": _text(candidate.n),
            "clean": _text(candidate.clean),
            "robust": _text(candidate.robust),
            "chosen": "yes" if candidate.alpha == choice.alpha else "no",
        }
        for candidate in choice.grid
    ]


def _text(number: float | None) -> str:
    return "" if number is None or math.isnan(number) else str(number)


def _load(path: Path, remedy: str) -> Choice:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        choice = Choice.model_validate(content)
    except OSError as error:
        raise UserError(f"{path} can't be read: {error.strerror}; {remedy}") from None
    except ValidationError as error:
        first = error.errors()[0]
        raise UserError(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}; {remedy}") from None
    except (ValueError, RecursionError) as error:
        raise UserError(f"{path} is no valid JSON: {error}; {remedy}") from None
    if content.get("seal") != seal(content):
        raise UserError(f"{path} was changed after it was written: its seal doesn't hold; {remedy}")
    return choice
