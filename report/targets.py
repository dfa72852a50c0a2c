"""Targets of the workflow by their names: the results folder of each, and the nearest to a misspelt one."""

import os
from collections.abc import Sequence
from pathlib import Path

from ataka import plan
from ataka.errors import UserError, nearest
from ataka.study import config
from report import pictures

SUPPLEMENT = "supplement"
"""The target of our own table of that name, which is no part of `all`."""
STANDALONE = ".standalone.tex"
NUMBERS = ".numbers.tex"
SUFFIXES = (".tex", STANDALONE, NUMBERS, ".md")
"""A table's pages: to \\input into a paper, the same on a page of its own, its numbers for prose, and Markdown."""


def plain(target: str) -> str:
    """A target's path as the workflow has it: relative to the working directory, without detours."""
    path = os.path.normpath(target)
    return os.path.relpath(path) if Path(path).is_absolute() else path


def root_of(target: str) -> str:
    """The results folder that a target lies in; UserError where that is none of a scale's."""
    roots = sorted(map(plan.root_of, config.scales()), key=len, reverse=True)
    path = plain(target)
    for root in roots:
        if path.startswith(f"{root}/"):
            return root
    raise UserError(f"no rule makes '{target}'{nearest(path, [f'{root}/all' for root in roots])}")


def advice(path: str, tables: Sequence[str]) -> str:
    """The nearest target, for the name of a scale, a table or another file of its folder; else the forms of a path."""
    smaller = [scale for scale in config.scales() if scale != config.DEFAULT_SCALE]
    _, *parts = Path(path).parts
    folders = (*plan.ROOMS, pictures.FOLDER)
    if len(parts) > 1 and parts[0] not in (*smaller, *folders):
        return f": '{parts[0]}' is no scale{nearest(parts[0], [*smaller, *folders])}"
    scale, names = (parts[0], parts[1:]) if parts and parts[0] in smaller else ("", parts)
    root = f"results/{scale}" if scale else "results"
    if len(names) > 1 and names[0] in plan.ROOMS:
        try:
            plan.parse(path)
        except plan.OtherName as error:
            return f": {error}"
        except UserError:
            pass
        return f"; {plan.forms(root)}"
    if len(names) > 1 and names[0] == pictures.FOLDER:
        return nearest(path, [str(pictures.path(root, name)) for name in pictures.names()])
    of_tables = [f"{name}{suffix}" for name in tables for suffix in (*SUFFIXES, ".csv", ".choices.csv")]
    of_claims = [f"claims{suffix}" for suffix in (".md", ".tex", STANDALONE, ".csv")]
    files = ["all", SUPPLEMENT, *of_tables, *of_claims, "union.csv", "cells.csv"]
    files += [pictures.PAGE, "report.html", "tables.pdf"]
    return nearest(path, [f"{root}/{name}" for name in files] + [f"results/{name}/all" for name in smaller])
