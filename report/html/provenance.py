"""Behind each number of the page: its measurements, their settings and readings, a command, and training curves.

The content is JSON. Whatever numbers share stands once, in a list, and is referred to by its place there: measurements,
networks, curves, and the lines of settings and other texts.
"""

import math
import re
from collections import defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from typing import Any

import yaml

from ataka import plan
from ataka.files.provenance import commit
from ataka.plan import Run, Tape, commands
from ataka.study import Study, words
from report import names
from report.accuracies import health
from report.accuracies.measurements import Measurement
from report.grammar import counted
from report.html.sheets import Number, Sheet
from report.particles.particle_rows import ParticleSet
from report.sources import Source
from report.study import pages
from report.study.files import Kept, Row

FACTS = (
    *("seed", "accuracy (%)", "95 % interval (Wilson)", "images", "health checks"),
    *("device", "torch", "threads", "time (s)", "finished at", "git commit"),
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
_FILES = "FILES"
"""Stands for the measurements in a command."""


class Once(dict[Hashable, int]):
    """Contents, each of them once, in the order in which they came; the values are their places."""

    def place(self, content: Hashable) -> int:
        """Place of a content, which is added if it is new."""
        return self.setdefault(content, len(self))

    def places(self, contents: Iterable[Hashable]) -> tuple[int, ...]:
        """Places of several contents."""
        return tuple(map(self.place, contents))


def content(kept: Kept, study: Study, sheets: Sequence[Sheet]) -> dict[str, Any]:
    """The provenance of every number of the sheets, by the numbers' keys."""
    return _Collector(kept, study).content(sheets)


class _Collector:
    """Gathers what numbers share, and states a number by the places of its parts."""

    def __init__(self, kept: Kept, study: Study) -> None:
        self._kept, self._study = kept, study
        self._texts, self._settings, self._epochs = Once(), Once(), Once()
        self._sources, self._runs, self._curves = Once(), Once(), Once()
        self._facts: list[dict[str, Any]] = []
        self._networks: list[dict[str, Any]] = []
        self._drawn: list[dict[str, Any]] = []

    def content(self, sheets: Sequence[Sheet]) -> dict[str, Any]:
        numbers: dict[str, dict[str, Any]] = {}
        for sheet in sheets:
            measured = {_source(row): row for row in sheet.rows}
            numbers |= {number.key: self._number(sheet, number, measured) for number in sheet.numbers if number.key}
        before, _, after = commands.snakemake(self._study, _FILES, force=True).partition(_FILES)
        return {
            "config": dict(self._study.overrides),
            "command": [before, after],
            "facts": FACTS,
            "numbers": numbers,
            "sources": self._facts,
            "runs": self._networks,
            "curves": self._drawn,
            "epochs": [*self._epochs],
            "settings": [*self._settings],
            "texts": [*self._texts],
        }

    def _number(self, sheet: Sheet, number: Number, measured: Mapping[Source, Any]) -> dict[str, Any]:
        sources = list(dict.fromkeys(number.ours.behind))
        first = [source for source in sources if source.seed == self._study.seeds[0]]
        known = [source.run for source in sources if source in measured]
        return {
            "title": words.plain(number.title),
            "where": words.plain(", ".join(filter(None, [f"Table {sheet.heading}", number.dataset, number.arch]))),
            "sources": [self._source(sheet, source, measured.get(source)) for source in sources],
            "runs": [self._run(run) for run in dict.fromkeys(known)],
            "settings": list(dict.fromkeys(self._yaml(_settings(self._study, source)) for source in first)),
        }

    def _source(self, sheet: Sheet, source: Source, one: Any) -> int:
        """A measurement, if there is one; its health depends on the table that compares it."""
        place = self._sources.place((sheet.name, source))
        if place == len(self._facts):
            file = source.csv(plan.root_of(self._study.scale)).as_posix()
            facts = self._texts.places(_facts(self._study, one)) if one else None
            self._facts.append({"file": file, "facts": facts})
        return place

    def _run(self, run: Run) -> int:
        """A network: its readings, its settings, and the curves of its trainings."""
        place = self._runs.place(run)
        if place == len(self._networks):
            study, trainings = self._study, _trainings(self._study, run)
            where = names.dataset(run.dataset, study), names.arch(run.arch)
            title = f"{names.method(run.method, study)} ({run.method}), {', '.join(where)}, seed {run.seed}"
            self._networks.append(
                {
                    "title": words.plain(title),
                    "settings": self._yaml(plan.run_settings(study, run)),
                    "readings": self._texts.places(pages.readings(self._kept, trainings)),
                    "curves": [self._curve(path, its) for path, its in _histories(self._kept, trainings).items()],
                }
            )
        return place

    def _curve(self, path: str, networks: Sequence[dict[str, Any]]) -> int:
        place = self._curves.place(path)
        if place == len(self._drawn):
            networks = [network | {"epochs": self._epochs.place(tuple(network["epochs"]))} for network in networks]
            self._drawn.append({"file": path, "networks": networks})
        return place

    def _yaml(self, settings: dict[str, Any]) -> int:
        """Settings as YAML, line by line."""
        text = str(yaml.safe_dump(_plain(settings), sort_keys=False, allow_unicode=True))
        return self._settings.place(self._texts.places(text.splitlines()))


def _settings(study: Study, source: Source) -> dict[str, Any]:
    """The settings of a measurement without those of its training."""
    return {name: value for name, value in plan.settings_of(study, source).items() if name != "run"}


def _trainings(study: Study, run: Run) -> list[Tape | Run]:
    """The trainings behind a network, its own first, without candidates for alpha."""
    return [
        run,
        *(node for node in plan.trainings_of(study, [run]) if not (isinstance(node, Run) and node.alpha is not None)),
    ]


def _facts(study: Study, one: Any) -> list[str]:
    """A measurement's facts, in the order of their names."""
    row = one.rows[0]
    if isinstance(one, Measurement):
        accuracy, interval = f"{one.accuracy:.2f}", f"{one.ci_low:.2f} to {one.ci_high:.2f}"
        images, checks = f"{int(row['correct']):,} of {one.n:,} right", _health(study, row)
    else:
        accuracy = interval = checks = "–"
        images = f"{len(one.rows):,}, with {counted(int(row['count']), 'particle')} each"
    return [
        *(row["seed"], accuracy, interval, images, checks),
        *(row["device"], row["torch"], row["threads"], row["seconds"], row["finished_at"]),
        commit(row),
        *(row[name][:12] for name in _COLUMNS),
    ]


def _health(study: Study, row: Row) -> str:
    checks, meanings = health.checks([row]), health.meanings(study)
    named = "; ".join(f"{name}: {meanings.get(name, '')}" for name in checks.raised) or ", ".join(checks.made)
    return ": ".join(filter(None, [checks.outcome, named]))


def _histories(kept: Kept, trainings: Sequence[Tape | Run]) -> dict[str, list[dict[str, Any]]]:
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
            "accuracy": _lines(its, _ACCURACY, ".1f"),
            "loss": _lines(its, _LOSS, ".3g"),
        }
        for label, its in networks.items()
    ]


def _suffixes(row: Row) -> list[str]:
    """The numbers that the columns of several networks end in; one empty text where a single network trained."""
    known = "|".join((*_ACCURACY, *_LOSS))
    return list(dict.fromkeys(match[1] for name in row if (match := re.fullmatch(rf"(?:{known})(\d*)", name))))


def _lines(rows: Sequence[Row], columns: dict[str, str], form: str) -> dict[str, list[float | None]]:
    """The values of each column that has any, by the column's words; None where an epoch has none, or no number."""

    def value(text: str) -> float | None:
        return float(format(float(text), form)) if text and math.isfinite(float(text)) else None

    lines = {title: [value(row.get(name, "")) for row in rows] for name, title in columns.items()}
    return {title: values for title, values in lines.items() if any(one is not None for one in values)}


def _source(one: Measurement | ParticleSet) -> Source:
    return one.cell if isinstance(one, Measurement) else one.source


def _path(node: Tape | Run) -> str:
    return plan.file_of(node, "").as_posix()


def _plain(value: Any) -> Any:
    """Settings as YAML knows them."""
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, Iterable) and not isinstance(value, str):
        return [_plain(inner) for inner in value]
    return value if value is None or isinstance(value, bool | int | float) else str(value)
