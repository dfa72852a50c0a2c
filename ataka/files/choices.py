"""choice.json: the candidates for alpha, how each fared, and the chosen alpha. Imports no torch."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from ataka.errors import Unusable
from ataka.files.records import read_json, write_json

Status = Literal["finished", "diverged", "collapsed", "overfitted"]
Collapsed = Literal["refuse", "allow"]


class Candidate(BaseModel):
    """One alpha: how its training ended, and its accuracies (%) on ``n`` images if it was attacked."""

    alpha: float
    status: Status
    n: int | None = None
    clean: float | None = None
    robust: float | None = None

    def may_be_chosen(self, collapsed: Collapsed) -> bool:
        """A candidate that predicts one class may be chosen if ``selection.collapsed`` allows it.

        A candidate without a robust accuracy never may: its training ended early, for whichever reason.
        """
        allowed = ("finished", "collapsed") if collapsed == "allow" else ("finished",)
        return self.status in allowed and self.robust is not None and not math.isnan(self.robust)


class Choice(BaseModel):
    """The alpha of a data set, network and method, the candidates for it, and what they were chosen by."""

    model_config = ConfigDict(extra="forbid")

    alpha: float
    grid: tuple[Candidate, ...]
    split: Literal["train", "validation", "test"]
    seed: int
    attack: dict[str, Any]
    settings_sha256: str
    made_from: dict[str, str]
    data_sha256: str
    code_sha256: str


def best(grid: Sequence[Candidate], collapsed: Collapsed) -> Candidate | None:
    """The candidate of the highest robust accuracy, the first of equals; None if none may be chosen."""
    eligible = [candidate for candidate in grid if candidate.may_be_chosen(collapsed)]
    return max(eligible, key=lambda candidate: candidate.robust or 0.0, default=None)


def write(path: Path, choice: Choice) -> None:
    """Write the choice to ``path`` as JSON, atomically."""
    write_json(path, choice.model_dump())


def read(path: Path, *, settings_sha256: str, collapsed: Collapsed) -> Choice:
    """The choice at ``path``; UserError unless it is whole, of these settings, and the best of its candidates."""
    content = read_json(path)
    try:
        choice = Choice.model_validate(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise Unusable(f"{path}: {'.'.join(map(str, first['loc']))}: {first['msg']}") from None
    if choice.settings_sha256 != settings_sha256:
        raise Unusable(f"{path}: alpha was chosen under other settings than those in force")
    candidate = best(choice.grid, collapsed)
    if candidate is None or choice.alpha != candidate.alpha:
        rather = f"the best of its candidates is {candidate.alpha:g}" if candidate else "none of them may be chosen"
        raise Unusable(f"{path}: alpha {choice.alpha:g} was chosen, but {rather}")
    return choice
