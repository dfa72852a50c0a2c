"""Accuracy under PGD by its budget and by its number of steps, a line for each method: does the attack converge?

Carlini et al. (2019) ask both of an evaluation: accuracy falls to 0 where the budget grows without a bound, and more
steps leave no more images right. A network whose curve does neither may hide its gradients.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from ataka.errors import UserError
from ataka.plan import Cell
from ataka.study import Study, words
from ataka.study.fields import number
from report import catalogue, evidence, names, sweeps
from report.accuracies.accuracy_table import AccuracyTable
from report.grammar import counted
from report.pictures import Source
from report.pictures._drawing import WIDTH, look, text

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Accuracy under PGD, by its budget and by its number of steps"
TABLE = "table2"
CLEAN = "clean"
"""The attack of config/ that stands for a budget of 0."""


BUDGET, STEPS = "budget", "steps"
"""The two curves."""


@dataclass(frozen=True)
class Line:
    """A method's accuracies in per cent, by rising budget (in 255ths) or by rising number of steps."""

    varied: str
    """``BUDGET`` or ``STEPS``."""
    where: str
    """Network and data set."""
    method: str
    """Its printed name."""
    amounts: list[float]
    accuracies: list[float]

    @property
    def rise(self) -> float:
        """The largest rise in points from one accuracy to the next; 0 for a line that only falls."""
        return max((after - before for before, after in pairwise(self.accuracies) if after > before), default=0.0)

    @property
    def last_fall(self) -> float:
        """By how many points accuracy falls to its last point."""
        return self.accuracies[-2] - self.accuracies[-1] if len(self.accuracies) > 1 else 0.0


def sources(study: Study) -> list[Source]:
    """The cells of Table 2's methods on its first data set and student, of the first seed, under PGD of both curves."""
    curves = _curves(study)
    if len(sweeps.by_budget(study)) < 2:
        raise UserError("this scale has PGD at one budget alone")
    if len(sweeps.by_steps(study)) < 2:
        raise UserError("this scale has PGD of one number of steps alone")
    table = {table.name: table for table in catalogue.every(study)[0]}.get(TABLE)
    if not isinstance(table, AccuracyTable):
        raise UserError(f"this scale has no {TABLE}")
    block = table.blocks(study)[0]
    place = (block.dataset, block.arch, study.seeds[0])
    runs = dict.fromkeys(cell.run for cell in table.cells(study))
    attacks = dict.fromkeys(attack for amounts in curves.values() for attack in amounts)
    return [
        Cell(run.dataset, run.arch, run.method, run.seed, attack)
        for run in runs
        if (run.dataset, run.arch, run.seed) == place
        for attack in attacks
    ]


def _curves(study: Study) -> dict[str, Mapping[str, float]]:
    """The attacks of each curve, with their budget or number of steps."""
    clean, images = study.attacks.get(CLEAN), study.attack(sweeps.BASE).images
    zero = {CLEAN: 0.0} if clean and clean.images == images else {}
    return {
        BUDGET: zero | {name: 255 * eps for name, eps in sweeps.by_budget(study).items()},
        STEPS: sweeps.by_steps(study),
    }


def gather(study: Study, root: str, sources: Sequence[Source]) -> list[Line]:
    """The lines of each network in both panels: accuracies in per cent."""
    networks: dict[Any, dict[str, float]] = {}
    for cell in sources:
        assert isinstance(cell, Cell)
        networks.setdefault(cell.run, {})[cell.attack] = evidence.measured(study, root, cell).accuracy
    lines = []
    for varied, amounts in _curves(study).items():
        for run, accuracies in networks.items():
            points = [(amount, accuracies[attack]) for attack, amount in amounts.items() if attack in accuracies]
            where = f"{names.arch(run.arch)}, {names.dataset(run.dataset, study)}"
            if points:
                method, (x, y) = names.told_apart(run.method, study), zip(*points, strict=True)
                lines.append(Line(varied, where, method, list(x), list(y)))
    return lines


def draw(figure: "Figure", data: Sequence[Line]) -> None:
    """A panel for each curve, with a line for each method in the same look."""
    methods = list(dict.fromkeys(line.method for line in data))
    curves = list(dict.fromkeys(line.varied for line in data))
    figure.set_size_inches(WIDTH, 1.6 * len(curves) + 0.15 * math.ceil(len(methods) / 2))
    handles: dict[str, Any] = {}
    panels = figure.subplots(len(curves), squeeze=False, sharey=True)[:, 0]
    for axes, varied in zip(panels, curves, strict=True):
        lines = [line for line in data if line.varied == varied]
        for line in lines:
            shown = look(methods.index(line.method))
            shown |= {"label": text(line.method), "clip_on": False}  # a point at 0 is a whole one, too
            (handles[line.method],) = axes.plot(line.amounts, line.accuracies, **shown)
        amounts = sorted({amount for line in lines for amount in line.amounts})
        if varied == BUDGET:
            axes.set_xscale("symlog", base=2, linthresh=min(filter(None, amounts), default=1))
        else:
            axes.set_xscale("log", base=2)
        axes.set_xticks(amounts, [f"{amount:g}" for amount in amounts])
        axes.minorticks_off()
        axes.set_xlabel("budget of PGD (255ths)" if varied == BUDGET else "steps of PGD")
        axes.set_ylim(0, 100)
    figure.legend(handles=list(handles.values()), loc="outside upper center", ncols=2)
    figure.supylabel("accuracy (%)")


def caption(study: Study, data: Sequence[Line]) -> str:
    """The attacks of both panels, the accuracy at the largest budget, the last fall, and the largest rise."""
    base = study.attack(sweeps.BASE)
    eps, step, steps = str(base.eps), str(base.options["step_size"]), base.options["steps"]
    share = number(step) / number(eps)
    by_budget, by_steps = ([line for line in data if line.varied == varied] for varied in (BUDGET, STEPS))
    shown = counted(len({line.method for line in data}), "method")
    sentences = [
        f"Accuracy of {shown} of Table 2 ({words.plain(data[0].where)}, seed {study.seeds[0]}) under PGD. The tables' "
        f"PGD, {counted(steps, 'step')} within {eps}, is a point of both panels."
    ]
    if by_budget:
        most = max(by_budget, key=lambda line: line.accuracies[-1])
        sentences += [
            f"By budget: {counted(steps, 'step')}, each of {share:.3g} times the budget; a budget of 0 is the clean "
            "images.",
            f"Under the largest budget, {most.amounts[-1]:g}/255, no method keeps an image right."
            if not most.accuracies[-1]
            else f"Under the largest budget, {most.amounts[-1]:g}/255, {words.plain(most.method)} keeps most: "
            f"{most.accuracies[-1]:.1f} %. An attack without a bound leaves none unless gradients are masked or the "
            "attack is too weak.",
        ]
    if by_steps:
        steepest = max(by_steps, key=lambda line: line.last_fall)
        sentences += [
            f"By steps: each of {step} within {eps}, from the same random starts; {math.ceil(1 / share)} of them lead "
            "from the middle of the ball to its border.",
            f"The last point is at most {max(steepest.last_fall, 0):.1f} points below the one before "
            f"({words.plain(steepest.method)}).",
        ]
    highest = max(data, key=lambda line: line.rise)
    sentences.append(
        f"The largest rise from a point to the next is {highest.rise:.1f} points, of {words.plain(highest.method)} by "
        f"{highest.varied}."
        if highest.rise
        else "No line rises from a point to the next."
    )
    return " ".join(sentences)
