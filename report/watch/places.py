"""The results folder or target that a person names, the targets that count, and where Snakemake's notes lie."""

import os
from collections import ChainMap
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ataka import plan
from ataka.errors import UserError, nearest
from ataka.plan import commands
from ataka.study import Study, config
from report import catalogue, targets
from report.forecast import jobs
from report.forecast.jobs import Job
from report.watch import traces
from report.watch.traces import Notes


class Place(NamedTuple):
    """A results folder ``root`` as it was named, and a target in it, "" where the folder alone was named."""

    root: str
    target: str

    @property
    def inner(self) -> str:
        """The folder's path in its checkout."""
        return plan.root_of(plan.scale_of(self.root))

    @property
    def checkout(self) -> Path | None:
        """The folder where Snakemake was started; None for results that were copied out of one."""
        root, inner = Path(self.root).absolute(), Path(self.inner)
        return Path(*root.parts[: -len(inner.parts)]) if root.parts[-len(inner.parts) :] == inner.parts else None


def find(named: str) -> Place:
    """The place that ``named`` stands for; UserError, with the nearest, where that is no results folder."""
    path = os.path.normpath(named)
    if _is_root(Path(path)) and Path(path).is_dir():
        return Place(path, "")
    root = next((str(parent) for parent in Path(path).parents if _is_root(parent) and parent.is_dir()), "")
    is_target = Path(path).suffix or Path(path).name in ("all", targets.SUPPLEMENT)
    if not root or not is_target or _is_root(Path(path)):
        raise UserError(f"there is no results folder '{named}'{nearest(path, _folders(Path(path)))}")
    return Place(root, path)


def _is_root(path: Path) -> bool:
    """Whether a folder is called as the results of a scale are."""
    return path.name in {Path(plan.root_of(scale)).name for scale in config.scales()}


def _folders(path: Path) -> list[str]:
    """The results folders that hold something: of this checkout, and beside ``path``."""
    near = [path.parent / Path(plan.root_of(scale)).name for scale in config.scales()]
    known = [Path(plan.root_of(scale)) for scale in config.scales()]
    return list(dict.fromkeys(str(folder) for folder in (*known, *near) if traces.holds_something(folder)))


def behind(study: Study, place: Place, notes: Notes) -> tuple[list[str], dict[str, Job]]:
    """The targets that count, and every job behind them.

    Those are the target that was named, or else the targets of the last start and of a Snakemake that runs, and the
    fewest tables that explain the other files of the folder. UserError where the folder holds nothing.
    """
    if place.target:
        every = jobs.behind(study, place.root, [place.target])
        return [place.target], every
    if not traces.holds_something(Path(place.root)) and not notes.due:
        raise UserError(_nothing(study, place))
    asked, every = _asked_for(study, place, notes)
    pages = _pages(study, place, every)
    for target in _explaining(place, pages, every):
        asked.append(target)
        every |= pages[target]
    if not asked:
        asked = [f"{place.root}/all"]
        every = jobs.behind(study, place.root, asked, ChainMap(*pages.values()))
    return asked, every


def _nothing(study: Study, place: Place) -> str:
    others = [folder for folder in _folders(Path(place.root)) if folder != place.root]
    there = f"; folders that hold something: {', '.join(others)}" if others else ""
    start = commands.snakemake(study, f"{place.inner}/all")
    return f"'{place.root}' holds nothing of a study yet; start one: {start}{there}"


def unknown(study: Study, place: Place, notes: Notes) -> list[str]:
    """The files that a running Snakemake is to make and that no rule makes under these settings."""
    return sorted(name for name in notes.due if not jobs.each(study, place.root, [name]))


def _asked_for(study: Study, place: Place, notes: Notes) -> tuple[list[str], dict[str, Job]]:
    """The targets of the last start and of Snakemakes that run, and every job behind them.

    A target that can't be made under these settings is left out.
    """
    every: dict[str, Job] = {}
    for target in (*jobs.last(jobs.each(study, place.root, notes.due)), *notes.targets):
        with suppress(UserError):
            every |= jobs.behind(study, place.root, [target], every)
    return sorted(jobs.last(every)), every


def _pages(study: Study, place: Place, counted: Mapping[str, Job]) -> dict[str, dict[str, Job]]:
    """The page of each table, and every job behind it; ``counted`` are jobs that are worked out already."""
    pages: dict[str, dict[str, Job]] = {}
    known = dict(counted)
    for table in catalogue.every(study, on_request=True)[0]:
        page = f"{place.root}/{table.name}.tex"
        pages[page] = jobs.behind(study, place.root, [page], known)
        known |= pages[page]
    return pages


def _explaining(place: Place, pages: Mapping[str, Mapping[str, Job]], counted: Mapping[str, Job]) -> list[str]:
    """The fewest ``pages``, the largest first, behind which lie the artifacts that are there beyond ``counted``."""
    beyond = {name: job for its in pages.values() for name, job in its.items() if name not in counted}
    there = {
        name for name, job in beyond.items() if (job.node or job.rule == "render") and traces.is_begun(place.root, job)
    }
    chosen = []
    while there:
        chosen.append(max(pages, key=lambda page: len(there & pages[page].keys())))
        there -= pages[chosen[-1]].keys()
    return chosen
