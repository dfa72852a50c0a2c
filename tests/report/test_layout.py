"""Which numbers stand where, how seeds become one number, and which numbers are bold."""

import statistics
from collections.abc import Mapping

import pytest

from ataka.plan import Cell
from ataka.study import Study
from report import tables
from report.cells import Measurement
from report.layout import DASH, Entry, Layout, lay_out
from report.statistics import summarise
from tests.report import studies


def measurement(method: str, accuracy: float, attack: str = "clean", seed: int = 0) -> Measurement:
    cell = Cell("digits", "resnet10-w8", method, seed, attack)
    return Measurement(cell, 10_000, accuracy, accuracy, accuracy, "26/255", {})


def layout(study: Study, accuracies: Mapping[str, float]) -> Layout:
    return lay_out(tables.load("table2"), study, [measurement(*item) for item in accuracies.items()])


def column(layout: Layout, at: int = 0) -> dict[str, Entry]:
    return {row.label: row.entries[at] for section in layout.panels[0].sections for row in section}


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
    made = lay_out(tables.load("table2"), study, measurements)
    assert [panel.title for panel in made.panels] == ["CIFAR-10", "CIFAR-100"]
    assert made.groups == ("RN-18", "MN")
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
    entry = column(lay_out(tables.load("table2"), study, measurements))["Natural"]
    assert (entry.text, entry.spread) == ("81.50", f"{statistics.stdev(values):.2f}")


def test_one_seed_has_no_deviation(study: Study) -> None:
    made = layout(study, {"natural": 95.0})
    assert not made.has_spread
    assert summarise([95.0]) == (95.0, None, 1)
    assert summarise([]) is None


def test_published_numbers_stand_beside_and_apart(study: Study) -> None:
    made = lay_out(
        tables.load("table2"),
        study,
        [measurement("natural", 12.0), measurement("en-sat", 11.0)],
        beside_published=True,
    )
    assert made.groups == ("measured", "published")
    assert made.panels[0].title == "measured: digits, RN-10 (w 8); published: CIFAR-10, RN-18"
    assert column(made, 0)["Natural"] == Entry("12.00", best=True)
    assert column(made, 4)["Natural"] == Entry("94.60", best=True)
    assert column(made, 0)["en-IAD"] == Entry(DASH)
    assert column(made, 4)["en-IAD"] == Entry("84.28", mark="†")
    assert best(made, 7) == {"(S)AT-AKA"}
