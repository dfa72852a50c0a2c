"""Captions of every kind of table: the facts about its numbers that a reader must know, in words.

Every number in a caption comes from the measurements or the settings. Plain Unicode text; each format escapes it.
"""

from collections import Counter, defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ataka.study import Study, words
from ataka.study.config import DEFAULT_SCALE
from report import names
from report.layout import Layout
from report.style import Style
from report.table import Table


@dataclass(frozen=True)
class Caption:
    """Sentences: ``text`` stands with the table's number, ``notes`` below the table, in small print."""

    text: list[str]
    notes: list[str]


def opening(table: Table, study: Study, measured: int) -> Iterator[str]:
    """The title, the words of its own, and whether it is finished."""
    expected = len(table.sources(study))
    yield f"{words.read(table.title)}."
    if table.caption:
        yield words.read(table.caption)
    if measured < expected:
        yield f"Unfinished: {measured} of {expected} {table.noun} measured so far."


def label(name: str, study: Study, *, partial: bool, style: Style = Style.PAPER) -> str:
    """LaTeX's label: another for each scale and page of a table, so that one document may have several."""
    parts = {study.scale: study.scale != DEFAULT_SCALE, "partial": partial, style.value: style is not Style.PAPER}
    return "-".join([name, *(part for part, there in parts.items() if there)])


def scale(study: Study) -> str:
    """The sentence about the scale."""
    return f"{study.scale.capitalize()} scale: {study.about.strip().rstrip('.')}."


def stand_ins(
    study: Study, datasets: Sequence[str], archs: Sequence[str], also_left_out: Sequence[str] = ()
) -> Iterator[str]:
    """This scale's stand-ins for the paper's data sets and networks, and those that it leaves out."""
    pairs = [
        (names.dataset(paper, study), used and names.dataset(used, study)) for paper, used in _replaced(study, datasets)
    ]
    pairs += [(names.arch(paper), used and names.arch(used)) for paper, used in _replaced(study, archs)]
    replaced = [f"{used} for {paper}" for paper, used in pairs if used]
    dropped = [paper for paper, used in pairs if not used] + list(also_left_out)
    if replaced:
        yield f"Stand-ins: {names.listed(replaced)}."
    if dropped:
        yield f"Left out: {names.listed(dropped)}."


def selection(table: Table, study: Study, headings: Mapping[str, str] | None = None) -> Iterator[str]:
    """Sentences on the choice of alpha, if alpha was chosen; ``headings`` are the words of methods' rows."""
    if table.tuned_runs(study):
        alphas = names.listed([f"{alpha:g}" for alpha in study.selection.alphas])
        by = selected_by(study, "the rows that have one")
        yield f"α was chosen among {alphas} by {by} (seed {study.seeds[0]})."
        apart = {run.method: study.method(run.method).chosen_on for run in table.tuned_runs(study)}
        for method, split in apart.items():
            if split:
                label = (headings or {}).get(method) or names.method(method, study)
                yield f"That of {label} was chosen on the {split} split."


def deviations(layout: Layout, over: str) -> Iterator[str]:
    """The largest deviation of each column, for a table that prints none."""
    largest: dict[str, str] = {}
    rows = [row.entries for panel in layout.panels for section in panel.sections for row in section]
    for heading, entries in zip(layout.headings, zip(*rows, strict=True), strict=True):
        spreads = [*filter(None, [largest.get(heading, ""), *(entry.spread for entry in entries)])]
        if spreads:
            largest[heading] = max(spreads, key=float)
    by_reach: dict[str, list[str]] = defaultdict(list)
    for heading, reach in largest.items():
        by_reach[reach].append(heading)
    parts = [f"{reach}{only(headings, by_reach)}" for reach, headings in by_reach.items()]
    if parts:
        yield f"Sample standard deviations over {over} reach at most {names.listed(parts)}."


def only(columns: list[str], statements: Collection[object]) -> str:
    """The columns that a statement is about, where there are several statements."""
    return f" ({names.listed(columns)})" if len(statements) > 1 else ""


def versions(table: Table, measurements: Sequence[Any]) -> Iterator[str]:
    """With which versions of torch the numbers were measured, where these are several."""
    counts = Counter(row["torch"].partition("+")[0] for measurement in measurements for row in measurement.rows[:1])
    if len(counts) > 1:
        every = f"{len(measurements)} {table.noun}"
        parts = names.listed([f"{version} ({count} of {every})" for version, count in sorted(counts.items())])
        yield f"Measured under several versions of torch, whose gradients differ: {parts}."


def selected_by(study: Study, flattered: str) -> str:
    """By which accuracy, on which images, something is chosen, and whom that flatters."""
    split = {
        "validation": "the validation split",
        "test": f"the test split itself, which flatters {flattered}",
    }[study.selection.split]
    return f"{study.selection.attack.short} accuracy on {split}"


def _replaced(study: Study, paper: Sequence[str]) -> Iterator[tuple[str, str | None]]:
    for name in dict.fromkeys(paper):
        used = study.stand_in(name)
        if used != name:
            yield name, used
