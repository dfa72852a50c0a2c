"""Table 1: an image a row, two panels a network, and refusals in the words of the cells'."""

import csv
from collections.abc import Callable
from pathlib import Path
from statistics import fmean, stdev

import pytest

from ataka.errors import UserError
from ataka.plan import Particles
from ataka.study import Study
from report import catalogue, collect
from report.cli import main
from report.layout import DASH, Entry
from report.page import Page, compose
from report.particles.particle_table import ParticleTable
from report.style import Style
from tests.report import studies
from tests.report.test_command import CONFIG

SOURCE = Particles("digits", "resnet10-w8", "natural", 0, "svgd")
Rows = list[dict[str, str]]


@pytest.fixture
def table() -> ParticleTable:
    found = catalogue.load("table1")
    assert isinstance(found, ParticleTable)
    return found


@pytest.fixture
def root(tmp_path: Path, study: Study) -> Path:
    folder = studies.root(tmp_path)
    studies.write(folder, study, "table1")
    return folder


def page(table: ParticleTable, study: Study, root: Path, style: Style = Style.PAPER) -> Page:
    collect.write(collect.gather(table, study, str(root)), table, root / "table1")
    return compose(table, study, str(root), style=style)


def refusal(table: ParticleTable, study: Study, root: Path) -> str:
    with pytest.raises(UserError) as error:
        collect.gather(table, study, str(root)).insist(study, collect.target(table, str(root)))
    return str(error.value)


def test_networks_are_the_scales_own_and_the_data_set_its_stand_in(table: ParticleTable, study: Study) -> None:
    sources = table.sources(study)
    assert len(sources) == 2 * 12
    assert sources[0] == Particles("digits", "resnet10-w8", "natural", 0, "pgd")
    assert {(source.arch, source.method) for source in sources} == {
        ("resnet10-w8", "natural"),
        ("resnet10-w16", "en-sat"),
    }
    assert table.tuned_runs(study) == []
    assert table.methods(study) == ["natural", "en-sat"]


def test_a_scale_without_the_data_set_is_refused(table: ParticleTable) -> None:
    study = studies.study(stand_ins=studies.SMALL["stand_ins"] | {"cifar10": None, "cifar100": "digits"})
    with pytest.raises(UserError, match="leaves out cifar10, which table1 is measured on"):
        table.sources(study)


def test_the_collection_holds_every_image_as_it_was_measured(table: ParticleTable, study: Study, root: Path) -> None:
    page(table, study, root)
    with (root / "table1.csv").open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2 * 12 * 4
    for row in rows:
        del row["collected"], row["seal"]
    assert rows[:4] == studies.particle_rows(study, table.sources(study)[0])  # type: ignore[arg-type]
    assert (root / "table1.choices.csv").read_text().splitlines() == [",".join(collect.candidates.COLUMNS)]


def test_one_image_as_printed_and_all_with_their_deviation(table: ParticleTable, study: Study, root: Path) -> None:
    made = page(table, study, root).layout
    assert [panel.title for panel in made.panels] == [
        "Natural RN-10 (w 8) on digits: one image, the first",
        "Natural RN-10 (w 8) on digits: 4 images, mean ± standard deviation",
        "en-SAT RN-10 (w 16) on digits: one image, the first",
        "en-SAT RN-10 (w 16) on digits: 4 images, mean ± standard deviation",
    ]
    assert [(group.title, len(group.columns)) for group in made.groups] == [("dist", 3), ("CE", 3)]
    rows = studies.particle_rows(study, SOURCE)
    linf, ce = ([float(row[name]) for row in rows] for name in ("linf", "ce_mean"))
    one, many = (panel.sections[0][1] for panel in made.panels[:2])
    assert one.label == many.label == "SVGD (as printed)"
    assert (one.entries[2], one.entries[3]) == (Entry(f"{linf[0]:.4f}"), Entry(f"{ce[0]:.2f}"))
    assert many.entries[2] == Entry(f"{fmean(linf):.4f}", f"{stdev(linf):.4f}")
    assert many.entries[3] == Entry(f"{fmean(ce):.2f}", f"{stdev(ce):.2f}")
    assert not any(entry.best for entry in made.entries)


def test_published_numbers_are_a_panel_of_their_own(table: ParticleTable, study: Study, root: Path) -> None:
    panel = page(table, study, root, style=Style.PUBLISHED).layout.panels[-1]
    assert panel.title == "published (the unit of dist is not stated)"
    assert [[entry.text for entry in row.entries] for (row, *_) in [panel.sections[0], panel.sections[0][1:]]] == [
        [DASH, DASH, "17.1", "41.2", "3.4", "43.2"],
        [DASH, DASH, "78.4", "37.8", "7.5", "43.7"],
    ]
    assert sum(map(len, panel.sections)) == 2


