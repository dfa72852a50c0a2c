"""Which numbers stand where, how seeds become one number, and which numbers are bold."""

import statistics
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ataka.plan import Cell
from ataka.study import Study, words
from report import catalogue
from report.accuracies.accuracy_layout import lay_out
from report.accuracies.measurements import Measurement
from report.layout import DASH, Entry, Layout
from report.statistics import summarise
from report.style import Style
from tests.report import studies
from tests.report.test_render import build, compose


def measurement(method: str, accuracy: float, attack: str = "clean", seed: int = 0) -> Measurement:
    cell = Cell("digits", "resnet10-w8", method, seed, attack)
    return Measurement(cell, 10_000, accuracy, accuracy, accuracy, "26/255", {})


def layout(study: Study, accuracies: Mapping[str, float]) -> Layout:
    return lay_out(catalogue.load("table2"), study, [measurement(*item) for item in accuracies.items()])


def column(layout: Layout, at: int = 0) -> dict[str, Entry]:
    return {words.plain(row.label): row.entries[at] for section in layout.panels[0].sections for row in section}


def best(layout: Layout, at: int = 0) -> set[str]:
    return {label for label, entry in column(layout, at).items() if entry.best}


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ({"natural": 95.0, "en-sat": 84.0}, {"Natural"}),
        ({"natural": 0.0, "en-sat": 84.0, "s-at-aka": 84.0}, {"en-SAT", "(S)AT-AKA"}),
        ({"en-sat": 84.001, "s-at-aka": 84.004}, {"en-SAT", "(S)AT-AKA"}),  # equal as printed
        ({"en-sat": 84.0, "s-at-aka": 100.0}, {"(S)AT-AKA"}),  # as numbers, not as text
        ({"natural": 0.0, "en-sat": 0.0}, {"Natural", "en-SAT"}),
        ({}, set()),
    ],
)
def test_the_best_of_a_column_is_bold_and_so_are_ties(
    study: Study, accuracies: dict[str, float], expected: set[str]
) -> None:
    assert best(layout(study, accuracies)) == expected


def test_a_dash_is_never_bold(study: Study) -> None:
    empty = layout(study, {"natural": 50.0})
    assert column(empty)["en-ARD"] == Entry(DASH)
    assert not any(entry.best for entry in empty.entries if not entry.measured)
    assert best(empty, at=1) == set()


def test_each_block_has_its_own_best() -> None:
    study = studies.study(studies.PAPER)
    measurements = [
        Measurement(Cell(dataset, arch, method, 0, "clean"), 100, value, value, value, "8/255", {})
        for dataset, arch, method, value in [
            ("cifar10", "resnet18", "natural", 90.0),
            ("cifar10", "mobilenetv2", "en-sat", 80.0),
            ("cifar100", "resnet18", "natural", 70.0),
            ("cifar100", "resnet18", "en-sat", 75.0),
        ]
    ]
    made = lay_out(catalogue.load("table2"), study, measurements)
    assert [panel.title for panel in made.panels] == ["CIFAR-10", "CIFAR-100"]
    assert [group.title for group in made.groups] == ["RN-18", "MN"]
    bold = [
        (panel.title, row.label, at)
        for panel in made.panels
        for section in panel.sections
        for row in section
        for at, entry in enumerate(row.entries)
        if entry.best
    ]
    assert bold == [("CIFAR-10", "Natural", 0), ("CIFAR-10", "en-SAT", 4), ("CIFAR-100", "en-SAT", 0)]


def test_seeds_give_mean_and_sample_standard_deviation() -> None:
    study = studies.study(seeds=[0, 1, 2])
    values = [80.0, 81.0, 83.5]
    measurements = [measurement("natural", value, seed=seed) for seed, value in enumerate(values)]
    entry = column(lay_out(catalogue.load("table2"), study, measurements))["Natural"]
    assert (entry.text, entry.spread) == ("81.50", f"{statistics.stdev(values):.2f}")


