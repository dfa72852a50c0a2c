"""The overview in a terminal: one screen, whatever its width, height and encoding."""

import textwrap
from collections.abc import Sequence

from rich.console import Console
from rich.text import Text

from report.watch.overview import Overview
from report.watch.sights import Sight, State

WIDTH = 100
"""Columns of a screen that is no terminal, and the most of one that is."""
MOST = 12
"""Jobs of one state that are listed where the screen is high enough."""
_STYLES: dict[str, str] = {"running": "cyan", "queued": "blue", "failed": "bold red", "stopped": "yellow"}


def fitting(overview: Overview, console: Console) -> Text:
    """The overview for ``console``: as much as its height has room for, failures first."""
    width = min(WIDTH, console.width) if console.is_terminal else WIDTH
    plain = not console.encoding.lower().startswith("utf")
    whole = [(most, True, False) for most in range(MOST, 0, -1)]
    shorter = [(most, stages, True) for stages in (True, False) for most in (3, 2, 1)]
    for most, stages, brief in [*whole, *shorter, (0, False, True)]:
        made = lines(overview, width, most, stages=stages, brief=brief, plain=plain)
        if not console.is_terminal or len(made) < console.height:
            break
    return Text("\n").join(made)


def lines(
    overview: Overview, width: int, most: int, *, stages: bool = True, brief: bool = False, plain: bool = False
) -> list[Text]:
    """The lines of the overview, none wider than ``width``, with ``most`` jobs of each state; ``plain`` is ASCII.

    With ``stages`` the jobs are also counted by their rules; a ``brief`` job takes two lines.
    """
    shown = [Text(line, "bold") for line in _wrapped(overview.title, width)]
    shown += [_bar(overview, width, plain=plain)]
    style = "bold green" if overview.finished else ""
    shown += [Text(line, style) for line in _wrapped(overview.status, width)]
    for sentence in overview.advice:
        shown += [Text(line) for line in _wrapped(sentence, width)]
    if stages and not overview.finished:
        shown += [Text(), *_grid(overview.rows(), width)]
    for state, jobs in overview.unfinished():
        shown += _listed(overview, state, jobs, width, most, brief=brief)
    return shown


def _bar(overview: Overview, width: int, *, plain: bool) -> Text:
    done, every = len(overview.of("done")), len(overview.sights)
    room = width - len(overview.done) - 2
    full = room * done // every if every else 0
    return Text.assemble(
        (("#" if plain else "━") * full, "green"),
        (("." if plain else "━") * (room - full), "" if plain else "bright_black"),
        f"  {overview.done}",
    )


def _grid(rows: Sequence[Sequence[str]], width: int) -> list[Text]:
    """The jobs by rule and state, with columns as wide as their entries."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    gap = 2 if sum(widths) + 2 * len(widths) <= width else 1
    made = []
    for place, row in enumerate(rows):
        cells = [row[0].ljust(widths[0]), *(cell.rjust(size) for cell, size in zip(row[1:], widths[1:], strict=True))]
        made.append(Text((" " * gap).join(cells)[:width], "bold" if place in (0, len(rows) - 1) else ""))
    return made


def _listed(
    overview: Overview, state: State, jobs: Sequence[Sight], width: int, most: int, *, brief: bool
) -> list[Text]:
    made = [] if brief else [Text()]
    made.append(Text(f"{state} ({len(jobs):,})", _STYLES[state]))
    for sight in jobs[:most]:
        named = _wrapped(f"  {sight.name}", width, "    ")
        details = [line for part in overview.details(sight) for line in _wrapped(f"    {part}", width, "      ")]
        cut = slice(1) if brief else slice(None)
        made += [*map(Text, named[cut]), *(Text(line, "dim") for line in details[cut])]
    if len(jobs) > most and not brief:
        made.append(Text(f"  and {len(jobs) - most:,} more"))
    return made


def _wrapped(text: str, width: int, indent: str = "  ") -> list[str]:
    """The lines of ``text``, the first as it begins, later ones indented; a word longer than a line is cut in two."""
    return textwrap.wrap(text, width, subsequent_indent=indent, break_on_hyphens=False) or [""]
