"""Conclusions from measurements: collections, choices, unions and claims, and the pages that show them.

A collection holds rows of measurements as they are; the rest is computed again from what lies below the folder.
"""

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ataka import plan
from ataka.errors import UserError, nearest
from ataka.files.records import read_rows, require_collected
from ataka.plan import Cell, Particles, Run, commands
from ataka.study import Study
from report import candidates, catalogue, collect, evidence, page, pictures, render, union
from report.claims import claims_page, judge, sentences
from report.html import build
from report.sources import Source
from report.style import parted
from report.table import Table
from report.verify.inspection import Inspection

Rows = Sequence[Mapping[str, Any]]


def collection(at: Inspection, path: Path) -> Iterator[str]:
    """Rows of measurements, as these are, and such that a table may be set from them."""
    taken: dict[Path, list[dict[str, str]]] = defaultdict(list)
    rows = read_rows(path)
    for row in rows:
        run = row["dataset"], row["arch"], row["method"], int(row["seed"])
        node = Cell(*run, row["attack"]) if "attack" in row else Particles(*run, row["generator"])
        taken[node.csv(at.root)].append(row)
    differences = []
    for source, copied in taken.items():
        if not source.is_file():
            at.missing[source].append(path)
            continue
        measured = read_rows(source)
        stated = measured[0].keys()  # a collection may say more of a row, as its health
        if stated - copied[0].keys() or not _same([{name: row[name] for name in stated} for row in copied], measured):
            differences.append(_differs(path, source))
    yield from differences
    if differences:
        return
    require_collected(rows, path)
    table = _table(at, path)
    if table is None:
        return
    others = sorted({int(row["seed"]) for row in rows} - {*at.study.seeds})
    if others:
        seeds, now = (", ".join(map(str, some)) for some in (others, at.study.seeds))
        at.note(f"{path} has seeds that are not those in force: {seeds} beside {now}; give verify the --config")
        return
    at.collections[path] = collect.read(path, table, at.study, str(at.root))
    yield from _examined(at, path, table)


def _examined(at: Inspection, path: Path, table: Table) -> Iterator[str]:
    """Whether a table that shows costs, or checks its rows, states what the records of trainings give now."""
    needed = table.records(at.study, [source for source in table.sources(at.study) if source.csv(at.root).is_file()])
    if lost := [file for file in (at.root / place for place in needed) if not file.is_file()]:
        for file in lost:
            at.missing[file].append(path)
        return
    stated = at.collections[path]
    now = table.examined(stated, at.study, str(at.root)) if needed else stated
    yield from (f"{path}: {reason}" for reason in table.sound(now, at.study, str(at.root))[1])
    if not _same([row for one in stated for row in one.rows], [row for one in now for row in one.rows]):
        yield f"{path} is not what the records of the trainings and the cells' bits give now"


def choices_of(at: Inspection, path: Path) -> Iterator[str]:
    """All candidates of each choice of alpha behind a table, as its choice.json has them."""
    rows = read_rows(path, candidates.COLUMNS)
    listed: dict[Run, list[dict[str, str]]] = {run: [] for run in _tuned(at, path)}
    for row in rows:
        run = Run(row["dataset"], row["arch"], row["method"], at.study.seeds[0])
        listed.setdefault(run, []).append(row)
    differences = []
    for run, copied in listed.items():
        source = run.choice(at.root)
        if not source.is_file():
            if copied:
                at.missing[source].append(path)
        elif not _same(copied, candidates.rows(at.root, at.study, run)):
            differences.append(_differs(path, source))
    yield from differences
    if rows and not differences:
        require_collected(rows, path)


def _tuned(at: Inspection, path: Path) -> list[Run]:
    """The runs whose choices of alpha belong to a table's collection."""
    table = path.with_name(path.name.replace(".choices.", "."))
    if not table.is_file():
        return []
    first = at.study.seeds[0]
    runs = {Run(row["dataset"], row["arch"], row["method"], first) for row in read_rows(table)}
    return [run for run in {plan.tuned_run(at.study, one) for one in runs} if run]


def unions(at: Inspection, path: Path) -> Iterator[str]:
    """Each network's worst case, as its attacks' bits give it now."""
    partial = _is_partial(path)
    yield from _computed(at, path, union.sources(at.study), lambda: union.rows(at.study, str(at.root), partial=partial))


def verdicts(at: Inspection, path: Path) -> Iterator[str]:
    """Verdicts on the paper's claims, as the measurements give them now."""
    every = sentences.load()
    judged = judge.judge(at.study, every, judge.gather(at.study, str(at.root), every, partial=True))
    rows = claims_page.rows(at.study, judged)
    yield from _computed(at, path, sentences.sources(at.study, every), lambda: rows)
    if path in at.collections:
        at.collections[path] = judged


