"""Make tables and other pages from the measurements below a results folder. A mistake of the user exits with code 2."""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ataka import plan
from ataka.errors import UserError
from ataka.files.disk import replacing
from ataka.machine import terminal
from ataka.study import Study, config
from report import catalogue, pictures, targets
from report.grammar import counted
from report.style import Style

if TYPE_CHECKING:
    from report.page import Page

# What is heavy (statsmodels, jinja2, rich) is imported by the verb that needs it.


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the verb that ``arguments`` name (by default the command line's), and return the exit code."""
    terminal.print_what_is_read()
    options = _parser().parse_args(arguments)
    try:
        options.verb(options)
    except (UserError, OSError) as error:  # the latter: a folder that can't be written
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def collect(options: argparse.Namespace) -> None:
    """Collect a table's measurements in {root}/TABLE.csv and {root}/TABLE.choices.csv."""
    from report import collect, page

    study = _study(options)
    table = catalogue.load(options.table, catalogue.folders(study))
    gathered = collect.gather(table, study, options.root)
    if not options.partial:
        gathered.insist(study, collect.target(table, options.root), "see what there is: --partial")
    written = collect.write(gathered, table, page.stem(table, options.root, partial=options.partial))
    _note([f"left out: {problem}" for problem in gathered.refused])
    _note([*filter(None, [gathered.remedy(study, collect.target(table, options.root))])])
    print(f"{len(gathered.measurements)} of {len(table.sources(study))} {table.noun}: {' '.join(map(str, written))}")


def render(options: argparse.Namespace) -> None:
    """Render {root}/TABLE.csv as TABLE.tex, .standalone.tex, .numbers.tex and .md; with --partial also print it."""
    from report import render

    made = _page(options)
    written = render.write(made)
    if options.partial:
        _show(made)
    else:
        print(f"written: {' '.join(map(str, written))}")


def show(options: argparse.Namespace) -> None:
    """Print tables (all, where none is named) in the terminal, with the paths of their files."""
    tables, reasons = ([], []) if options.tables else catalogue.every(_study(options))
    _note(reasons)
    for name in options.tables or [table.name for table in tables]:
        options.table = name
        _show(_page(options))


def _show(made: "Page") -> None:
    from report.show import show

    pages = [f"{made.stem}{suffix}" for suffix in targets.SUFFIXES]
    known = (*pages, f"{made.collected}.csv", f"{made.collected}.choices.csv")
    show(made, [name for name in known if Path(name).exists()])


def cells(options: argparse.Namespace) -> None:
    """Copy every cell below {root}/cells into {root}/cells.csv."""
    from report import collect

    path, count = collect.write_all(_study(options), options.root)
    print(f"{counted(count, 'cell')}: {path}")


def cost(options: argparse.Namespace) -> None:
    """Print the time and memory that the jobs below {root} took, stage by stage."""
    from report import cost

    print(cost.table(options.root))


def published(options: argparse.Namespace) -> None:
    """Write docs/published.md, the arithmetic of the published numbers."""
    from report.paper import published_facts

    _generate(published_facts.PAGE, published_facts.page(), "published", "the published numbers give", options)


def growth(options: argparse.Namespace) -> None:
    """Write docs/growth.md: how the work grows with images, teachers and students at the paper's scale."""
    from report import growth

    _generate(growth.PAGE, growth.page(), "growth", "the code counts", options)


def scale(options: argparse.Namespace) -> None:
    """Write docs/scale.md: the time of the paper's protocol on one card, on eight and on a cluster."""
    from report import scale

    _generate(scale.PAGE, scale.page(), "scale", "the code counts", options)


def schema(options: argparse.Namespace) -> None:
    """Write the JSON schema of a table's YAML, for editors, to report/paper/tables/schema.json."""
    _generate(catalogue.SCHEMA, catalogue.schema(), "schema", "the code defines", options)


def _generate(path: Path, text: str, verb: str, origin: str, options: argparse.Namespace) -> None:
    """Write a file of the repository that something else decides, or only check it."""
    if not options.check:
        with replacing(path) as part:
            part.write_text(text, encoding="utf-8")
        print(f"written: {path}")
    elif not path.exists() or path.read_text(encoding="utf-8") != text:
        raise UserError(f"{path} is not what {origin}; run: python -m report {verb}")


def union(options: argparse.Namespace) -> None:
    """Write each network's worst case over all attacks, image by image, to {root}/union.csv."""
    from report import union

    study = _study(options)
    _note(catalogue.every(study)[1])
    path, count = union.write(study, options.root, partial=options.partial)
    print(f"{counted(count, 'network')}: {path}")


def claims(options: argparse.Namespace) -> None:
    """Write verdicts on the paper's claims to {root}/claims.csv, claims.tex, .standalone.tex and .md."""
    from report.claims import claims_page, judge, sentences

    study, every = _study(options), sentences.load()
    measured = judge.gather(study, options.root, every, partial=options.partial)
    verdicts = judge.judge(study, every, measured)
    written = claims_page.write(study, options.root, verdicts, partial=options.partial)
    print(claims_page.head(study, verdicts, partial=options.partial)[0])
    print(f"written: {' '.join(map(str, written))}")


def html(options: argparse.Namespace) -> None:
    """Write everything on one page, {root}/report.html: tables, published numbers, provenance, curves, claims."""
    from report.html import build

    path, notes = build.write(_study(options), options.root, partial=options.partial)
    _note(notes)
    print(f"written: {path}")


def booklet(options: argparse.Namespace) -> None:
    """Typeset all tables of a scale as one PDF, {root}/tables.pdf, from their .tex files; needs pdflatex."""
    from report import booklet

    path, notes = booklet.write(_study(options), options.root)
    _note(notes)
    print(f"written: {path}")


def study(options: argparse.Namespace) -> None:
    """Write docs/study.md and its tables from docs/study/; with --root keep the results below ROOT first."""
    from report.study import alike, files, take, texts

    if options.root and not options.check:
        settings = _study(options)
        tables, reasons = catalogue.every(settings, on_request=True)
        _note(reasons)
        taken = take.take(settings, options.root, tables)
        stored = files.read(taken.study.scale) if taken.study.scale in files.scales() else None
        merged = alike.merge(stored, taken, options.root)
        print(f"written: {' '.join(map(str, files.write(merged)))}")
    for path, text in texts.generated().items():
        _generate(path, text, "study", "docs/study gives", options)


def picture(options: argparse.Namespace) -> None:
    """Draw one picture to {root}/pictures/NAME.svg and NAME.pdf, with its caption in NAME.txt."""
    written = pictures.write(_study(options), options.root, options.picture, partial=options.partial)
    print(f"written: {' '.join(map(str, written))}")


def gallery(options: argparse.Namespace) -> None:
    """Write the scale's pictures with their captions on one page, {root}/pictures.md."""
    print(f"written: {pictures.write_page(_study(options), options.root)}")


def verify(options: argparse.Namespace) -> None:
    """Check every artifact below a results folder against its record and its sources."""
    from report import verify

    verify.verify(Path(options.path), config.overrides(options.config))


VERBS = (
    collect,
    render,
    show,
    cells,
    union,
    claims,
    picture,
    gallery,
    html,
    booklet,
    cost,
    verify,
    study,
    published,
    growth,
    scale,
    schema,
)


_STYLES = {
    Style.PUBLISHED: "show the paper's numbers beside the measured ones",
    Style.COMPACT: "show means alone, with short notes, for a page that must hold much else",
}


def _page(options: argparse.Namespace) -> "Page":
    from report import page

    study = _study(options)
    made = page.compose(
        catalogue.load(options.table, catalogue.folders(study)),
        study,
        options.root,
        partial=options.partial,
        style=options.style,
    )
    _note(made.notes)
    return made


def _note(notes: Sequence[str]) -> None:
    for note in notes:
        print(note, file=sys.stderr)


def _study(options: argparse.Namespace) -> Study:
    return config.load(plan.scale_of(options.root), config.overrides(options.config))


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m report", description=__doc__)
    verbs = parser.add_subparsers(title="verbs", metavar="VERB", required=True)
    for verb in VERBS:
        described = str(verb.__doc__).rstrip(".").replace("{root}", "ROOT")
        sub = verbs.add_parser(verb.__name__, help=described, description=described)
        sub.set_defaults(verb=verb)
        if verb in (study, published, growth, scale, schema):
            sub.add_argument("--check", action="store_true", help="only say whether the file is current")
        if verb in (published, growth, scale, schema):
            continue
        known = ", ".join(catalogue.names())
        if verb is show:
            sub.add_argument("tables", metavar="TABLE", nargs="*", help=f"one of: {known}, or of the scale's own")
        elif verb in (collect, render):
            sub.add_argument("table", metavar="TABLE", help=f"one of: {known}, or of the scale's own")
        elif verb is picture:
            sub.add_argument("picture", metavar="NAME", help=f"one of: {', '.join(pictures.names())}")
        if verb not in (cells, gallery, booklet, cost, verify, study):
            sub.add_argument(
                "--partial",
                action="store_true",
                help="use the valid measurements that exist now; the files are called *.partial.*",
            )
        if verb in (render, show):
            sub.set_defaults(style=Style.PAPER)
            styles = sub.add_mutually_exclusive_group()
            for style, described in _STYLES.items():
                text = f"{described}; files are called TABLE{style.ending}.*"
                styles.add_argument(f"--{style}", action="store_const", const=style, dest="style", help=text)
        sub.add_argument("--config", default="{}", metavar="JSON", help="settings that replace the scale's, as JSON")
        if verb is verify:
            sub.add_argument("path", help="results (every scale), or results/SCALE")
            continue
        if verb is study:
            sub.add_argument("--root", help="a results folder whose measurements are kept first")
            continue
        sub.add_argument("--root", default="results", help="the results folder; default: results")
    return parser
