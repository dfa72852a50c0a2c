"""Sanity checks of a table's rows: did a training work at all? A row that fails is an error (docs/health.md).

``loss``      the mean training loss of each network that trained is lower in the last epoch than in the first
``accuracy``  in place of ``loss`` where the loss's target is an output of networks that train as well, as AT-AKA's and
              CAT-AKA's is: such a loss grows with the teachers' logits. The accuracy on training images is higher after
              the last epoch than after the first
``robust``    under each attack within the budget, a network leaves more images right than natural training does with
              the same seed; on the images that both were measured on

A training of one epoch has no later one to compare with: neither check is made of it. Unlike a health check, which
marks a number that may be too good, a sanity check finds a number that stands for no method.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from typing import NamedTuple

from ataka.plan import Cell, Run
from ataka.study import Study
from report import names
from report.accuracies.health import common
from report.accuracies.measurements import Bits, Measurement
from report.accuracies.trainings import Records
from report.grammar import counted


class Sign(NamedTuple):
    """A column of histories that shows whether a network learns: up or down (``direction``), and the words if not."""

    name: str
    column: str
    direction: int
    words: str


LOSS = Sign("loss", "loss", -1, "its training loss did not fall")
ACCURACY = Sign("accuracy", "train_accuracy", 1, "its accuracy on training images (%) did not rise")
MADE, FAILED = "sanity", "unsound"
"""The columns of a cell's row: the checks made of its network, separated by semicolons; what failed, as a clause."""


def examine(
    measurements: Sequence[Measurement], study: Study, bits: Mapping[Cell, Bits], records: Records, undefended: str
) -> list[Measurement]:
    """The same, with ``MADE`` and ``FAILED`` in each row; ``undefended`` is the method of natural training."""
    cells: dict[Run, list[Cell]] = defaultdict(list)
    for measurement in measurements:
        cells[measurement.cell.run].append(measurement.cell)
    signs = {run: _sign(study, run) for run in cells}
    curves = {run: _curves(records, run, sign) for run, sign in signs.items()}

    def checks(run: Run) -> Iterator[tuple[str, str]]:
        natural = replace(run, method=undefended)
        if curves[run]:
            yield signs[run].name, _failed(curves[run], signs[run])
        if run != natural and curves[run] and curves.get(natural):
            for cell in cells[run]:
                if study.attack(cell.attack).eps is not None:
                    yield from _robust(study, bits, cell, replace(cell, method=undefended))

    stated = {}
    for run in cells:
        made = list(checks(run))
        failed = " and ".join(clause for _, clause in made if clause)
        stated[run] = {MADE: ";".join(dict.fromkeys(name for name, _ in made)), FAILED: failed}
    return [
        replace(measurement, fields=measurement.fields | stated[measurement.cell.run]) for measurement in measurements
    ]


def _sign(study: Study, run: Run) -> Sign:
    """The sign by which a network's training is judged: its loss, unless the loss's target moves."""
    method = study.method(run.method)
    trained = study.method(method.member_of) if method.member_of else method
    return ACCURACY if trained.ensemble or trained.joint else LOSS


def _curves(records: Records, run: Run, sign: Sign) -> list[list[float]]:
    """The sign at the end of each epoch, network by network, of those that trained for more than one."""
    curves: dict[tuple[str, str], list[float]] = defaultdict(list)
    for row in records.curve(run):
        for name, text in row.items():
            if name.startswith(sign.column) and text:
                curves[row.get("member", ""), name].append(float(text))
    return [curve for curve in curves.values() if len(curve) > 1]


def _failed(curves: Sequence[Sequence[float]], sign: Sign) -> str:
    """The clause on the first network that did not learn; "" for none. Written so that NaN is one."""
    for first, last in ((curve[0], curve[-1]) for curve in curves):
        if not (last - first) * sign.direction > 0:
            return f"{sign.words}, from {first:.4g} in the first epoch to {last:.4g} in the last"
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
    failed = {
        measurement.cell.run: measurement.fields[FAILED]
        for measurement in measurements
        if measurement.fields.get(FAILED)
    }
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
    made = {
        measurement.cell.run: measurement.fields[MADE].split(";")
        for measurement in measurements
        if measurement.fields.get(MADE)
    }
    failed = {measurement.cell.run for measurement in measurements if measurement.fields.get(FAILED)}
    networks = counted(len({measurement.cell.run for measurement in measurements}), "network")
    if not made:
        yield "Sanity checks: none could be made; a training of one epoch has none."
        return
    compared = sum("robust" in checks for checks in made.values())
    outcome = f"{counted(len(failed), 'network')} failed" if failed else "none failed"
    learnt = "a training loss that falls, or with a moving target an accuracy that rises"
    yield (
        f"Sanity checks: {outcome} ({learnt}: made of {len(made)} of {networks}; more images right than "
        f"{names.method(undefended, study)} under each attack within the budget: made of {compared})."
    )
