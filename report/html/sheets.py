"""A table as the page shows it: each number of ours, the published one in its place, and their difference."""

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ataka.study import Study
from report import names, page
from report.accuracies.accuracy_table import AccuracyTable
from report.caption import Caption
from report.layout import DASH, Entry, Layout, Panel, Row
from report.style import Style
from report.table import Table

STEPS = (1.0, 3.0, 10.0, 30.0)
"""Differences in points, of either sign, from which a number's colour is a shade deeper."""


@dataclass(frozen=True)
class Number:
    """A number at its place in a sheet. ``key`` names its provenance, and is empty where nothing lies behind it."""

    key: str
    title: str
    dataset: str
    arch: str
    ours: Entry

    @property
    def published(self) -> Entry:
        """The paper's number in this place; a dash where there is none."""
        return self.ours.published or Entry()

    @property
    def difference(self) -> float | None:
        """Ours minus the published number, as printed; None where either is lacking."""
        if not (self.ours.measured and self.published.measured):
            return None
        return round(float(self.ours.text) - float(self.published.text), 2)

    @property
    def signed(self) -> str:
        """The difference as printed, with its sign."""
        return DASH if self.difference is None else f"{self.difference:+.2f}".replace("-", "−")

    @property
    def shade(self) -> str:
        """The name of its colour: ``above1`` to ``above4``, ``below1`` to ``below4``, ``near``, or nothing."""
        if self.difference is None:
            return ""
        depth = bisect_right(STEPS, abs(self.difference))
        return f"{'above' if self.difference > 0 else 'below'}{depth}" if depth else "near"


@dataclass(frozen=True)
class Line:
    """A row; ``method`` is the label that the page filters by."""

    label: str
    method: str
    numbers: tuple[Number, ...]


@dataclass(frozen=True)
class Part:
    """A panel of the table; ``archs`` are the networks of its groups of columns, empty where a group has several."""

    title: str
    dataset: str
    archs: tuple[str, ...]
    sections: tuple[tuple[Line, ...], ...]

    @property
    def numbers(self) -> Iterator[Number]:
        """The panel's numbers, row by row."""
        return (number for section in self.sections for line in section for number in line.numbers)


@dataclass(frozen=True)
class Sheet:
    """A table; ``apart`` says why the paper's numbers don't stand in the places of its own; empty where they do."""

    name: str
    heading: str
    layout: Layout
    caption: Caption
    parts: tuple[Part, ...]
    rows: list[Any]
    apart: str

    @property
    def numbers(self) -> list[Number]:
        """The numbers of all panels."""
        return [number for part in self.parts for number in part.numbers]


def of(table: Table, study: Study, root: str, rows: Sequence[Any]) -> Sheet:
    """The sheet of ``table`` from its measurements.

    Published accuracies go with the numbers in whose places they stand. Those of particles are a panel of their own:
    the paper names neither image nor network.
    """
    of_accuracies = isinstance(table, AccuracyTable)
    style = Style.PUBLISHED if table.of_the_paper and not of_accuracies else Style.PAPER
    made = page.of(table, study, root, rows, style=style)
    keys = (f"{table.name}-{count}" for count in range(len(made.layout.entries)))
    method = _of_label if of_accuracies else _of_network
    parts = tuple(_part(study, made.layout, panel, keys, method) for panel in made.layout.panels)
    apart = "" if any(number.published.measured for part in parts for number in part.numbers) else _apart(style)
    return Sheet(table.name, table.numbered, made.layout, made.caption, parts, list(rows), apart)


def _apart(style: Style) -> str:
    if style is Style.PUBLISHED:
        return "The published numbers are a panel of their own: the paper names neither their image nor their network."
    return "Not compared number by number: the paper printed no such numbers."


def _part(study: Study, layout: Layout, panel: Panel, keys: Iterator[str], method: Callable[[Study, Row], str]) -> Part:
    rows = [row for section in panel.sections for row in section]
    groups = [[entry for row in rows for entry in row.entries[span]] for span in layout.spans]
    archs = [_same(names.arch(source.arch) for entry in group for source in entry.behind) for group in groups]
    columns = [(heading, arch) for group, arch in zip(layout.groups, archs, strict=True) for heading in group.headings]
    dataset = _same(names.dataset(source.dataset, study) for entry in panel.entries for source in entry.behind)

    def line(row: Row) -> Line:
        numbers = tuple(
            Number(next(keys) if entry.behind else "", f"{row.label}, {heading}", dataset, arch, entry)
            for (heading, arch), entry in zip(columns, row.entries, strict=True)
        )
        return Line(row.label, method(study, row), numbers)

    return Part(panel.title, dataset, tuple(archs), tuple(tuple(map(line, section)) for section in panel.sections))


def _of_label(_study: Study, row: Row) -> str:
    return row.label


def _of_network(study: Study, row: Row) -> str:
    """The method of the network that a row of particles is of; nothing for published particles."""
    return _same(names.method(source.method, study) for entry in row.entries for source in entry.behind)


def _same(texts: Iterable[str]) -> str:
    """The text that all have in common; nothing where they differ."""
    distinct = list(dict.fromkeys(texts))
    return distinct[0] if len(distinct) == 1 else ""
