"""docs/study/: is what is kept what was measured, do pages follow from it alone, and is what doesn't belong refused?"""

import json
import os
import re
import shutil
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy
import pytest
from scipy.stats import binomtest, ttest_1samp

from ataka import plan
from ataka.errors import UserError
from ataka.files.disk import sha256
from ataka.files.records import read_json, write_json, write_rows
from ataka.plan import Cell, Run
from ataka.study import Study
from report import catalogue, collect, page, render
from report.claims import judge, sentences
from report.cli import main
from report.study import alike, figures, files, pages, take, texts
from report.study.figures import Figures
from report.study.files import Kept
from report.style import Style
from tests.report import studies
from tests.report.test_command import CONFIG

HOME = Path(__file__).resolve().parents[2]
CELL = Cell("digits", "resnet10-w8", "en-sat", 0, "pgd")
USAGE = {"seconds": 60.0, "cpu_seconds": 120.0, "memory_mb": 512.0, "gpu_memory_mb": None, "finished_at": ""}


def train(root: Path, study: Study, **changes: Any) -> None:
    """The records of the trainings behind every measurement below ``root``."""
    measured = [
        plan.parse(path.relative_to(root))[1]
        for room in ("cells", "particles")
        for path in root.rglob(f"{room}/**/*.csv")
    ]
    sources = [one for one in measured if not isinstance(one, plan.Tape | plan.Run)]
    for node in plan.trainings_of(study, sources):
        folder = node.folder(root)
        history = [{"epoch": epoch, "loss": f"{1 / epoch:.3f}", "empty": ""} for epoch in (1, 2)]
        write_rows(folder / "history.csv", history)
        record = {
            "settings_sha256": plan.digest(plan.settings_of(study, node)),
            "code_sha256": "c0de" + "0" * 60,
            "history_sha256": sha256(folder / "history.csv"),
            "git_commit": "0123456789abcdef",
            "git_dirty": False,
            "versions": {"numpy": "2"},
            **({"model_sha256": "1e5" + "0" * 61} if isinstance(node, Run) else {}),
        }
        write_json(folder / "run.json", record | USAGE | changes)


def measure(folder: Path, study: Study, *tables: str, **changes: Any) -> Path:
    """A results folder with these tables."""
    root = studies.root(folder)
    for table in tables or ("table2",):
        studies.write(root, study, table)
    train(root, study, **changes)
    return root


