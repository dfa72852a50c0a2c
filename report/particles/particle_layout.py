"""Measurements of particles to rows and panels: for each network one image, as the paper shows, and all images.

Published numbers are a panel of their own: the paper names neither their image nor their network.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import groupby
from typing import NamedTuple

from ataka.plan import Particles, Run
from ataka.study import Study
from report import names
from report.layout import Entry, Group, Layout, Panel, Row
from report.paper import published
from report.particles.particle_rows import ParticleSet
from report.particles.particle_table import ParticleTable
from report.statistics import summarise
from report.style import Style


class Statistic(NamedTuple):
    """The printed form of a statistic, and its name in the paper's Table 1."""

    group: str
    heading: str
    digits: int
    published: str | None


STATISTICS = {
    "l1": Statistic("dist", "ℓ₁", 2, None),
    "l2": Statistic("dist", "ℓ₂", 3, None),
    "linf": Statistic("dist", "ℓ∞", 4, "dist"),  # the paper says it is one
    "ce_mean": Statistic("CE", "Avg", 2, "avg_ce"),
    "ce_std": Statistic("CE", "Std", 2, "std_ce"),
    "ce_max": Statistic("CE", "Max", 2, "max_ce"),
}


def lay_out(
    table: ParticleTable, study: Study, measurements: Sequence[ParticleSet], style: Style = Style.PAPER
) -> Layout:
    """The layout of ``table``; a compact one leaves out the panels of one image."""
    compact = style is Style.COMPACT
    numbers = {measurement.source: measurement.numbers for measurement in measurements}
    columns = [STATISTICS[name] for name in table.columns]
    groups = [
        Group(title, tuple(member.heading for member in members))
        for title, members in groupby(columns, key=lambda one: one.group)
    ]

    def measured(run: Run, *, only_first: bool) -> Callable[[str, str], Entry]:
        def entry(generator: str, statistic: str) -> Entry:
            source = Particles(run.dataset, run.arch, run.method, run.seed, generator)
            values = numbers[source][statistic] if source in numbers else []
            name = "/".join([run.dataset, run.arch, run.method, generator, statistic, *["first"] * only_first])
            return replace(_entry(values[:1] if only_first else values, statistic), behind=(source,), name=name)

        return entry

    panels = []
    for run in table.networks(study):
        network = _network(study, run)
        if study.particles.images == 1 or not compact:
            panels.append(_panel(table, f"{network}: one image, the first", measured(run, only_first=True)))
        if study.particles.images > 1:
            title = f"{network}: {study.particles.images} images, mean{'' if compact else ' ± standard deviation'}"
            panels.append(_panel(table, title, measured(run, only_first=False)))
    if style is Style.PUBLISHED:
        panels.append(_panel(table, "published (the unit of dist is not stated)", _printed(table), only_some=True))
    return Layout("Generator", tuple(groups), tuple(panels))


def _network(study: Study, run: Run) -> str:
    return f"{names.method(run.method, study)} {names.arch(run.arch)} on {names.dataset(run.dataset, study)}"


def _panel(table: ParticleTable, title: str, entry: Callable[[str, str], Entry], *, only_some: bool = False) -> Panel:
    """A row for each generator, or for those that have an entry."""
    sections = []
    for group in table.rows:
        rows = [Row(row.heading, tuple(entry(row.generator, name) for name in table.columns)) for row in group]
        kept = [row for row in rows if not only_some or any(one.measured for one in row.entries)]
        sections += [tuple(kept)] if kept else []
    return Panel(title, tuple(sections))


def _entry(values: Sequence[float], statistic: str) -> Entry:
    summary, digits = summarise(values), STATISTICS[statistic].digits
    if summary is None:
        return Entry()
    return Entry(f"{summary.mean:.{digits}f}", "" if summary.spread is None else f"{summary.spread:.{digits}f}")


def _printed(table: ParticleTable) -> Callable[[str, str], Entry]:
    def entry(generator: str, statistic: str) -> Entry:
        name = STATISTICS[statistic].published
        paper = name and published.lookup(table.number, "cifar10", "unspecified", generator, name)
        return Entry(paper.text) if paper else Entry()

    return entry
