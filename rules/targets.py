"""Targets that no rule makes, refused with the nearest that one does: Snakemake's own words name no neighbour."""

import os
import sys
from collections.abc import Callable, Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

from ataka import plan
from ataka.errors import UserError, nearest
from report import pictures
from report.targets import SUPPLEMENT, advice, plain
from rules.mistakes import mistakes_stop
from rules.scales import Scales

if TYPE_CHECKING:
    from snakemake.workflow import Workflow


@mistakes_stop()
def refuse_unknown(scales: Scales, workflow: "Workflow") -> None:
    """Stop at a target that no rule of ``workflow`` makes, and where a rule of many files is named as a target.

    A workflow that includes this one may have other rules further down: a target below results/ then gets a note alone.
    """
    rules = {rule.name: rule for rule in workflow.rules}
    included = len(workflow.included_stack) > 1

    def is_made(path: str) -> bool:
        return any(rule.is_producer(path) for rule in rules.values())

    asked, forced = targets(sys.argv)
    for target in (*asked, *forced):
        if is_made(os.path.normpath(target)) or (
            target in rules and (target in forced or not rules[target].has_wildcards())
        ):
            continue
        if target in rules:
            raise UserError(f"'{target}' is a rule of many files, and no target.\n{menu(scales)}")
        message = f"no rule makes '{target}'{_instead(target, scales, is_made, rules if target in forced else ())}"
        if not included:
            raise UserError(message)
        if _is_below_results(plain(target)):
            print(f"note: unless a rule below the include does, {message}", file=sys.stderr)


def _is_below_results(path: str) -> bool:
    return Path(path).parts[:1] == ("results",)


def _instead(target: str, scales: Scales, is_made: Callable[[str], bool], rules: Iterable[str]) -> str:
    """The words for the target that may have been meant, or for one of ``rules``."""
    path = plain(target)
    if path != os.path.normpath(target) and is_made(path):
        return f"; name it as '{path}'"
    if _is_below_results(path):
        return advice(path, list(scales.tables))
    if f"results/{path.partition('/')[0]}" in scales.roots:
        return advice(f"results/{path}", list(scales.tables))
    if is_made(f"results/{path}"):
        return f"; did you mean 'results/{path}'?"
    if get_close_matches(path, rules):
        return nearest(path, rules)
    return f".\n{menu(scales)}"


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


def targets(arguments: Sequence[str]) -> tuple[list[str], list[str]]:
    """The targets on Snakemake's command line, and the files and rules that its other options name.

    None where Snakemake was started otherwise. Snakemake reads the Snakefile before it tells the workflow its targets,
    so its own parser is asked once more.
    """
    command, *given = arguments or [""]
    if Path(command).stem != "snakemake" and Path(command).parts[-2:] != ("snakemake", "__main__.py"):
        return [], []
    from snakemake.cli import get_argument_parser

    asked, _ = get_argument_parser().parse_known_args(given)
    named = (name for option in (asked.forcerun, asked.until, asked.prioritize) for name in option or ())
    return [*map(str, asked.targets or ())], [*map(str, named)]