@pytest.fixture(autouse=True)
def docs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty docs/study/ with short texts, and a README."""
    folder = tmp_path / "docs/study"
    folder.mkdir(parents=True)
    monkeypatch.setattr(files, "FOLDER", folder)
    monkeypatch.setattr(texts, "README", tmp_path / "README.md")
    texts.README.write_text(f"# Title\n{texts.BEGINS}old\n{texts.ENDS}rest\n")
    (folder / "study.md.j2").write_text('en-SAT: \\VAR{scale("demo").accuracy("en-sat", "pgd")}\n')
    (folder / "finding.md.j2").write_text("found\n")
    return folder


@pytest.fixture
def root(tmp_path: Path, study: Study) -> Path:
    return measure(tmp_path, study)


def taken(root: Path, study: Study) -> Kept:
    return take.take(study, str(root), catalogue.every(study, on_request=True)[0])


def keep(root: Path, study: Study) -> Kept:
    """What is kept after taking in ``root``, read from the disk."""
    stored = files.read(study.scale) if study.scale in files.scales() else None
    files.write(alike.merge(stored, taken(root, study), str(root)))
    return files.read(study.scale)


def run(*arguments: str | Path) -> int:
    return main(["study", *map(str, arguments)])


# ---- what is kept


def test_what_is_kept_is_what_was_measured(root: Path, study: Study) -> None:
    kept = keep(root, study)
    measured = collect.gather(catalogue.load("table2"), study, str(root))
    assert len(kept.cells) == len(measured.measurements) == 24
    for one in measured.measurements:
        stated = {name: value for name, value in one.fields.items() if value and name in kept.cells[one.cell]}
        assert {name: value for name, value in kept.cells[one.cell].items() if value} == stated
        assert one.fields.keys() - kept.cells[one.cell].keys() == {"seal", "checks", "health"}
        assert (kept.bits[one.cell] == numpy.load(one.cell.bits(root))).all()
    choices = [{name: "" if value is None else str(value) for name, value in row.items()} for row in measured.choices]
    assert sorted([row for rows in kept.choices.values() for row in rows], key=repr) == sorted(choices, key=repr)
    assert kept.study.under(study.overrides) == study
    trainings = [path for path in kept.jobs if path.startswith(("runs/", "tapes/"))]
    assert len(trainings) == len([*root.rglob("run.json"), *root.rglob("choice.json")])
    assert all(
        rows == [{"epoch": "1", "loss": "1.000"}, {"epoch": "2", "loss": "0.500"}] for rows in kept.curves.values()
    )
    assert set(kept.curves) == {path for path in trainings if not path.endswith("choice.json")}


def test_particles_are_kept_in_every_digit(tmp_path: Path, study: Study) -> None:
    root = measure(tmp_path, study, "table1")
    kept = keep(root, study)
    for source in catalogue.load("table1").sources(study):
        expected = studies.particle_rows(study, source)  # type: ignore[arg-type]
        assert [{name: row[name] for name in expected[0]} for row in kept.particles[source]] == expected  # type: ignore[index]


@pytest.mark.parametrize("n", [1, 7, 8, 9, 512, 1000])
def test_bits_come_back(n: int) -> None:
    bits = numpy.random.default_rng(n).random(n) < 0.5
    packed = files.pack(bits)
    assert (files.unpack(packed, n) == bits).all()
    assert len(packed) <= 4 * (n / 8 + 3) / 3


def test_files_are_small_enough_for_git(tmp_path: Path) -> None:
    """The paper's Table 2 has 10,000 images, two data sets and two students."""
    study = studies.study(studies.PAPER, seeds=[0])
    root = measure(tmp_path, study)
    keep(root, study)
    table_and_seed = sum(path.stat().st_size for path in (files.FOLDER / "demo").rglob("*.csv"))
    assert table_and_seed < 2e6


def test_a_study_that_is_not_finished_is_kept_so_far(root: Path, study: Study) -> None:
    CELL.csv(root).unlink()
    kept = keep(root, study)
    assert len(kept.cells) == 23
    text = pages.pages(kept)["table2"]
    assert "Unfinished: 23 of 24 cells measured so far." in text
    assert "not measured yet" in text


def test_nothing_measured_is_no_study(tmp_path: Path, study: Study) -> None:
    with pytest.raises(UserError, match=r"nothing is measured yet below .*demo; make it: snakemake"):
        taken(studies.root(tmp_path), study)


def test_a_number_of_unknown_training_is_refused(root: Path, study: Study) -> None:
    record = CELL.run.folder(root) / "run.json"
    content = read_json(record)
    write_json(record, content | {"model_sha256": "0" * 64})
    with pytest.raises(UserError, match=rf"pgd.csv measured another network than that of {record}\n"):
        taken(root, study)
    record.unlink()
    with pytest.raises(UserError, match=rf"{record} is missing"):
        taken(root, study)


def test_an_edited_file_is_refused(root: Path, study: Study) -> None:
    keep(root, study)
    path = files.FOLDER / "demo/seed0/cells.csv"
    path.write_text(path.read_text().replace(",360,", ",361,", 1))
    with pytest.raises(UserError, match=r"cells.csv is not what .*study.json states: .* git checkout -- docs/study"):
        files.read("demo")
    path = files.FOLDER / "demo/study.json"
    path.write_text(path.read_text().replace("small networks", "large networks"))
    with pytest.raises(UserError, match="was changed after it was written"):
        files.read("demo")


def test_settings_of_another_version_are_an_answer(root: Path, study: Study) -> None:
    keep(root, study)
    path = files.FOLDER / "demo/study.json"
    content = read_json(path)
    write_json(path, content | {"study": content["study"] | {"unheard-of": 1}})
    with pytest.raises(UserError, match=r"doesn't know .unheard-of.*: make the pages with the commit that wrote"):
        files.read("demo")


# ---- what is put together


