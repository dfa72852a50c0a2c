"""What is measured to {root}/report.html, a page that needs no other file and makes no request.

Every text is escaped where the page is filled in; the provenance is JSON, in which no character can end its element.
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup

from ataka import plan
from ataka.files.provenance import commits
from ataka.study import Study, words
from report import caption, catalogue, cost, names, pictures
from report.accuracies.accuracy_table import AccuracyTable
from report.claims import claims_page, judge, sentences
from report.grammar import counted, plural
from report.html import provenance, sheets
from report.html.sheets import STEPS
from report.layout import Entry
from report.problems import Problems
from report.study import pages, take
from report.study.files import Kept
from report.watch import overview
from report.watch.overview import Overview

FOLDER = Path(__file__).parent


@dataclass(frozen=True)
class Shown:
    """A picture: its heading, its caption and its SVG, as an address that holds the whole file.

    A browser runs no script in an image, whoever wrote the file.
    """

    title: str
    caption: str
    address: str


@dataclass(frozen=True)
class Gathered:
    """What is measured; ``left_out`` says why the page lacks tables, ``notes`` why it lacks measurements.

    ``lacking`` says why the page lacks pictures.
    """

    kept: Kept
    left_out: list[str]
    shown: list["Shown"]
    lacking: list[str]
    notes: list[str]


def target(root: str) -> str:
    """Snakemake's name for the page."""
    return f"{root}/report.html"


def write(study: Study, root: str, *, partial: bool = False) -> tuple[Path, list[str]]:
    """``{root}/report.html``, and notes for the person who builds it; a ``partial`` page has a name of its own."""
    from report.render import write_text

    gathered = gather(study, root, partial=partial)
    path = Path(root, "report.partial.html" if partial else "report.html")
    progress = overview.unfinished(study, root) if partial else None  # all is there that a whole page shows
    return write_text(path, text(gathered, progress)), [*gathered.left_out, *gathered.notes]


def gather(study: Study, root: str, *, partial: bool = False) -> Gathered:
    """What the page shows; UserError for a table's measurement that is lost or doesn't hold, unless ``partial``."""
    tables, reasons = catalogue.every(study)
    kept, problems = take.gather(study, root, tables)
    known = {*kept.cells, *kept.particles}
    wanted = dict.fromkeys(source for table in tables for source in table.sources(study) if source not in known)
    drawn, lacking = pictures.every(study)
    paths = [*(source.csv(root) for source in wanted), *(file for name in drawn for file in _picture(root, name))]
    lost = Problems(problems.refused, problems.again, [path for path in paths if not path.exists()])
    if not partial:
        lost.insist(study, target(root), "see what there is: --partial")
    notes = [f"left out: {reason}" for reason in lost.refused]
    notes += [f"missing: {counted(len(lost.missing), 'file')}, the first is {lost.missing[0]}"] if lost.missing else []
    there = [name for name in drawn if all(file.exists() for file in _picture(root, name))]
    lacking += [f"The picture '{name}' is left out: it is not drawn yet." for name in drawn if name not in there]
    shown = [_shown(root, name) for name in there]
    return Gathered(kept, reasons, shown, lacking, [*notes, *filter(None, [lost.remedy(study, target(root))])])


def text(gathered: Gathered, progress: Overview | None = None) -> str:
    """The whole page; with ``progress``, also the jobs of the study at the time of making."""
    kept, study = gathered.kept, gathered.kept.study
    shown, empty = [], []
    for table in kept.tables.values():
        if rows := pages.rows_of(kept, study, table):
            shown.append(sheets.of(table, study, plan.root_of(study.scale), rows))
        else:
            empty.append(f"Table {table.numbered} is left out: nothing of it is measured yet.")
    claims = judge.judge(study, sentences.load(), pages.measured(kept))
    trainings = plan.trainings_of(study, [*kept.cells, *kept.particles])
    jobs = pages.jobs_of(kept, [*kept.cells, *kept.particles, *trainings])
    template = _environment().get_template("report.html.j2")
    return template.render(
        css=Markup(_file("report.css")),
        js=Markup(_file("report.js")),
        scale=study.scale,
        head=list(_head(kept, shown)),
        progress=progress,
        sheets=shown,
        left_out=[*(_sentence(reason) for reason in gathered.left_out), *empty],
        filters=_filters(shown),
        legend=list(_legend()),
        pictures=gathered.shown,
        lacking=gathered.lacking,
        claims_head=claims_page.head(study, claims)[0],
        claims_header=claims_page.HEADER,
        blocks=claims_page.blocks(study, claims),
        claims_notes=list(claims_page.notes(study)),
        verdicts={word: word.replace(" ", "-") for word in claims_page.WORDS},
        readings=[reading.split(" ", 2) for reading in pages.readings(kept, trainings)],
        choices=_choices(kept, study),
        cost=cost.lines(pages.by_stage(jobs)),
        machine=pages.machine(jobs),
        commits=commits(kept.jobs.values()),
        data=provenance.content(kept, study, shown),
    )


