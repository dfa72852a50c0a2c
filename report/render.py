"""A page to LaTeX and Markdown, through the templates in templates/, which hold no arithmetic.

Their delimiters are ``\\VAR{}`` and ``\\BLOCK{}``, which LaTeX leaves alone; an unknown name is an error.
"""

from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ataka.files.disk import replacing
from report import latex, markdown
from report.page import Page
from report.style import Style
from report.targets import NUMBERS, STANDALONE, SUFFIXES

TEMPLATES = Path(__file__).with_name("templates")


def write(page: Page) -> list[Path]:
    """A file for each of ``SUFFIXES``."""
    return [write_text(Path(f"{page.stem}{suffix}"), text(page, suffix)) for suffix in SUFFIXES]


def suffix_of(path: Path) -> str:
    """Which of ``SUFFIXES`` a page has; the plain suffix of any other file."""
    return next((suffix for suffix in (STANDALONE, NUMBERS) if path.name.endswith(suffix)), path.suffix)


def write_text(path: Path, text: str) -> Path:
    """A page, whole or not at all."""
    with replacing(path) as part:
        part.write_text(text, encoding="utf-8")
    return path


def text(page: Page, suffix: str) -> str:
    """The page in the format of a file's ``suffix``."""
    return {".tex": tex, STANDALONE: standalone, NUMBERS: numbers, ".md": md}[suffix](page)


def tex(page: Page) -> str:
    """A booktabs table as a float, to \\input into a document."""
    tabular = latex.Tabular(page.layout)
    filters = environment(tex=latex.escape, first=latex.first, cells=tabular.cells)
    return _fill(filters, "table.tex", page, tabular=tabular, compact=page.style is Style.COMPACT)


def standalone(page: Page) -> str:
    """A document that inputs the table, and has nothing else."""
    return _fill(environment(tex=latex.escape), f"table{STANDALONE}", page)


def numbers(page: Page) -> str:
    """A macro that gives each measured number by its name, for running text."""
    return _fill(environment(), f"table{NUMBERS}", page, entries=page.numbers)


def md(page: Page, template: str = "table.md", **more: Any) -> str:
    """A table in GitHub's Markdown; ``more`` are what another ``template`` shows beside the table."""
    filters = environment(md=markdown.escape, text=markdown.escape, number=markdown.number)
    header, rule = markdown.header(page.layout), markdown.rule(page.layout)
    return _fill(filters, template, page, header=header, rule=rule, **more)


def _fill(made: Environment, template: str, page: Page, **more: Any) -> str:
    return made.get_template(template).render(
        heading=page.heading,
        label=page.label,
        layout=page.layout,
        caption=page.caption,
        stem=page.stem.name,
        collected=page.collected.name,
        commits=page.commits,
        **more,
    )


def environment(**filters: Any) -> Environment:
    """Templates as this project writes them, with filters of one format."""
    made = Environment(
        loader=FileSystemLoader(TEMPLATES),
        undefined=StrictUndefined,
        block_start_string="\\BLOCK{",
        block_end_string="}",
        variable_start_string="\\VAR{",
        variable_end_string="}",
        comment_start_string="\\COMMENT{",
        comment_end_string="}",
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
        autoescape=False,
    )
    made.filters.update(filters)
    return made