def test_tables_and_seeds_join_though_the_results_are_gone(tmp_path: Path, study: Study) -> None:
    three = studies.study(seeds=[0, 1, 2])
    first = measure(tmp_path, study)
    keep(first, study)
    shutil.rmtree(first)
    keep(measure(tmp_path, study, "table5"), study)
    shutil.rmtree(first)
    root = measure(tmp_path, three)
    for path in root.rglob("seed0"):
        shutil.rmtree(path)
    kept = keep(root, three)
    assert kept.study.seeds == (0, 1, 2)
    made = pages.pages(kept)
    assert "over 3 seeds (0, 1, 2)." in made["table2"]
    assert "One seed (0)." in made["table5"]
    assert made["table5"].count("not measured yet") == made["table2"].count("not measured yet") == 0
    whole = measure(tmp_path, three)  # at once
    again = alike.merge(None, taken(whole, three), str(whole))
    assert pages.pages(again)["table2"].partition("## Cost")[0] == made["table2"].partition("## Cost")[0]


def test_a_seed_in_progress_waits(tmp_path: Path) -> None:
    two = studies.study(seeds=[0, 1])
    root = measure(tmp_path, two)
    Cell("digits", "resnet10-w8", "en-sat", 1, "pgd").csv(root).unlink()
    kept = keep(root, two)
    assert "One seed (0)." in pages.pages(kept)["table2"]
    CELL.csv(root).unlink()
    partly = taken(root, two)
    assert "Unfinished: 23 of 24" in pages.pages(partly)["table2"]


def change(root: Path, study: Study, **fields: str) -> None:
    studies.write_cell(root, study, CELL, fields)


@pytest.mark.parametrize(
    ("settings", "edit", "message"),
    [
        (
            {"attacks": {"pgd": {"step_size": "1/255", "steps": 20}}},
            {},
            r"other settings than those in force \(config_sha256",
        ),
        ({}, {"code_sha256": "beef" + "0" * 60}, r"of different code \(code_sha256 beef00000000 and cafe00000000\)"),
        ({}, {"data_sha256": "beef" + "0" * 60}, r"of different test images \(data_sha256 cafe00000000 and beef"),
    ],
)
def test_what_differs_is_refused_and_nothing_is_lost(
    tmp_path: Path, study: Study, settings: Mapping[str, Any], edit: Mapping[str, str], message: str
) -> None:
    root = measure(tmp_path, study)
    of_all = {"code_sha256": "cafe" + "0" * 60, "data_sha256": "cafe" + "0" * 60}
    for path in sorted((root / "cells").rglob("*.csv")):
        _, cell = plan.parse(path.relative_to(root))
        studies.write_cell(root, study, cell, of_all)  # type: ignore[arg-type]
    keep(root, study)
    before = {path: path.read_bytes() for path in files.FOLDER.rglob("*.*")}
    shutil.rmtree(root)
    changed = studies.study(studies.SMALL | {"attacks": studies.SMALL["attacks"] | settings.get("attacks", {})})
    studies.write_cell(root, changed, CELL, of_all | edit)
    train(root, changed)
    with pytest.raises(UserError, match=message):
        keep(root, changed)
    assert {path: path.read_bytes() for path in files.FOLDER.rglob("*.*")} == before


def test_a_network_that_was_trained_again_takes_all_its_cells_along(root: Path, study: Study) -> None:
    keep(root, study)
    shutil.rmtree(root)
    studies.write_cell(root, study, CELL, {"model_sha256": "ab" * 32})
    train(root, study, model_sha256="ab" * 32)
    with pytest.raises(UserError, match=r"of different networks \(model_sha256 1e5000000000 and abababababab\)"):
        keep(root, study)
    for attack in ("clean", "fgsm", "pgd", "aa"):
        studies.write_cell(root, study, replace(CELL, attack=attack), {"model_sha256": "ab" * 32})
    kept = keep(root, study)
    assert {row["model_sha256"][:3] for cell, row in kept.cells.items() if cell.method == "en-sat"} == {"aba"}
    assert len(kept.cells) == 24


def test_other_training_code_is_refused(tmp_path: Path, study: Study) -> None:
    root = measure(tmp_path, study)
    record = CELL.run.folder(root) / "member1/run.json"
    write_json(record, read_json(record) | {"code_sha256": "beef" + "0" * 60})
    with pytest.raises(UserError, match=r"member. and|member\d/model.safetensors are of different code \(code_sha256"):
        keep(root, study)


# ---- the pages