def stated_config(text: str) -> Mapping[str, Any]:
    """The settings of the command line that a page was made under; none where the page states none."""
    stated = re.search(r'<script type="application/json" id="data">(.*?)</script>', text, re.DOTALL)
    try:
        config = json.loads(stated[1])["config"] if stated else {}
    except (ValueError, LookupError, TypeError):
        return {}
    return config if isinstance(config, dict) else {}


def without_progress(text: str) -> str:
    """A page without the jobs of the study, which are those of the moment when it was made."""
    return re.sub(r'<section id="progress".*?</section>\n', "", text, flags=re.DOTALL)


# ---- parts of the page


def _picture(root: str, name: str) -> list[Path]:
    """A picture's SVG and caption."""
    return [pictures.path(root, name, suffix) for suffix in (pictures.SUFFIXES[0], pictures.SUFFIXES[-1])]


def _shown(root: str, name: str) -> Shown:
    svg, caption = _picture(root, name)
    address = f"data:image/svg+xml;base64,{base64.b64encode(svg.read_bytes()).decode()}"
    return Shown(pictures.find(name).TITLE, caption.read_text(encoding="utf-8").strip(), address)


def _head(kept: Kept, shown: list[sheets.Sheet]) -> Iterator[str]:
    study = kept.study
    yield f"{study.scale.capitalize()} scale: {study.about.strip().rstrip('.')}."
    entries = [number.ours for sheet in shown for number in sheet.numbers if number.key]
    if missing := sum(not entry.measured for entry in entries):
        those = f"{missing:,} of {counted(len(entries), 'number')}"
        yield f"{those} {'is' if missing == 1 else 'are'} not measured, or of a method that is not trained."
    seeds = names.listed([str(seed) for seed in study.seeds])
    yield f"{plural(len(study.seeds), 'Seed')}: {seeds}."
    tables = [table for table in kept.tables.values() if isinstance(table, AccuracyTable)]
    datasets, archs = ([name for table in tables for name in getattr(table, key)] for key in ("datasets", "archs"))
    yield from caption.stand_ins(study, datasets, archs)
    if any(study.stand_in(name) not in (name, None) for name in (*datasets, *archs)):
        yield (
            "Where this scale has a stand-in, a difference compares different experiments, and its colour is no "
            "verdict on the paper."
        )


def _filters(shown: list[sheets.Sheet]) -> dict[str, list[str]]:
    """The choices of each filter, in the tables' order."""
    parts = [part for sheet in shown for part in sheet.parts]
    numbers = [number for part in parts for number in part.numbers]
    lines = [line for part in parts for section in part.sections for line in section]
    return {
        "dataset": _distinct(number.dataset for number in numbers),
        "arch": _distinct(number.arch for number in numbers),
        "method": _distinct(line.method for line in lines),
    }


def _distinct(texts: Iterator[str]) -> list[str]:
    return list(dict.fromkeys(filter(None, texts)))


def _legend() -> Iterator[tuple[str, str]]:
    """Each colour's name and words, from far below the published number to far above it."""
    bounds = [f"{bound:g}" for bound in STEPS]
    ranges = [f"{low} to {high}" for low, high in pairwise(bounds)] + [f"{bounds[-1]} or more"]
    for depth in range(len(STEPS), 0, -1):
        yield f"below{depth}", f"{ranges[depth - 1]} below"
    yield "near", f"within {bounds[0]}"
    for depth in range(1, len(STEPS) + 1):
        yield f"above{depth}", f"{ranges[depth - 1]} above"


def _choices(kept: Kept, study: Study) -> list[dict[str, str]]:
    """The candidates for alpha behind all tables, each once."""
    lines = [line for table in kept.tables.values() for line in pages.choices(kept, table, study)]
    return [dict(line) for line in dict.fromkeys(tuple(line.items()) for line in lines)]


def _sentence(reason: str) -> str:
    return f"{reason[:1].upper()}{reason[1:].rstrip('.')}."


# ---- the template


def _environment() -> Environment:
    made = Environment(
        loader=FileSystemLoader(FOLDER),
        undefined=StrictUndefined,
        autoescape=True,
        finalize=_plainly,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    made.filters.update(number=_printed, capitalised=lambda text: text[:1].upper() + text[1:])
    made.policies["json.dumps_kwargs"] = {"ensure_ascii": False, "separators": (",", ":"), "allow_nan": False}
    return made


def _plainly(value: Any) -> Any:
    """Words as plain text; the page's own markup stays."""
    return words.plain(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _printed(entry: Entry) -> str:
    return entry.text + (f" ± {entry.spread}" if entry.spread else "") + entry.mark


@cache
def _file(name: str) -> str:
    return (FOLDER / name).read_text(encoding="utf-8")
