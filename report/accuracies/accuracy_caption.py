"""The caption of a table of accuracies."""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from itertools import chain, product
from typing import Literal

from ataka import plan
from ataka.plan import Run
from ataka.study import Study, words
from ataka.study.attacks import placeholders
from report import names
from report.accuracies import sanity
from report.accuracies.accuracy_table import AccuracyTable
from report.accuracies.differences import Differences
from report.accuracies.health import Marks
from report.accuracies.measurements import Measurement
from report.caption import Caption, deviations, only, opening, scale, selected_by, selection, stand_ins, versions
from report.layout import DASH, UNCERTAIN, Layout
from report.style import Style


def compose(
    table: AccuracyTable,
    study: Study,
    measurements: Sequence[Measurement],
    layout: Layout,
    style: Style = Style.PAPER,
) -> Caption:
    """The caption of ``layout``, which shows ``measurements``.

    A compact table leaves attacks and trainings to the paper's text, and keeps whatever limits its numbers.
    """
    compact = style is Style.COMPACT

    def protocol(*parts: Iterator[str]) -> Iterator[str]:
        return iter(()) if compact else chain(*parts)

    text = [
        *opening(table, study, len(measurements)),
        *(["Best values in bold."] if table.ranked else []),
        *_seeds(study, measurements, compact=compact),
        *_statements(table, study, "caveat"),
    ]
    notes = [
        scale(study),
        *_stand_ins(table, study),
        *_images(table, study, measurements),
        *_budget(table, study, measurements),
        *_dashes(table, study, measurements, layout),
        *protocol(_statements(table, study, "sentence"), _derived(table, study)),
        *_chosen(table, study),
        *protocol(_additions(table, study), _shared(table, study)),
        *(deviations(layout, "seeds") if compact else ()),
        *_intervals(table, study, measurements),
        *selection(table, study, {row.method: row.heading(study) for row in table.lines if row.method}),
        *versions(table, measurements),
        *Differences(measurements, table.comparisons(study)).notes(),
        *(sanity.notes(measurements, study, table.undefended) if table.undefended else ()),
        *Marks(measurements, study).notes(),
        *(_published(table, study, layout) if style is Style.PUBLISHED else ()),
    ]
    return Caption(text, notes)


def _stand_ins(table: AccuracyTable, study: Study) -> Iterator[str]:
    rows = [study.method(name) for name in table.methods(study)]
    taught = any((row.ensemble or row.teachers) and not row.planned for row in rows)
    teachers = [study.teachers.get(block.paper_dataset) for block in table.blocks(study) if taught]
    left_out = [column.heading(study) for column in table.columns if column.kept(study) is None]
    return stand_ins(study, table.datasets, [*table.archs, *filter(None, teachers)], left_out)


def _images(table: AccuracyTable, study: Study, measurements: Sequence[Measurement]) -> Iterator[str]:
    """The number of test images that a number rests on, attack by attack where these differ."""
    by_count: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for heading, column in _columns(table, study, measurements):
        by_count[tuple(sorted({one.n for one in column}))].append(heading)
    parts = [
        names.listed([f"{count:,}" for count in counts], "or") + " test images" + only(attacks, by_count)
        for counts, attacks in by_count.items()
    ]
    if parts:
        apart = " (columns over different images do not compare)" if len(parts) > 1 else ""
        yield f"Each number is over {names.listed(parts)}{apart}."


def _intervals(table: AccuracyTable, study: Study, measurements: Sequence[Measurement]) -> Iterator[str]:
    """The uncertainty of an accuracy from the test set's size alone."""
    by_reach: dict[str, list[str]] = defaultdict(list)
    for heading, column in _columns(table, study, measurements):
        reach = max(max(one.ci_high - one.accuracy, one.accuracy - one.ci_low) for one in column)
        by_reach[f"{reach:.1f}"].append(heading)
    parts = [f"{reach}{only(attacks, by_reach)}" for reach, attacks in by_reach.items()]
    if parts:
        yield f"95% Wilson intervals of single runs reach at most {names.listed(parts)} points to a side."