def test_a_page_shows_the_table_that_the_results_give(root: Path, study: Study) -> None:
    table = catalogue.load("table2")
    collect.write(collect.gather(table, study, str(root)), table, root / "table2")
    shown = render.md(page.compose(table, study, str(root), style=Style.PUBLISHED))
    text = pages.pages(keep(root, study))["table2"]
    assert shown.partition("\n[LaTeX]")[0].rstrip() in text
    row = next(line for line in text.splitlines() if line.startswith("| digits | RN-10 (w 8) | en-SAT | PGD | 0 |"))
    right = int(numpy.load(CELL.bits(root)).sum())
    interval = binomtest(right, 360).proportion_ci(method="wilson")
    assert f"| {right} | 360 | {100 * right / 360:.2f} | {100 * interval.low:.2f} to {100 * interval.high:.2f} |" in row
    assert row.endswith("| 52.51 |  |")


def test_a_page_holds_though_the_configuration_has_changed(root: Path, study: Study) -> None:
    """These settings are not those of config/demo.yaml, and pages ask for no others."""
    text = pages.pages(keep(root, study))["table2"]
    assert "8×8 digits & small networks" in text
    assert "PGD: 20 steps of 2/255." in text


def test_a_page_names_cost_commits_and_versions(root: Path, study: Study) -> None:
    text = pages.pages(keep(root, study))["table2"]
    nodes = plan.trainings_of(study, catalogue.load("table2").sources(study))
    trained = sum(isinstance(node, Run) for node in nodes)
    assert f"| train | {trained} | {2 * trained:.1f} | {trained:.1f} | 512 | – |" in text
    assert "git commit 0123456789ab (edited)" not in text
    assert "git commit 0123456789ab." in text
    assert "versions numpy 2." in text


def test_a_page_names_the_readings_behind_it(tmp_path: Path, study: Study) -> None:
    made = pages.pages(keep(measure(tmp_path, study, "table2", "readings"), study))
    default, both = (re.search(r"C3 options.input ([^;]*);", made[name]) for name in ("table2", "readings"))
    assert default
    assert both
    assert (default[1], both[1]) == ("clean", "clean or adversarial")
    questions = re.findall(r"(?:under: |; )([A-H])(\d+) ", made["readings"])
    assert questions == sorted(questions, key=lambda one: (one[0], int(one[1])))
    assert len(questions) > 30


def test_verdicts_are_those_of_the_results(tmp_path: Path) -> None:
    study = studies.study(studies.WHOLE)
    root = measure(tmp_path, study)
    for cell in catalogue.load("table2").sources(study):
        accuracy = 0.6 if "at-aka" in cell.method else 0.3
        studies.write_bits(root, study, cell, studies.draw_bits(study, cell, accuracy))  # type: ignore[arg-type]
    claims = [one for one in sentences.load() if one.sentence.table == 2]
    judged = judge.judge(study, claims, judge.gather(study, str(root), claims, partial=True))
    kept = keep(root, study)
    assert [(one.claim.id, one.word) for one in pages.verdicts(kept, 2)[1]] == [
        (one.claim.id, one.word) for one in judged
    ]
    text = pages.pages(kept)["table2"]
    assert f"Of {len(judged)} claims: {pages.counted(judged)}." in text
    assert "0 supported" not in pages.counted(judged)
    assert "### beats-benchmarks: Table 2, section 7.1" in text
    assert Figures(kept).claims(2) == pages.counted(judged)


def test_every_kind_of_table_has_a_page(tmp_path: Path, study: Study) -> None:
    root = measure(tmp_path, study, "table1", "table4", "table4-fog", "readings")
    made = pages.pages(keep(root, study))
    assert {"table1", "table4", "table4-fog", "readings"} <= set(made)
    for text in made.values():
        for line in text.splitlines():
            assert "\\VAR" not in line
            assert "None" not in line
        grids = re.findall(r"(?:^\|.*\n)+", text, re.MULTILINE)
        assert all(len({line.replace(r"\|", "").count("|") for line in grid.splitlines()}) == 1 for grid in grids)
    assert "published" in made["table1"]
    assert "## What holds" not in made["readings"]


