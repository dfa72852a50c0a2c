"""A table ready to be set: its sources, layout, caption and files."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from ataka.errors import UserError, remedied
from ataka.files.provenance import commits
from ataka.plan import commands
from ataka.study import Study
from report import collect
from report.accuracies import accuracy_caption, accuracy_layout
from report.accuracies.accuracy_table import AccuracyTable
from report.caption import Caption, label
from report.grammar import counted
from report.layout import Entry, Layout
from report.particles import particle_caption, particle_layout
from report.particles.particle_table import ParticleTable
from report.style import Style
from report.table import Table

KINDS: dict[type[Table], tuple[Callable[..., Layout], Callable[..., Caption]]] = {
    AccuracyTable: (accuracy_layout.lay_out, accuracy_caption.compose),
    ParticleTable: (particle_layout.lay_out, particle_caption.compose),
}


@dataclass(frozen=True)
class Page:
    """One table, as every format shows it.

    ``heading`` is the table's number; ``stem`` is the path of its files without their suffix, ``collected`` that of its
    CSVs. ``numbers`` are those that prose can cite, with their deviations, which a compact layout lacks. ``notes`` are
    for the person that builds the table, not for its readers.
    """

    heading: str
    label: str
    layout: Layout
    caption: Caption
    stem: Path
    collected: Path
    style: Style
    numbers: list[Entry]
    commits: str
    notes: list[str]


def compose(table: Table, study: Study, root: str, *, partial: bool = False, style: Style = Style.PAPER) -> Page:
    """The page of ``table``: from its collection, or (``partial``) from whatever valid measurements exist now."""
    if style is Style.PUBLISHED and not table.of_the_paper:
        raise UserError(f"{table.name} is no table of the paper: there are no published numbers to set beside it")
    collected = stem(table, root, partial=partial)
    if not partial:
        path = Path(f"{collected}.csv")
        if not path.exists():
            command = commands.snakemake(study, collect.target(table, root))
            raise UserError(f"{path} doesn't exist yet; make it: {command} (or see --partial)")
        with remedied(f"collect again: {commands.report(study, 'collect', table.name, '--root', root)}"):
            measurements = collect.read(path, table, study, root)
        return of(table, study, root, measurements, style=style)
    collection = collect.gather(table, study, root)
    collect.write(collection, table, collected)
    made = of(table, study, root, collection.measurements, partial=True, style=style)
    return replace(made, notes=_notes(collection, study, collect.target(table, root)))


def of(
    table: Table,
    study: Study,
    root: str,
    measurements: Sequence[Any],
    *,
    partial: bool = False,
    style: Style = Style.PAPER,
) -> Page:
    """The page that shows these measurements."""
    collected = stem(table, root, partial=partial)
    lay_out, describe = KINDS[type(table)]
    layout = lay_out(table, study, measurements, style=style)
    caption = describe(table, study, measurements, layout, style=style)
    return Page(
        table.numbered,
        label(table.labelled, study, partial=partial, style=style),
        layout.without_spread() if style is Style.COMPACT else layout,
        caption,
        Path(f"{collected}{style.ending}"),
        collected,
        style,
        [*{entry.name: entry for entry in layout.entries if entry.name and entry.measured}.values()],
        commits(row for measurement in measurements for row in measurement.rows),
        [],
    )


def stem(table: Table, root: str, *, partial: bool) -> Path:
    """The path of a table's files without their suffix; a partial table has other files than the whole table."""
    return Path(root, f"{table.name}.partial" if partial else table.name)


def _notes(collection: collect.Collection, study: Study, target: str) -> list[str]:
    notes = [f"left out: {reason}" for reason in collection.refused]
    if collection.missing:
        notes.append(f"missing: {counted(len(collection.missing), 'file')}, the first is {collection.missing[0]}")
    return [*notes, *filter(None, [collection.remedy(study, target)])]