def _columns(
    table: AccuracyTable, study: Study, measurements: Sequence[Measurement]
) -> Iterator[tuple[str, list[Measurement]]]:
    for attack in table.attacks(study):
        column = [measurement for measurement in measurements if measurement.cell.attack == attack]
        if column:
            yield table.heading_of(study, attack), column


def _seeds(study: Study, measurements: Sequence[Measurement], *, compact: bool) -> Iterator[str]:
    seeds = [str(seed) for seed in study.seeds]
    if len(seeds) == 1:
        yield f"One seed ({seeds[0]})."
        return
    per_number: dict[tuple[str, str, str, str], int] = defaultdict(int)
    for measurement in measurements:
        per_number[
            measurement.cell.dataset, measurement.cell.arch, measurement.cell.method, measurement.cell.attack
        ] += 1
    shown = "Mean" if compact else "Mean ± sample standard deviation"
    sentence = f"{shown} over {len(seeds)} seeds ({', '.join(seeds)})"
    fewest = min(per_number.values(), default=len(seeds))
    if fewest < len(seeds):
        without = " (no ±)" if fewest == 1 and not compact else ""
        sentence += f", of which some numbers have only {fewest} so far{without}"
    yield f"{sentence}."


def _budget(table: AccuracyTable, study: Study, measurements: Sequence[Measurement]) -> Iterator[str]:
    by_budget: dict[str, list[str]] = defaultdict(list)
    others: set[str] = set()
    for measurement in measurements:
        heading, attack = table.heading_of(study, measurement.cell.attack), study.attack(measurement.cell.attack)
        if attack.eps is None and attack.sentence:
            others.add(heading)  # has a measure of its own, so that each budget must name its columns
        elif attack.eps is not None and heading not in by_budget[measurement.eps]:
            by_budget[measurement.eps].append(heading)
    parts = [f"{eps}{only(attacks, [*by_budget, *others])}" for eps, attacks in by_budget.items()]
    if parts:
        yield f"Budget ‖ε‖∞ ≤ {names.listed(parts)}."


def _statements(table: AccuracyTable, study: Study, part: Literal["sentence", "caveat"]) -> Iterator[str]:
    """The sentences that the attacks' modules write of them; one for attacks that differ in its first braces alone."""
    groups: dict[tuple[str, ...], list[str]] = defaultdict(list)
    for name in table.attacks(study):
        attack = study.attack(name)
        template = attack.sentence if part == "sentence" else attack.caveat
        values = {"heading": table.heading_of(study, name), **attack.options}
        first, *others = [_plain(values[field]) for field in placeholders(template)] or [""]
        groups[template, *others].append(first)
    for (text, *others), firsts in groups.items():
        filled = dict(zip(placeholders(text), [names.listed(firsts), *others], strict=False))
        if text:
            pieces = enumerate(re.split(r"\{(\w+)\}", text))
            yield "".join(filled[piece] if at % 2 else piece for at, piece in pieces)


def _plain(value: object) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)


def _derived(table: AccuracyTable, study: Study) -> Iterator[str]:
    """Sentences on the columns and rows that are computed from others, without a network or attack of their own."""
    per_seed = ", for each seed" if len(study.seeds) > 1 else ""
    for column in table.kept_columns(study):
        if column.mean_of:
            of = names.listed([table.heading_of(study, attack) for attack in column.attacks])
            yield f"{column.heading(study)}: the mean over {of}{per_seed}."
        if column.note:
            yield f"{column.heading(study)}: {words.read(column.note)}."
    headings = {row.method: row.heading(study) for row in table.lines if row.method}
    for row in table.lines:
        if not row.method:
            of = names.listed([headings.get(name) or names.method(name, study) for name in row.methods])
            what = "the largest minus the smallest of" if row.range_of else "the mean over"
            yield f"{row.heading(study)}: {what} {of}{per_seed}."