def test_links_lead_somewhere(root: Path, study: Study) -> None:
    text = pages.pages(keep(root, study))["table2"]
    linked = {HOME / "docs/study/demo": text}
    linked |= {(HOME / name).parent: (HOME / name).read_text() for name in ("docs/study.md", "docs/study/earlier.md")}
    for folder, page_text in linked.items():
        targets = [target.partition("#")[0] for target in re.findall(r"\]\(([^)]*)\)", page_text)]
        assert targets
        for target in targets:
            path = Path(os.path.normpath(folder / target))
            assert path.exists() or path.is_relative_to(HOME / "docs/study/demo"), target


# ---- figures in texts


@pytest.fixture
def measured(tmp_path: Path) -> tuple[Figures, Kept]:
    study = studies.study(seeds=[0, 1, 2])
    root = measure(tmp_path, study)
    for cell in catalogue.load("table2").sources(study):
        studies.write_bits(root, study, cell, studies.draw_bits(study, cell, 0.5))  # type: ignore[arg-type]
    kept = keep(root, study)
    return Figures(kept), kept


def bits(kept: Kept, method: str, seed: int, attack: str = "pgd") -> Any:
    return kept.bits[Cell("digits", "resnet10-w8", method, seed, attack)]


def test_a_difference_over_seeds_is_a_paired_t(measured: tuple[Figures, Kept]) -> None:
    of, kept = measured
    found = of.difference("s-at-aka", "en-sat", "pgd")
    values = [100 * (bits(kept, "s-at-aka", seed).mean() - bits(kept, "en-sat", seed).mean()) for seed in (0, 1, 2)]
    assert found.points == pytest.approx(numpy.mean(values))
    assert found.p == pytest.approx(ttest_1samp(values, 0).pvalue)
    mean = f"{numpy.mean(values):+.1f}".replace("-", "−")
    assert str(found).startswith(f"(S)AT-AKA − en-SAT under PGD: {mean} points [")
    assert str(found).endswith("(360 images, 3 seeds)")
    assert of.accuracy("en-sat", "pgd").endswith("over 3 seeds")


def test_a_difference_of_one_seed_is_mcnemars(root: Path, study: Study) -> None:
    luck = numpy.random.default_rng(0)
    for method in ("s-at-aka", "en-sat"):
        cell = Cell("digits", "resnet10-w8", method, 0, "pgd")
        studies.write_cell(root, study, cell, bits=luck.random(360) < (0.55 if method == "en-sat" else 0.45))
    kept = keep(root, study)
    found = Figures(kept).difference("s-at-aka", "en-sat", "pgd")
    one, other = bits(kept, "s-at-aka", 0), bits(kept, "en-sat", 0)
    up, down = int((one & ~other).sum()), int((other & ~one).sum())
    assert found.points == pytest.approx(100 * (up - down) / 360)
    assert found.p == pytest.approx(binomtest(up, up + down).pvalue)
    assert found.significant == (found.p < 0.05)
    assert "−" in str(found).partition("points")[0]


def test_single_numbers(root: Path, study: Study) -> None:
    row = keep(root, study).cells[CELL]
    of = Figures(files.read("demo"))
    stated = [f"{float(row[name]):.1f}" for name in ("accuracy", "ci_low", "ci_high")]
    assert of.accuracy("en-sat", "pgd") == f"{stated[0]} % ({stated[1]} to {stated[2]})"
    assert of.value("en-sat", "pgd") == float(row["accuracy"])
    assert of.images("aa") == "32"
    assert of.same("en-sat", "natural") == "1 of 1 pairs of networks are the same to the bit"  # as these are written
    ranked = of.ranking(["natural", "en-sat", "s-at-aka"], "pgd")
    assert [ranked.index(name) for name in ("AT-AKA", "en-SAT", "Natural")] == sorted(
        ranked.index(name) for name in ("AT-AKA", "en-SAT", "Natural")
    )
    assert of.pages == ["- [Table 2](study/demo/table2.md): whole, seed 0"]  # though others share cells with it


def test_images_that_only_the_stronger_attack_leaves_are_listed(root: Path, study: Study) -> None:
    weak = studies.verdicts(200, 360)
    strong = weak[:32].copy()
    (wrong,) = numpy.flatnonzero(~strong)[:1]
    strong[wrong] = True
    studies.write_cell(root, study, CELL, bits=weak)
    aa = Cell("digits", "resnet10-w8", "en-sat", 0, "aa")
    studies.write_cell(root, study, aa, {"before_square": "32"}, bits=strong)
    listed = Figures(keep(root, study)).exceptions("aa", "pgd")
    assert f"en-SAT (seed 0): {wrong}" in listed
    assert "of 6 networks" in listed


