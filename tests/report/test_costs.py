"""Are a row's costs those of all that its network needed, and are forwards counted as the formulas say?"""

from pathlib import Path

import pytest

from ataka import plan
from ataka.plan import Cell, Run
from ataka.study import Study, config
from report import catalogue
from report.accuracies import costs
from report.accuracies.accuracy_layout import lay_out
from report.accuracies.measurements import Measurement
from report.accuracies.trainings import Below, Rows
from tests.report import studies

PAPER = config.load("paper")
DIGITS = studies.study(studies.WHOLE)
ATTACK, UPDATE = 2, 3
"""Forwards in a step of an attack, and in an update."""


@pytest.mark.parametrize(
    ("method", "trained", "teachers"),
    [
        ("natural", UPDATE, 0),
        ("en-sat", 3 * (10 * ATTACK + UPDATE), 0),
        ("en-rslad", 10 * ATTACK + 2 * UPDATE, 3),
        ("s-at-aka", UPDATE, 3 * (20 * ATTACK + UPDATE)),
        ("s-at-aka.n2", UPDATE, 2 * (20 * ATTACK + UPDATE)),
        ("s-at-aka.swa", UPDATE + 105 / 200, 3 * (20 * ATTACK + UPDATE)),
        ("s-cat-aka", 3 * (20 * ATTACK + UPDATE), 0),
        ("s-cat-aka.chosen", 3 * (20 * ATTACK + UPDATE), 0),
        ("mtard", 10 * ATTACK + 2 * UPDATE, 3 + 1),
        ("adaad", 10 * ATTACK + 2 * UPDATE, 3 * (10 * ATTACK + 2)),
        ("adaad-igdm", 10 * ATTACK + 4 * UPDATE, 3 * (10 * ATTACK + 4)),
        ("at-awp", 10 * ATTACK + 2 * UPDATE, 0),
    ],
)
def test_forwards_of_an_image_are_those_of_the_formulas(method: str, trained: float, teachers: float) -> None:
    assert plan.per_image(PAPER, Run("cifar10", "resnet18", method, 0)) == pytest.approx((trained, teachers))


def test_the_passes_of_all_epochs_are_those_of_the_plan() -> None:
    """Counted apart: the plan's own work of a training, without the images that it is shown as epochs end."""
    for method in ("natural", "mtard", "trades-awp", "adaad.iad"):
        run = Run("cifar10", "resnet18", method, 0)
        setup = PAPER.setup(PAPER.method(method).setup, "cifar10", "resnet18")
        shown = setup.epochs * 45_000
        attack, update = (work for work in plan.work_of(PAPER, run)[:2]) if method != "natural" else (None, None)
        whole = (attack.forwards + update.forwards) if attack and update else plan.work_of(PAPER, run)[0].forwards
        counted = plan.per_image(PAPER, run)
        assert counted is not None
        assert whole == pytest.approx(shown * counted.trained)


def test_a_network_of_others_has_no_counted_cost() -> None:
    assert plan.per_image(PAPER, Run("cifar10", "resnet18", "natural.pyautoattack", 0)) is None


class Seconds:
    """Records in which each artifact took a second; those in ``unknown`` have none."""

    def __init__(self, *unknown: str) -> None:
        self.asked: list[str] = []
        self.unknown = unknown

    def seconds(self, artifact: Path) -> float | None:
        self.asked.append(artifact.as_posix())
        return None if artifact.as_posix() in self.unknown else 1.0

    def curve(self, run: Run) -> Rows:
        return []


def cost(method: str, records: Seconds) -> dict[str, str]:
    cell = Cell("digits", "resnet10-w8", method, 0, "pgd")
    (one,) = costs.examine([Measurement(cell, 1, 0, 0, 100, "", {})], DIGITS, records)
    return one.fields


RUNS = "runs/digits/resnet10-w8"
TEACHERS = "runs/digits/wrn10-1"


