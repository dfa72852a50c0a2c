"""From a picture and its data to bytes, in the project's style (paper.mplstyle): the same bytes from the same data.

matplotlib loads in about a second, so that it is imported where it draws. No user's matplotlibrc has a say, text in an
SVG is paths of the font that comes with matplotlib, and no file has a date.
"""

import io
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ataka.study import words
from report.pictures import STYLE, Picture

if TYPE_CHECKING:
    from matplotlib.figure import Figure

WIDTH = 3.15
"""Inches: a column of 8 cm."""


def figure_of(picture: Picture, data: Sequence[Any]) -> "Figure":
    """The picture as a figure of matplotlib; ask its artists what they show."""
    from matplotlib import style
    from matplotlib.figure import Figure

    with style.context(["default", str(STYLE)]):
        figure = Figure()
        picture.draw(figure, data)
        return figure


def render(picture: Picture, data: Sequence[Any], caption: str) -> dict[str, bytes]:
    """The contents of the SVG and of the PDF, by their suffixes; both hold title and caption."""
    from matplotlib import style

    figure = figure_of(picture, data)
    about = {
        "svg": {"Title": picture.TITLE, "Description": caption, "Date": None},
        "pdf": {"Title": picture.TITLE, "Subject": caption, "CreationDate": None},
    }
    with style.context(["default", str(STYLE)]):
        return {f".{kind}": _saved(figure, kind, metadata) for kind, metadata in about.items()}


def _saved(figure: "Figure", kind: str, metadata: dict[str, Any]) -> bytes:
    buffer = io.BytesIO()
    figure.savefig(buffer, format=kind, metadata=metadata)
    return buffer.getvalue()


def text(label: str) -> str:
    """Words as matplotlib prints them: a dollar would begin a formula."""
    return words.plain(label).replace("$", r"\$")


MARKERS = "osv^D<>p"


def look(number: int) -> dict[str, Any]:
    """Colour, dashes and marker of the ``number``-th of several lines, the same in every panel.

    Where colours and dashes come again, the markers are hollow.
    """
    from matplotlib import rcParams

    looks = list(rcParams["axes.prop_cycle"])
    again = {"markerfacecolor": "white"} if number // len(looks) % 2 else {}
    return {**looks[number % len(looks)], "marker": MARKERS[number % len(MARKERS)], **again}


def grid(figure: "Figure", panels: int, *, columns: int, height: float, top: float = 0.3) -> list[Any]:
    """Axes for ``panels``, ``height`` inches each, row by row; ``top`` inches are kept for a legend."""
    rows = -(-panels // columns)
    figure.set_size_inches(WIDTH, rows * height + top)
    axes = figure.subplots(rows, columns, squeeze=False, sharex=True, sharey=True).ravel()
    for unused in axes[panels:]:
        unused.set_axis_off()
    return list(axes[:panels])
