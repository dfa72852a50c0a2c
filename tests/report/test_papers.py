"""Tables in papers: what a document of a class makes of them. Compiled where the class is installed."""

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from ataka.errors import UserError
from ataka.study import words
from report import booklet, catalogue, render
from report.page import Page
from report.style import Style
from tests.report import studies
from tests.report.test_render import build, compose
from tests.typesetting import ENGINES, compiled, installed, space_left

ONE_COLUMN = r"\documentclass{article}\textwidth=122mm"
CLASSES = {
    "llncs": (r"\documentclass{llncs}", "llncs.cls"),
    "as wide as llncs": (ONE_COLUMN, "article.cls"),
    "IEEEtran": (r"\documentclass[conference]{IEEEtran}", "IEEEtran.cls"),
    "two columns": (r"\documentclass[twocolumn]{article}", "article.cls"),
    "coloured rows": (ONE_COLUMN + r"\usepackage[table]{xcolor}\rowcolors{1}{blue!15}{}", "xcolor.sty"),
    "captions": (ONE_COLUMN + r"\usepackage{caption,subcaption}", "subcaption.sty"),
}
"""The beginning of each document, and the file that must be installed for it."""


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """Tables with deviations, one beside the published numbers, and long labels; their files lie there."""
    root = tmp_path_factory.mktemp("study")
    three = studies.study(studies.SMALL | {"seeds": [0, 1, 2]})
    made = {
        "table2": build(root / "2", studies.study(studies.PAPER)),
        "table2.published": build(root / "published", three, style=Style.PUBLISHED),
        "table4": build(root / "4", three, "table4"),
        "table1": build(root / "1", studies.study(studies.SMALL), "table1"),
        "table4.compact": build(root / "4 compact", studies.study(studies.PAPER), "table4", style=Style.COMPACT),
    }
    for name, settings in (("table2", studies.PAPER), ("table1", studies.SMALL)):
        folder = studies.root(root / name[-1])
        made[f"{name}.compact"] = compose(folder, studies.study(settings), name, style=Style.COMPACT)
    for one in made.values():
        render.write(one)
    return made


def paper(folder: Path, begin: str, pages: dict[str, Page]) -> Path:
    """A document that inputs ``pages``, and refers to them."""
    for name, one in pages.items():
        shutil.copy(Path(f"{one.stem}.tex"), folder / f"{name}.tex")
    inputs = "".join(f"Before. \\input{{{name}.tex}}\n\\clearpage\n" for name in pages)
    references = ", ".join(f"\\ref{{{one.label}}}" for one in pages.values())
    document = folder / "paper.tex"
    text = f"{begin}\\usepackage{{booktabs}}\n\\begin{{document}}\n{inputs}Tables {references}.\n\\end{{document}}\n"
    document.write_text(text, encoding="utf-8")
    return document


@pytest.mark.parametrize("engine", ENGINES[:1])
@pytest.mark.parametrize("name", CLASSES)
def test_tables_fit_the_lines_of_a_paper(name: str, engine: str, pages: dict[str, Page], tmp_path: Path) -> None:
    begin, needed = CLASSES[name]
    installed(needed)
    document = paper(tmp_path, begin, pages)
    compiled(document, engine, pages="pages")
    log = document.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
    assert "multiply defined" not in log


@pytest.mark.parametrize("engine", ENGINES[:1])
@pytest.mark.parametrize("name", ["llncs", "as large as llncs", "IEEEtran", "two columns"])
def test_compact_tables_fit_the_pages_of_a_paper(
    name: str, engine: str, pages: dict[str, Page], tmp_path: Path
) -> None:
    begin, needed = CLASSES.get(name, (ONE_COLUMN + r"\textheight=193mm", "article.cls"))
    installed(needed)
    document = paper(tmp_path, begin, {key: page for key, page in pages.items() if page.style is Style.COMPACT})
    compiled(document, engine, pages="pages")
    assert "Float too large" not in document.with_suffix(".log").read_text(encoding="utf-8", errors="replace")


@pytest.mark.parametrize("engine", ENGINES[:1])
def test_a_compact_table_takes_one_of_two_columns_where_it_fits(
    engine: str, pages: dict[str, Page], tmp_path: Path
) -> None:
    """Whatever stands before it; a float over one column doesn't span a page."""
    begin = CLASSES["two columns"][0] + r"\textwidth=181mm"  # IEEEtran's
    widths = {}
    for name in ("table2", "table2.compact", "table4.compact"):
        document = paper(tmp_path, begin, {"table1": pages["table1"], name: pages[name]})
        text = document.read_text(encoding="utf-8")
        told = text.replace(
            r"\begin{document}", r"\AtBeginEnvironment{tabular}{\typeout{[\the\linewidth]}}\begin{document}"
        )
        document.write_text(told, encoding="utf-8")
        compiled(document, engine, pages="pages")
        log = document.with_suffix(".log").read_text(encoding="utf-8", errors="replace")
        widths[name] = re.findall(r"^\[(.*)pt\]$", log, re.MULTILINE)[-1]
    assert float(widths["table2.compact"]) < float(widths["table2"]) / 2
    assert widths["table4.compact"] == widths["table2"]