def test_the_caption_states_starts_units_and_readings(table: ParticleTable, study: Study, root: Path) -> None:
    caption = page(table, study, root).caption
    text = " ".join(caption.text + caption.notes)
    for statement in [
        "Stand-ins: digits for CIFAR-10.",
        "10 particles for each test image, all generators from the same random numbers, seed 0.",
        "within ‖ε‖∞ ≤ 26/255 none are further apart in ℓ∞ than 2 × 26/255 = 0.2039.",
        "Steps: 10 of 6/255, along signs; 10 of 6/255, along raw gradients for SVGD (raw gradients); "
        "10 of 6/255, along normalised gradients for SVGD (normalised gradients).",
        "Starts: uniform in the ball; Gaussian for PGD (Gaussian starts) and SVGD (Gaussian starts).",
        "SVGD's kernel: σ = 0.001, γ = 1; σ by the median heuristic, γ = 1 for SVGD (median);",
        "σ by the median heuristic, γ = 1, attracting for SVGD (median, attraction);",
        "σ by the median heuristic, γ = 1, 1/n on both terms for SVGD (median, 1/n on both);",
    ]:
        assert statement in text
    assert "bold" not in text
    assert "Dashes" not in text


def edited(change: Callable[[Rows], None]) -> Callable[[Study, Path], Path]:
    def write(study: Study, root: Path) -> Path:
        rows = studies.particle_rows(study, SOURCE)
        change(rows)
        return studies.write_particles(root, SOURCE, rows)

    return write


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda rows: rows[2].update(config_sha256="0" * 64),
            "was made under other settings than those in force (config_sha256 00000000",
        ),
        (lambda rows: rows[0].update(scale="pocket"), "is of scale 'pocket', the table of 'demo'"),
        (lambda rows: rows[0].update(generator="pgd"), "its generator is 'pgd', 'svgd' was expected"),
        (lambda rows: rows.pop(), "has 3 rows, one for each of 4 images is due"),
        (lambda rows: rows.reverse(), "doesn't add up: image 3 with 10 particles"),
        (lambda rows: rows[1].update(count="9"), "doesn't add up: image 1 with 9 particles"),
        (lambda rows: rows[1].update(linf="0.21"), "image 1: linf 0.21 is beyond the ball's diameter 0.2039"),
        (lambda rows: rows[1].update(l1="nan"), "image 1: l1 is nan"),
        (lambda rows: rows[1].update(l2="-1"), "image 1: l2 is -1"),
        (lambda rows: rows[1].update(ce_mean="99"), "image 1: ce_mean 99 is not between"),
        (lambda rows: rows[1].update(ce_max="many"), "doesn't add up"),
        (lambda rows: rows[1].update(fooled="11"), "image 1: 11 of 10 particles fool"),
    ],
)
def test_measurements_that_are_not_what_they_should_be(
    table: ParticleTable, study: Study, root: Path, change: Callable[[Rows], None], message: str
) -> None:
    path = edited(change)(study, root)
    refused = refusal(table, study, root)
    assert str(path) in refused
    assert message in refused
    assert f"--forcerun {path}" in refused


def test_missing_measurements(table: ParticleTable, study: Study, root: Path) -> None:
    SOURCE.csv(root).unlink()
    message = refusal(table, study, root)
    assert f"{SOURCE.csv(root)} is missing" in message
    assert f"snakemake --cores all {root}/table1.tex" in message


def test_a_part_of_the_measurements_is_shown_as_such(
    root: Path, capsys: pytest.CaptureFixture[str], study: Study
) -> None:
    SOURCE.csv(root).unlink()
    assert main(["render", "table1", "--root", str(root), "--config", CONFIG, "--partial"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "Unfinished: 23 of 24 sets of particles measured so far." in shown
    assert "Dashes (–): not measured yet." in shown
    assert (root / "table1.partial.tex").exists()


def test_a_collection_is_checked_again_when_it_is_read(table: ParticleTable, study: Study, root: Path) -> None:
    page(table, study, root)
    path = root / "table1.csv"
    assert len(collect.read(path, table, study, str(root))) == 24
    changed = studies.study(particles=studies.SMALL["particles"] | {"count": 9})
    with pytest.raises(UserError, match=r"table1.csv: digits resnet10-w8 natural 0 pgd was made under other settings"):
        collect.read(path, table, changed, str(root))
    path.write_text("\n".join(path.read_text().splitlines()[:-1]) + "\n")
    with pytest.raises(UserError, match="has 3 rows, one for each of 4 images is due"):
        collect.read(path, table, study, str(root))


def test_mistakes_are_named(tmp_path: Path, study: Study) -> None:
    path = tmp_path / "mine.yaml"
    form = "{{kind: particles, number: 1, title: Mine, columns: [{columns}], rows: [[{rows}]]}}"
    for columns, rows, message in [
        ("l3", "pgd", "columns: no statistic 'l3'; known: ce_max, ce_mean, ce_std, l1, l2, linf"),
        ("l1, l1", "pgd", "columns: 'l1' is listed twice"),
        ("l1", "pgd, pgd", "rows: 'pgd' is listed twice"),
        ("l1", "svdg", "rows: no generator 'svdg' in config/; did you mean 'svgd'?"),
        ("l1", "{generator: pgd, lable: PGD}", "rows.0.0.lable: unknown key; did you mean 'label'?"),
    ]:
        path.write_text(form.format(columns=columns, rows=rows))
        with pytest.raises(UserError) as error:
            catalogue.load("mine", [tmp_path]).sources(study)
        assert message in str(error.value)
