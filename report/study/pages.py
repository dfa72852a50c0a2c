"""A page for each table, from a scale's compact files alone: docs/study/SCALE/TABLE.md.

A page shows the seeds whose every number is there, or, as long as there is no such seed, the first with any number.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Any

from ataka import plan
from ataka.errors import remedied
from ataka.plan import Cell, Run, Tape
from ataka.study import Study
from report import cost, evidence, markdown, names, page, render
from report.accuracies import measurements
from report.accuracies.accuracy_table import AccuracyTable
from report.accuracies.measurements import Measurement
from report.claims import claims_page, judge, sentences
from report.claims.judge import Verdict
from report.paper import published
from report.particles import particle_rows
from report.sources import Source, identity
from report.study import files
from report.study.files import Kept, Row
from report.style import Style
from report.table import Table

_STATED = {
    "Device": "device",
    "threads": "threads",
    "Python": "python",
    "platform": "platform",
    "versions": "versions",
}
"""The columns of jobs.csv that a page lists, by their words there."""
_YAML = {"None": "null", "True": "true", "False": "false"}


def pages(kept: Kept) -> dict[str, str]:
    """The text of each page, by the table's name."""
    return {name: _page(kept, table) for name, table in shown(kept).items()}


def shown(kept: Kept) -> dict[str, Table]:
    """The tables that have a page: those that are whole, or of which anything is measured that no other table shows."""
    known = {*kept.cells, *kept.particles}
    sources = {name: {*table.sources(kept.study)} for name, table in kept.tables.items()}
    count = Counter(source for some in sources.values() for source in some)
    return {
        name: table
        for name, table in kept.tables.items()
        if sources[name] <= known or any(count[source] == 1 for source in sources[name] & known)
    }


def measured(kept: Kept) -> dict[Source, Any]:
    """The evidence of every measurement: a cell's bits, or each statistic of a generator's particles."""
    known: dict[Source, Any] = dict(kept.bits.items())
    for source, rows in kept.particles.items():
        known[source] = evidence.statistics(particle_rows.of(rows, source))
    return known


def of_table(kept: Kept, table: Table) -> tuple[Study, list[Any]]:
    """The study with the seeds that the table shows, and the table's measurements under these seeds."""
    study = _whole(kept, table)
    return study, rows_of(kept, study, table)


def rows_of(kept: Kept, study: Study, table: Table) -> list[Any]:
    """The table's measurements under the seeds of ``study``, each with the fields that follow from the others."""
    rows = [_measurement(kept, source) for source in _there(kept, study, table)]
    return table.compared(rows, study, kept.bits, kept)


def verdicts(kept: Kept, number: int) -> tuple[Study, list[Verdict]]:
    """Verdicts on the claims of the paper's table, over the seeds that measure most of these claims."""
    claims = [claim for claim in sentences.load() if claim.sentence.table == number]
    known = measured(kept)
    counts = {}
    for seed in kept.study.seeds:
        sources = [claim.sources(with_seeds(kept.study, [seed])) for claim in claims]
        counts[seed] = sum(bool(some) and all(one in known for one in some) for some in sources)
    most = [seed for seed in counts if counts[seed] == max(counts.values()) > 0]
    study = with_seeds(kept.study, most or kept.study.seeds[:1])
    return study, judge.judge(study, claims, known)


def counted(verdicts: Sequence[Verdict]) -> str:
    """``2 supported, 1 contradicted, 3 inconclusive and 0 not measured``."""
    count = Counter(verdict.word for verdict in verdicts)
    return names.listed([f"{count[word]} {word}" for word in claims_page.WORDS])


def with_seeds(study: Study, seeds: Sequence[int]) -> Study:
    """The study with these seeds alone."""
    return study.model_copy(update={"seeds": tuple(seeds)})


def _whole(kept: Kept, table: Table) -> Study:
    """The study with the seeds of which the whole table is there, or else the first seed of which any of it is."""
    whole, some = [], []
    for seed in kept.study.seeds:
        study = with_seeds(kept.study, [seed])
        there = _there(kept, study, table)
        whole += [seed] if len(there) == len(table.sources(study)) else []
        some += [seed] if there else []
    return with_seeds(kept.study, whole or some[:1] or kept.study.seeds[:1])


def _there(kept: Kept, study: Study, table: Table) -> list[Source]:
    return [source for source in table.sources(study) if source in kept.cells or source in kept.particles]


def _measurement(kept: Kept, source: Source) -> Any:
    if isinstance(source, Cell):
        with remedied(files.REMEDY):
            return measurements.of([kept.cells[source]], source, " ".join(identity(source).values()))
    return particle_rows.of(kept.particles[source], source)


# ---- the page