def equate(root: Path, study: Study, generator: str, other: str) -> None:
    """Give ``generator``'s particles on the natural network the numbers of the ``other``'s."""
    sources: dict[str, Any] = {
        one.generator: one  # type: ignore[union-attr]
        for one in catalogue.load("table1").sources(study)
        if one.method == "natural"
    }
    settings = studies.particle_rows(study, sources[generator])[0]["config_sha256"]
    rows = studies.particle_rows(study, sources[other])
    stated = {"generator": generator, "config_sha256": settings}
    studies.write_particles(root, sources[generator], [row | stated for row in rows])


def test_particles_that_are_equal(tmp_path: Path, study: Study) -> None:
    root = measure(tmp_path, study, "table1")
    of = Figures(keep(root, study))
    assert not of.same_particles("svgd", "pgd")
    assert of.largest("svgd", "kernel_offdiagonal_max") == 0.0
    assert of.counted_images("svgd") == 4
    equate(root, study, "svgd", "pgd")
    of = Figures(keep(root, study))
    assert of.same_particles("svgd", "pgd")
    assert of.particles("svgd", "l2") == of.particles("pgd", "l2") != of.particles("svgd-median", "l2")


def test_what_is_missing_reads_so_and_what_is_unknown_is_a_mistake(study: Study) -> None:
    of = Figures(Kept(study, {}))
    assert of.accuracy("en-sat", "pgd") == figures.MISSING
    assert str(of.difference("s-at-aka", "en-sat", "pgd")) == "(S)AT-AKA − en-SAT under PGD: not measured yet"
    assert not of.difference("s-at-aka", "en-sat", "pgd")
    assert of.accuracy("en-sat", "fog-512") == figures.MISSING  # the scale leaves it out
    assert figures.number(of.particles("svgd", "l2")) == figures.MISSING
    assert (of.pages, of.same("natural", "en-sat"), of.exceptions()) == ([], figures.MISSING, figures.MISSING)
    mistakes: list[Callable[[], object]] = [
        lambda: of.accuracy("en-stat", "pgd"),
        lambda: of.accuracy("en-sat", "pdg"),
        lambda: of.particles("svdg", "l2"),
    ]
    for mistake in mistakes:
        with pytest.raises(UserError, match="did you mean"):
            mistake()


def test_variants_are_told_from_their_method(study: Study) -> None:
    of = Figures(Kept(study, {}))
    assert of.label("s-at-aka.input-adv") == "(S)AT-AKA (input-adv)"
    assert of.label("s-at-aka.n1") == "(S)AT-AKA₁"
    assert of.label("s-at-aka") == "(S)AT-AKA"


# ---- the command