@pytest.mark.parametrize(
    ("method", "needed"),
    [
        ("natural", [f"{RUNS}/natural/seed0/model.safetensors"]),
        (
            "mtard",
            [f"{RUNS}/mtard/seed0/model.safetensors", f"{TEACHERS}/natural/seed0/model.safetensors"]
            + [
                f"{TEACHERS}/en-trades/seed0/{part}model.safetensors"
                for part in ("", "member0/", "member1/", "member2/")
            ],
        ),
        (
            "s-at-aka",
            ["tapes/digits/wrn10-1-x3-svgd/seed0/manifest.json", f"{RUNS}/s-at-aka/choice.json"]
            + [f"{RUNS}/s-at-aka/seed0/{part}model.safetensors" for part in ("", "alpha0.1/", "alpha0.5/")],
        ),
        (
            "s-cat-aka.chosen",
            [f"{RUNS}/s-cat-aka.chosen/seed0/model.safetensors", f"{RUNS}/s-cat-aka/choice.json"]
            + [f"{RUNS}/s-cat-aka/seed0/{part}model.safetensors" for part in ("", "alpha0.1/", "alpha0.5/")],
        ),
    ],
)
def test_device_hours_are_those_of_every_job_behind_a_network(method: str, needed: list[str]) -> None:
    records = Seconds()
    hours = float(cost(method, records)["device_hours"])
    assert sorted(records.asked) == sorted(needed)
    assert hours == pytest.approx(len(needed) / 3600, rel=1e-5)


def test_a_job_of_unknown_time_leaves_the_hours_open() -> None:
    found = cost("mtard", Seconds(f"{TEACHERS}/natural/seed0/model.safetensors"))
    assert (found["device_hours"], found["forwards"], found["teacher_forwards"]) == ("", "26", "4")


def test_the_records_below_a_folder_are_those_of_run_json_and_of_costs(tmp_path: Path) -> None:
    taken = {"seconds": 2.5, "cpu_seconds": 1.0, "memory_mb": 1.0, "gpu_memory_mb": None}
    for name in ("a/run.json", "b/manifest.cost.json", "c/choice.cost.json"):
        (tmp_path / name).parent.mkdir()
        studies.write_json(tmp_path / name, taken)
    known = Below(tmp_path)
    assert known.seconds(Path("a/model.safetensors")) == 2.5
    assert known.seconds(Path("b/manifest.json")) == 2.5
    assert known.seconds(Path("c/choice.json")) == 2.5
    assert known.seconds(Path("d/choice.json")) is None


# ---- the table's columns


def mine(tmp_path: Path) -> catalogue.AccuracyTable:
    (tmp_path / "mine.yaml").write_text(
        "title: Mine\ndatasets: [cifar10]\narchs: [resnet18]\nrows: [[natural, mtard]]\ncolumns:\n  - clean\n  - aa\n"
        "  - {mean_of: [clean, aa], label: W-Robust}\n  - {field: device_hours, label: hours}\n"
        "  - {field: teacher_forwards, label: teachers'}\n"
    )
    table = catalogue.load("mine", [tmp_path])
    assert isinstance(table, catalogue.AccuracyTable)
    return table


@pytest.mark.parametrize(("hours", "printed"), [("0.00123456", "0.00123"), ("12.34", "12.3"), ("12345.6", "12,346")])
def test_a_cost_is_printed_to_three_digits_and_never_best(tmp_path: Path, hours: str, printed: str) -> None:
    table = mine(tmp_path)
    fields = {"device_hours": hours, "teacher_forwards": "4"}
    cells = [
        Cell("digits", "resnet10-w8", method, 0, attack)
        for method in ("natural", "mtard")
        for attack in ("clean", "aa")
    ]
    accuracies = dict(zip(cells, (90.0, 0.0, 80.0, 40.0), strict=True))
    rows = [Measurement(one, 360, accuracy, 0, 100, "", fields) for one, accuracy in accuracies.items()]
    layout = lay_out(table, DIGITS, rows)
    natural, mtard = ([entry.text for entry in row.entries] for row in layout.panels[0].sections[0])
    assert natural == ["90.00", "0.00", "45.00", printed, "4"]
    assert mtard == ["80.00", "40.00", "60.00", printed, "4"]
    best = [[entry.best for entry in row.entries] for row in layout.panels[0].sections[0]]
    assert best == [[True, False, False, False, False], [False, True, True, False, False]]


def test_the_table_reads_the_records_of_what_it_shows(tmp_path: Path, study: Study) -> None:
    table = mine(tmp_path)
    needed = {path.as_posix() for path in table.records(DIGITS, table.sources(DIGITS))}
    assert f"{RUNS}/mtard/seed0/run.json" in needed
    assert f"{TEACHERS}/en-trades/seed0/member2/run.json" in needed
    assert catalogue.load("table2").records(study, catalogue.load("table2").sources(study)) == []
