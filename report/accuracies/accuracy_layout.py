"""Accuracies to rows, panels and best values.

As in the paper, each data set is a panel and each student a group; where that is too wide, each data set and student
are a panel. So they are beside the published numbers, and the groups are what was measured and what was published.
"""

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean

from ataka.plan import Cell
from ataka.study import Study
from report import names
from report.accuracies.accuracy_table import AccuracyTable, Block, Column, Row
from report.accuracies.differences import Differences
from report.accuracies.health import Marks
from report.accuracies.measurements import Measurement
from report.layout import UNCERTAIN, Entry, Group, Layout, Panel, mark_best
from report.layout import Row as Line
from report.paper import published
from report.statistics import summarise
from report.style import Style

PUBLISHED = "published"
WIDEST, WIDEST_WITH_SPREAD = 10, 8
"""So many numbers side by side, without and with their deviation, fit the width of a page."""


def lay_out(
    table: AccuracyTable, study: Study, measurements: Sequence[Measurement], style: Style = Style.PAPER
) -> Layout:
    """The layout of ``table``: the paper's, also where deviations are not printed, or the published numbers beside."""
    compact = style is Style.COMPACT
    accuracies = {measurement.cell: measurement.accuracy for measurement in measurements}
    marks, differences = Marks(measurements, study), Differences(measurements, table.comparisons(study))
    fields = {replace(measurement.cell, attack=""): measurement.fields for measurement in measurements}
    blocks, columns = table.blocks(study), table.kept_columns(study)
    archs = [used for arch in table.archs if (used := study.stand_in(arch))]

    def measured(block: Block) -> list[list[Entry]]:
        entries = [
            [_field(study, fields, block, row, column.field) for row in table.lines]
            if column.field
            else _ranked(
                table, [_measured(study, accuracies, marks, differences, block, row, column) for row in table.lines]
            )
            for column in columns
        ]
        if not table.of_the_paper:
            return entries
        pairs = zip(entries, _published(table, columns, block), strict=True)
        return [[replace(one, published=its) for one, its in zip(*pair, strict=True)] for pair in pairs]

    def panel(title: str, entries: list[list[Entry]]) -> Panel:
        lines = dict(zip(table.lines, zip(*entries, strict=True), strict=True))
        sections = tuple(tuple(Line(row.heading(study), lines[row]) for row in group) for group in table.rows)
        return Panel(title, sections)

    if style is Style.PUBLISHED:
        groups = ["measured", PUBLISHED]
        panels = [panel(_both(study, block), measured(block) + _published(table, columns, block)) for block in blocks]
    elif len(archs) * len(columns) > (WIDEST_WITH_SPREAD if len(study.seeds) > 1 and not compact else WIDEST):
        groups = ["accuracy (%)"]
        panels = [panel(f"{_title(study, block)}, {names.arch(block.arch)}", measured(block)) for block in blocks]
    else:
        groups = [names.arch(arch) for arch in archs]
        panels = []
        for dataset in dict.fromkeys(block.paper_dataset for block in blocks):
            side_by_side = [block for block in blocks if block.paper_dataset == dataset]
            entries = [column for block in side_by_side for column in measured(block)]
            panels.append(panel(_title(study, side_by_side[0]), entries))
    headings, counts = tuple(column.heading(study) for column in columns), _counts(columns, measurements)
    grouped = [Group(title, headings, () if title == PUBLISHED else counts) for title in groups]
    return Layout("Method", tuple(grouped), tuple(panels))


def _counts(columns: Sequence[Column], measurements: Sequence[Measurement]) -> tuple[str, ...]:
    """The number of images that each column rests on; nothing where all columns rest on as many."""
    by_column = [
        sorted({measurement.n for measurement in measurements if measurement.cell.attack in column.attacks})
        for column in columns
    ]
    if len({n for counts in by_column for n in counts}) < 2:
        return ()
    return tuple(" to ".join(f"{n:,}" for n in dict.fromkeys([*counts[:1], *counts[-1:]])) for counts in by_column)


def _both(study: Study, block: Block) -> str:
    used = f"{names.dataset(block.dataset, study)}, {names.arch(block.arch)}"
    paper = f"{names.dataset(block.paper_dataset, study)}, {names.arch(block.paper_arch)}"
    return f"measured: {used}; published: {paper}"


def _title(study: Study, block: Block) -> str:
    used, paper = names.dataset(block.dataset, study), names.dataset(block.paper_dataset, study)
    return used if used == paper else f"{used}, in place of {paper}"


def _measured(
    study: Study,
    accuracies: dict[Cell, float],
    marks: Marks,
    differences: Differences,
    block: Block,
    row: Row,
    column: Column,
) -> Entry:
    def cells(method: str, seed: int) -> list[Cell]:
        return [Cell(block.dataset, block.arch, method, seed, attack) for attack in column.attacks]

    def of(method: str, seed: int) -> float | None:
        return column.combine([accuracies.get(cell) for cell in cells(method, seed)])

    per_seed = [row.combine([of(method, seed) for method in row.methods]) for seed in study.seeds]
    summary = summarise([value for value in per_seed if value is not None])
    implemented = [method for method in row.methods if not study.method(method).planned]
    sources = tuple(cell for method in implemented for seed in study.seeds for cell in cells(method, seed))
    if summary is None:
        return Entry(behind=sources)
    return Entry(
        f"{summary.mean:.2f}",
        "" if summary.spread is None else f"{summary.spread:.2f}",
        mark=(differences.mark(sources) if column.attack and row.method else "") + marks.of(sources),
        behind=sources,
        name=f"{block.dataset}/{block.arch}/{row.name}/{column.name}",
    )


def _field(study: Study, fields: dict[Cell, dict[str, str]], block: Block, row: Row, name: str) -> Entry:
    """The cells' field ``name`` of a single method, the mean over seeds to three digits; a dash for derived rows."""
    cells = [Cell(block.dataset, block.arch, str(row.method), seed, "") for seed in study.seeds]
    values = [float(text) for cell in cells if (text := fields.get(cell, {}).get(name))]
    if not values:
        return Entry()
    mean = fmean(values)
    return Entry(f"{mean:,.0f}" if abs(mean) >= 999.5 else f"{mean:.3g}")


def _published(table: AccuracyTable, columns: Sequence[Column], block: Block) -> list[list[Entry]]:
    def entry(row: Row, column: Column) -> Entry:
        place = table.number, block.paper_dataset, block.paper_arch
        printed = [[published.lookup(*place, method, attack) for attack in column.attacks] for method in row.methods]
        value = row.combine([column.combine([number and number.value for number in numbers]) for numbers in printed])
        if value is None:
            return Entry()
        certain = all(number.certain != "no" for numbers in printed for number in numbers if number)
        return Entry(f"{value:.2f}", mark="" if certain else UNCERTAIN)

    return [_ranked(table, [entry(row, column) for row in table.lines]) for column in columns]


def _ranked(table: AccuracyTable, column: list[Entry]) -> list[Entry]:
    return mark_best(column, [not row.range_of and table.ranked for row in table.lines])
