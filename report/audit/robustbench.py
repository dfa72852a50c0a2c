"""The entry of a network in RobustBench's model_info, as its leaderboard reads it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ataka.files.disk import replacing
from ataka.study import Study
from ataka.study.networks import BROUGHT
from report.accuracies.measurements import Measurement

_CLEAN, _AUTOATTACK = "clean_acc", "autoattack_acc"
_KINDS = {"clean": _CLEAN, "aa": _AUTOATTACK}
"""The accuracies of an entry, by the kind of attack that measures each."""


def architecture(checkpoint: Mapping[str, Any]) -> str:
    """The network's name for readers: of one that brings its weights along, the name by which it was given."""
    name: str = checkpoint["path"] if BROUGHT in checkpoint["arch"] else checkpoint["arch"]
    return name


def write_entry(path: Path, study: Study, about: Mapping[str, Any], measured: Sequence[Measurement]) -> None:
    """Write the entry. What an audit can't know (paper, authors, venue) is left empty, for its author to fill in.

    ``autoattack_acc`` is null unless the standard AutoAttack was run. ``unreliable`` is true where a health check was
    raised. ``n_examples`` and ``intervals`` are additions of ours, which the leaderboard ignores.
    """
    import json

    accuracies: dict[str, str | None] = {_CLEAN: None, _AUTOATTACK: None}
    intervals, counts, eps = {}, {}, study.eps
    for measurement in measured:
        entry = study.attack(measurement.cell.attack)
        column = _KINDS.get(entry.kind)
        if column and entry.options.get("version", "standard") == "standard":
            accuracies[column] = f"{measurement.accuracy:.2f}"
            intervals[column] = [round(measurement.ci_low, 2), round(measurement.ci_high, 2)]
            counts[column] = measurement.n
            eps = entry.eps or eps
    content = {
        "link": "",
        "name": about["name"],
        "authors": "",
        "additional_data": None,
        "number_forward_passes": 1,
        "dataset": about["dataset"],
        "venue": "",
        "architecture": architecture(about["checkpoint"]),
        "eps": eps,
        **accuracies,
        "reported": None,
        "unreliable": any(measurement.fields["health"] for measurement in measured),
        "n_examples": counts,
        "intervals": intervals,
    }
    with replacing(path) as part:
        part.write_text(json.dumps(content, indent=2) + "\n", encoding="utf-8")
