"""Text and numbers in LaTeX: escaping, and where a layout's columns lie in a tabular."""

import re

from ataka.errors import UserError
from ataka.study import words
from report.layout import Entry, Layout


def escape(text: str) -> str:
    """Words as LaTeX that prints them; UserError for a character that LaTeX would not set."""
    try:
        return words.latex(text)
    except ValueError as error:
        raise UserError(f"{error} (in '{words.plain(text)}')") from None


def first(text: str) -> str:
    """``escape`` for the first words of a row: to the end of the row before, [ and * would belong."""
    return re.sub(r"^(?=[\[*])", "{}", escape(text))


class Tabular:
    """A layout's columns in a tabular; with deviations or lettered marks a number takes two, the second for these."""

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self.width = 2 if layout.has_spread or layout.has_letters else 1

    @property
    def preamble(self) -> str:
        """Numbers are set flush right, those of a column with equal decimals, so they align on the point."""
        number = "r@{}l" if self.width == 2 else "r"
        return "l" + "".join(r"@{\hspace{1.1em}}" + number * len(group.columns) for group in self._layout.groups)

    @property
    def columns(self) -> int:
        return 1 + sum(columns for columns, _ in self.groups)

    @property
    def groups(self) -> list[tuple[int, str]]:
        """The number of columns of the tabular that each group takes, and its title."""
        return [(self.width * len(group.columns), group.title) for group in self._layout.groups]

    @property
    def spans(self) -> list[str]:
        """First and last column of each group, as ``2-5``."""
        return [f"{2 + self.width * span.start}-{1 + self.width * span.stop}" for span in self._layout.spans]

    @property
    def gap(self) -> str:
        """Half the space between columns: less where numbers carry a deviation, or marks too, to fit a text's width."""
        if not self._layout.has_spread:
            return "5pt"
        return "1.5pt" if self._layout.has_letters else "2.2pt"

    @property
    def head(self) -> str:
        """The alignment of a column's name: centred over both parts of a number, or flush with it."""
        return "c" if self.width == 2 else "r"

    def number(self, entry: Entry) -> str:
        """An entry as a cell of this tabular."""
        if not entry.measured:
            return rf"\multicolumn{{{self.width}}}{{c}}{{--}}"
        text = rf"\best{{{entry.text}}}" if entry.best else entry.text
        if self.width == 1:
            return text + self._hung(entry.mark)
        return f"{text} & " + (rf"\spread{{{entry.spread}}}" if entry.spread else "") + escape(entry.mark)

    @staticmethod
    def _hung(mark: str) -> str:
        """A mark that takes no width, so that numbers stay aligned."""
        return rf"\rlap{{{escape(mark)}}}" if mark else ""
