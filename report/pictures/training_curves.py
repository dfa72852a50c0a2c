"""Accuracy over training, and the robust-overfitting gap: the best epoch's robustness minus the last epoch's.

Rice, Wong and Kolter (2020) call it robust overfitting. The numbers are those of history.csv: accuracy on clean
training and validation images, and under the probe's short PGD on validation images.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ataka import plan
from ataka.errors import UserError
from ataka.files.records import read_rows
from ataka.plan import Run, Tape
from ataka.study import Study, words
from report import catalogue, names
from report.accuracies.accuracy_table import AccuracyTable
from report.grammar import counted
from report.pictures import Source, histories
from report.pictures._drawing import grid, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Training curves and the robust-overfitting gap"
CURVES: dict[str, tuple[str, dict[str, Any]]] = {
    "train_accuracy": ("training images", {"color": "#999999", "linestyle": "-", "linewidth": 0.8}),
    "validation_accuracy": ("validation images", {"color": "#0072B2", "linestyle": "--"}),
    "probe": ("validation images, PGD", {"color": "#D55E00", "linestyle": "-"}),
}
"""The columns of a history that are drawn, with label and look."""


@dataclass(frozen=True)
class Curves:
    """Accuracies in per cent of a training's networks, averaged over the networks, epoch by epoch."""

    label: str
    epochs: list[int]
    accuracies: dict[str, list[float]]

    @property
    def best(self) -> int:
        """The place of the epoch that withstands the probe best, the first of equals."""
        robust = self.accuracies["probe"]
        return robust.index(max(robust))

    @property
    def gap(self) -> float:
        """The best epoch's robust accuracy minus the last epoch's, in points."""
        robust = self.accuracies["probe"]
        return robust[self.best] - robust[-1]


def sources(study: Study) -> list[Source]:
    """The trainings behind the tables' first data set and student; of AT-AKA the teachers', as no probe sees others."""
    trainings: dict[Source, None] = {}
    for table in catalogue.every(study)[0]:
        if isinstance(table, AccuracyTable):
            first = table.blocks(study)[0]
            for name in table.methods(study):
                run = Run(first.dataset, first.arch, name, study.seeds[0])
                if not study.method(name).planned and not study.method(name).checkpoints:
                    trainings[plan.tape_of(study, run) or plan.together(study, run) or run] = None
    if not trainings:
        raise UserError("no table of this scale has a training behind it")
    return list(trainings)


def gather(study: Study, root: str, sources: Sequence[Source]) -> list[Curves]:
    """The curves of each training whose history has any."""
    read_ones = (read(file, _label(study, training)) for training, file in histories(study, root, sources))
    return [curves for curves in read_ones if curves is not None]


def read(file: Path, label: str) -> Curves | None:
    """The curves of a history; None where no probe looked at its networks."""
    networks = list(_networks(read_rows(file, ["epoch"])))
    if not networks or "probe" not in networks[0]:
        return None
    epochs = [int(epoch) for epoch in networks[0]["epoch"]]
    means = {
        name: [sum(values) / len(values) for values in zip(*(network[name] for network in networks), strict=True)]
        for name in CURVES
        if name in networks[0]
    }
    return Curves(label, epochs, means)


def _networks(rows: Sequence[Mapping[str, str]]) -> Iterator[dict[str, list[float]]]:
    """Each network's columns: of an average its members stand below each other, of a joint training side by side."""
    for _, member in groupby(rows, key=lambda row: row.get("member")):
        epochs = list(member)
        suffixes = [name.removeprefix("loss") for name in epochs[0] if name.startswith("loss")]
        for suffix in suffixes:
            columns = {"epoch": "epoch"} | {name: f"{name}{suffix}" for name in CURVES}
            yield {
                name: [float(row[column]) for row in epochs] for name, column in columns.items() if column in epochs[0]
            }


def _label(study: Study, training: Run | Tape) -> str:
    if isinstance(training, Tape):
        ensemble = plan.ensemble_of(study, training)
        return f"{counted(ensemble.n, 'teacher')}, {ensemble.generator}"
    return names.told_apart(training.method, study)


def draw(figure: "Figure", data: Sequence[Curves]) -> None:
    """A panel for each training, with the robust-overfitting gap shaded."""
    from matplotlib.ticker import MaxNLocator

    panels = grid(figure, len(data), columns=2, height=0.95, top=0.45)
    for axes, curves in zip(panels, data, strict=True):
        for name, (label, look) in CURVES.items():
            if name in curves.accuracies:
                few = {"marker": "o", "markersize": 2} if len(curves.epochs) == 1 else {}
                axes.plot(curves.epochs, curves.accuracies[name], label=label, **look, **few)
        robust = curves.accuracies["probe"]
        axes.fill_between(
            curves.epochs, robust, robust[curves.best], where=_after(curves), color="#D55E00", alpha=0.2, lw=0
        )
        axes.plot(
            curves.epochs[curves.best], robust[curves.best], "v", color="#D55E00", markersize=3, label="best epoch"
        )
        axes.set_title(text(curves.label), loc="left")
        axes.text(0.97, 0.94, f"{curves.gap:.1f}", transform=axes.transAxes, ha="right", va="top", fontsize="small")
        axes.set_ylim(0, 100)
        if len(curves.epochs) == 1:
            axes.set_xticks(curves.epochs)
        else:
            axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside upper center", ncols=2)
    figure.supxlabel("epoch")
    figure.supylabel("accuracy (%)")


def _after(curves: Curves) -> list[bool]:
    return [place >= curves.best for place in range(len(curves.epochs))]


def caption(study: Study, data: Sequence[Curves]) -> str:
    """The meaning of the curves and of the gap, and the training with the largest gap."""
    largest = max(data, key=lambda curves: curves.gap)
    return (
        f"Accuracy at the end of each epoch in {counted(len(data), 'training')} (seed {study.seeds[0]}), the mean over "
        "each one's networks: on clean training and validation images, and on validation images under the short PGD "
        "that watches the training. The number in a panel is the robust-overfitting gap, shaded: robust accuracy in "
        "the best epoch (triangle) minus that in the last epoch, in points. "
        f"The largest gap is {largest.gap:.1f}, of {words.plain(largest.label)}."
    )
