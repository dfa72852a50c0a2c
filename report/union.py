"""The union of attacks: an image counts only if a network is right under every attack that was evaluated on it.

The union is over the images that all of a network's attacks have in common, since some attacks take fewer of the first
test images.
"""

from collections.abc import Sequence
from pathlib import Path

import numpy

from ataka.errors import UserError
from ataka.files.cells import numbers
from ataka.files.records import collected, write_rows
from ataka.plan import Cell, Run
from ataka.study import Study
from report import catalogue
from report.accuracies.accuracy_table import AccuracyTable
from report.accuracies.measurements import Bits, Measurement, bits
from report.evidence import measured

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
    path, found = Path(root, "union.partial.csv" if partial else "union.csv"), rows(study, root, partial=partial)
    write_rows(path, collected(found), COLUMNS)
    return path, len(found)


def rows(study: Study, root: str, *, partial: bool = False) -> list[dict[str, object]]:
    """A row for each network; UserError for a cell that doesn't hold, or if nothing is measured."""
    remedy = f"re-run it: snakemake --cores all {root}/union.csv --forcerun"
    by_network: dict[Run, list[Measurement]] = {}
    for cell in sources(study):
        if not partial or cell.csv(root).exists():
            measurement = measured(study, root, cell, f"{remedy} {cell.csv(root)}")
            by_network.setdefault(cell.run, []).append(measurement)
    if not by_network:
        raise UserError(f"nothing is measured yet below {root}; make it: snakemake --cores all {root}/union.csv")
    return [
        _row(study, run, several, [bits(each, root, f"{remedy} {each.cell.csv(root)}") for each in several])
        for run, several in by_network.items()
    ]


def worst(attacks: Sequence[Bits]) -> Bits:
    """Whether an image is right under every attack, for the images that all attacks have in common."""
    common = min(map(len, attacks))
    right: Bits = numpy.logical_and.reduce([one[:common] for one in attacks])
    return right


def _row(study: Study, run: Run, measurements: Sequence[Measurement], verdicts: Sequence[Bits]) -> dict[str, object]:
    right = worst(verdicts)
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
