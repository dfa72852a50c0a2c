"""Behind each number of the page: its measurements, their settings and readings, a command, and training curves.

The content is JSON. Texts that many numbers share (settings, readings) stand once, in ``texts``, and are referred to by
their places there; so are the curves, by the path of their training.
"""

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import yaml

from ataka import plan
from ataka.plan import Run, Tape, commands
from ataka.study import Study, words
from report import names
from report.accuracies import health
from report.accuracies.measurements import Measurement
from report.html.sheets import Number, Sheet
from report.particles.particle_rows import ParticleSet
from report.sources import Source
from report.study import pages
from report.study.files import Kept, Row
from report.study.take import behind

FACTS = (
    *("seed", "accuracy (%)", "95 % interval (Wilson)", "images", "health checks"),
    *("device", "torch", "threads", "time (s)", "finished at", "git commit", "file"),
    *("settings (SHA-256)", "network (SHA-256)", "images (SHA-256)", "code (SHA-256)"),
)
"""The names of a measurement's facts."""
_COLUMNS = ("config_sha256", "model_sha256", "data_sha256", "code_sha256")
_ACCURACY = {
    "train_accuracy": "training images",
    "validation_accuracy": "validation images",
    "probe": "validation images under PGD (probe)",
}
_LOSS = {"loss": "loss"}


class Texts:
    """Texts, each of them once."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: str) -> int:
        return self._places.setdefault(text, len(self._places))

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)


def content(kept: Kept, study: Study, sheets: Sequence[Sheet]) -> dict[str, Any]:
    """The provenance of every number of the sheets, by the numbers' keys."""
    texts = Texts()
    numbers: dict[str, dict[str, Any]] = {}
    sources: dict[str, list[str]] = {}
    runs: dict[str, dict[str, Any]] = {}
    curves: dict[str, list[dict[str, Any]]] = {}
    for sheet in sheets:
        measured = {_source(row): row for row in sheet.rows}
        for number in sheet.numbers:
            if not number.key:
                continue
            numbers[number.key] = _number(study, sheet, number, texts)
            for source in number.ours.behind:
                if source not in measured:
                    continue
                sources[_place(sheet, source)] = _facts(study, measured[source])
                if _path(source.run) not in runs:
                    trainings = _trainings(study, source)
                    drawn = _drawn(kept, trainings)
                    runs[_path(source.run)] = _run(kept, study, source.run, trainings, texts) | {"curves": [*drawn]}
                    curves |= drawn
    return {
        "config": dict(study.overrides),
        "facts": FACTS,
        "numbers": numbers,
        "sources": sources,
        "runs": runs,
        "curves": curves,
        "texts": [*texts],
    }


def _number(study: Study, sheet: Sheet, number: Number, texts: Texts) -> dict[str, Any]:
    sources, root = number.ours.behind, plan.root_of(study.scale)
    first = [source for source in sources if source.seed == study.seeds[0]]
    return {
        "title": words.plain(number.title),
        "where": words.plain(", ".join(filter(None, [f"Table {sheet.heading}", number.dataset, number.arch]))),
        "sources": [_place(sheet, source) for source in sources],
        "runs": list(dict.fromkeys(_path(source.run) for source in sources)),
        "settings": list(dict.fromkeys(texts.place(_settings(study, source)) for source in first)),
        "command": commands.snakemake(study, *(source.csv(root) for source in sources), force=True),
    }


def _settings(study: Study, source: Source) -> str:
    """The settings of a measurement without those of its training, as YAML."""
    settings = {name: value for name, value in plan.settings_of(study, source).items() if name != "run"}
    return _yaml(settings)


def _run(kept: Kept, study: Study, run: Run, trainings: Sequence[Tape | Run], texts: Texts) -> dict[str, Any]:
    """A network: its readings and its settings."""
    place = names.dataset(run.dataset, study), names.arch(run.arch)
    return {
        "title": words.plain(f"{names.method(run.method, study)} ({run.method}), {', '.join(place)}, seed {run.seed}"),
        "settings": texts.place(_yaml(plan.run_settings(study, run))),
        "readings": [texts.place(reading) for reading in pages.readings(kept, trainings)],
    }