@pytest.mark.parametrize("engine", ENGINES[:1])
def test_the_kind_of_float_is_the_papers_choice(engine: str, pages: dict[str, Page], tmp_path: Path) -> None:
    own = r"\newenvironment{mine}[1][]{\begin{figure}[p]\csname @captype\endcsname}{\end{figure}}"
    begin = ONE_COLUMN + own.replace(
        r"\csname @captype\endcsname", r"\expandafter\def\csname @captype\endcsname{table}"
    )
    document = paper(tmp_path, begin + r"\newcommand{\tablefloat}{mine}", {"table2": pages["table2"]})
    compiled(document, engine, pages="pages")
    assert r"\contentsline {table}" not in document.read_text(encoding="utf-8")


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("suffix", [".tex", ".numbers.tex"])
def test_a_file_leaves_no_space_in_a_paragraph(
    suffix: str, engine: str, pages: dict[str, Page], tmp_path: Path
) -> None:
    for name, one in pages.items():
        copy = shutil.copy(Path(f"{one.stem}{suffix}"), tmp_path / f"{name}{suffix}")
        assert space_left(copy, engine) == 0, name


@pytest.mark.parametrize("name", ["table2", "table4", "table1", "table4.compact"])
def test_a_number_its_deviation_and_its_marks_are_one_cell(name: str, pages: dict[str, Page]) -> None:
    """Two columns that touch paint over each other under colours, and hide digits."""
    tex = render.tex(pages[name])
    (columns,) = set(re.findall(r"\\begin\{tabular\}\{p\{\\labelwidth\}(\S+)\}\n", tex))
    assert set(columns) == {"r"}
    rows = [line for line in tex.splitlines() if line.strip().startswith(r"\raggedright ")]
    entries = [row.entries for panel in pages[name].layout.panels for section in panel.sections for row in section]
    assert len(rows) == len(entries)
    for row, numbers in zip(rows, entries, strict=True):
        cells = [
            re.sub(r"\\phantom\{(\\spread\{[^}]*\}|[^{}]|\\text\w+\{[^}]*\})*\}", "", cell)
            for cell in row.split(" & ")[1:]
        ]
        for cell, entry in zip(cells, numbers, strict=True):
            shown = re.sub(r"\\textsuperscript\{.*?\}|[^\d.]", "", cell.replace(r"\multicolumn{1}{c}{--}", ""))
            assert shown == (entry.text + entry.spread if entry.measured else "")


def test_the_cells_of_a_column_are_as_wide_as_each_other(pages: dict[str, Page]) -> None:
    cells = [line.split(" & ")[1:] for line in render.tex(pages["table1"]).splitlines() if r"\raggedright " in line]
    for column in zip(*cells, strict=True):
        widths = {len(re.sub(r"\\(best|phantom)\{|[{}\\ ]", "", cell).partition("spread")[2]) for cell in column}
        assert len(widths) == 1, column


def test_pages_of_one_table_have_labels_of_their_own(pages: dict[str, Page], tmp_path: Path) -> None:
    partial = build(tmp_path, studies.study(studies.SMALL), partial=True)
    labels = [*(pages[name].label for name in ("table2", "table2.published", "table2.compact")), partial.label]
    assert labels == [f"tab:table2-demo{end}" for end in ("", "-published", "-compact", "-partial")]


@pytest.mark.parametrize("name", ["table1", "table2", "table4", "table4.compact"])
def test_what_is_printed_names_no_file_and_no_key(name: str, pages: dict[str, Page]) -> None:
    caption = pages[name].caption
    text = words.plain(" ".join(caption.text + caption.notes))
    assert not re.search(r"\.md\b|\.yaml\b|docs/|\b\w+-at-aka\b|\d+x\d+|manifest", text)
    assert len(words.plain(" ".join(caption.text))) < 250


def pandoc() -> int:
    """The first number of the version of the pandoc that is installed; 0 where there is none."""
    if shutil.which("pandoc") is None:
        return 0
    said = subprocess.run(["pandoc", "--version"], capture_output=True, text=True, check=True).stdout
    return int(said.split()[1].partition(".")[0])


@pytest.mark.skipif(pandoc() < 3, reason="no pandoc 3 is installed; 2.17 takes such a table apart")
def test_pandoc_keeps_the_caption_and_every_number(pages: dict[str, Page], tmp_path: Path) -> None:
    document = paper(tmp_path, ONE_COLUMN, pages)
    command = ["pandoc", "--from=latex", "--to=plain", "--columns=500", document.name]
    said = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True).stdout
    for one in pages.values():
        assert one.caption.text[0] in said
        numbers = [entry for entry in one.layout.entries if entry.measured]
        counted: dict[str, Any] = {entry.text: said.count(entry.text) for entry in numbers}
        assert all(counted.values()), [text for text, count in counted.items() if not count]
    assert not re.search(r"^.*\b2-\d+\b.*Clean", said, re.MULTILINE)


# ---- numbers in sentences


