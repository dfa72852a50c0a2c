"""The model card: README.md with a head in YAML, which Hugging Face reads as results (`model-index`), and a text."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ataka.plan import Run
from ataka.study import Study, words
from report import markdown, names, render
from report.accuracies import health
from report.accuracies.measurements import Measurement
from report.audit import model_index
from report.audit.page import row, sentence
from report.export.command import name_of


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
            rows=[row(one, study) for one in measured],
            settings=[*filter(None, (sentence(one.cell.attack, study) for one in measured))],
            checks=health.checks(one.fields for one in measured),
            raised=[f"{names.attack(one.cell.attack, study)}, {name}: {meanings[name]}." for one, name in named],
            readings=[f"{name}: {value}" for name, value in sorted(record.get("readings", {}).items())],
            architecture=run.arch,
            data=run.dataset,
            program=program,
            made=", ".join(f"{name} {record[name]}" for name in _MADE if record.get(name)),
        )
    )
    render.write_text(path, model_index.head(metadata(study, run, measured)) + text)


_MADE = ("device", "torch", "threads", "git_commit", "model_sha256", "data_sha256", "settings_sha256")
"""The fields of a run's record that the card states."""


def metadata(study: Study, run: Run, measured: Sequence[Measurement]) -> dict[str, Any]:
    """The content of the card's head: plain texts, numbers, lists and mappings alone."""
    tags = ["adversarial-training", run.method, run.arch]
    return model_index.metadata(study, name_of(run), run.dataset, tags, measured)