def test_one_seed_has_no_deviation(study: Study) -> None:
    made = layout(study, {"natural": 95.0})
    assert not made.has_spread
    assert summarise([95.0]) == (95.0, None, 1)
    assert summarise([]) is None


def test_published_numbers_stand_beside_and_apart(study: Study) -> None:
    made = lay_out(
        catalogue.load("table2"),
        study,
        [measurement("natural", 12.0), measurement("en-sat", 11.0)],
        style=Style.PUBLISHED,
    )
    assert [group.title for group in made.groups] == ["measured", "published"]
    assert made.panels[0].title == "measured: digits, RN-10 (w 8); published: CIFAR-10, RN-18"
    assert column(made, 0)["Natural"] == Entry("12.00", best=True)
    assert column(made, 4)["Natural"] == Entry("94.60", best=True)
    assert column(made, 0)["en-IAD"] == Entry(DASH)
    assert column(made, 4)["en-IAD"] == Entry("84.28", mark="†")
    assert best(made, 7) == {"(S)AT-AKA"}


def test_headings_say_on_how_many_images_a_column_rests_where_columns_differ(study: Study) -> None:
    few = replace(measurement("natural", 10.0, "aa"), n=32)
    for style in (Style.PAPER, Style.PUBLISHED):
        made = lay_out(catalogue.load("table2"), study, [measurement("natural", 90.0), few], style=style)
        group, *published = made.groups
        assert group.headings == (f"Clean (n = {measurement('natural', 90.0).n:,})", "FGSM", "PGD", "AA (n = 32)")
        assert [other.headings for other in published] == [("Clean", "FGSM", "PGD", "AA")] * (style is Style.PUBLISHED)
    alike = lay_out(catalogue.load("table2"), study, [measurement("natural", 90.0), measurement("natural", 1.0, "aa")])
    assert not alike.has_counts
    assert alike.groups[0].headings == ("Clean", "FGSM", "PGD", "AA")


# ---- what is derived from several methods or attacks


def derived(folder: Path, study: Study, accuracies: Mapping[tuple[str, str, int], float]) -> Layout:
    """Rows natural and en-sat, their mean and range; columns clean, pgd and their mean."""
    (folder / "mine.yaml").write_text(
        "{number: 2, title: Mine, datasets: [cifar10], archs: [resnet18], "
        "columns: [clean, pgd, {mean_of: [clean, pgd], label: Mean}], "
        "rows: [[natural, {method: en-sat, label: Ours}], "
        "[{mean_of: [natural, en-sat], label: mean}, {range_of: [natural, en-sat], label: range}]]}"
    )
    measurements = [measurement(method, value, attack, seed) for (method, attack, seed), value in accuracies.items()]
    return lay_out(catalogue.load("mine", [folder]), study, measurements)


def test_a_mean_and_a_range_are_taken_seed_by_seed(tmp_path: Path) -> None:
    study = studies.study(seeds=[0, 1])
    natural, ours = (90.0, 80.0), (60.0, 70.0)
    made = derived(
        tmp_path,
        study,
        {("natural", "clean", seed): value for seed, value in enumerate(natural)}
        | {("en-sat", "clean", seed): value for seed, value in enumerate(ours)},
    )
    clean = column(made)
    assert (clean["mean"].text, clean["mean"].spread) == ("75.00", "0.00")
    assert (clean["range"].text, clean["range"].spread) == ("20.00", f"{statistics.stdev([30.0, 10.0]):.2f}")
    assert clean["Ours"].text == "65.00"  # under the label that the table gives


def test_a_column_of_means_and_the_range_of_its_rows(tmp_path: Path, study: Study) -> None:
    numbers = {("natural", "clean", 0): 90.0, ("natural", "pgd", 0): 10.0}
    numbers |= {("en-sat", "clean", 0): 80.0, ("en-sat", "pgd", 0): 50.0}
    means = column(derived(tmp_path, study, numbers), at=2)
    assert {label: entry.text for label, entry in means.items()} == {
        "Natural": "50.00",
        "Ours": "65.00",
        "mean": "57.50",
        "range": "15.00",
    }