def _trainings(study: Study, source: Source) -> list[Tape | Run]:
    """The trainings behind a measurement, its own network first, without candidates for alpha."""
    nodes = [node for node in behind(study, [source]) if not (isinstance(node, Run) and node.alpha is not None)]
    return sorted(nodes, key=lambda node: node != source.run)


def _facts(study: Study, one: Any) -> list[str]:
    """A measurement's facts, in the order of their names."""
    row = one.rows[0]
    if isinstance(one, Measurement):
        accuracy, interval = f"{one.accuracy:.2f}", f"{one.ci_low:.2f} to {one.ci_high:.2f}"
        images, checks = f"{int(row['correct']):,} of {one.n:,} right", _health(study, row)
    else:
        accuracy = interval = checks = "–"
        images = f"{len(one.rows):,}, with {row['count']} particles each"
    edited = " (edited)" if row["git_dirty"].lower() == "true" else ""
    return [
        *(row["seed"], accuracy, interval, images, checks),
        *(row["device"], row["torch"], row["threads"], row["seconds"], row["finished_at"]),
        *(row["git_commit"][:12] + edited, _source(one).csv(plan.root_of(study.scale)).as_posix()),
        *(row[name][:12] for name in _COLUMNS),
    ]


def _health(study: Study, row: Row) -> str:
    made, raised = ([name for name in row.get(key, "").split(";") if name] for key in ("checks", "health"))
    if not made:
        return "none could be made"
    if not raised:
        return f"none raised of {len(made)}: {', '.join(made)}"
    meanings = health.meanings(study)
    return f"{len(raised)} raised of {len(made)}: " + "; ".join(f"{name}: {meanings.get(name, '')}" for name in raised)


def _drawn(kept: Kept, trainings: Sequence[Tape | Run]) -> dict[str, list[dict[str, Any]]]:
    """The curves of trainings by their paths; those of members stand in the history of their average."""
    rows = {_path(node): kept.curves.get(_path(node), []) for node in trainings}
    averages = {path.rpartition("/")[0] for path, its in rows.items() if its and "member" in its[0]}
    curves = {path: _curves(its) for path, its in rows.items() if path.rsplit("/", 2)[0] not in averages}
    return {path: parts for path, parts in curves.items() if parts}


def _curves(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """A training's curves: a part for each network that trained in it, with accuracies and loss by epoch."""
    networks: dict[str, list[Row]] = defaultdict(list)
    for row in rows:
        for suffix in _suffixes(row):
            label = row.get("member", "") or suffix
            networks[label].append({name.removesuffix(suffix) if suffix else name: text for name, text in row.items()})
    return [
        {
            "network": label,
            "epochs": [int(row["epoch"]) for row in its],
            "accuracy": _lines(its, _ACCURACY, 1),
            "loss": _lines(its, _LOSS, 4),
        }
        for label, its in networks.items()
    ]


def _suffixes(row: Row) -> list[str]:
    """The numbers that the columns of several networks end in; one empty text where a single network trained."""
    known = "|".join((*_ACCURACY, *_LOSS))
    return list(dict.fromkeys(match[1] for name in row if (match := re.fullmatch(rf"(?:{known})(\d*)", name))))


def _lines(rows: Sequence[Row], columns: dict[str, str], digits: int) -> dict[str, list[float | None]]:
    """The values of each column that has any, by the column's words; None where an epoch has none, or no number."""

    def value(text: str) -> float | None:
        return round(float(text), digits) if text and math.isfinite(float(text)) else None

    lines = {title: [value(row.get(name, "")) for row in rows] for name, title in columns.items()}
    return {title: values for title, values in lines.items() if any(one is not None for one in values)}


def _source(one: Measurement | ParticleSet) -> Source:
    return one.cell if isinstance(one, Measurement) else one.source


def _place(sheet: Sheet, source: Source) -> str:
    """The key of a measurement: a cell's health depends on the table that compares it."""
    return f"{sheet.name} {source.csv('').as_posix()}"


def _path(node: Tape | Run) -> str:
    return plan.file_of(node, "").as_posix()


def _yaml(settings: dict[str, Any]) -> str:
    return str(yaml.safe_dump(_plain(settings), sort_keys=False, allow_unicode=True))


def _plain(value: Any) -> Any:
    """Settings as YAML knows them."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)
