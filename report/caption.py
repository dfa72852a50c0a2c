"""What a reader must know about the numbers of a table, in words.

Every number in it comes from the cells or the settings. Plain Unicode text; each format escapes it.
"""

from collections import defaultdict
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from ataka.study import PGD, AutoAttack, Study
from report import names
from report.cells import Measurement
from report.layout import DASH, UNCERTAIN, Layout
from report.tables import Table


@dataclass(frozen=True)
class Caption:
    """Sentences: ``text`` stands with the table's number, ``notes`` below the table, in small print."""

    text: list[str]
    notes: list[str]


def compose(
    table: Table,
    study: Study,
    measurements: Sequence[Measurement],
    layout: Layout,
    *,
    beside_published: bool = False,
) -> Caption:
    """The caption of ``layout``, which shows ``measurements``."""
    measured, expected = len(measurements), len(table.cells(study))
    text = [
        f"{table.title}.",
        *([f"Unfinished: {measured} of {expected} cells measured so far."] if measured < expected else []),
        *_scale(study),
        *_stand_ins(table, study),
        *_images(table, measurements),
        *_seeds(study, measurements),
        *_budget(study, measurements),
        *_shortened(table, study),
        "Best values in bold.",
        *_dashes(table, study, measurements, layout),
    ]
    notes = [
        *_attacks(table, study),
        *_intervals(table, measurements),
        *_selection(table, study),
        *(_published(layout) if beside_published else ()),
    ]
    return Caption(text, notes)


def _scale(study: Study) -> Iterator[str]:
    yield f"{study.scale.capitalize()} scale: {study.about.strip().rstrip('.')}."


def _stand_ins(table: Table, study: Study) -> Iterator[str]:
    blocks = table.blocks(study)
    taught = any(study.method(name).ensemble and study.method(name).objective for name in table.methods)
    teachers = [study.teachers.get(block.paper_dataset) for block in blocks if taught]
    pairs = [
        (names.dataset(paper), used and names.dataset(used))
        for paper in table.datasets
        if (used := study.stand_in(paper)) != paper
    ] + [
        (names.arch(paper), used and names.arch(used))
        for paper in dict.fromkeys([*table.archs, *filter(None, teachers)])
        if (used := study.stand_in(paper)) != paper
    ]
    replaced = [f"{used} for {paper}" for paper, used in pairs if used]
    dropped = [paper for paper, used in pairs if not used]
    if replaced:
        yield f"Stand-ins: {names.listed(replaced)}."
    if dropped:
        yield f"Left out: {names.listed(dropped)}."


def _images(table: Table, measurements: Sequence[Measurement]) -> Iterator[str]:
    """How many test images a number rests on, attack by attack where they differ."""
    by_count: dict[tuple[int, ...], list[str]] = defaultdict(list)
    for attack, column in _columns(table, measurements):
        by_count[tuple(sorted({one.n for one in column}))].append(names.attack(attack))
    parts = [
        names.listed([f"{count:,}" for count in counts], "or") + " test images" + _only(attacks, by_count)
        for counts, attacks in by_count.items()
    ]
    if parts:
        apart = " (columns over different images do not compare)" if len(parts) > 1 else ""
        yield f"Each number is over {names.listed(parts)}{apart}."


def _intervals(table: Table, measurements: Sequence[Measurement]) -> Iterator[str]:
    """How far the test set's size alone lets an accuracy stray."""
    by_reach: dict[str, list[str]] = defaultdict(list)
    for attack, column in _columns(table, measurements):
        reach = max(max(one.ci_high - one.accuracy, one.accuracy - one.ci_low) for one in column)
        by_reach[f"{reach:.1f}"].append(names.attack(attack))
    parts = [f"{reach}{_only(attacks, by_reach)}" for reach, attacks in by_reach.items()]
    if parts:
        yield f"95% Wilson intervals of single runs reach at most {names.listed(parts)} points to a side."


def _columns(table: Table, measurements: Sequence[Measurement]) -> Iterator[tuple[str, list[Measurement]]]:
    for attack in table.columns:
        column = [one for one in measurements if one.cell.attack == attack]
        if column:
            yield attack, column


