"""The check that every artifact below a results folder still holds, against its own record and its sources.

A *problem* is a file that differs from what its record or its sources say: edited, damaged, swapped, stale, or made
from something that has changed since. A *note* is no mistake: code that has changed, a file that no artifact explains.
Numbers are checked as the collection of a table checks them; pages are rendered again and compared.

walk.py         every file of a results folder, in the order in which the files are made
inspection.py   the state of an inspection, and the questions that several checks ask
trained.py      prepared images, tapes, runs, choices of alpha
measured.py     cells and particles
concluded.py    collections, unions, claims, and the pages that show them
"""

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ataka import plan
from ataka.errors import UserError
from ataka.study import config
from report.grammar import counted
from report.verify.inspection import Findings, Inspection
from report.verify.walk import roots, walk

__all__ = ["Findings", "check", "verify"]


def verify(path: Path, overrides: Mapping[str, Any]) -> None:
    """Check everything below ``path``, a results folder or ``results`` with all its scales, and print the findings.

    Raises UserError if anything doesn't hold.
    """
    checked = problems = 0
    for root in roots(Path(os.path.normpath(path))):
        findings = check(root, overrides)
        checked += findings.checked
        problems += len(findings.problems)
        notes = (f"note: {note}" for note in findings.notes)
        for line in [*findings.problems, *notes, *(f"make again: {remedy}" for remedy in findings.remedies)]:
            _print(line)
    summary = f"{counted(checked, 'artifact')} checked, {counted(problems, 'problem')}"
    if problems:
        raise UserError(summary)
    _print(summary)


def check(root: Path, overrides: Mapping[str, Any]) -> Findings:
    """The problems and notes below one results folder."""
    scale = plan.scale_of((root if root.name not in ("", "..") else root.resolve()).as_posix())
    if scale not in config.scales():
        return Findings(notes=[f"{root} can't be checked: there is no scale '{scale}' in config/ any more"])
    try:
        study = config.load(scale, overrides)
    except UserError as error:
        return Findings(problems=[f"{root} can't be checked: {error}"])
    return walk(Inspection(study, root))


def _print(line: str) -> None:
    print(line.encode("utf-8", "backslashreplace").decode(), flush=True)
