"""The union of attacks: an image counts only if a network is right under every attack that was evaluated on it.

The union is over the images that all of a network's attacks have in common, since some attacks take fewer of the first
test images.
"""

import functools
from collections.abc import Sequence
from pathlib import Path

import numpy

from ataka.errors import UserError
from ataka.files.cells import numbers
from ataka.files.records import collected, write_rows
from ataka.plan import Cell, Run, commands
from ataka.study import Study
from report import catalogue
from report.accuracies.accuracy_table import AccuracyTable
from report.accuracies.measurements import Bits, Measurement, bits
from report.evidence import measured
from report.problems import Problems

COLUMNS = [
    *("scale", "dataset", "arch", "method", "seed", "attacks", "torch"),
    *("n", "correct", "accuracy", "ci_low", "ci_high"),
]
"""``torch``: the versions that the cells were measured with; their gradients differ (docs/reproducibility.md)."""


def sources(study: Study) -> list[Cell]:
    """The cells of every table of accuracies that this scale has."""
    tables, _ = catalogue.every(study)
    return list(
        dict.fromkeys(cell for table in tables if isinstance(table, AccuracyTable) for cell in table.cells(study))
    )


def write(study: Study, root: str, *, partial: bool = False) -> tuple[Path, int]:
    """``{root}/union.csv``, a network a row, and its number of rows; ``partial``: of the cells that exist now."""
    path, lines = Path(root, "union.partial.csv" if partial else "union.csv"), rows(study, root, partial=partial)
    write_rows(path, collected(lines), COLUMNS)
    return path, len(lines)


def rows(study: Study, root: str, *, partial: bool = False) -> list[dict[str, object]]:
    """A row for each network; UserError for a cell that doesn't hold, or if nothing is measured."""
    problems, target = Problems(), f"{root}/union.csv"
    by_network: dict[Run, list[tuple[Measurement, Bits]]] = {}
    for cell in sources(study):
        if not partial or cell.csv(root).exists():
            verdicts = problems.attempt(cell.csv(root), functools.partial(_verdicts, study, root, cell))
            if verdicts is not None:
                by_network.setdefault(cell.run, []).append(verdicts)
    problems.insist(study, target, "" if partial else "see what there is: --partial")
    if not by_network:
        raise UserError(f"nothing is measured yet below {root}; make it: {commands.snakemake(study, target)}")
    return [_row(study, run, several) for run, several in by_network.items()]


def _verdicts(study: Study, root: str, cell: Cell) -> tuple[Measurement, Bits]:
    measurement = measured(study, root, cell)
    return measurement, bits(measurement, root)


def worst(attacks: Sequence[Bits]) -> Bits:
    """Whether an image is right under every attack, for the images that all attacks have in common."""
    common = min(map(len, attacks))
    right: Bits = numpy.logical_and.reduce([attack[:common] for attack in attacks])
    return right


def _row(study: Study, run: Run, attacks: Sequence[tuple[Measurement, Bits]]) -> dict[str, object]:
    right, measurements = worst([verdicts for _, verdicts in attacks]), [measurement for measurement, _ in attacks]
    n, correct = len(right), int(right.sum())
    return {
        "scale": study.scale,
        "dataset": run.dataset,
        "arch": run.arch,
        "method": run.method,
        "seed": run.seed,
        "attacks": " ".join(each.cell.attack for each in measurements),
        "torch": " ".join(dict.fromkeys(each.fields["torch"] for each in measurements)),
        "n": n,
        "correct": correct,
        **numbers(correct, n),
    }
