"""The model card: README.md with a head in YAML, which Hugging Face reads as results (`model-index`), and a text.

Hugging Face merges results of the same task, data set, configuration, split and revision into one, under the name of
the first: the arguments of a data set tell nothing apart there. So each attack is a configuration of the data set, and
the settings of the attack are arguments of the metric.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from ataka.plan import Run
from ataka.study import Study, words
from report import markdown, names, render
from report.accuracies import health
from report.accuracies.measurements import Measurement
from report.audit.page import sentence
from report.export.command import name_of

_IMAGES = "image-classification"


def write(
    path: Path,
    study: Study,
    run: Run,
    record: Mapping[str, Any],
    measured: Sequence[Measurement],
    *,
    program: bool,
) -> None:
    """Write the card of a run's network; ``program`` says whether network.pt2 lies beside it."""
    head = yaml.safe_dump(metadata(study, run, measured), sort_keys=False, allow_unicode=True, width=10**6)
    meanings = health.meanings(study)
    named = [(one, name) for one in measured for name in health.checks([one.fields]).raised]
    facts = study.dataset(run.dataset).specification
    text = (
        render.environment(text=markdown.escape)
        .get_template("card.md")
        .render(
            name=words.plain(names.method(run.method, study)),
            arch=words.plain(names.arch(run.arch)),
            dataset=words.plain(names.dataset(run.dataset, study)),
            shape=f"(B, {facts.channels}, {facts.size}, {facts.size})",
            classes=facts.classes,
            scale=study.scale,
            about=study.about.strip().rstrip("."),
            seed=run.seed,
            rows=[_row(study, one) for one in measured],
            settings=[*filter(None, (sentence(one.cell.attack, study) for one in measured))],
            checks=health.checks(one.fields for one in measured),
            raised=[f"{_label(study, one)}, {name}: {meanings[name]}." for one, name in named],
            readings=[f"{name}: {value}" for name, value in sorted(record.get("readings", {}).items())],
            architecture=run.arch,
            data=run.dataset,
            program=program,
            made=", ".join(f"{name} {record[name]}" for name in _MADE if record.get(name)),
        )
    )
    render.write_text(path, f"---\n{head}---\n\n{text}")


_MADE = ("device", "torch", "threads", "git_commit", "model_sha256", "data_sha256", "settings_sha256")
"""The fields of a run's record that the card states."""


def metadata(study: Study, run: Run, measured: Sequence[Measurement]) -> dict[str, Any]:
    """The head of the card: plain texts, numbers, lists and mappings alone."""
    head: dict[str, Any] = {
        "library_name": "pytorch",
        "pipeline_tag": _IMAGES,
        "tags": ["pytorch", "adversarial-robustness", "adversarial-training", run.method, run.arch],
        "datasets": [run.dataset],
        "metrics": ["accuracy"],
    }
    if measured:
        found = [_result(study, run, one) for one in measured]
        head["model-index"] = [{"name": name_of(run), "results": found}]
    return head


def _result(study: Study, run: Run, one: Measurement) -> dict[str, Any]:
    """One measurement as a result of its own; an accuracy is a share of 1 there."""
    entry = study.attack(one.cell.attack)
    label = _label(study, one)
    settings = {name: value if isinstance(value, int | str) else str(value) for name, value in entry.settings.items()}
    interval = [round(one.ci_low / 100, 6), round(one.ci_high / 100, 6)]
    return {
        "task": {"type": _IMAGES, "name": "Image classification"},
        "dataset": {
            "type": run.dataset,
            "name": words.plain(names.dataset(run.dataset, study)),
            "config": one.cell.attack,
            "split": "test",
        },
        "metrics": [
            {
                "type": "accuracy",
                "name": f"accuracy, {label}",
                "value": round(int(one.fields["correct"]) / one.n, 6),
                "args": {**settings, "images": one.n, "correct": int(one.fields["correct"]), "interval_95": interval},
            }
        ],
    }


def _row(study: Study, one: Measurement) -> list[str]:
    entry = study.attack(one.cell.attack)
    interval = f"{one.ci_low:.2f} to {one.ci_high:.2f}"
    checks = health.checks([one.fields])
    healthy = "; ".join(checks.raised) or checks.outcome
    return [_label(study, one), f"{one.accuracy:.2f}", interval, str(one.n), str(entry.ball or ""), healthy]


def _label(study: Study, one: Measurement) -> str:
    return names.attack(one.cell.attack, study)
