"""The contents and places of a table's parts, for every kind of table and every format alike.

A *panel* is a titled part of the rows, a *group* a headed part of the columns.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from itertools import pairwise

from ataka.study import words
from report.sources import Source

DASH = "–"
UNCERTAIN = "†"
DIFFERS, DIFFERS_TOO = "∗", "‡"
LETTERS = words.MARKS
"""Marks that a note below the table explains."""


@dataclass(frozen=True)
class Entry:
    """A number as printed; a dash where there is none.

    ``behind`` are the measurements that the number comes from, made or not; a planned method has none. ``published`` is
    the paper's number in the same place. ``name`` is how prose cites a number of ours: its data set, network, row and
    column. Two entries are equal if they print alike.
    """

    text: str = DASH
    spread: str = ""
    best: bool = False
    mark: str = ""
    behind: tuple[Source, ...] = field(default=(), compare=False)
    published: "Entry | None" = field(default=None, compare=False)
    name: str = field(default="", compare=False)

    @property
    def measured(self) -> bool:
        """Whether there is a number."""
        return self.text != DASH


@dataclass(frozen=True)
class Row:
    """A label and its entries, group after group."""

    label: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Panel:
    """Rows in sections, with a rule or some space between them."""

    title: str
    sections: tuple[tuple[Row, ...], ...]

    @property
    def entries(self) -> list[Entry]:
        """The panel's entries, row by row."""
        return [entry for section in self.sections for row in section for entry in row.entries]


@dataclass(frozen=True)
class Group:
    """Columns under a common heading. ``counts`` says how many images each rests on, where the columns differ in it."""

    title: str
    columns: tuple[str, ...]
    counts: tuple[str, ...] = ()

    @property
    def headings(self) -> tuple[str, ...]:
        """Each column's name, with its number of images where there is one: ``AA (n = 32)``."""
        counts = self.counts or ("",) * len(self.columns)
        return tuple(f"{name} (n = {n})" if n else name for name, n in zip(self.columns, counts, strict=True))


@dataclass(frozen=True)
class Layout:
    """The whole table; ``corner`` says what its rows are."""

    corner: str
    groups: tuple[Group, ...]
    panels: tuple[Panel, ...]

    @property
    def entries(self) -> list[Entry]:
        """The entries of all panels."""
        return [entry for panel in self.panels for entry in panel.entries]

    @property
    def headings(self) -> list[str]:
        """The name of each column, group after group."""
        return [name for group in self.groups for name in group.columns]

    @property
    def has_spread(self) -> bool:
        """Whether any number has a spread over seeds."""
        return any(entry.spread for entry in self.entries)

    @property
    def has_letters(self) -> bool:
        """Or asterisks: whatever stands above a number, to its right."""
        return any(set(entry.mark) & {DIFFERS, DIFFERS_TOO, *LETTERS} for entry in self.entries)

    @property
    def has_counts(self) -> bool:
        """Whether any column's heading has a number of images."""
        return any(group.counts for group in self.groups)

    @property
    def has_dash(self) -> bool:
        """Whether any number is lacking."""
        return not all(entry.measured for entry in self.entries)

    def without_spread(self) -> "Layout":
        """The same table with no number's spread."""
        return replace(self, panels=tuple(_without_spread(panel) for panel in self.panels))

    @property
    def spans(self) -> list[slice]:
        """The slice of each group's entries in a row."""
        ends = [sum(len(group.columns) for group in self.groups[:at]) for at in range(len(self.groups) + 1)]
        return [slice(*pair) for pair in pairwise(ends)]


def _without_spread(panel: Panel) -> Panel:
    def bare(row: Row) -> Row:
        return replace(row, entries=tuple(replace(entry, spread="") for entry in row.entries))

    return replace(panel, sections=tuple(tuple(map(bare, section)) for section in panel.sections))


def mark_best(column: Sequence[Entry], may_be: Sequence[bool]) -> list[Entry]:
    """Mark the highest number of those that may be, and whatever equals it as printed; a dash is never the best."""
    compared = [entry.measured and eligible for entry, eligible in zip(column, may_be, strict=True)]
    best = max((float(entry.text) for entry, one in zip(column, compared, strict=True) if one), default=None)
    return [replace(entry, best=one and float(entry.text) == best) for entry, one in zip(column, compared, strict=True)]
