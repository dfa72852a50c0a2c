"""A table ready to be set: what to read it from, its layout, its caption, and where its files lie."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ataka.config import DEFAULT_SCALE
from ataka.study import Study
from report import caption, collect
from report.caption import Caption
from report.cells import Measurement
from report.layout import Layout, lay_out
from report.tables import Table


@dataclass(frozen=True)
class Page:
    """One table, as every format shows it.

    ``stem`` is the path of its files but for their suffix, ``collected`` that of the CSVs behind it;
    ``notes`` are for who builds it, not for its readers.
    """

    number: int
    label: str
    layout: Layout
    caption: Caption
    stem: Path
    collected: Path
    commits: str
    notes: list[str]


def compose(table: Table, study: Study, root: str, *, partial: bool = False, beside_published: bool = False) -> Page:
    """The page of ``table``: from its collection, or (``partial``) from whatever valid cells exist now."""
    collected = stem(table, root, partial=partial)
    notes: list[str] = []
    if partial:
        found = collect.gather(table, study, root)
        collect.write(found, collected)
        measurements, notes = found.measurements, _notes(found)
    else:
        measurements = collect.read(Path(f"{collected}.csv"), table, study, root)
    layout = lay_out(table, study, measurements, beside_published=beside_published)
    return Page(
        table.number,
        "tab:" + table.name + ("" if study.scale == DEFAULT_SCALE else f"-{study.scale}"),
        layout,
        caption.compose(table, study, measurements, layout, beside_published=beside_published),
        Path(f"{collected}.published") if beside_published else collected,
        collected,
        _commits(measurements),
        notes,
    )


def stem(table: Table, root: str, *, partial: bool) -> Path:
    """The path of a table's files but for their suffix; a partial one never lies where the whole does."""
    return Path(root, f"{table.name}.partial" if partial else table.name)


def _notes(found: collect.Collection) -> list[str]:
    return [f"left out: {reason}" for reason in found.refused] + (
        [f"missing: {len(found.missing)} files, the first is {found.missing[0]}"] if found.missing else []
    )


def _commits(measurements: Sequence[Measurement]) -> str:
    commits = {
        one.fields["git_commit"][:12] + (" (edited)" if one.fields["git_dirty"].lower() == "true" else "")
        for one in measurements
    }
    return ", ".join(sorted(commits)) or "unknown"
