"""Is a row whose training did not work refused, and no other? Does the message say what, where and what to do?"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy
import pytest

from ataka.errors import UserError
from ataka.plan import Cell, Run
from ataka.study import Study
from report import catalogue, cli, collect, page
from report.accuracies import sanity
from report.accuracies.measurements import Bits, Measurement
from report.accuracies.trainings import Below, Rows
from report.study.files import Kept
from report.table import Table
from report.verify import check
from tests.report import studies

ARCH = "resnet10-w8"
FALLS: Rows = [{"epoch": "1", "loss": "2.3"}, {"epoch": "2", "loss": "1.1"}]
RISES: Rows = [{"epoch": "1", "loss": "1.1"}, {"epoch": "2", "loss": "2.3"}]


def run(method: str, seed: int = 0) -> Run:
    return Run("digits", ARCH, method, seed)


def cell(method: str, attack: str = "pgd", seed: int = 0) -> Cell:
    return Cell("digits", ARCH, method, seed, attack)


def first(count: int, of: int = 100) -> Bits:
    """Right on the first ``count`` images."""
    return numpy.arange(of) < count


class Curves:
    """Records with these histories alone."""

    def __init__(self, **curves: Rows) -> None:
        self.curves = curves

    def curve(self, run: Run) -> Rows:
        return self.curves.get(run.method, [])

    def seconds(self, artifact: Path) -> None:
        """Nobody knows."""


def examined(study: Study, bits: dict[Cell, Bits], **curves: Rows) -> dict[str, tuple[str, str]]:
    """The checks made of each method's network, and the clause on those that failed."""
    measured = [Measurement(one, len(its), float(its.mean()), 0, 100, "", {}) for one, its in bits.items()]
    rows = sanity.examine(measured, study, bits, Curves(**curves), "natural")
    return {one.cell.method: (one.fields[sanity.MADE], one.fields[sanity.FAILED]) for one in rows}


def test_a_training_that_worked_passes_both(study: Study) -> None:
    bits = {cell("natural"): first(3), cell("mtard"): first(4)}
    assert examined(study, bits, natural=FALLS, mtard=FALLS) == {"natural": ("loss", ""), "mtard": ("loss;robust", "")}


@pytest.mark.parametrize(
    "rows",
    [
        RISES,
        [FALLS[0], FALLS[0]],
        [FALLS[0], {"epoch": "2", "loss": "nan"}],
        [{"loss0": "2", "loss1": "2", "loss2": "2"}, {"loss0": "1", "loss1": "2.5", "loss2": "1"}],
        [{"member": "0", **row} for row in FALLS] + [{"member": "1", **row} for row in RISES],
    ],
    ids=["rises", "stays", "nan", "one of three together", "one of two members"],
)
def test_a_loss_that_does_not_fall_fails(study: Study, rows: Rows) -> None:
    found = examined(study, {cell("natural"): first(3), cell("mtard"): first(40)}, natural=FALLS, mtard=rows)
    assert found["natural"] == ("loss", "")
    assert "its training loss did not fall, from " in found["mtard"][1]
    assert "PGD" not in found["mtard"][1]


MOVING: Rows = [
    {"loss": "1.6", "train_accuracy": "11", "validation_accuracy": "10"},
    {"loss": "4.9", "train_accuracy": "86.1", "validation_accuracy": "83"},
]


@pytest.mark.parametrize("method", ["l-at-aka", "s-at-aka.input-adv"])
def test_a_loss_whose_target_moves_may_rise_if_accuracy_does(study: Study, method: str) -> None:
    """The students at demo scale: squared distances grow with the teachers' logits."""
    bits = {cell("natural"): first(3), cell(method): first(40)}
    assert examined(study, bits, **{"natural": FALLS, method: MOVING})[method] == ("accuracy;robust", "")
    clause = "its accuracy on training images (%) did not rise, from 86.1 in the first epoch to 11 in the last"
    assert examined(study, bits, **{"natural": FALLS, method: MOVING[::-1]})[method] == ("accuracy;robust", clause)