def _page(kept: Kept, table: Table) -> str:
    study, rows = of_table(kept, table)
    root = f"{files.FOLDER.name}/{study.scale}"
    judged, claims = verdicts(kept, table.number or 0) if table.of_the_paper else (study, [])
    sources = _there(kept, study, table)
    trainings = plan.trainings_of(kept.study, sources)
    jobs = jobs_of(kept, [*sources, *trainings])
    return render.md(
        page.of(table, study, root, rows, style=Style.PUBLISHED if table.of_the_paper else Style.PAPER),
        "study.md",
        scale=study.scale,
        of_the_paper=table.of_the_paper,
        numbers=_numbers(table, study, rows) if isinstance(table, AccuracyTable) else "",
        verdicts=f"Of {len(claims)} claims: {counted(claims)}.",
        blocks=claims_page.blocks(judged, claims),
        notes=list(claims_page.notes(judged)),
        claims_header=claims_page.HEADER,
        level="###",
        readings="; ".join(readings(kept, trainings)),
        choices=_grid(
            choices(kept, table, study), words=("data set", "network", "method", "status", "split", "chosen")
        ),
        cost=cost.of(by_stage(jobs)),
        machine=machine(jobs),
    )


def _numbers(table: AccuracyTable, study: Study, rows: Sequence[Measurement]) -> str:
    """Each cell with its interval, the number that the paper printed, and the health checks that it raises."""
    places = {(block.dataset, block.arch): block for block in reversed(table.blocks(study))}
    labels = {row.method: row.heading(study) for row in table.lines if row.method}
    lines = []
    for one in rows:
        cell, block = one.cell, places[one.cell.dataset, one.cell.arch]
        printed = published.lookup(
            table.number if table.of_the_paper else None,
            *(block.paper_dataset, block.paper_arch, cell.method, cell.attack),
        )
        line = {
            "data set": names.dataset(cell.dataset, study),
            "network": names.arch(cell.arch),
            "method": labels.get(cell.method) or names.method(cell.method, study),
            "attack": table.heading_of(study, cell.attack),
            "seed": str(cell.seed),
            "correct": one.fields["correct"],
            "of": f"{one.n:,}",
            "accuracy": f"{one.accuracy:.2f}",
            "95 % interval": f"{one.ci_low:.2f} to {one.ci_high:.2f}",
            "published": f"{printed.value:.2f}" if printed else "–",
            "health": one.fields.get("health", "").replace(";", ", "),
        }
        lines.append(line)
    return _grid(lines, words=("data set", "network", "method", "attack", "health"))


def choices(kept: Kept, table: Table, study: Study) -> list[Row]:
    """The candidates for alpha behind a table, by the words of their columns."""
    lines = []
    for run in table.tuned_runs(kept.study):
        for row in kept.choices.get(run, []):
            label = names.method(run.method, study)
            values = {name: row[name] for name in ("alpha", "status", "split")} | {"n": f"{int(row['n']):,}"}
            values |= {name: row[name] and f"{float(row[name]):.2f}" for name in ("clean", "robust")}
            place = {"data set": names.dataset(run.dataset, study), "network": names.arch(run.arch)}
            lines.append({**place, "method": label, **values, "chosen": row["chosen"].replace("no", "")})
    return lines


def _grid(lines: Sequence[Row], words: Sequence[str]) -> str:
    """A Markdown table; the columns of ``words`` are set left, those of numbers right. Empty without a line."""
    if not lines:
        return ""
    header = [*lines[0]]
    rule = ["---" if name in words else "---:" for name in header]
    escaped = [[markdown.escape(text) for text in line.values()] for line in lines]
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, rule, *escaped])


def readings(kept: Kept, trainings: Sequence[Tape | Run]) -> list[str]:
    """The readings of the paper under which networks were trained: ``A1 generator.bandwidth 0.001``, in that order."""
    values: dict[tuple[str, int, str], dict[str, None]] = defaultdict(dict)
    for node in trainings:
        for name, text in plan.readings_in(kept.study, node).items():
            value, _, question = text.removesuffix("]").rpartition(" [")
            values[question[0], int(question[1:]), name][_YAML.get(value, value)] = None
    return [
        f"{letter}{number} {name} {names.listed([*values[letter, number, name]], 'or')}"
        for letter, number, name in sorted(values)
    ]


def jobs_of(kept: Kept, nodes: Sequence[Source | Tape | Run]) -> list[Row]:
    """The jobs of measurements and trainings, and the choices of alpha among them."""
    paths = [plan.file_of(node, "").as_posix() for node in nodes]
    paths += [run.choice("").as_posix() for run in nodes if isinstance(run, Run)]
    return [kept.jobs[path] for path in dict.fromkeys(paths) if path in kept.jobs]


def by_stage(jobs: Sequence[Row]) -> dict[str, list[Row]]:
    """The jobs of each stage."""
    return {stage: [job for job in jobs if job["stage"] == stage] for stage in cost.STAGES}


def machine(jobs: Sequence[Row]) -> str:
    """A sentence on devices, threads and versions."""
    values = {noun: sorted({job[column] for job in jobs if job[column]}) for noun, column in _STATED.items()}
    return "; ".join(f"{noun} {names.listed(some)}" for noun, some in values.items() if some) + "."
