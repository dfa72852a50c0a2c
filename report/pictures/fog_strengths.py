"""Accuracy under Fog at each of its strengths, a line for each method of the table about them."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import TYPE_CHECKING

from ataka.errors import UserError
from ataka.plan import Cell
from ataka.study import Study, words
from report import catalogue, evidence, names
from report.accuracies.accuracy_table import AccuracyTable
from report.grammar import counted
from report.pictures import Source
from report.pictures._drawing import grid, look, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Accuracy under Fog, by its strength"
TABLE = "table4-fog"
OPTION = "strength"
"""The attacks' option on the horizontal axis."""


@dataclass(frozen=True)
class Line:
    """A method's accuracies in per cent on a data set, the mean over seeds, by rising strength."""

    where: str
    method: str
    strengths: list[float]
    accuracies: list[float]


def sources(study: Study) -> list[Source]:
    """The cells of the table under attacks that have a strength."""
    tables = {table.name: table for table in catalogue.every(study)[0]}
    table = tables.get(TABLE)
    if not isinstance(table, AccuracyTable):
        raise UserError(f"this scale has no {TABLE}")
    cells = [cell for cell in table.cells(study) if OPTION in study.attack(cell.attack).options]
    strengths = {study.attack(cell.attack).options[OPTION] for cell in cells}
    if len(strengths) < 2:
        raise UserError(f"this scale has Fog at {counted(len(strengths), 'strength')} alone")
    return list(cells)


def gather(study: Study, root: str, sources: Sequence[Source]) -> list[Line]:
    """A line for each network: accuracies in per cent by strength, averaged over seeds."""
    lines: dict[tuple[str, str, str], dict[float, list[float]]] = {}
    for cell in sources:
        assert isinstance(cell, Cell)
        strength = float(study.attack(cell.attack).options[OPTION])
        of_line = lines.setdefault((cell.dataset, cell.arch, cell.method), {})
        of_line.setdefault(strength, []).append(evidence.measured(study, root, cell).accuracy)
    return [
        Line(
            f"{names.arch(arch)}, {names.dataset(dataset, study)}",
            names.told_apart(method, study),
            sorted(by_strength),
            [fmean(by_strength[strength]) for strength in sorted(by_strength)],
        )
        for (dataset, arch, method), by_strength in lines.items()
    ]


def draw(figure: "Figure", data: Sequence[Line]) -> None:
    """A panel for each network and data set, with a line for each method."""
    places = list(dict.fromkeys(line.where for line in data))
    methods = list(dict.fromkeys(line.method for line in data))
    axes_of = grid(figure, len(places), columns=1, height=1.5, top=0.15 * len(methods) / 2)
    panels, handles = dict(zip(places, axes_of, strict=True)), {}
    for line in data:
        axes, number = panels[line.where], methods.index(line.method)
        (handles[line.method],) = axes.plot(line.strengths, line.accuracies, label=text(line.method), **look(number))
    for place, axes in panels.items():
        axes.set_title(text(place), loc="left")
        axes.set_xscale("log", base=2)
        axes.set_xticks(data[0].strengths, [f"{strength:g}" for strength in data[0].strengths])
        axes.minorticks_off()
    figure.legend(handles=list(handles.values()), loc="outside upper center", ncols=2)
    figure.supxlabel("strength of Fog")
    figure.supylabel("accuracy (%)")


def caption(study: Study, data: Sequence[Line]) -> str:
    """The strengths, and the method that loses most accuracy."""
    steepest = max(data, key=lambda line: line.accuracies[0] - line.accuracies[-1])
    strengths = names.listed([f"{strength:g}" for strength in data[0].strengths])
    return (
        f"Accuracy under Fog at the strengths {strengths}, for each method of {TABLE}; several seeds are averaged. "
        f"From the weakest to the strongest {words.plain(steepest.method)} ({words.plain(steepest.where)}) loses "
        f"most: {steepest.accuracies[0]:.1f} % become {steepest.accuracies[-1]:.1f} %."
    )
