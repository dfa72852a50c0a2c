"""A page in the terminal: a table for each data set and student, best values bold, and where files lie."""

from collections.abc import Sequence

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table as Grid
from rich.text import Text

from report import names
from report.layout import Entry, Panel
from report.page import Page

WIDTH = 100


def show(page: Page, files: Sequence[str], console: Console | None = None) -> None:
    """Print ``page``; where there is no terminal, best values are starred instead of bold."""
    console = console or _console()
    console.print()
    for panel in page.layout.panels:
        for at, group in enumerate(page.layout.groups):
            console.print(Text(f"{group} | {panel.title}", style="italic"))
            console.print(_grid(page, panel, at, stars=not console.is_terminal))
    console.print(Text(f"Table {page.number}. {' '.join(page.caption.text)}"))
    console.print(Text(" ".join(page.caption.notes), style="dim"))
    if not console.is_terminal:
        console.print("* in bold where there is bold")
    console.print()
    for name in files:
        console.print(Text(name))


def _console() -> Console:
    console = Console(highlight=False, soft_wrap=False)
    console.width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    return console


def _grid(page: Page, panel: Panel, at: int, *, stars: bool) -> Grid:
    count = len(page.layout.columns)
    grid = Grid(box=SIMPLE_HEAD, pad_edge=False)
    grid.add_column("Method")
    for name in page.layout.columns:
        grid.add_column(name, justify="right")
    for section in panel.sections:
        for row in section:
            entries = row.entries[at * count : (at + 1) * count]
            grid.add_row(names.method(row.label), *(_text(entry, stars) for entry in entries))
        grid.add_section()
    return grid


def _text(entry: Entry, stars: bool) -> Text:
    text = entry.text + (f" ± {entry.spread}" if entry.spread else "") + entry.mark
    star = ("*" if entry.best else " ") if stars else ""
    return Text(text + star, style="bold" if entry.best else "")
