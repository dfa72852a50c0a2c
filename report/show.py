"""A page in the terminal: a table for each panel and group, best values bold, and where files lie."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from ataka.study import words
from report.layout import Entry, Group, Panel
from report.page import Page

WIDTH = 100


def show(page: Page, files: Sequence[str], console: Console | None = None) -> None:
    """Print ``page``; where there is no terminal, best values are starred instead of bold."""
    console = console or _console()
    console.print()
    for panel in page.layout.panels:
        for group, span in zip(page.layout.groups, page.layout.spans, strict=True):
            console.print(_plain(f"{group.title} | {panel.title}", "italic"))
            console.print(_grid(page.layout.corner, panel, group, span, stars=not console.is_terminal))
    console.print(_plain(f"Table {page.heading}. {' '.join(page.caption.text)}"))
    console.print(_plain(" ".join(page.caption.notes), "dim"))
    if not console.is_terminal:
        console.print("* in bold where there is bold")
    console.print()
    for name in files:
        console.print(Text(name), soft_wrap=True)  # a path can be copied


def _console() -> Console:
    console = Console(highlight=False, soft_wrap=False)
    console.width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    return console


def _grid(corner: str, panel: Panel, group: Group, span: slice, *, stars: bool) -> Grid:
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False)
    grid.add_column(Text(corner))
    for name in group.headings:
        grid.add_column(_plain(name), justify="right")
    for section in panel.sections:
        for row in section:
            grid.add_row(_plain(row.label), *(_text(entry, stars) for entry in row.entries[span]))
        grid.add_section()
    return grid


def _plain(read: str, style: str = "") -> Text:
    """Words as they are: rich takes a string for markup, in which ``[b]`` is bold and ``:smile:`` a picture."""
    return Text(words.plain(read), style)


def _text(entry: Entry, stars: bool) -> Text:
    text = entry.text + (f" ± {entry.spread}" if entry.spread else "") + entry.mark
    star = ("*" if entry.best else " ") if stars else ""
    return Text(text + star, style="bold" if entry.best else "")
