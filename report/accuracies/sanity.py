"""Sanity checks of a table's rows: did a training work at all? A row that fails is an error (docs/health.md).

``loss``    the mean training loss of each network that trained is lower in the last epoch than in the first
``robust``  under each attack within the budget, a network leaves more images right than natural training does with the
            same seed; on the images that both were measured on

A training of one epoch has no later one to compare with: neither check is made of it. Unlike a health check, which
marks a number that may be too good, a sanity check finds a number that stands for no method.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from ataka.plan import Cell, Run
from ataka.study import Study
from report import names
from report.accuracies.health import common
from report.accuracies.measurements import Bits, Measurement
from report.accuracies.trainings import Records

MADE, FAILED = "sanity", "unsound"
"""The columns of a cell's row: the checks made of its network, separated by semicolons; what failed, as a clause."""


def examine(
    measurements: Sequence[Measurement], study: Study, bits: Mapping[Cell, Bits], records: Records, undefended: str
) -> list[Measurement]:
    """The same, with ``MADE`` and ``FAILED`` in each row; ``undefended`` is the method of natural training."""
    cells: dict[Run, list[Cell]] = defaultdict(list)
    for one in measurements:
        cells[one.cell.run].append(one.cell)
    losses = {run: _losses(records, run) for run in cells}

    def checks(run: Run) -> Iterator[tuple[str, str]]:
        natural = replace(run, method=undefended)
        if losses[run]:
            yield "loss", _rises(losses[run])
        if run != natural and losses[run] and losses.get(natural):
            for cell in cells[run]:
                if study.attack(cell.attack).eps is not None:
                    yield from _robust(study, bits, cell, replace(cell, method=undefended))

    stated = {}
    for run in cells:
        made = list(checks(run))
        failed = " and ".join(clause for _, clause in made if clause)
        stated[run] = {MADE: ";".join(dict.fromkeys(name for name, _ in made)), FAILED: failed}
    return [replace(one, fields=one.fields | stated[one.cell.run]) for one in measurements]


def _losses(records: Records, run: Run) -> list[list[float]]:
    """The mean loss of each epoch, network by network, of those that trained for more than one."""
    curves: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in records.curve(run):
        for name, text in row.items():
            if name.startswith("loss") and text:
                curves[row.get("member", ""), name].append(float(text))
    return [curve for curve in curves.values() if len(curve) > 1]


def _rises(losses: Sequence[Sequence[float]]) -> str:
    """The clause on the first network whose loss didn't fall; "" for none. Written so that NaN is one."""
    for curve in losses:
        if not curve[-1] < curve[0]:
            return (
                f"its training loss did not fall, from {curve[0]:.4g} in the first epoch to {curve[-1]:.4g} in the last"
            )
    return ""


def _robust(study: Study, bits: Mapping[Cell, Bits], cell: Cell, natural: Cell) -> Iterator[tuple[str, str]]:
    """The check of one attack, where both networks were measured; its clause is "" if it holds."""
    if cell not in bits or natural not in bits:
        return
    mine, other = common(bits[cell], bits[natural])
    counts = f"{int(mine.sum()):,} of {len(mine):,} images right, and natural training {int(other.sum()):,}"
    failed = f"under {names.attack(cell.attack, study)} it leaves {counts}"
    yield "robust", "" if mine.sum() > other.sum() else failed


def failures(measurements: Sequence[Measurement], study: Study, root: str, table: str) -> dict[Run, str]:
    """A message for each network that failed; ``table`` is the path of the table's YAML."""
    failed = {one.cell.run: one.fields[FAILED] for one in measurements if one.fields.get(FAILED)}
    return {
        run: (
            f"{run.folder(root)}: {names.told_apart(run.method, study)} fails a sanity check, since {clause}. Look at "
            f"history.csv there; train {run.method} again with other options or another set-up (config/), or take the "
            f"row out of {table} (docs/health.md)"
        )
        for run, clause in failed.items()
    }


def notes(measurements: Sequence[Measurement], study: Study, undefended: str) -> Iterator[str]:
    """The number of networks that were checked."""
    made = {one.cell.run: one.fields[MADE].split(";") for one in measurements if one.fields.get(MADE)}
    failed = {one.cell.run for one in measurements if one.fields.get(FAILED)}
    count = len({one.cell.run for one in measurements})
    if not made:
        yield "Sanity checks: none could be made; a training of one epoch has none."
        return
    compared = sum("robust" in checks for checks in made.values())
    outcome = f"{len(failed)} networks failed" if failed else "none failed"
    yield (
        f"Sanity checks: {outcome} (a training loss that falls: made of {len(made)} of {count} networks; more images "
        f"right than {names.method(undefended, study)} under each attack within the budget: made of {compared})."
    )