def test_one_command_keeps_and_another_checks(root: Path, docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--root", root, "--config", CONFIG) == 0
    assert "seed0/cells.csv" in capsys.readouterr().out
    assert run("--check") == 0
    text = docs.with_suffix(".md").read_text()
    assert text == f"en-SAT: {Figures(files.read('demo')).accuracy('en-sat', 'pgd')}\n"
    assert texts.README.read_text() == f"# Title\n{texts.BEGINS}found\n{texts.ENDS}rest\n"
    shutil.rmtree(root)
    for edited in (docs / "demo/table2.md", docs.with_suffix(".md"), texts.README):
        before = edited.read_text()
        edited.write_text(before.replace("en-SAT", "en-SET").replace("found", "lost"))
        assert run("--check") == 2
        assert f"{edited} is not what docs/study gives; run: python -m report study" in capsys.readouterr().err
        assert run() == 0
        assert edited.read_text() == before
        assert run("--check") == 0


def test_a_page_of_nothing_is_named(root: Path, docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run("--root", root, "--config", CONFIG) == 0
    (docs / "demo/table9.md").write_text("\n")
    for arguments in (["--check"], []):
        assert run(*arguments) == 2
        assert f"{docs}/demo/table9.md is made from nothing that is kept: remove it" in capsys.readouterr().err


def test_mistakes_in_texts_and_pages_exit_2(docs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for text, message in (
        ('\\VAR{scale("demo").accuracy("en-stat", "pgd")}', "study.md.j2: no method 'en-stat'"),
        ("\\VAR{nothing}", "study.md.j2: 'nothing' is undefined"),
        ("1\n\\BLOCK{if}", "study.md.j2, line 2: Expected an expression"),
        ('\\VAR{scale("dmo")}', "study.md.j2: no scale 'dmo' in config/; did you mean 'demo'?"),
    ):
        (docs / "study.md.j2").write_text(text)
        assert run() == 2
        captured = capsys.readouterr().err
        assert captured.startswith("error: ")
        assert message in captured
    (docs / "study.md.j2").write_text("fine\n")
    texts.README.write_text("# Title\n")
    assert run() == 2
    assert "README.md lacks the lines" in capsys.readouterr().err


def test_stale_measurements_are_named(root: Path, study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    path = studies.write_cell(root, study, CELL, {"config_sha256": "0" * 64})
    assert run("--root", root, "--config", CONFIG) == 2
    assert (
        f"{path} was made under other settings than those in force (config_sha256 000000000000"
        in capsys.readouterr().err
    )
    assert files.scales() == []


# ---- this repository's own study


def fill(name: str, kept: Kept) -> str:
    return texts.fill(HOME / "docs/study" / name, lambda scale: Figures(kept))


def test_the_studys_texts_cite_what_is_there(tmp_path: Path) -> None:
    """Each measured line of the hypotheses is filled in once everything is measured."""
    study = studies.study({**studies.WHOLE, "tables": [str(HOME / "docs/study/tables")]})
    tables = [table.name for table in catalogue.every(study, on_request=True)[0]]
    kept = keep(measure(tmp_path, study, *tables), study)
    assert "not measured yet" in fill("study.md.j2", Kept(study, {}))
    assert "not measured yet" not in fill("study.md.j2", kept)


def test_a_texts_figures_keep_their_sign() -> None:
    """Jinja takes a minus that follows an opening brace as its own, and drops it with the white space before."""
    for path in (HOME / "docs/study").glob("*.j2"):
        assert not re.search(r"\\VAR\{-", path.read_text()), path


def test_the_finding_follows_the_measurements(tmp_path: Path, study: Study) -> None:
    """It says that SVGD is PGD only where all their numbers are equal."""
    root = measure(tmp_path, study, "table1")
    assert "is plain PGD" not in fill("finding.md.j2", Kept(study, {})) + fill("finding.md.j2", keep(root, study))
    equate(root, study, "svgd", "pgd")
    kept = keep(root, study)
    found = fill("finding.md.j2", kept)
    figures = Figures(kept)
    assert "On the first\n4 test images of CIFAR-10" in found
    assert "of an image was\nexactly 0, and every distance and loss equalled PGD's" in found
    for name, sentence in {"l2": "ℓ₂ distance of two particles by", "ce_mean": "mean cross-entropy by"}.items():
        change = 100 * (figures.particles("svgd-median", name) / figures.particles("pgd", name) - 1)  # type: ignore[operator]
        signed = f"{change:+z.0f}".replace("-", "−")
        assert f"{sentence} {signed} %" in " ".join(found.split())
    assert "student" not in found
    for method in ("s-at-aka", "s-at-aka.input-adv", "en-sat"):
        studies.write_cell(root, study, replace(CELL, method=method))
    train(root, study)
    kept = keep(root, study)
    found, figures = fill("finding.md.j2", kept), Figures(kept)
    assert f"and en-SAT kept {figures.accuracy('en-sat', 'pgd')}." in found
    assert f"sees the particles kept {figures.accuracy('s-at-aka.input-adv', 'pgd')}." in found
    difference = figures.difference("s-at-aka", "en-sat", "pgd")
    assert f"The paired test: {difference}." in found
    assert ("opposite order" in found) == (difference.points is not None and difference.points < 0)


def test_the_studys_texts_type_no_measured_figure() -> None:
    """But for the hypotheses' own: the published offset of 1.00, and sigma 1e-3."""
    text = (HOME / "docs/study/study.md.j2").read_text()
    typed = re.sub(r"\\(VAR|BLOCK)\{.*?\}|`[^`]*`", "", text)
    assert set(re.findall(r"\d+\.\d+", typed)) <= {"1.00"}
    assert json.dumps(typed).count("±") == 0
