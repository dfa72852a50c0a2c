"""LaTeX as it is installed here, for tests of what it sets."""

import re
import shutil
import subprocess
from pathlib import Path

import pytest

ENGINES = [
    pytest.param(
        engine,
        marks=pytest.mark.skipif(
            shutil.which(engine) is None, reason=f"{engine} is not installed (Debian: apt install texlive)"
        ),
    )
    for engine in ("pdflatex", "lualatex")
]


def installed(file: str) -> None:
    """Skip the test, with the reason, unless TeX finds ``file``, a class or a package."""
    kpsewhich = shutil.which("kpsewhich")
    if kpsewhich is None or subprocess.run([kpsewhich, file], capture_output=True, check=False).returncode:
        pytest.skip(f"{file} is not installed (Debian: apt install texlive-publishers has llncs and IEEEtran)")


def compiled(tex: Path, engine: str = "pdflatex", pages: str = "1 page") -> Path:
    """The PDF of ``tex``; an error, an overfull line, a lost character or another number of pages fails the test.

    ``pages`` is the end of the log's count, as ``2 pages``; ``pages`` alone is any number of several.
    """
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", tex.name]
    run = subprocess.run(command, cwd=tex.parent, capture_output=True, text=True, errors="replace", check=False)
    assert run.returncode == 0, run.stdout[-2000:]
    said = run.stdout + tex.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    for complaint in ("Overfull \\hbox", "Missing character", "Extra alignment tab"):
        assert complaint not in said
    assert re.search(rf"\((\d+ )?{pages},", run.stdout)
    return tex.with_suffix(".pdf")


def space_left(tex: Path, engine: str = "pdflatex") -> float:
    """The width in points that ``\\input`` of ``tex`` adds to a line of a paragraph; a float goes elsewhere."""
    document = tex.with_name("paragraph.tex")
    pdf = "pdf" if engine == "pdflatex" else ""
    position = rf"\{pdf}savepos\write16{{[\the\{pdf}lastxpos]}}"
    document.write_text(
        r"\documentclass{article}\usepackage{booktabs}\textwidth=300mm\begin{document}"
        f"\\noindent Before{position}\\input{{{tex.name}}}{position}after.\\end{{document}}\n",
        encoding="utf-8",
    )
    compiled(document, engine, pages="pages?")
    log = document.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    before, after = map(int, re.findall(r"^\[(\d+)\]$", log, re.MULTILINE))
    return (after - before) / 65536