def test_a_student_of_cat_aka_learns_with_the_others(study: Study) -> None:
    rows = [{"loss0": "1", "train_accuracy0": "10", "train_accuracy1": str(last)} for last in (10, 90)]
    rows[1]["train_accuracy0"] = "80"
    for method in ("s-cat-aka", "s-cat-aka.s1", "s-cat-aka.chosen"):
        assert examined(study, {cell(method): first(40)}, **{method: rows})[method] == ("accuracy", "")
        stuck = [rows[0], rows[1] | {"train_accuracy1": "10"}]
        assert "did not rise" in examined(study, {cell(method): first(40)}, **{method: stuck})[method][1]


def test_members_of_an_average_are_compared_each_with_itself(study: Study) -> None:
    """The last epoch of one member isn't compared with the first epoch of another."""
    rows = [{"member": "0", "loss": "9"}, {"member": "0", "loss": "8"}, {"member": "1", "loss": "1"}]
    rows += [{"member": "1", "loss": "0.5"}, {"member": "2", "loss": "20"}, {"member": "2", "loss": "19"}]
    assert examined(study, {cell("en-sat"): first(40)}, **{"en-sat": rows}) == {"en-sat": ("loss", "")}


@pytest.mark.parametrize(("right", "passes"), [(4, True), (3, False), (2, False)])
def test_a_row_must_be_more_robust_than_natural_training(study: Study, right: int, passes: bool) -> None:
    found = examined(study, {cell("natural"): first(3), cell("mtard"): first(right)}, natural=FALLS, mtard=FALLS)
    counts = f"under PGD it leaves {right} of 100 images right, and natural training 3"
    assert found["mtard"] == ("loss;robust", "" if passes else counts)


def test_only_the_images_of_both_count(study: Study) -> None:
    natural, few = numpy.arange(100) >= 40, first(20, of=30)
    found = examined(study, {cell("natural"): natural, cell("mtard"): few}, natural=FALLS, mtard=FALLS)
    assert found["mtard"][1] == ""


def test_accuracy_without_an_attack_may_be_lower(study: Study) -> None:
    bits = {cell("natural", "clean"): first(99), cell("mtard", "clean"): first(50)}
    assert examined(study, bits, natural=FALLS, mtard=FALLS)["mtard"] == ("loss", "")


def test_each_attack_within_the_budget_counts(study: Study) -> None:
    bits = {cell("natural", "pgd"): first(3), cell("mtard", "pgd"): first(50)}
    bits |= {cell("natural", "aa"): first(3), cell("mtard", "aa"): first(1)}
    assert "under AA it leaves 1 of 100" in examined(study, bits, natural=FALLS, mtard=FALLS)["mtard"][1]


def test_another_seed_of_natural_training_says_nothing(study: Study) -> None:
    bits = {cell("natural", seed=1): first(90), cell("mtard"): first(1)}
    assert examined(study, bits, natural=FALLS, mtard=FALLS)["mtard"] == ("loss", "")


def test_one_epoch_can_not_be_checked(study: Study) -> None:
    bits = {cell("natural"): first(3), cell("mtard"): first(0)}
    assert examined(study, bits, natural=FALLS, mtard=RISES[:1])["mtard"] == ("", "")
    assert examined(study, bits, natural=RISES[:1], mtard=FALLS)["mtard"] == ("loss", "")
    assert examined(study, bits)["mtard"] == ("", "")


# ---- the collection of a table


@pytest.fixture(scope="module")
def small() -> Study:
    return studies.study(studies.WHOLE)


@pytest.fixture
def table(tmp_path: Path) -> Callable[[], Table]:
    path = tmp_path / "tables/mine.yaml"
    path.parent.mkdir()
    path.write_text(
        "title: Mine\ndatasets: [cifar10]\narchs: [resnet18]\ncolumns: [clean, pgd]\nundefended: natural\n"
        "rows: [[natural], [mtard, at-awp]]\n"
    )
    return lambda: catalogue.load("mine", [path.parent])


def write(root: Path, study: Study, table: Table, failing: Sequence[str] = ()) -> None:
    for source in table.sources(study):
        assert isinstance(source, Cell)
        studies.write_cell(root, study, source)
    for method in ("natural", "mtard", "at-awp"):
        studies.write_history(root, study, run(method), RISES if method in failing else FALLS)


