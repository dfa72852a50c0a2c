"""Everything that the compact files decide: the tables' pages, docs/study.md, and the finding in README.md.

docs/study/study.md.j2 and docs/study/finding.md.j2 are written by hand. They cite each measured figure by a
placeholder,
``\\VAR{pocket.accuracy("en-sat", "pgd")}``, after ``\\BLOCK{set pocket = scale("pocket")}`` (report/study/figures.py).
"""

from functools import cache
from pathlib import Path

from jinja2 import TemplateError

from ataka.errors import UserError
from ataka.study import config
from report.render import environment
from report.study import files, pages
from report.study.figures import Figures, number
from report.study.files import Kept

README = config.HOME / "README.md"
BEGINS = "<!-- made from docs/study/finding.md.j2 by python -m report study -->\n"
ENDS = "<!-- end of what is made -->\n"


def generated() -> dict[Path, str]:
    """The text of every generated page, by its path. UserError for damaged files, or a text that can't be filled in."""
    made: dict[Path, str] = {}
    stored = {scale: files.read(scale) for scale in files.scales()}
    for scale, content in stored.items():
        made |= {files.FOLDER / scale / f"{name}.md": text for name, text in pages.pages(content).items()}

    @cache
    def figures(scale: str) -> Figures:
        return Figures(stored.get(scale) or Kept(config.load(scale), {}))

    for path in sorted(files.FOLDER.glob("*/*.md")):
        if path not in made:
            raise UserError(f"{path} is made from nothing that is kept: remove it")
    made[files.FOLDER.with_suffix(".md")] = fill(files.FOLDER / "study.md.j2", figures)
    made[README] = _between(README, fill(files.FOLDER / "finding.md.j2", figures))
    return made


def fill(path: Path, scale: object) -> str:
    """A text by hand, with the figures that it cites."""
    try:
        template = environment(number=number).from_string(path.read_text(encoding="utf-8"))
        return template.render(scale=scale)
    except (TemplateError, TypeError, ValueError) as error:
        where = f", line {error.lineno}" if hasattr(error, "lineno") else ""
        raise UserError(f"{path}{where}: {error}") from None
    except UserError as error:
        raise UserError(f"{path}: {error}") from None


def _between(path: Path, text: str) -> str:
    """The page at ``path`` with ``text`` between its two comments."""
    page = path.read_text(encoding="utf-8")
    head, begins, rest = page.partition(BEGINS)
    _, ends, tail = rest.partition(ENDS)
    if not (begins and ends):
        raise UserError(
            f"{path} lacks the lines '{BEGINS.strip()}' and '{ENDS.strip()}', between which the finding stands"
        )
    return head + begins + text + ends + tail