def cited(folder: Path, text: str, *files: str, engine: str = "pdflatex") -> str:
    """What LaTeX says of a document that inputs ``files`` and has ``text``."""
    inputs = "".join(f"\\input{{{file}}}" for file in files)
    document = folder / "prose.tex"
    document.write_text(f"\\documentclass{{article}}{inputs}\\begin{{document}}{text}\\end{{document}}\n")
    command = [engine, "-interaction=nonstopmode", "-halt-on-error", document.name]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False).stdout


@pytest.fixture(scope="module")
def numbers(pages: dict[str, Page], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("prose")
    for name, one in pages.items():
        shutil.copy(Path(f"{one.stem}.numbers.tex"), folder / f"{name}.numbers.tex")
    return folder


@pytest.mark.parametrize("engine", ENGINES)
def test_a_cited_number_is_the_tables_own(engine: str, pages: dict[str, Page], numbers: Path) -> None:
    for name, one in pages.items():
        entries = {entry.name: entry for entry in one.numbers}
        assert len(entries) > 10
        types = "".join(f"\\typeout{{[\\ataka{{{key}}}|\\atakaspread{{{key}}}]}}" for key in entries)
        said = cited(numbers, types, f"{name}.numbers.tex", engine=engine)
        assert re.findall(r"^\[(.*)\]$", said, re.MULTILINE) == [f"{one.text}|{one.spread}" for one in entries.values()]


def test_prose_cites_the_deviations_that_a_compact_table_leaves_out(pages: dict[str, Page]) -> None:
    whole, compact = (render.numbers(pages[name]) for name in ("table2", "table2.compact"))
    assert not pages["table2.compact"].layout.has_spread
    assert compact == whole.replace("table2.", "table2.compact.")
    assert re.search(r"\{\d+\.\d+\}\{\d+\.\d+\}", compact)


def test_every_measured_number_has_a_name_and_only_equal_numbers_share_one(pages: dict[str, Page]) -> None:
    for one in (pages["table2"], pages["table4"], pages["table1"]):
        entries = [entry for entry in one.layout.entries if entry.measured]
        assert all(entry.name for entry in entries)
        assert len({(entry.name, entry.text) for entry in entries}) == len({entry.name for entry in entries})
        assert all(entry.behind[0].method in entry.name for entry in entries)


@pytest.mark.parametrize("engine", ENGINES[:1])
def test_an_unknown_name_and_two_numbers_of_one_name_are_errors(engine: str, numbers: Path) -> None:
    def said(text: str, *files: str) -> str:
        return cited(numbers, text, *files, engine=engine).replace("\n", "")

    (name, *_) = re.findall(r"\\atakanumber\{(.*?)\}", (numbers / "table2.numbers.tex").read_text())[1:]
    (numbers / "other.tex").write_text(rf"\atakanumber{{{name}}}{{0.01}}{{}}")
    assert "There is no number called digits/natural" in said(r"\ataka{digits/natural}", "table2.numbers.tex")
    assert "!" not in said(rf"\ataka{{{name}}}", "table2.numbers.tex", "table2.numbers.tex")
    assert f"There are two numbers called {name}" in said("", "table2.numbers.tex", "other.tex")


# ---- all tables as a PDF


@pytest.mark.parametrize("engine", ENGINES[:1])
@pytest.mark.skipif(shutil.which("pdftotext") is None, reason="pdftotext is not installed (apt install poppler-utils)")
def test_all_tables_are_pages_of_one_pdf_under_their_own_numbers(
    engine: str, pages: dict[str, Page], tmp_path: Path
) -> None:
    study = studies.study(studies.SMALL)
    tables, _ = catalogue.every(study)
    for table in tables:
        shutil.copy(Path(f"{pages['table2'].stem}.tex"), tmp_path / f"{table.name}.tex")
    path, _ = booklet.write(study, str(tmp_path))
    before = path.read_bytes()
    assert path == tmp_path / "tables.pdf"
    assert engine == booklet.ENGINE
    text = subprocess.run(["pdftotext", path, "-"], capture_output=True, text=True, check=True).stdout
    shown = [page.lstrip().partition(":")[0] for page in text.split("\f")[:-1]]
    assert shown == [f"Table {table.numbered}" for table in tables]
    assert shown[-1] == "Table 5"
    (tmp_path / "table2.tex").write_text(r"\undefined")
    with pytest.raises(UserError, match=r"tables.pdf: pdflatex says: Undefined control sequence"):
        booklet.write(study, str(tmp_path))
    assert path.read_bytes() == before
    assert [one.name for one in tmp_path.iterdir() if one.suffix not in (".tex", ".pdf")] == []


def test_a_table_that_is_not_made_and_a_missing_pdflatex_are_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    study = studies.study(studies.SMALL)
    with pytest.raises(UserError, match=r"table1.tex doesn't exist yet; make it, and tables.pdf with it: .*tables.pdf"):
        booklet.write(study, str(tmp_path))
    for table in catalogue.every(study)[0]:
        (tmp_path / f"{table.name}.tex").write_text("")
    monkeypatch.setattr(shutil, "which", lambda _: None)
    with pytest.raises(UserError, match=r"pdflatex, which is not installed"):
        booklet.write(study, str(tmp_path))
