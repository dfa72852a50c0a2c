"""What a row's network cost, as fields of its cells that a column of a table may name.

``device_hours`` are the hours of all jobs behind the network, each on one device, from the jobs' own records: its
training, the candidates and the choice of alpha, the recording of its tape or the training of its teachers, but no
evaluation. Jobs that several rows rest on count in each. ``forwards`` and ``teacher_forwards`` are counted from the
settings: how often one step of a training passes an image forward through the networks that train, and through their
teachers (``plan.per_image``; a backward to images counts as one forward, a backward to weights as two).
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from ataka import plan
from ataka.plan import Run
from ataka.study import Study
from report.accuracies.measurements import Measurement
from report.accuracies.trainings import Records

FIELDS = ("device_hours", "forwards", "teacher_forwards")


def examine(measurements: Sequence[Measurement], study: Study, records: Records) -> list[Measurement]:
    """The same, each row with ``FIELDS``; empty where the cost is not known, as of a network that others trained."""
    stated = {
        run: _of(study, run, records) for run in dict.fromkeys(measurement.cell.run for measurement in measurements)
    }
    return [
        replace(measurement, fields=measurement.fields | stated[measurement.cell.run]) for measurement in measurements
    ]


def artifacts(study: Study, run: Run) -> list[Path]:
    """The artifacts whose jobs a network cost, by their paths below a results folder."""
    nodes = [run, *plan.trainings_of(study, [run])]
    tuned = [node for node in nodes if isinstance(node, Run) and not node.part and plan.tuned_run(study, node) == node]
    return list(dict.fromkeys([*(plan.file_of(node, "") for node in nodes), *(node.choice("") for node in tuned)]))


def _of(study: Study, run: Run, records: Records) -> dict[str, str]:
    seconds = [records.seconds(artifact) for artifact in artifacts(study, run)]
    known = [each for each in seconds if each is not None]
    hours = f"{sum(known) / 3600:.6g}" if len(known) == len(seconds) else ""
    passes = plan.per_image(study, run)
    counted = (f"{passes.trained:g}", f"{passes.teachers:g}") if passes else ("", "")
    return dict(zip(FIELDS, (hours if passes else "", *counted), strict=True))
