"""Targets that no rule makes, refused with the nearest that one does: Snakemake's own words name no neighbour."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ataka import plan
from ataka.errors import UserError
from report import pictures
from report.targets import SUPPLEMENT, advice
from rules.mistakes import mistakes_stop
from rules.scales import Scales

if TYPE_CHECKING:
    from snakemake.workflow import Workflow


@mistakes_stop()
def refuse_unknown(scales: Scales, workflow: "Workflow") -> None:
    """Stop at a target below a results folder that no rule of ``workflow`` makes, and at a name of a rule of files."""
    of_files = {rule.name for rule in workflow.rules if rule.has_wildcards()}

    def unknown(target: str) -> bool:
        path = os.path.normpath(target)
        below = Path(path).parts[:1] == ("results",) or Path(path).is_relative_to(Path.cwd() / "results")
        return target in of_files or (below and not any(rule.is_producer(path) for rule in workflow.rules))

    if any(map(unknown, sys.argv)):  # a target, or another option's value
        for target in filter(unknown, targets(sys.argv)):
            path = os.path.normpath(target)
            if Path(path).is_absolute():
                raise UserError(f"no rule makes '{target}'; name it as '{os.path.relpath(path)}'")
            if target in of_files:
                raise UserError(f"'{target}' is a rule of many files, and no target.\n{menu(scales)}")
            raise UserError(f"no rule makes '{target}'{advice(path, list(scales.tables))}")


def menu(scales: Scales) -> str:
    """The targets that a newcomer may want, a line each."""
    return "\n".join(
        [
            "Name a target:",
            *(f"  {root}/all: every table at the scale {plan.scale_of(root)}" for root in scales.roots),
            f"  ROOT/{SUPPLEMENT}: our own table, of AT-AKA beside methods of later years",
            f"  ROOT/TABLE.tex: one table, of {', '.join(scales.tables)}",
            "  ROOT/claims.md, ROOT/union.csv, ROOT/cells.csv: verdicts on the paper's claims, worst cases, every cell",
            "  ROOT/pictures.md: every picture",
            f"  ROOT/pictures/NAME.svg: one picture, of {', '.join(pictures.names())}",
            "  ROOT/tables.pdf: every table as a PDF",
            "  ROOT/report.html: everything on one page, with provenance and training curves",
            f"  one artifact: {plan.forms().removeprefix('such are ')}",
            f"ROOT is a results folder: {', '.join(scales.roots)}",
        ]
    )


def targets(arguments: Sequence[str]) -> list[str]:
    """The targets on Snakemake's command line, ``--forcerun`` included; none where Snakemake was started otherwise.

    Snakemake reads the Snakefile before it tells the workflow its targets, so its own parser is asked once more.
    """
    command, *given = arguments or [""]
    if Path(command).stem != "snakemake" and Path(command).parts[-2:] != ("snakemake", "__main__.py"):
        return []
    from snakemake.cli import get_argument_parser

    asked, _ = get_argument_parser().parse_known_args(given)
    return [str(target) for target in (*(asked.targets or ()), *(asked.forcerun or ()))]
