"""All tables of a study as one PDF, {root}/tables.pdf: the files that a paper takes by \\input, set by pdflatex."""

import re
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from ataka.errors import UserError
from ataka.files.disk import replacing
from ataka.plan import commands
from ataka.study import Study
from report import catalogue, latex
from report.render import environment
from report.table import Table

NAME = "tables.pdf"
TEMPLATE = "tables.tex"
ENGINE = "pdflatex"


def write(study: Study, root: str) -> tuple[Path, list[str]]:
    """``{root}/tables.pdf``, and reasons why tables are left out.

    Raises UserError where a table is not made yet, where there is no pdflatex, and where LaTeX finds a mistake.
    """
    tables, reasons = catalogue.every(study)
    pages = [Path(root, f"{table.name}.tex") for table in tables]
    if lost := [page for page in pages if not page.exists()]:
        command = commands.snakemake(study, f"{root}/{NAME}")
        raise UserError(f"{lost[0]} doesn't exist yet; make it, and {NAME} with it: {command}")
    path = Path(root, NAME)
    with tempfile.TemporaryDirectory() as folder, replacing(path) as part:
        for page in pages:
            shutil.copy(page, folder)
        shutil.copyfile(_set(tables, Path(folder)), part)
    return path, reasons


def _set(tables: Sequence[Table], folder: Path) -> Path:
    """The PDF of a document with the ``tables``, whose files lie in ``folder``, under their own numbers."""
    engine = shutil.which(ENGINE)
    if engine is None:
        raise UserError(f"{NAME} is set by {ENGINE}, which is not installed (Debian: apt install texlive)")
    document = folder / TEMPLATE
    numbered = [(table.numbered, f"{table.name}.tex") for table in tables]
    text = environment(tex=latex.escape).get_template(TEMPLATE).render(tables=numbered)
    document.write_text(text, encoding="utf-8")
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", "-no-shell-escape", TEMPLATE]
    run = subprocess.run(command, cwd=folder, capture_output=True, text=True, errors="replace", check=False)
    if run.returncode:
        complaint = re.search(r"^! (.*)", run.stdout, re.MULTILINE)
        raise UserError(f"{NAME}: {ENGINE} says: {complaint[1] if complaint else run.stdout[-300:].strip()}")
    return document.with_suffix(".pdf")
