"""The head of a model card, in YAML, from which Hugging Face reads results (`model-index`).

Hugging Face merges results of the same task, data set, configuration, split and revision into one, under the name of
the first: the arguments of a data set tell nothing apart there. So each attack is a configuration of the data set, and
the settings of the attack are arguments of the metric.
"""

from collections.abc import Sequence
from typing import Any

import yaml

from ataka.study import Study, words
from report import names
from report.accuracies.measurements import Measurement

_IMAGES = "image-classification"


def head(content: dict[str, Any]) -> str:
    """``metadata`` as the first lines of a card."""
    return f"---\n{yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=10**6)}---\n\n"


def metadata(
    study: Study, name: str, dataset: str, tags: Sequence[str], measured: Sequence[Measurement]
) -> dict[str, Any]:
    """The content of a card's head, of a network called ``name``: plain texts, numbers, lists and mappings alone."""
    content: dict[str, Any] = {
        "library_name": "pytorch",
        "pipeline_tag": _IMAGES,
        "tags": ["pytorch", "adversarial-robustness", *tags],
        "datasets": [dataset],
        "metrics": ["accuracy"],
    }
    if measured:
        content["model-index"] = [{"name": name, "results": [_result(study, one) for one in measured]}]
    return content


def _result(study: Study, one: Measurement) -> dict[str, Any]:
    """One measurement as a result of its own; an accuracy is a share of 1 there."""
    entry, cell = study.attack(one.cell.attack), one.cell
    settings = {name: value if isinstance(value, int | str) else str(value) for name, value in entry.settings.items()}
    interval = [round(one.ci_low / 100, 6), round(one.ci_high / 100, 6)]
    return {
        "task": {"type": _IMAGES, "name": "Image classification"},
        "dataset": {
            "type": cell.dataset,
            "name": words.plain(names.dataset(cell.dataset, study)),
            "config": cell.attack,
            "split": "test",
        },
        "metrics": [
            {
                "type": "accuracy",
                "name": f"accuracy, {names.attack(cell.attack, study)}",
                "value": round(int(one.fields["correct"]) / one.n, 6),
                "args": {**settings, "images": one.n, "correct": int(one.fields["correct"]), "interval_95": interval},
            }
        ],
    }
