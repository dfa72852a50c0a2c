"""``python -m report``: what it prints, what it writes, and exit code 2 without a traceback on a mistake."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from ataka.files.records import write_json
from ataka.plan import Cell
from ataka.study import Study
from report.cli import main
from tests.report import studies

HOME = Path(__file__).resolve().parents[2]
CELL = Cell("digits", "resnet10-w8", "en-sat", 0, "pgd")
CONFIG = json.dumps(studies.SMALL)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, *arguments], cwd=HOME, capture_output=True, text=True, check=False)


def run(*arguments: str | Path) -> int:
    return main([*map(str, arguments), "--config", CONFIG])


def test_from_cells_to_a_printed_table(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("collect", "table2", "--root", root) == 0
    assert capsys.readouterr().out.startswith(f"24 of 24 cells: {root}/table2.csv {root}/table2.choices.csv")
    assert run("render", "table2", "--root", root) == 0
    assert capsys.readouterr().out == (
        f"written: {root}/table2.tex {root}/table2.standalone.tex {root}/table2.numbers.tex {root}/table2.md\n"
    )
    assert run("show", "table2", "--root", root) == 0
    shown = capsys.readouterr().out
    assert max(map(len, shown.replace(str(root), "").splitlines())) <= 100
    assert "\x1b" not in shown
    assert "en-ARD" in shown
    assert "94.72*" in shown
    for suffix in (".tex", ".standalone.tex", ".numbers.tex", ".md", ".csv", ".choices.csv"):
        assert f"{root}/table2{suffix}\n" in shown


def test_partial_prints_what_it_leaves_out(root: Path, study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path = studies.write_cell(root, study, CELL, {"config_sha256": "0" * 64})
    assert run("render", "table2", "--root", root, "--partial") == 0
    captured = capsys.readouterr()
    assert f"left out: {path} was made under other settings" in captured.err
    pages = [
        f"{root}/table2.partial{suffix}\n" for suffix in (".tex", ".standalone.tex", ".numbers.tex", ".md", ".csv")
    ]
    assert "".join(pages) in captured.out
    assert "Unfinished: 23 of 24 cells" in captured.out
    assert run("collect", "table2", "--root", root, "--partial") == 0
    assert "23 of 24 cells" in capsys.readouterr().out
    assert not (root / "table2.csv").exists()


def test_other_styles_have_files_of_their_own(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("collect", "table2", "--root", root) == 0
    assert run("render", "table2", "--root", root, "--published") == 0
    assert run("render", "table2", "--root", root, "--compact") == 0
    assert not (root / "table2.tex").exists()
    assert "94.60" in (root / "table2.published.md").read_text()
    assert "94.60" not in (root / "table2.compact.md").read_text()
    with pytest.raises(SystemExit, match="2"):
        run("render", "table2", "--root", root, "--published", "--compact")


def test_every_cell_by_a_command(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("cells", "--root", root) == 0
    assert capsys.readouterr().out == f"24 cells: {root}/cells.csv\n"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["collect", "tabel2"], "no table 'tabel2' in report/paper/tables/; did you mean 'table2'?"),
        (["render", "table2"], "table2.csv doesn't exist yet; make it: snakemake --cores all"),
        (["show", "table2"], "table2.csv doesn't exist yet"),
        (["collect", "table2", "--config", "{"], "--config is no JSON"),
        (["collect", "table2", "--config", "[]"], "--config must be a JSON object"),
        (["collect", "table2", "--config", '{"sedes": [1]}'], "sedes: unknown key; did you mean 'seeds'?"),
    ],
)
def test_mistakes_exit_2(root: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], message: str) -> None:
    given = arguments if "--config" in arguments else [*arguments, "--config", CONFIG]
    assert main([*given, "--root", str(root)]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: ")
    assert message in captured.err


def test_a_folder_of_no_scale(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("collect", "table2", "--root", tmp_path / "results" / "dmo") == 2
    assert "no scale 'dmo' in config/; did you mean 'demo'?" in capsys.readouterr().err


def test_a_stale_cell_from_outside(root: Path, study: Study) -> None:
    path = studies.write_cell(root, study, CELL, {"config_sha256": "0" * 64})
    ran = python("-m", "report", "collect", "table2", "--root", str(root), "--config", CONFIG)
    assert ran.returncode == 2
    assert f"error: {path} was made under other settings" in ran.stderr
    assert f"--forcerun {path}" in ran.stderr
    assert "Traceback" not in ran.stderr


def test_report_imports_neither_torch_nor_what_only_one_verb_needs() -> None:
    files = sorted((HOME / "report").rglob("[a-z]*.py"))
    modules = ", ".join(".".join(path.relative_to(HOME).with_suffix("").parts) for path in files)
    ran = python("-c", f"import sys, {modules}; print(sorted({{'torch', 'pandas', 'snakemake'}} & set(sys.modules)))")
    assert (ran.returncode, ran.stdout) == (0, "[]\n"), ran.stderr


def test_help_lists_every_verb() -> None:
    ran = python("-m", "report", "--help")
    assert ran.returncode == 0
    assert all(verb in ran.stdout for verb in ("collect", "render", "show", "cells", "union", "claims"))


def test_the_cost_of_a_study_is_the_sum_of_its_jobs(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    usage = {"seconds": 90.0, "cpu_seconds": 150.0, "memory_mb": 512.0, "gpu_memory_mb": None}
    write_json(root / "runs/digits/resnet10-w8/natural/seed7/run.json", usage)
    write_json(root / "runs/digits/resnet10-w8/en-sat/seed7/run.json", usage | {"gpu_memory_mb": 9876.5})
    write_json(root / "runs/digits/resnet10-w8/en-sat/choice.cost.json", usage | {"memory_mb": None})
    write_json(root / "data/digits/train.cost.json", usage | {"seconds": 3000.0})
    assert main(["cost", "--root", str(root)]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "| stage | jobs | CPU time (min) | time (min) | memory (MB) | GPU memory (MB) |",
        "| --- | ---: | ---: | ---: | ---: | ---: |",
        "| prepare | 1 | 2.5 | 50.0 | 512 | – |",
        "| train | 2 | 5.0 | 3.0 | 512 | 9,876 |",
        "| select | 1 | 2.5 | 1.5 | – | – |",
        "| evaluate | 24 | 0.6 | 0.6 | 300 | – |",
        "| all | 28 | 10.6 | 55.1 | 512 | 9,876 |",
    ]


def test_a_damaged_record_is_no_cost(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = root / "data/digits/train.cost.json"
    write_json(path, {"seconds": 1.0})
    assert main(["cost", "--root", str(root)]) == 2
    assert f"{path} is another's file: it has no 'cpu_seconds'" in capsys.readouterr().err
    assert main(["cost", "--root", str(root / "data")]) == 2
    assert "holds no job's record" in capsys.readouterr().err


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_every_verb_that_prints_does_so_on_any_terminal(root: Path, encoding: str) -> None:
    """The en dash of a missing number, the epsilon of a caption, the line below a heading."""
    assert main(["collect", "table2", "--root", str(root), "--config", CONFIG]) == 0
    environment = os.environ | {"PYTHONIOENCODING": encoding, "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONPATH": str(HOME)}
    for verb in (["show", "table2", "--root", str(root), "--config", CONFIG], ["cost", "--root", str(root)]):
        command = [sys.executable, "-m", "report", *verb]
        answer = subprocess.run(command, cwd=HOME, env=environment, capture_output=True, check=False)
        assert (answer.returncode, answer.stderr) == (0, b"")
        shown = answer.stdout.decode(encoding)
        assert ("\N{EN DASH}" in shown) is (encoding == "utf-8")
        assert "?" in shown or encoding == "utf-8"


def test_a_reader_that_goes_away_is_no_error(root: Path) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "report", "show", "table2", "--partial", "--root", str(root), "--config", CONFIG]
    with os.fdopen(writer, "wb") as unread:
        answer = subprocess.run(command, cwd=HOME, stdout=unread, stderr=subprocess.PIPE, check=False)
    assert answer.returncode == 0
    assert b"Broken pipe" not in answer.stderr