def _only(attacks: list[str], groups: Collection[object]) -> str:
    """Which columns a statement is about, where there are several statements."""
    return f" ({names.listed(attacks)})" if len(groups) > 1 else ""


def _seeds(study: Study, measurements: Sequence[Measurement]) -> Iterator[str]:
    seeds = [str(seed) for seed in study.seeds]
    if len(seeds) == 1:
        yield f"One seed ({seeds[0]})."
        return
    per_number: dict[tuple[str, str, str, str], int] = defaultdict(int)
    for one in measurements:
        per_number[one.cell.dataset, one.cell.arch, one.cell.method, one.cell.attack] += 1
    sentence = f"Mean ± sample standard deviation over {len(seeds)} seeds ({', '.join(seeds)})"
    fewest = min(per_number.values(), default=len(seeds))
    if fewest < len(seeds):
        sentence += f", of which some numbers have only {fewest} so far" + (" (no ±)" if fewest == 1 else "")
    yield f"{sentence}."


def _budget(study: Study, measurements: Sequence[Measurement]) -> Iterator[str]:
    by_budget: dict[str, list[str]] = defaultdict(list)
    for one in measurements:
        attack = names.attack(one.cell.attack)
        if study.attacks[one.cell.attack].kind != "clean" and attack not in by_budget[one.eps]:
            by_budget[one.eps].append(attack)
    parts = [f"{eps}{_only(attacks, by_budget)}" for eps, attacks in by_budget.items()]
    if parts:
        yield f"Budget ‖ε‖∞ ≤ {names.listed(parts)}."


def _shortened(table: Table, study: Study) -> Iterator[str]:
    for name in table.columns:
        attack = study.attacks[name]
        if isinstance(attack, AutoAttack) and attack.version == "shortened":
            yield (
                f"{names.attack(name)} is AutoAttack cut short ({attack.iterations} iterations, "
                f"{attack.target_classes} target classes, {attack.queries} queries), "
                "weaker than the standard one."
            )


def _attacks(table: Table, study: Study) -> Iterator[str]:
    for name in table.columns:
        attack = study.attacks[name]
        if isinstance(attack, PGD):
            yield f"{names.attack(name)}: {attack.steps} steps of {attack.step_size}."
        elif isinstance(attack, AutoAttack) and attack.version == "standard":
            yield f"{names.attack(name)}: AutoAttack, standard version."


def _selection(table: Table, study: Study) -> Iterator[str]:
    if not table.tuned_runs(study):
        return
    selection = study.selection
    alphas = names.listed([f"{alpha:g}" for alpha in selection.alphas])
    split = {
        "validation": "the validation split",
        "test": "the test split itself, which flatters the rows that have one",
    }[selection.split]
    accuracy = f"PGD-{selection.attack.steps} accuracy on {split} (seed {study.seeds[0]})"
    yield f"α was chosen among {alphas} by {accuracy}."


def _dashes(table: Table, study: Study, measurements: Sequence[Measurement], layout: Layout) -> Iterator[str]:
    if not layout.has_dash:
        return
    rows = [study.method(name) for name in table.methods]
    planned = [names.method(method.label) for method in rows if method.objective is None]
    reasons = [f"not implemented yet ({names.listed(planned)})"] if planned else []
    measured = {(m.cell.dataset, m.cell.arch, m.cell.method, m.cell.attack) for m in measurements}
    if any((c.dataset, c.arch, c.method, c.attack) not in measured for c in table.cells(study)):
        reasons.append("not measured yet")
    if reasons:
        yield f"Dashes ({DASH}): {names.listed(reasons, 'or')}."


def _published(layout: Layout) -> Iterator[str]:
    yield (
        "Published: what the paper printed for its own data sets and networks, at its own scale; these and "
        "the measured numbers come from different experiments."
    )
    if any(entry.mark for entry in layout.entries):
        yield f"{UNCERTAIN}: may be swapped among themselves (recovered from the paper's text)."
