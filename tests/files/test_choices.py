"""Which candidate may be chosen, and is a choice that says otherwise refused by everyone who reads it?"""

from pathlib import Path
from typing import Any

import pytest

from ataka.errors import UserError
from ataka.files import choices
from ataka.files.choices import Candidate, Choice, Collapsed


def candidate(alpha: float, status: Any, robust: float | None) -> Candidate:
    return Candidate(alpha=alpha, status=status, n=16, clean=robust, robust=robust)


GOOD, BETTER = candidate(0.1, "finished", 20.0), candidate(0.3, "finished", 30.0)
CONSTANT = candidate(0.5, "collapsed", 40.0)
"""Trained to its end, and predicts one class."""
STOPPED = candidate(0.7, "collapsed", None)
"""Collapsed in training: it was never attacked."""
OTHERS = [candidate(0.9, "diverged", None), candidate(1.0, "overfitted", None)]


@pytest.mark.parametrize(
    ("grid", "collapsed", "best"),
    [
        ([GOOD, BETTER], "refuse", 0.3),
        ([BETTER, candidate(0.4, "finished", 30.0)], "refuse", 0.3),
        ([GOOD, CONSTANT], "refuse", 0.1),
        ([GOOD, CONSTANT], "allow", 0.5),
        ([STOPPED, GOOD], "allow", 0.1),
        ([STOPPED, CONSTANT, *OTHERS], "allow", 0.5),
        ([candidate(0.1, "finished", 0.0), STOPPED], "allow", 0.1),
        ([STOPPED, *OTHERS], "allow", None),
        ([CONSTANT], "refuse", None),
    ],
)
def test_the_best_of_those_that_may_be_chosen(grid: list[Candidate], collapsed: Collapsed, best: float | None) -> None:
    chosen = choices.best(grid, collapsed)
    assert (chosen and chosen.alpha) == best


def written(path: Path, alpha: float, *grid: Candidate) -> Path:
    digests = {"settings_sha256": "in force", "data_sha256": "", "code_sha256": ""}
    about: dict[str, Any] = {"split": "validation", "seed": 0, "attack": {"steps": 3}, "made_from": {}}
    choices.write(path, Choice(alpha=alpha, grid=grid, **about, **digests))
    return path


def test_a_choice_that_holds_is_read_as_it_was_written(tmp_path: Path) -> None:
    path = written(tmp_path / "choice.json", 0.5, STOPPED, CONSTANT, *OTHERS)
    choice = choices.read(path, settings_sha256="in force", collapsed="allow")
    assert choice.alpha == 0.5
    assert choice.grid == (STOPPED, CONSTANT, *OTHERS)


@pytest.mark.parametrize(
    ("alpha", "in_force", "message"),
    [
        (0.1, "in force", "alpha 0.1 was chosen, but the best of its candidates is 0.3"),
        (0.7, "in force", "alpha 0.7 was chosen, but the best of its candidates is 0.3"),
        (0.3, "another", "alpha was chosen under other settings than those in force"),
    ],
)
def test_a_choice_that_does_not_hold_is_refused(alpha: float, in_force: str, message: str, tmp_path: Path) -> None:
    path = written(tmp_path / "choice.json", alpha, GOOD, BETTER, CONSTANT, STOPPED)
    with pytest.raises(UserError) as caught:
        choices.read(path, settings_sha256=in_force, collapsed="refuse")
    assert str(caught.value) == f"{path}: {message}; delete it and run again"
