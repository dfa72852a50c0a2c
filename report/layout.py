"""Numbers to rows, panels and best values: what a table shows where, for every format alike.

A *panel* is a titled part of the rows, a *group* a headed part of the columns. As in the paper, each data set
is a panel and each student a group. Beside the published numbers, each data set and student are a panel, and
the groups are what was measured and what was published.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

from ataka.study import Study
from report import names, published
from report.cells import Measurement
from report.statistics import Summary, summarise
from report.tables import Block, Table

DASH = "–"
UNCERTAIN = "†"


@dataclass(frozen=True)
class Entry:
    """One number as it is printed; a dash where there is none."""

    text: str = DASH
    spread: str = ""
    best: bool = False
    mark: str = ""

    @property
    def measured(self) -> bool:
        return self.text != DASH


@dataclass(frozen=True)
class Row:
    """A method and its entries, group after group."""

    label: str
    entries: tuple[Entry, ...]


@dataclass(frozen=True)
class Panel:
    """Rows in sections, with a rule or some space between them."""

    title: str
    sections: tuple[tuple[Row, ...], ...]

    @property
    def entries(self) -> list[Entry]:
        return [entry for section in self.sections for row in section for entry in row.entries]


@dataclass(frozen=True)
class Layout:
    """The whole table; ``columns`` repeat in each group."""

    columns: tuple[str, ...]
    groups: tuple[str, ...]
    panels: tuple[Panel, ...]

    @property
    def entries(self) -> list[Entry]:
        return [entry for panel in self.panels for entry in panel.entries]

    @property
    def has_spread(self) -> bool:
        return any(entry.spread for entry in self.entries)

    @property
    def has_dash(self) -> bool:
        return not all(entry.measured for entry in self.entries)


Column = list[Entry]
"""One attack, top to bottom."""


def lay_out(
    table: Table, study: Study, measurements: Sequence[Measurement], *, beside_published: bool = False
) -> Layout:
    """The layout of ``table``, the paper's or with its published numbers beside the measured ones."""
    accuracies: dict[tuple[str, str, str, str], list[float]] = {}
    for one in measurements:
        cell = one.cell
        accuracies.setdefault((cell.dataset, cell.arch, cell.method, cell.attack), []).append(one.accuracy)

    def measured(block: Block) -> list[Column]:
        return [
            _column([summarise(accuracies.get((block.dataset, block.arch, row, attack), [])) for row in table.methods])
            for attack in table.columns
        ]

    blocks = table.blocks(study)
    panels = []
    if beside_published:
        groups = ["measured", "published"]
        for block in blocks:
            panels.append(_panel(table, study, _both(block), measured(block) + _published(table, block)))
    else:
        groups = [names.arch(used) for arch in table.archs if (used := study.stand_in(arch))]
        for dataset in dict.fromkeys(block.paper_dataset for block in blocks):
            side_by_side = [block for block in blocks if block.paper_dataset == dataset]
            columns = [column for block in side_by_side for column in measured(block)]
            panels.append(_panel(table, study, _title(side_by_side[0]), columns))
    return Layout(tuple(map(names.attack, table.columns)), tuple(groups), tuple(panels))


def _both(block: Block) -> str:
    used = f"{names.dataset(block.dataset)}, {names.arch(block.arch)}"
    paper = f"{names.dataset(block.paper_dataset)}, {names.arch(block.paper_arch)}"
    return f"measured: {used}; published: {paper}"


def _title(block: Block) -> str:
    used, paper = names.dataset(block.dataset), names.dataset(block.paper_dataset)
    return used if used == paper else f"{used}, in place of {paper}"


def _panel(table: Table, study: Study, title: str, columns: list[Column]) -> Panel:
    entries = dict(zip(table.methods, zip(*columns, strict=True), strict=True))
    sections = tuple(
        tuple(Row(study.method(name).label, tuple(entries[name])) for name in group) for group in table.rows
    )
    return Panel(title, sections)


def _column(summaries: Sequence[Summary | None]) -> Column:
    return _mark_best(
        [
            Entry(f"{one.mean:.2f}", "" if one.spread is None else f"{one.spread:.2f}") if one else Entry()
            for one in summaries
        ]
    )


def _published(table: Table, block: Block) -> list[Column]:
    def entry(method: str, attack: str) -> Entry:
        number = published.lookup(table.number, block.paper_dataset, block.paper_arch, method, attack)
        if number is None:
            return Entry()
        return Entry(f"{number.value:.2f}", mark=UNCERTAIN if number.certain == "no" else "")

    return [_mark_best([entry(method, attack) for method in table.methods]) for attack in table.columns]


def _mark_best(column: Column) -> Column:
    """Mark the highest number, and whatever equals it as printed; a dash is never the best."""
    best = max((float(entry.text) for entry in column if entry.measured), default=None)
    return [replace(entry, best=entry.measured and float(entry.text) == best) for entry in column]