def test_a_derived_number_needs_all_that_it_is_derived_from(tmp_path: Path) -> None:
    study = studies.study(seeds=[0, 1])
    numbers = {("natural", "clean", 0): 90.0, ("natural", "clean", 1): 80.0, ("en-sat", "clean", 1): 70.0}
    made = derived(tmp_path, study, numbers)
    assert (column(made)["mean"].text, column(made)["mean"].spread) == ("75.00", "")
    assert not any(entry.measured for entry in column(made, at=2).values())


def test_a_range_is_never_the_best(tmp_path: Path, study: Study) -> None:
    made = derived(tmp_path, study, {("natural", "clean", 0): 90.0, ("en-sat", "clean", 0): 10.0})
    assert column(made)["range"].text == "80.00"
    assert best(made) == {"Natural"}
    twice = derived(tmp_path, study, {("natural", "clean", 0): 90.0, ("en-sat", "clean", 0): 0.0})
    assert column(twice)["range"].text == "90.00"
    assert best(twice) == {"Natural"}


def test_students_stand_below_each_other_where_side_by_side_is_too_wide() -> None:
    def made(table: str, **settings: Any) -> list[str]:
        found = lay_out(catalogue.load(table), studies.study(studies.PAPER, **settings), [])
        return [group.title for group in found.groups] + [panel.title for panel in found.panels]

    stacked = [f"{dataset}, {arch}" for dataset in ("CIFAR-10", "CIFAR-100") for arch in ("RN-18", "WRN-34-10")]
    assert made("table4") == ["accuracy (%)", *stacked]
    assert made("table4", seeds=[0]) == ["RN-18", "WRN-34-10", "CIFAR-10", "CIFAR-100"]
    assert made("table4-fog", seeds=[0]) == ["accuracy (%)", *stacked]
    assert made("table5") == ["RN-18", "MN", "CIFAR-10", "CIFAR-100"]


def test_published_numbers_of_derived_rows_are_derived_from_published_numbers(study: Study) -> None:
    made = lay_out(catalogue.load("table4"), study, [], style=Style.PUBLISHED)
    fog = column(made, at=9)
    assert [fog[f"(S)CAT-AKA {student}"].text for student in ("S₁", "S₂", "S₃")] == ["46.79", "44.24", "45.51"]
    assert (fog["(S)CAT-AKA, mean"].text, fog["(S)CAT-AKA, range"].text) == ("45.51", "2.55")
    assert fog["(S)CAT-AKA, chosen"] == Entry(DASH)


def test_the_published_row_of_three_teachers_is_table_5s_own(study: Study) -> None:
    made = lay_out(catalogue.load("table5"), study, [], style=Style.PUBLISHED)
    assert column(made, at=7)["(S)AT-AKA₃"].text == "54.80"


def test_a_compact_table_stands_side_by_side_as_the_paper_and_says_how_far_seeds_are_apart(tmp_path: Path) -> None:
    study = studies.study(studies.PAPER)
    whole = build(tmp_path, study, "table4")
    compact = compose(studies.root(tmp_path), study, "table4", style=Style.COMPACT)
    assert [group.title for group in whole.layout.groups] == ["accuracy (%)"]
    assert [group.title for group in compact.layout.groups] == ["RN-18", "WRN-34-10"]
    assert not compact.layout.has_spread
    assert sorted(entry.text for entry in compact.layout.entries) == sorted(
        entry.text for entry in whole.layout.entries
    )
    at = whole.layout.headings.index("CW")
    rows = [row for panel in whole.layout.panels for section in panel.sections for row in section]
    widest = max((row.entries[at].spread for row in rows), key=float)
    (note,) = [note for note in compact.caption.notes if note.startswith("Sample standard deviations over seeds reach")]
    assert f"{widest} (CW)" in note
    assert "Mean over 3 seeds (0, 1, 2)." in compact.caption.text
    assert set(compact.caption.notes) - {note} < set(whole.caption.notes)
    assert not [note for note in compact.caption.notes if note.startswith("PGD: ")]
