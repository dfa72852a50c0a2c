"""Clean accuracy against robust accuracy, a point for each network of the tables: the trade-off at one look."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING, Any

from ataka.errors import UserError
from ataka.plan import Cell
from ataka.study import Study, words
from report import catalogue, evidence, names
from report.accuracies.accuracy_table import AccuracyTable
from report.pictures import Source
from report.pictures._drawing import WIDTH, look, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Clean against robust accuracy"
CLEAN, ROBUST = "clean", "pgd"
"""The attacks of config/ on the two axes; PGD sees all test images at every scale, as AutoAttack does not."""


@dataclass(frozen=True)
class Point:
    """A method's accuracies in per cent on a data set, the mean over seeds."""

    where: str
    """Data set and network."""
    method: str
    """Its printed name."""
    clean: float
    robust: float


def sources(study: Study) -> list[Source]:
    """The cells under both attacks, of every table that has both columns."""
    cells = [
        cell
        for table in catalogue.every(study)[0]
        if isinstance(table, AccuracyTable) and {CLEAN, ROBUST} <= {*table.attacks(study)}
        for cell in table.cells(study)
        if cell.attack in (CLEAN, ROBUST)
    ]
    if not cells:
        raise UserError(f"no table of this scale has the columns {CLEAN} and {ROBUST}")
    return list(dict.fromkeys(cells))


def gather(study: Study, root: str, sources: Sequence[Source]) -> list[Point]:
    """A point for each network: accuracies in per cent, averaged over seeds."""
    accuracies: dict[tuple[str, str, str], dict[str, list[float]]] = {}
    for cell in sources:
        assert isinstance(cell, Cell)
        by_attack = accuracies.setdefault((cell.dataset, cell.arch, cell.method), {})
        by_attack.setdefault(cell.attack, []).append(evidence.measured(study, root, cell).accuracy)
    return [
        Point(
            f"{names.arch(arch)}, {names.dataset(dataset, study)}",
            names.told_apart(method, study),
            fmean(both[CLEAN]),
            fmean(both[ROBUST]),
        )
        for (dataset, arch, method), both in accuracies.items()
        if both.keys() == {CLEAN, ROBUST}
    ]


def draw(figure: "Figure", data: Sequence[Point]) -> None:
    """A scatter plot: colours tell methods apart, and markers tell networks and data sets apart."""
    from matplotlib.lines import Line2D

    methods = list(dict.fromkeys(point.method for point in data))
    places = list(dict.fromkeys(point.where for point in data))
    lines = -(-len(methods) // 2)
    figure.set_size_inches(WIDTH, 2.6 + 0.14 * (lines + len(places)))
    axes = figure.subplots()
    for point in data:
        colour, marker = look(methods.index(point.method))["color"], look(places.index(point.where))["marker"]
        axes.plot(point.clean, point.robust, marker, color=colour, label=point.method)
    axes.set(xlabel="clean accuracy (%)", ylabel="accuracy under PGD (%)")
    axes.margins(0.08)
    numbered = (f"{number}  {text(method)}" for number, method in enumerate(methods, start=1))
    keys = [Line2D([], [], linestyle="", label=label) for label in numbered]
    shapes = [
        Line2D([], [], linestyle="", marker=look(at)["marker"], color="black", label=text(place))
        for at, place in enumerate(places)
    ]
    figure.legend(handles=shapes, loc="outside upper center")
    figure.legend(handles=keys, loc="outside lower center", ncols=2, handlelength=0, handletextpad=0)
    figure.draw_without_rendering()  # lays out the page, and so the places of the points
    _write_numbers(axes, [(str(methods.index(point.method) + 1), point.clean, point.robust) for point in data])


def _write_numbers(axes: Any, numbers: Sequence[tuple[str, float, float]]) -> None:
    """Write each number beside its point, in the nearest of the places around it that is free."""
    scale: float = axes.figure.dpi / 72
    placed = [tuple(axes.transData.transform((x, y)) / scale) for _, x, y in numbers]
    taken = [(px, py, 5.0) for px, py in placed]
    for (number, x, y), (px, py) in zip(numbers, placed, strict=True):

        def room(offset: tuple[float, float], px: float = px, py: float = py) -> float:
            """The smallest distance to a point or number, in points, beyond the distance that the two need."""
            at = px + offset[0], py + offset[1]
            return min(math.dist(at, (x, y)) - needed for x, y, needed in taken)

        offset = next((place for place in _AROUND if room(place) >= 0), max(_AROUND, key=room))
        is_far = math.hypot(*offset) > 9
        axes.annotate(
            number,
            (x, y),
            offset,
            textcoords="offset points",
            ha="center",
            va="center",
            fontsize=5.5,
            arrowprops={"arrowstyle": "-", "linewidth": 0.3, "color": "#666666", "shrinkA": 2} if is_far else None,
            annotation_clip=False,
        )
        taken.append((px + offset[0], py + offset[1], 7.5))


_AROUND = [
    (radius * math.cos(angle * math.pi / 8), radius * math.sin(angle * math.pi / 8))
    for radius in range(6, 90, 3)
    for angle in range(16)
]
"""Places around a point, in points, the nearest first."""


def caption(study: Study, data: Sequence[Point]) -> str:
    """How many networks are shown, and which of them is the most robust."""
    best = max(data, key=lambda point: point.robust)
    seeds = f"the mean over {len(study.seeds)} seeds" if len(study.seeds) > 1 else f"seed {study.seeds[0]}"
    return (
        f"Accuracy on clean test images and under PGD of all {len(data)} networks in the tables' rows ({seeds}). A "
        "number names the method, a marker the network and its data set. The most robust is "
        f"{words.plain(best.method)} ({words.plain(best.where)}) with {best.robust:.1f} % under PGD and "
        f"{best.clean:.1f} % on clean images."
    )
