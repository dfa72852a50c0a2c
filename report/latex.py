"""Text and numbers in LaTeX: escaping, and the cells of a layout's tabular, each padded to the width of its column."""

import re
from collections.abc import Sequence

from ataka.errors import UserError
from ataka.study import words
from report.layout import Entry, Layout, Row

_NARROW, _WIDE = "ijltfrI.,:;()[]|'₁₂₃₄₅₆₇₈₉ ", "mwMW"
"""Characters of about half and of twice the usual width, in any font of text."""


def escape(text: str) -> str:
    """Words as LaTeX that prints them; UserError for a character that LaTeX would not set."""
    try:
        return words.latex(text)
    except ValueError as error:
        raise UserError(f"{error} (in '{words.plain(text)}')") from None


def first(text: str) -> str:
    """``escape`` for the first words of a row: to the end of the row before, [ and * would belong."""
    return re.sub(r"^(?=[\[*])", "{}", escape(text))


def longest(texts: Sequence[str]) -> list[str]:
    """The texts that may be the widest, by an estimate: in which font they will be set is not known here."""
    return sorted(texts, key=_length, reverse=True)[:3]


class Tabular:
    r"""The cells of a layout in a tabular: a column for the labels, then a column for each number.

    A number, its deviation and its marks are one cell, and parts that other cells of the column have are padded with
    \phantom: numbers set flush right with equal decimals align on the point, and colours fill the whole cell.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._rows = [row for panel in layout.panels for section in panel.sections for row in section]
        columns = list(zip(*(row.entries for row in self._rows), strict=True))
        self._widest = [_widest(column) for column in columns]

    @property
    def columns(self) -> int:
        """The columns of the tabular."""
        return 1 + len(self._widest)

    @property
    def preamble(self) -> str:
        r"""The labels' column is as wide as \fittable leaves room for, and breaks lines where that is not enough."""
        return r"p{\labelwidth}" + "r" * len(self._widest)

    @property
    def spans(self) -> list[str]:
        """First and last column of each group, as ``2-5``."""
        return [f"{2 + span.start}-{1 + span.stop}" for span in self._layout.spans]

    @property
    def longest(self) -> list[str]:
        """The labels that may be the widest."""
        return longest([self._layout.corner, *dict.fromkeys(row.label for row in self._rows)])

    @property
    def widest(self) -> list[str]:
        """A row that is as wide as the widest number of each column."""
        return [_cell(entry, entry) for entry in self._widest]

    def cells(self, row: Row) -> list[str]:
        """The cells of a row behind its label."""
        return [_cell(entry, widest) for entry, widest in zip(row.entries, self._widest, strict=True)]


def _cell(entry: Entry, widest: Entry) -> str:
    if not entry.measured:
        return r"\multicolumn{1}{c}{--}"
    number = rf"\best{{{entry.text}}}" if entry.best else entry.text
    missing = "".join(mark for mark in widest.mark if mark not in entry.mark)
    return number + _spread(entry.spread, widest.spread) + escape(entry.mark) + _phantom(escape(missing))


def _spread(spread: str, widest: str) -> str:
    if not widest:
        return ""
    if not spread:
        return _phantom(rf"\spread{{{widest}}}")
    return rf"\spread{{{spread}{_phantom('0' * (len(widest) - len(spread)))}}}"


def _phantom(text: str) -> str:
    """Space as wide as ``text``."""
    return rf"\phantom{{{text}}}" if text else ""


def _widest(column: tuple[Entry, ...]) -> Entry:
    """An entry with the longest number and deviation of a column, and with every mark."""
    measured = [entry for entry in column if entry.measured] or [Entry()]
    marks = "".join(dict.fromkeys(mark for entry in measured for mark in entry.mark))
    number = max((entry.text for entry in measured), key=len)
    return Entry(number, max((entry.spread for entry in measured), key=len), mark=marks)


def _length(label: str) -> float:
    """The width of a label in characters of the usual width, roughly."""
    return sum({0: 1.0, 1: 0.55, 2: 1.6}[(char in _NARROW) + 2 * (char in _WIDE)] for char in words.plain(label))
