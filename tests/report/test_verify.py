"""Does verify accept what was made, and name whatever was damaged, edited, swapped or left behind since?"""

import contextlib
import csv
import json
import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest

from ataka import plan
from ataka.cli import main
from ataka.files import cells
from ataka.files.disk import sha256
from ataka.files.prepared import load_split
from ataka.files.records import read_json, read_rows, sealed, write_json, write_rows
from ataka.plan import commands, digests
from ataka.plan.digests import code_digest
from ataka.study import config, layers
from report import targets, verify
from report.cli import main as report
from report.style import Style
from report.verify.walk import roots
from tests.small import CELLS, DATA, MADE, ROOT, RUNS, TAPE, A, D, the


@pytest.fixture
def root(whole_study: Path, tmp_path: Path) -> Iterator[Path]:
    """A copy to spoil, from where a user stands."""
    shutil.copytree(whole_study, tmp_path, dirs_exist_ok=True)
    with contextlib.chdir(tmp_path):
        yield Path(ROOT)


class Verify:
    """Verify's findings of the copy, under the study's settings and ``overrides``."""

    def __init__(self, root: Path, settings: dict[str, Any]) -> None:
        self.root, self.settings = root, settings

    def __call__(self, **overrides: Any) -> verify.Findings:
        return verify.check(self.root, layers.overlay(self.settings, overrides))


@pytest.fixture
def found(root: Path, small_settings: dict[str, Any]) -> Verify:
    return Verify(root, small_settings)


CONCLUDED = 18
"""The CSVs and pages of two tables, the claims', every cell's, and the union's."""


def test_what_was_made_holds(root: Path, small_settings: dict[str, Any], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "results", "--config", json.dumps(small_settings)]) == 0
    assert capsys.readouterr().out == f"{len(MADE) + CONCLUDED} artifacts checked, 0 problems\n"


