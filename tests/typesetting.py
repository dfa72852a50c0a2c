"""LaTeX as it is installed here, for tests of what it sets."""

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


def compiled(tex: Path, engine: str = "pdflatex", pages: str = "1 page") -> Path:
    """The PDF of ``tex``; an error, an overfull line, a lost character or another number of pages fails the test."""
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", tex.name]
    run = subprocess.run(command, cwd=tex.parent, capture_output=True, text=True, errors="replace", check=False)
    assert run.returncode == 0, run.stdout[-2000:]
    said = run.stdout + tex.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    for complaint in ("Overfull \\hbox", "Missing character", "Extra alignment tab"):
        assert complaint not in said
    assert f"({pages}," in run.stdout
    return tex.with_suffix(".pdf")