def test_a_row_that_fails_ends_the_collection(tmp_path: Path, small: Study, table: Callable[[], Table]) -> None:
    root = studies.root(tmp_path)
    write(root, small, table(), failing=["mtard"])
    gathered = collect.gather(table(), small, str(root))
    assert {one.cell.method for one in gathered.measurements} == {"natural", "at-awp"}
    with pytest.raises(UserError) as error:
        gathered.insist(small, "mine.tex")
    message = str(error.value)
    assert f"{run('mtard').folder(root)}: MTARD fails a sanity check, since its training loss did not fall" in message
    assert "train mtard again with other options or another set-up (config/), or take the row out of " in message
    assert "tables/mine.yaml (docs/health.md)" in message


def test_the_verb_ends_with_code_2_and_partial_leaves_the_row_out(
    tmp_path: Path, small: Study, table: Callable[[], Table], capsys: pytest.CaptureFixture[str]
) -> None:
    root = studies.root(tmp_path)
    write(root, small, table(), failing=["at-awp"])
    settings = json.dumps(studies.WHOLE | {"tables": [str(tmp_path / "tables")]})
    verb = ["collect", "mine", "--root", str(root), "--config", settings]
    assert cli.main(verb) == 2
    assert "AT-AWP fails a sanity check" in capsys.readouterr().err
    assert not (root / "mine.csv").exists()
    assert cli.main([*verb, "--partial"]) == 0
    assert "left out: " in capsys.readouterr().err
    assert "at-awp" not in (root / "mine.partial.csv").read_text()


def test_a_lost_history_is_missing(tmp_path: Path, small: Study, table: Callable[[], Table]) -> None:
    root = studies.root(tmp_path)
    write(root, small, table())
    lost = run("mtard").folder(root) / "history.csv"
    lost.unlink()
    assert collect.gather(table(), small, str(root)).missing == [lost]


def test_the_caption_says_what_was_checked(tmp_path: Path, small: Study, table: Callable[[], Table]) -> None:
    root = studies.root(tmp_path)
    write(root, small, table())
    gathered = collect.gather(table(), small, str(root))
    notes = page.of(table(), small, str(root), gathered.measurements).caption.notes
    (note,) = [note for note in notes if note.startswith("Sanity checks")]
    assert "none failed" in note
    assert "of 3 of 3 networks" in note
    assert "under each attack within the budget: made of 2)" in note


def test_verify_looks_again(tmp_path: Path, small: Study, table: Callable[[], Table]) -> None:
    root = studies.root(tmp_path)
    write(root, small, table())
    collect.write(collect.gather(table(), small, str(root)), table(), root / "mine")
    overrides = studies.WHOLE | {"tables": [str(tmp_path / "tables")]}

    def told() -> list[str]:
        return [line for line in check(root, overrides).problems if line.startswith(f"{root}/mine.csv")]

    assert told() == []
    studies.write_history(root, small, run("mtard"), RISES)
    assert any("MTARD fails a sanity check" in line for line in told())


def test_the_compact_files_of_a_study_have_the_same_curves(tmp_path: Path, small: Study) -> None:
    studies.write_history(tmp_path, small, run("mtard"), FALLS)
    kept = Kept(small, {}, curves={run("mtard").model("").as_posix(): FALLS})
    assert Below(tmp_path).curve(run("mtard")) == kept.curve(run("mtard")) == FALLS
    assert Below(tmp_path).curve(run("sat")) == kept.curve(run("sat")) == []


@pytest.mark.parametrize("key", ["undefended", "against"])
def test_a_row_that_the_table_lacks_is_refused(tmp_path: Path, small: Study, key: str) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(
        f"title: Mine\ndatasets: [cifar10]\narchs: [resnet18]\ncolumns: [clean]\nrows: [[natural]]\n{key}: naturel\n"
    )
    with pytest.raises(UserError, match=f"{key}: the table has no row 'naturel'; did you mean 'natural'"):
        catalogue.load("mine", [tmp_path]).sources(small)