def test_problems_are_listed_and_counted_and_the_code_is_2(
    root: Path, small_settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    (root / f"{RUNS}/natural/seed1/history.csv").unlink()
    assert main(["verify", ROOT, "--config", json.dumps(small_settings)]) == 2
    said = capsys.readouterr()
    path = f"{ROOT}/{RUNS}/natural/seed1"
    study = config.load("smoke", small_settings)
    again = commands.snakemake(study, f"{path}/model.safetensors", force=True)
    assert "--config" in again
    assert said.out == f"{path}/history.csv is missing\nmake again: {again}\n"
    assert said.err == f"error: {len(MADE) + CONCLUDED} artifacts checked, 1 problem\n"


# ---- damage: what is done, and each line that must be told, by its file and a word of it


def lines(path: Path) -> list[str]:
    return path.read_text().splitlines(keepends=True)


def flip(path: Path, place: int = -1) -> None:
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


def replace(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def edit_cell(path: Path, **changes: str) -> None:
    """By someone who can count, and who doesn't know of seals."""
    (row,) = read_rows(path)
    write_rows(path, [row | changes])


def forge_cell(path: Path, **changes: str) -> None:
    """By someone who does."""
    (row,) = read_rows(path)
    write_rows(path, [sealed({**row, **changes, "seal": None})])


def forge(path: Path, **changes: Any) -> None:
    write_json(path, read_json(path) | changes)


def swap(first: Path, second: Path) -> None:
    kept = first.read_bytes()
    first.write_bytes(second.read_bytes())
    second.write_bytes(kept)


CELL, BITS = f"{CELLS}/natural/seed0/pgd.csv", f"{CELLS}/natural/seed0/pgd.bits.npy"
MODEL, OTHER = (f"{RUNS}/natural/seed{seed}/model.safetensors" for seed in (0, 1))
CHOICE = f"{RUNS}/s-at-aka/choice.json"
STUDENT = f"{RUNS}/s-at-aka/seed0/alpha0.1/model.safetensors"


def invert(root: Path) -> None:
    bits = numpy.load(root / BITS)
    numpy.save(root / BITS, ~bits)
    forge_cell(root / CELL, bits_sha256=sha256(root / BITS))


def worse(root: Path) -> None:
    grid = read_json(root / CHOICE)["grid"]
    grid[0]["robust"], grid[1]["robust"] = 10.0, 20.0
    forge(root / CHOICE, grid=grid, alpha=0.1)


DAMAGE: dict[str, tuple[Callable[[Path], object], list[tuple[str, str]]]] = {
    "an edited accuracy": (lambda r: edit_cell(r / CELL, accuracy="99.9999"), [(CELL, "accuracy is 99.9999, but")]),
    "numbers that add up": (
        lambda r: forge_cell(
            r / CELL,
            correct="12",
            **cells.numbers(12, 12),
        ),
        [(BITS, f"holds other verdicts than those of {ROOT}/{CELL} (")],
    ),
    "an edited interval": (lambda r: edit_cell(r / CELL, ci_low="1.0000"), [(CELL, "ci_low is 1.0000, but")]),
    "an edited device": (lambda r: edit_cell(r / CELL, device="NVIDIA H100"), [(CELL, "its seal doesn't hold")]),
    "more than there are": (lambda r: edit_cell(r / CELL, correct="13"), [(CELL, "13 of 12 images can't be correct")]),
    "a number that is none": (lambda r: edit_cell(r / CELL, correct="many"), [(CELL, "'many'")]),
    "a cell of two rows": (
        lambda r: write_rows(r / CELL, [*read_rows(r / CELL), *read_rows(r / CELL)]),
        [(CELL, "has 2 rows, a cell has one")],
    ),
    "a cell without a column": (
        lambda r: replace(r / CELL, "bits_sha256", "bits"),
        [(CELL, "lacks the column 'bits_sha256'")],
    ),
    "an empty cell": (lambda r: (r / CELL).write_text(""), [(CELL, "is damaged: it has no columns")]),
    "another run's cell": (
        lambda r: swap(r / f"{CELLS}/natural/seed0/clean.csv", r / f"{CELLS}/natural/seed1/clean.csv"),
        [
            (f"{CELLS}/natural/seed0/clean.csv", "its seed is '1', '0' was expected"),
            (f"{CELLS}/natural/seed1/clean.csv", "its seed is '0'"),
        ],
    ),
    "a flipped bit of the bits": (lambda r: flip(r / BITS), [(BITS, "is damaged or another's")]),
    "bits made anew": (invert, [(BITS, f"holds other verdicts than those of {ROOT}/{CELL} (")]),
    "deleted bits": (lambda r: (r / BITS).unlink(), [(BITS, "is missing")]),
    "swapped models": (
        lambda r: swap(r / MODEL, r / OTHER),
        [
            (MODEL, "is damaged or another's"),
            (OTHER, "is damaged or another's"),
            (CELL, "was measured on another network"),
            (f"{CELLS}/natural/seed1/clean.csv", "was measured on another network"),
            (f"particles/{D}/{A}/natural/seed0/pgd.csv", "was measured on another network"),
        ],
    ),
    "swapped runs": (
        lambda r: [
            swap(r / f"{RUNS}/natural/seed0/{name}", r / f"{RUNS}/natural/seed1/{name}")
            for name in ("model.safetensors", "history.csv", "run.json")
        ],
        [(f"{RUNS}/natural/seed0/run.json", "its seed is '1'"), (MODEL, "settings than those in force (seed was 1")],
    ),
    "a flipped byte of a model": (lambda r: flip(r / MODEL), [(MODEL, "is damaged"), (CELL, "another network")]),
    "a flipped byte of a member": (
        lambda r: flip(r / f"{RUNS}/en-sat/seed0/member1/model.safetensors"),
        [
            (f"{RUNS}/en-sat/seed0/member1/model.safetensors", "is damaged"),
            (f"{RUNS}/en-sat/seed0/model.safetensors", "was made from"),
        ],
    ),
    "another joint run": (
        lambda r: flip(r / f"{RUNS}/s-cat-aka/seed0/model.safetensors"),
        [
            (f"{RUNS}/s-cat-aka/seed0/model.safetensors", "is damaged"),
            (f"{RUNS}/s-cat-aka.chosen/seed0/model.safetensors", "was made from"),
        ],
    ),
    "a truncated history": (
        lambda r: (r / f"{RUNS}/natural/seed0/history.csv").write_text("epoch\n"),
        [(f"{RUNS}/natural/seed0/history.csv", "is damaged")],
    ),
    "an edited run.json": (
        lambda r: replace(r / f"{RUNS}/natural/seed0/run.json", '"device": "cpu"', '"device": "gpu"'),
        [(f"{RUNS}/natural/seed0/run.json", "its seal doesn't hold")],
    ),
    "a run.json of others": (
        lambda r: (r / f"{RUNS}/natural/seed0/run.json").write_text("[]"),
        [(f"{RUNS}/natural/seed0/run.json", "has no seal")],
    ),
    "a deleted run.json": (
        lambda r: (r / f"{RUNS}/natural/seed0/run.json").unlink(),
        [(f"{RUNS}/natural/seed0/run.json", "is missing")],
    ),
    "a deleted model": (
        lambda r: (r / MODEL).unlink(),
        [(MODEL, f"is missing, though {ROOT}/{RUNS}/natural/seed0/run.json is there"), (MODEL, "and 2 more came from")],
    ),
    "a folder in a model's place": (
        lambda r: ((r / MODEL).unlink(), (r / MODEL).mkdir()),
        [(MODEL, "is missing, though"), (MODEL, "and 2 more came from")],
    ),
    "a flipped byte of a tape's epoch": (
        lambda r: flip(the(r, f"{TAPE}/*/epoch0000.safetensors")),
        [(f"{TAPE}/", "epoch0000.safetensors is damaged or another's: its SHA-256 is not that in")] * 2,  # both tapes'
    ),
    "a flipped byte of a teacher": (
        lambda r: flip(the(r, f"{TAPE}/*/teacher2.safetensors")),
        [
            (f"{TAPE}/", "teacher2.safetensors is damaged or another's: its SHA-256 is not that in")
        ],  # the smaller ensemble has no third
    ),
    "a deleted epoch": (
        lambda r: the(r, f"{TAPE}/*/epoch0000.safetensors").unlink(),
        [(f"{TAPE}/", "epoch0000.safetensors is missing")] * 2,
    ),
    "an edited manifest": (
        lambda r: replace(
            r / f"{TAPE}/manifest.json", '"kernel_offdiagonal_max": 0.0', '"kernel_offdiagonal_max": 1.0'
        ),
        [
            (f"{TAPE}/manifest.json", "its seal doesn't hold"),
            (STUDENT, "was made from"),
            (f"{TAPE}/manifest.json", "is damaged or another's"),  # says the tape that shares it
        ],
    ),
    "a manifest of fewer epochs": (
        lambda r: forge(r / f"{TAPE}/manifest.json", epochs=[]),
        [(f"{TAPE}/manifest.json", "lists 0 epochs of 1"), (STUDENT, "was made from")],
    ),
    "a flipped byte of the data": (
        lambda r: flip(r / f"{DATA}/train.safetensors"),
        [(f"{DATA}/train.safetensors", "the images of '")],
    ),
    "other data": (
        lambda r: main(
            ["prepare", f"{r}/{DATA}/test.safetensors", "--config", '{"data": {"test": 11}, "attacks": {"pgd": null}}']
        ),
        [(f"{DATA}/test.safetensors", "cut under other settings"), (CELL, "was made from other images")],
    ),
    "deleted data": (
        lambda r: (r / f"{DATA}/train.safetensors").unlink(),
        [(f"{DATA}/train.safetensors", "more came from it")],
    ),
    "an edited choice": (
        lambda r: replace(r / CHOICE, '"split": "validation"', '"split": "test"'),
        [(CHOICE, "its seal doesn't hold"), (f"{RUNS}/s-at-aka/seed0/model.safetensors", "was made from")],
    ),
    "a choice that isn't the best": (
        worse,
        [
            (CHOICE, "alpha 0.1 was chosen, but the best of its candidates is 0.5"),
            (f"{RUNS}/s-at-aka/seed0/model.safetensors", f"was made from {ROOT}/{CHOICE}"),
        ],
    ),
    "a deleted candidate": (lambda r: (r / STUDENT).unlink(), [(STUDENT, "is missing"), (STUDENT, "came from it")]),
    "an edited collection": (
        lambda r: replace(r / "table2.partial.csv", ",natural,0,pgd,12,", ",natural,0,pgd,13,"),
        [("table2.partial.csv", f"what it has of {ROOT}/{CELL} is not what stands there")],
    ),
    "an edited list of cells": (
        lambda r: replace(r / "cells.csv", ",natural,0,pgd,12,", ",natural,0,pgd,13,"),
        [("cells.csv", f"what it has of {ROOT}/{CELL}")],
    ),
    "a collection with a row twice": (
        lambda r: (r / "cells.csv").write_text("".join([*lines(r / "cells.csv"), lines(r / "cells.csv")[-1]])),
        [("cells.csv", "what it has of")],
    ),
    "a collection with half a row": (
        lambda r: (r / "cells.csv").write_text("".join([*lines(r / "cells.csv"), lines(r / "cells.csv")[-1][-99:]])),
        [("cells.csv", "is damaged")],
    ),
    "an edited collection of particles": (
        lambda r: replace(r / "table1.partial.csv", ",natural,", ",en-sat,"),
        [
            ("table1.partial.csv", "what it has of"),
            (f"particles/{D}/{A}/en-sat/seed0/pgd.csv", "is missing"),
        ],
    ),
    "edited alphas": (
        lambda r: replace(r / "table2.partial.choices.csv", ",no", ",yes"),
        [("table2.partial.choices.csv", f"what it has of {ROOT}/{CHOICE} is not what stands there")],
    ),
    "lost alphas": (
        lambda r: replace_rows(r / "table2.partial.choices.csv", slice(0, 1)),
        [("table2.partial.choices.csv", f"what it has of {ROOT}/{CHOICE} is not what stands there")],
    ),
    "no alphas": (
        lambda r: (r / "table2.partial.choices.csv").write_text(
            (r / "table2.partial.choices.csv").read_text().splitlines(keepends=True)[0]
        ),
        [("table2.partial.choices.csv", f"what it has of {ROOT}/{CHOICE} is not what stands there")],
    ),
    "a lost measurement": (
        lambda r: replace_rows(r / "table2.partial.csv", slice(0, 2)),
        [("table2.partial.csv", "a row is missing")],
    ),
    "an edited table": (
        lambda r: replace(r / "table2.partial.tex", "booktabs", "bookends"),
        [("table2.partial.tex", f"is not what {ROOT}/table2.partial.csv gives now: it is older, was edited or is")],
    ),
    "an edited page of its own": (
        lambda r: replace(r / "table2.partial.standalone.tex", "booktabs", "bookends"),
        [("table2.partial.standalone.tex", "was edited or is damaged")],
    ),
    "a table cut short": (
        lambda r: (r / "table2.partial.md").write_text((r / "table2.partial.md").read_text()[:-90]),
        [("table2.partial.md", "was edited or is damaged")],
    ),
    "a table without its numbers": (
        lambda r: (r / "table2.partial.csv").unlink(),
        [("table2.partial.csv", f"is missing, though {ROOT}/table2.partial.md is there")],
    ),
    "an edited page of verdicts": (
        lambda r: replace(r / "claims.partial.md", "not measured", "supported"),
        [("claims.partial.md", "was edited or is damaged")],
    ),
    "alphas chosen elsewhere": (
        lambda r: replace(r / "table2.partial.choices.csv", ",validation,", ",test,"),
        [("table2.partial.choices.csv", f"what it has of {ROOT}/{CHOICE} is not what stands there")],
    ),
    "an edited verdict": (
        lambda r: replace(r / "claims.partial.csv", ",not measured,", ",supported,"),
        [("claims.partial.csv, line 2", "is not what was collected: it was edited or is damaged")],
    ),
    "an edited union": (
        lambda r: replace(r / "union.partial.csv", ",natural,0,", ",natural,1,"),
        [("union.partial.csv, line 2", "is not what was collected: it was edited or is damaged")],
    ),
    "fewer particles": (
        lambda r: replace_rows(r / f"particles/{D}/{A}/natural/seed0/pgd.csv", slice(0, 2)),
        [(f"particles/{D}/{A}/natural/seed0/pgd.csv", "has 2 rows, one for each of 3 images is due")],
    ),
    "an edited particle": (
        lambda r: replace(r / f"particles/{D}/{A}/natural/seed0/pgd.csv", ",0.", ",1."),
        [(f"particles/{D}/{A}/natural/seed0/pgd.csv", "line 2, was changed")],
    ),
}


def replace_rows(path: Path, kept: slice) -> None:
    write_rows(path, read_rows(path)[kept])


@pytest.mark.parametrize("name", DAMAGE)
def test_damage_is_named(name: str, root: Path, found: Verify) -> None:
    do, expected = DAMAGE[name]
    do(root)
    findings = found()
    problems = findings.problems
    for path, words in expected:
        assert any(line.startswith(f"{root}/{path}") and words in line for line in problems), problems
    assert not any("\n" in line or "snakemake" in line for line in problems)
    assert len(problems) >= len({*expected})
    assert sum("snakemake" in remedy for remedy in findings.remedies) <= 1
    named = [word for remedy in findings.remedies for word in shlex.split(remedy)]
    for path, _ in expected:
        by_hand = path.split(".")[0] if ".partial." in path else f"{root}/{path}"
        folder = Path(by_hand).parent
        assert any(word in ("--partial", by_hand) or folder in Path(word).parents for word in named), (path, named)


@pytest.mark.parametrize("allowed", [True, False])
def test_a_candidate_that_collapsed_in_training_spoils_no_choice(allowed: bool, root: Path, found: Verify) -> None:
    """It was never attacked, so that it has no accuracy to be compared by."""
    overrides: dict[str, Any] = {"selection": {"collapsed": "allow"}} if allowed else {}
    study = config.load("smoke", layers.overlay({"methods": {"s-cat-aka": {"alpha": 0.5}}}, overrides))
    choice = read_json(root / CHOICE)
    choice["grid"][1] |= {"status": "collapsed", "clean": None, "robust": None}
    choice |= {"alpha": 0.1, "settings_sha256": plan.digest(plan.selection_settings(study, "s-at-aka"))}
    write_json(root / CHOICE, choice)
    assert not [line for line in found(**overrides).problems if line.startswith(f"{root}/{CHOICE}")]
    write_json(root / CHOICE, choice | {"alpha": 0.5})
    (line,) = [line for line in found(**overrides).problems if line.startswith(f"{root}/{CHOICE}")]
    assert "alpha 0.5 was chosen, but the best of its candidates is 0.1" in line


# ---- what the study says now


STALE = [
    ({"attacks": {"pgd": {"steps": 3}}}, [CELL], []),
    ({"setups": {"natural": {"learning_rate": 0.2}}}, [MODEL, OTHER, CELL], [f"{TAPE}/manifest.json", STUDENT]),
    ({"generators": {"svgd": {"steps": 1}}}, [f"{TAPE}/manifest.json", STUDENT], [MODEL, CELL, CHOICE]),
    ({"selection": {"attack": {"steps": 1}}}, [CHOICE], [STUDENT, MODEL]),
    ({"data": {"split_seed": 1}}, [f"{DATA}/train.safetensors", f"{DATA}/test.safetensors", MODEL], []),
]


@pytest.mark.parametrize(("change", "stale", "current"), STALE, ids=str)
def test_what_was_made_under_other_settings_is_stale(
    found: Verify, change: dict[str, Any], stale: list[str], current: list[str]
) -> None:
    problems = found(**change).problems
    for path in stale:
        assert any(line.startswith(f"{ROOT}/{path}") and "other settings" in line for line in problems), problems
    for path in current:
        assert not any(line.startswith(f"{ROOT}/{path}") for line in problems), problems


def test_the_setting_that_differs_is_named(found: Verify) -> None:
    lines = found(setups={"natural": {"learning_rate": 0.2}}).problems
    assert any("(setup.learning_rate was 0.1, is 0.2)" in line for line in lines)


def test_what_was_made_under_config_is_told_how_to_be_checked(found: Verify) -> None:
    hint = f"{ROOT}: if this study was made under --config, give the same to verify"
    assert hint in found(setups={"natural": {"learning_rate": 0.2}}).notes
    notes = found(seeds=[1]).notes
    assert (
        f"{ROOT}/table2.partial.csv has seeds that are not those in force: 0 beside 1; give verify the --config"
        in notes
    )
    assert found().notes == []


@pytest.mark.parametrize("touched", [True, False])
def test_a_page_that_shows_older_numbers_is_told_whatever_its_time(touched: bool, root: Path, found: Verify) -> None:
    pages = [root / f"table2.partial{suffix}" for suffix in (".md", ".tex")]
    older = {page: page.read_bytes() for page in pages}
    bits = numpy.arange(12) < 5
    numpy.save(root / BITS, bits)
    numbers = {"correct": "5", "n": "12", **cells.numbers(5, 12)}
    assert read_rows(root / CELL)[0]["correct"] != "5"
    forge_cell(root / CELL, bits_sha256=sha256(root / BITS), **numbers)
    settings = json.dumps(found.settings)
    assert report(["render", "table2", "--root", ROOT, "--partial", "--config", settings]) == 0
    assert report(["cells", "--root", ROOT]) == 0
    assert not found().problems
    for page in pages:
        page.write_bytes(older[page])
        os.utime(page, None if touched else (0, 0))
    problems = found().problems
    assert len(problems) == 2
    for page, line in zip(pages, problems, strict=True):
        assert line.startswith(f"{page} is not what {ROOT}/table2.partial.csv gives now: it is older, was edited or is")


@pytest.mark.parametrize("style", [*Style])
@pytest.mark.parametrize("measured", [True, False])
def test_what_render_writes_of_an_unfinished_table_holds(
    measured: bool, style: Style, root: Path, found: Verify
) -> None:
    if not measured:
        shutil.rmtree(root / "cells")
        for path in root.glob("*.*"):
            path.unlink()
    settings = json.dumps(found.settings)
    options = [f"--{style}"] if style.ending else []
    assert report(["render", "table2", "--root", ROOT, "--partial", *options, "--config", settings]) == 0
    assert (root / "table2.partial.csv").exists() == measured
    assert (root / f"table2.partial{style.ending}.tex").exists()
    assert not found().problems
    if not measured:
        page = root / f"table2.partial{style.ending}.md"
        page.write_text(page.read_text() + "more")
        assert [line for line in found().problems if line.startswith(f"{root}/table2.partial.csv is missing, though")]


def test_a_draft_that_is_no_table_is_a_note(root: Path, found: Verify, tmp_path: Path) -> None:
    drafts = tmp_path / "drafts"
    drafts.mkdir()
    (drafts / "mine.yaml").write_text("rows: none")
    for suffix in (".csv", ".tex"):
        shutil.copy(root / f"table2.partial{suffix}", root / f"mine.partial{suffix}")
    findings = found(tables=[str(drafts)])
    assert not findings.problems
    assert [note for note in findings.notes if note.startswith(f"{root}/mine.partial.csv can't be compared with its")]


def test_a_partial_table_can_not_pass_for_the_whole(root: Path, found: Verify) -> None:
    for suffix in (".csv", *targets.SUFFIXES):
        (root / f"table2.partial{suffix}").rename(root / f"table2{suffix}")
    problems = found().problems
    assert sorted(line.partition(" ")[0] for line in problems) == sorted(f"{root}/table2{s}" for s in targets.SUFFIXES)


def test_changed_code_is_a_note(found: Verify, monkeypatch: pytest.MonkeyPatch) -> None:
    assert found().notes == []
    monkeypatch.setattr(digests, "code_digest", lambda modules: "0" * 64)
    findings = found()
    assert findings.problems == []
    (note,) = findings.notes
    assert "the code behind" in note
    assert "has changed since" in note


def test_what_nothing_explains_is_a_note(root: Path, found: Verify) -> None:
    (root / f"{RUNS}/natural/seed0/notes.txt").write_text("mine")
    (root / f"{DATA}/.train.safetensors.part").write_text("half")
    shutil.copytree(root / f"{RUNS}/natural", root / f"{RUNS}/gone")
    findings = found(selection={"alphas": [0.1]}, methods={"published": {"checkpoints": []}})
    told = " ".join(findings.notes)
    for path in (f"{RUNS}/natural/seed0/notes.txt", f"{DATA}/.train.safetensors.part", f"{RUNS}/gone/seed0/run.json"):
        assert f"{root}/{path} is not part of the study" in told
    assert "no method 'gone' in config/methods.yaml" in told
    assert f"{root}/{RUNS}/s-at-aka/seed0/alpha0.5/model.safetensors is no candidate any more" in told


def test_a_job_that_is_not_finished_is_a_note(root: Path, found: Verify) -> None:
    for path in (root / RUNS / "natural/seed2", root / "tapes" / D / "wrn10-1-x3-svgd/seed1"):
        (path / ".resume").mkdir(parents=True)
        (path / ".resume/state.safetensors").write_text("half")
        (path / "epoch0000.safetensors").write_text("of the tape")
        (path / "run.json").write_text("of the last time")
    findings = found()
    assert findings.problems == []
    assert len(findings.notes) == 2
    assert all("a job here isn't finished; started again, it goes on" in note for note in findings.notes)


def test_what_is_kept_from_before_is_a_note(root: Path, found: Verify) -> None:
    kept = root / ".before" / CELL
    kept.parent.mkdir(parents=True)
    shutil.copy(root / CELL, kept)
    findings = found()
    assert findings.problems == []
    (note,) = findings.notes
    assert note.startswith(
        f"{ROOT}/.before keeps what was there before jobs that run now, or whose Snakemake was killed"
    )
    assert roots(Path("results")) == [Path(ROOT)]


def test_a_folder_whose_scale_is_gone_is_a_note(
    root: Path, small_settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(root, "results/mine")
    assert main(["verify", "results", "--config", json.dumps(small_settings)]) == 0
    note, summary = capsys.readouterr().out.splitlines()
    assert note == "note: results/mine can't be checked: there is no scale 'mine' in config/ any more"
    assert summary == f"{len(MADE) + CONCLUDED} artifacts checked, 0 problems"


def test_a_scale_that_can_not_be_read_is_a_problem(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["verify", "results", "--config", '{"sedes": [1]}']) == 2
    assert "results/smoke can't be checked: " in capsys.readouterr().out


def test_report_has_the_same_verb(
    root: Path, small_settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert report(["verify", ROOT, "--config", json.dumps(small_settings)]) == 0
    assert capsys.readouterr().out == f"{len(MADE) + CONCLUDED} artifacts checked, 0 problems\n"


def test_the_folder_may_be_named_from_anywhere(
    root: Path, small_settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    for path, start in ((".", ROOT), ("../smoke/", ROOT), (str(root.absolute()), "/"), ("results/./", ".")):
        with contextlib.chdir(start):
            assert main(["verify", path, "--config", json.dumps(small_settings)]) == 0
            assert "0 problems" in capsys.readouterr().out


def test_rooms_on_another_disk_are_checked_as_well(root: Path, found: Verify, tmp_path: Path) -> None:
    before = found()
    for room in ("cells", f"tapes/{D}"):
        (root / room).rename(tmp_path / Path(room).name)
        (root / room).symlink_to(tmp_path / Path(room).name)
    (root / "runs/round").symlink_to(root.absolute())
    assert (found().checked, found().problems) == (before.checked, [])
    edit_cell(root / CELL, device="NVIDIA H100")
    assert any(line.startswith(f"{root}/{CELL}") for line in found().problems)


@pytest.mark.parametrize("path", ["nowhere", "file", "empty", ""])
def test_a_path_that_holds_nothing_is_refused(
    path: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty").mkdir()
    Path("file").write_text("")
    assert main(["verify", path]) == 2
    assert "results" in capsys.readouterr().err


# ---- what a run and a cell record


def test_a_run_says_what_it_was_made_from(whole_study: Path) -> None:
    below = whole_study / ROOT

    def made_from(place: str) -> dict[str, str]:
        made: dict[str, str] = read_json(below / place / "run.json")["made_from"]
        assert made == {path: sha256(below / path) for path in made}
        return made

    assert made_from(f"{RUNS}/natural/seed0") == {}
    assert [*made_from(f"{RUNS}/en-sat/seed0")] == [
        f"{RUNS}/en-sat/seed0/member{i}/model.safetensors" for i in range(3)
    ]
    assert [*made_from(f"{RUNS}/s-at-aka/seed0/alpha0.1")] == [f"{TAPE}/manifest.json"]
    alpha = read_json(below / CHOICE)["alpha"]
    assert {*made_from(f"{RUNS}/s-at-aka/seed0")} == {CHOICE, f"{RUNS}/s-at-aka/seed0/alpha{alpha:g}/model.safetensors"}
    assert [*made_from(f"{RUNS}/s-cat-aka.chosen/seed0")] == [f"{RUNS}/s-cat-aka/seed0/model.safetensors"]


def test_a_run_says_how_the_paper_was_read(whole_study: Path) -> None:
    def readings(run: str) -> dict[str, str]:
        found: dict[str, str] = read_json(whole_study / ROOT / RUNS / run / "run.json")["readings"]
        return found

    student = readings("s-at-aka/seed0/alpha0.1")
    assert student["generator.bandwidth"] == "0.001 [A1]"
    assert student["options.mse"] == "sum [C2]"
    assert readings("en-sat/seed0")["average"].endswith("[E1]")
    assert readings("s-cat-aka.chosen/seed0")["member"] == "chosen [D4]"
    assert readings("published/seed0") == {}


def test_models_data_and_tapes_hold_no_times(whole_study: Path) -> None:
    for path in (whole_study / ROOT).rglob("*"):
        if path.suffix in (".safetensors", ".npy") or path.name in ("history.csv", "manifest.json", "choice.json"):
            assert b"finished_at" not in path.read_bytes()


def test_a_network_that_is_not_its_run_jsons_is_not_used(
    root: Path, small_settings: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    flip(root / MODEL)
    flip(root / f"{RUNS}/en-sat/seed0/member1/history.csv")
    before = (root / CELL).read_bytes()
    for verb, path, named in (
        ("evaluate", CELL, MODEL),
        ("particles", f"particles/{D}/{A}/natural/seed0/pgd.csv", MODEL),
        ("train", f"{RUNS}/en-sat/seed0/model.safetensors", f"{RUNS}/en-sat/seed0/member1/history.csv"),
    ):
        assert main([verb, f"{root}/{path}", "--config", json.dumps(small_settings)]) == 2
        assert f"{root}/{named} is damaged or another's: its SHA-256 is not its run.json's" in capsys.readouterr().err
    assert (root / CELL).read_bytes() == before


def test_a_cell_states_its_bits_data_and_code(whole_study: Path) -> None:
    with (whole_study / ROOT / CELL).open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert row["bits_sha256"] == sha256(whole_study / ROOT / BITS)
    test = load_split(whole_study / ROOT / f"{DATA}/test.safetensors", "test")
    assert row["data_sha256"] == test.digest()
    assert row["code_sha256"] == code_digest(plan.attack_code(config.load("smoke"), "pgd"))