def _computed(at: Inspection, path: Path, needed: Iterable[Source], compute: Callable[[], Rows]) -> Iterator[str]:
    """Whether a CSV has the rows that follow from the measurements now."""
    rows = read_rows(path)
    require_collected(rows, path)
    lost = [file for source in needed for file in evidence.files(str(at.root), source) if not file.exists()]
    if lost and not _is_partial(path):
        for file in lost:
            at.missing[file].append(path)
        return
    try:
        now = compute()
    except UserError:
        return  # a problem of a measurement, found there
    if _same(rows, now):
        at.collections[path] = rows
    elif _is_partial(path):
        at.note(f"{path} was made when there were other measurements than now; make it again: {command(at, path)}")
    else:
        yield f"{path} is not what the measurements give that there are now"


def shown(at: Inspection, path: Path) -> Iterator[str]:
    """Whether a page is as rendered now. A collection that doesn't hold must be mended first."""
    numbers = path.with_name(f"{parted(_stem(path))[0]}.csv")
    if numbers.exists() and numbers not in at.collections:
        return
    if not numbers.exists() and not (_is_partial(path) and _is_as_rendered(at, path, [])):
        yield f"{numbers} is missing, though {path} is there"
    elif numbers.exists() and not _is_as_rendered(at, path, at.collections[numbers]):
        yield f"{path} is not what {numbers} gives now: it is older, was edited or is damaged"


def picture(at: Inspection, path: Path) -> Iterator[str]:
    """Whether a picture's files are there together. Snakemake draws it again when its data change."""
    name = name_of(path)
    if name not in pictures.names():
        raise UserError(f"{path} is no picture of the study{nearest(name, pictures.names())}")
    for suffix in pictures.SUFFIXES:
        other = path.with_suffix(suffix)
        if not _is_partial(path) and not other.exists():
            yield f"{other} is missing, though {path} is there"


def whole_page(at: Inspection, path: Path) -> Iterator[str]:
    """Whether report.html shows what the measurements give now. Its commands repeat the --config that it states."""
    stated = build.without_progress(path.read_text(encoding="utf-8"))
    study = at.study.under(build.stated_config(stated))
    try:
        now = build.text(build.gather(study, str(at.root), partial=_is_partial(path)))
    except UserError:
        return  # a problem of a measurement, found there
    if stated != now and _is_partial(path):
        at.note(f"{path} was made when there were other measurements than now; make it again: {command(at, path)}")
    elif stated != now:
        yield f"{path} is not what the measurements give that there are now: it is older, was edited or is damaged"


def is_page(at: Inspection, path: Path) -> bool:
    """Whether a file is called like a page of ours."""
    return path.suffix in (".tex", ".md") and name_of(path) in ("claims", *_tables(at.study))


def name_of(path: Path) -> str:
    """The name of the table, or of what else a file at the top of a results folder is about."""
    return parted(_stem(path))[0].removesuffix(".partial")


def command(at: Inspection, path: Path) -> str | None:
    """The command that makes a partial file, or a page of another style; None for what Snakemake makes."""
    flags = [f"--{part}" for part in ("partial", "compact", "published") if f".{part}." in path.name]
    if path.parent != at.root or not flags:
        return None
    name = name_of(Path(path.name.replace(".choices.", ".")))
    words = {"claims": ["claims"], "union": ["union"], "report": ["html"]}.get(name, ["render", name])
    return commands.report(at.study, *words, *flags, "--root", str(at.root))


def _stem(path: Path) -> str:
    return path.name.removesuffix(render.suffix_of(path))


def _tables(study: Study) -> list[str]:
    return catalogue.names(catalogue.folders(study))


def _table(at: Inspection, path: Path) -> Table | None:
    """The table that a file is of; None, perhaps with a note, where the study has no such table any more."""
    if name_of(path) not in _tables(at.study):
        return None
    try:
        return catalogue.load(name_of(path), catalogue.folders(at.study))
    except UserError as error:
        at.note(f"{path} can't be compared with its table: {error}")
        return None


def _is_as_rendered(at: Inspection, path: Path, content: list[Any]) -> bool:
    """Whether a page shows ``content``: verdicts, or a table's measurements, of which a partial page may have none."""
    partial = _is_partial(path)
    if name_of(path) == "claims":
        text = claims_page.text(at.study, content, path, partial=partial)
    elif (table := _table(at, path)) is None:
        return True
    else:
        made = page.of(table, at.study, str(at.root), content, partial=partial, style=parted(_stem(path))[1])
        text = render.text(made, render.suffix_of(path))
    return path.read_bytes() == text.encode()


def _is_partial(path: Path) -> bool:
    return ".partial." in path.name


def _same(rows: Rows, others: Iterable[Mapping[str, Any]]) -> bool:
    """Whether rows state the same; empty fields don't count, as a collection has the columns of all its rows."""
    return [_filled(row) for row in rows] == [_filled(row) for row in others]


def _filled(row: Mapping[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in row.items() if value not in (None, "") and name != "collected"}


def _differs(path: Path, source: Path) -> str:
    return f"{path}: what it has of {source} is not what stands there"