def _chosen(table: AccuracyTable, study: Study) -> Iterator[str]:
    chosen = [row.heading(study) for row in table.lines if row.method and study.method(row.method).member == "chosen"]
    if chosen:
        per_seed = ", for each seed" if len(study.seeds) > 1 else ""
        yield f"{names.listed(chosen)}: the one with the best {selected_by(study, 'it')}{per_seed}."


def _additions(table: AccuracyTable, study: Study) -> Iterator[str]:
    """Weight averaging and whatever else a set-up adds, with the rows that are so, on each data set and network."""
    rows: dict[str, dict[str, None]] = defaultdict(dict)
    for row, block in product(table.lines, table.blocks(study)):
        for name in row.methods:
            method = study.method(name)
            trained = study.method(method.member_of or method.average_of or name)
            if not trained.planned and not trained.checkpoints:
                for added in study.setup(trained.setup, block.dataset, block.arch).additions:
                    rows[added][row.heading(study) if row.method else names.method(name, study)] = None
    for added, labels in rows.items():
        yield f"{added[0].upper()}{added[1:]}: {names.listed([*labels])}."


def _shared(table: AccuracyTable, study: Study) -> Iterator[str]:
    """Whose teachers may be those of another ensemble; whether they are, only training shows."""
    block = table.blocks(study)[0]
    by_source: dict[str, list[str]] = defaultdict(list)
    for row in table.lines:
        if row.method and not study.method(row.method).planned:
            tape = plan.tape_of(study, Run(block.dataset, block.arch, row.method, study.seeds[0]))
            if tape and plan.source_of(study, tape):
                shares = plan.ensemble_of(study, tape).shares
                assert shares
                kind = study.generators[shares.generator].kind.upper()
                by_source[f"{shares.n} trained on {kind}'s particles"].append(row.heading(study))
    for source, labels in by_source.items():
        yield (
            f"The teachers of {names.listed(labels)} are taken from the {source}, not trained anew, wherever the "
            "kernel there was exactly the identity."
        )


def _dashes(table: AccuracyTable, study: Study, measurements: Sequence[Measurement], layout: Layout) -> Iterator[str]:
    if not layout.has_dash:
        return
    reasons = []
    for reason, left_out in (("left out at these settings", True), ("not trained at these settings", False)):
        planned = [
            row.heading(study)
            for row in table.lines
            if any(study.method(name).planned and (name in study.left_out) == left_out for name in row.methods)
        ]
        reasons += [f"{reason} ({names.listed(planned)})"] if planned else []
    measured = {(m.cell.dataset, m.cell.arch, m.cell.method, m.cell.attack) for m in measurements}
    if any((c.dataset, c.arch, c.method, c.attack) not in measured for c in table.cells(study)):
        reasons.append("not measured yet")
    if reasons:
        yield f"Dashes ({DASH}): {names.listed(reasons, 'or')}."


def _published(table: AccuracyTable, study: Study, layout: Layout) -> Iterator[str]:
    yield (
        "Published: what the paper printed for its own data sets and networks, at its own scale; these and "
        "the measured numbers come from different experiments."
    )
    derived = [row.heading(study) for row in table.lines if not row.method]
    if derived:
        yield f"Of these, {names.listed(derived)} were computed here from what it printed."
    _, published = layout.spans
    rows = [row for panel in layout.panels for section in panel.sections for row in section]
    if not all(entry.measured for row in rows for entry in row.entries[published]):
        yield f"{DASH}: the paper printed none."
    yield from dict.fromkeys(filter(None, (study.attack(name).paper_note for name in table.attacks(study))))
    if any(UNCERTAIN in entry.mark for entry in layout.entries):
        yield f"{UNCERTAIN}: may be swapped among themselves (recovered from the paper's text)."
