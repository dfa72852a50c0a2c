"""The collection takes in what is valid, as it was written, and refuses everything else by name."""

import csv
import json
from pathlib import Path

import numpy
import pytest

from ataka.errors import UserError
from ataka.files.records import write_rows
from ataka.plan import Cell, Run, commands
from ataka.study import Study
from report import catalogue, collect, evidence, page
from tests.report import studies

CELL = Cell("digits", "resnet10-w8", "en-sat", 0, "pgd")
RUN = Run("digits", "resnet10-w8", "s-at-aka", 0)


def gather(study: Study, root: Path) -> collect.Collection:
    table = catalogue.load("table2")
    found = collect.gather(table, study, str(root))
    found.insist(study, collect.target(table, str(root)), "see what there is: --partial")
    return found


def refusal(study: Study, root: Path) -> str:
    with pytest.raises(UserError) as error:
        gather(study, root)
    return str(error.value)


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def test_text_is_carried_over_as_it_is(root: Path, study: Study) -> None:
    collected, _ = collect.write(gather(study, root), catalogue.load("table2"), root / "table2")
    table = rows(collected)
    assert len(table) == 24
    (last,) = rows(Cell("digits", "resnet10-w8", "p-at-aka", 0, "aa").csv(root))
    assert {name: table[-1][name] for name in last} == last
    assert table[0]["model_sha256"].startswith("1e500")
    assert {row["eps"] for row in table} == {"0", "26/255"}
    assert {row["extra"] for row in table} == {"kept"}
    assert [row["method"] for row in table[::4]] == [
        name for name in catalogue.load("table2").methods(study) if name not in ("en-ard", "en-iad", "en-rslad")
    ]


def test_the_grid_of_alpha_is_listed(root: Path, study: Study) -> None:
    _, chosen = collect.write(gather(study, root), catalogue.load("table2"), root / "table2")
    table = rows(chosen)
    assert len(table) == 4 * 2
    assert len(table[0].pop("collected")) == 64
    assert table[0] == {
        "dataset": "digits",
        "arch": "resnet10-w8",
        "method": "n-at-aka",
        "alpha": "0.1",
        "status": "finished",
        "split": "validation",
        "seed": "0",
        "n": "360",
        "clean": "95.1",
        "robust": "60.2",
        "chosen": "yes",
    }
    assert (table[1]["status"], table[1]["clean"], table[1]["chosen"]) == ("diverged", "", "no")


def test_a_missing_cell(root: Path, study: Study) -> None:
    CELL.csv(root).unlink()
    message = refusal(study, root)
    assert f"{CELL.csv(root)} is missing" in message
    assert f"snakemake --cores all {root}/table2.tex" in message


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"config_sha256": "0" * 64},
            "was made under other settings than those in force (config_sha256 000000000000, now ",
        ),
        ({"scale": "pocket"}, "is of scale 'pocket', the table of 'demo'"),
        ({"accuracy": "99.0000"}, "doesn't add up: accuracy is 99.0000, but"),
        ({"accuracy": "nan"}, "doesn't add up"),
        ({"correct": "361"}, "361 of 360 images can't be correct"),
        ({"n": "0"}, "images can't be correct"),
        ({"n": "many"}, "doesn't add up"),
        ({"ci_low": "99"}, "doesn't add up: ci_low is 99.0000, but "),
        ({"ci_high": "101"}, "doesn't add up: ci_high is 101.0000"),
        ({"method": "natural"}, "its method is 'natural', 'en-sat' was expected"),
        ({"seed": "1"}, "its seed is '1', '0' was expected"),
    ],
)
def test_a_cell_that_is_not_what_it_should_be(root: Path, study: Study, changes: dict[str, str], message: str) -> None:
    path = studies.write_cell(root, study, CELL, changes)
    refused = refusal(study, root)
    assert str(path) in refused
    assert message in refused
    assert f"--forcerun {path}" in refused


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is damaged: it has no columns"),
        ("a,b\n1,2\n", "lacks the column 'scale'"),
        (b"\xff\xfe\x00", "is damaged: 'utf-8' codec"),
    ],
)
def test_a_file_that_is_no_cell(root: Path, study: Study, content: str | bytes, message: str) -> None:
    CELL.csv(root).write_bytes(content if isinstance(content, bytes) else content.encode())
    assert message in refusal(study, root)


def test_a_cell_with_two_rows_or_a_cut_one(root: Path, study: Study) -> None:
    path = CELL.csv(root)
    whole = path.read_text()
    path.write_text(whole + whole.splitlines()[1] + "\n")
    assert "has 2 rows, a cell has one" in refusal(study, root)
    path.write_text(whole[: whole.rindex(",")] + "\n")
    assert f"{path} is damaged: line 2 has" in refusal(study, root)


def test_many_problems_are_counted(root: Path, study: Study) -> None:
    for cell in catalogue.load("table2").cells(study):
        cell.csv(root).unlink()
    message = refusal(study, root)
    assert message.count(".csv is missing") == 10
    assert "... and 14 more" in message


def test_one_command_with_the_users_settings_makes_all_again(root: Path, study: Study) -> None:
    """Cells of other settings, a choice, and a cell that is missing."""
    cells = catalogue.load("table2").cells(study)
    stale = [studies.write_cell(root, study, cell, {"config_sha256": "0" * 64}) for cell in cells[4:18]]
    choice = studies.write_choice(root, study, RUN, settings_sha256="0")
    cells[0].csv(root).unlink()
    *listed, last = refusal(study, root).splitlines()
    assert len(listed) == 11
    assert "snakemake" not in "".join(listed)
    again = commands.snakemake(study, f"{root}/table2.tex", forcerun=[*stale, choice])
    assert last == f"make them again: {again} (or see what there is: --partial)"
    assert '\'attacks={"pgd": {"step_size": "2/255"' in again
    notes = page.compose(catalogue.load("table2"), study, str(root), partial=True).notes
    assert notes[-1] == f"make them again: {again}"


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"settings_sha256": "0"}, "alpha was chosen under other settings"),
        ({"alpha": 0.5}, "alpha 0.5 was chosen, but the best of its candidates is 0.1"),
        ({"alpha": 0.3}, "alpha 0.3 was chosen, but the best of its candidates is 0.1"),
        ({"grid": [{"alpha": 0.1, "status": "lost"}]}, "grid.0.status"),
    ],
)
def test_a_choice_that_is_not_in_force(root: Path, study: Study, changes: dict[str, object], message: str) -> None:
    path = studies.write_choice(root, study, RUN, **changes)
    refused = refusal(study, root)
    assert str(path) in refused
    assert message in refused


def test_a_choice_that_is_no_json(root: Path, study: Study) -> None:
    RUN.choice(root).write_text("{")
    assert "is damaged: Expecting property name" in refusal(study, root)


def test_a_collapsed_candidate_counts_where_the_configuration_allows_it(tmp_path: Path) -> None:
    study = studies.study(selection=studies.SMALL["selection"] | {"collapsed": "allow"})
    root = studies.root(tmp_path)
    studies.write(root, study)
    grid = [{"alpha": alpha, "status": "collapsed", "clean": 10.0, "robust": 10.0} for alpha in (0.1, 0.5)]
    studies.write_choice(root, study, RUN, grid=grid)
    assert {row["status"] for row in gather(study, root).choices if row["method"] == "s-at-aka"} == {"collapsed"}


def test_a_collection_is_checked_again_when_it_is_read(root: Path, study: Study) -> None:
    table = catalogue.load("table2")
    path, _ = collect.write(gather(study, root), catalogue.load("table2"), root / "table2")
    assert len(collect.read(path, table, study, str(root))) == 24
    changed = studies.study(eps="8/255")
    with pytest.raises(UserError, match=r"table2.csv: digits resnet10-w8 natural 0 fgsm was made under other"):
        collect.read(path, table, changed, str(root))
    text = path.read_text()
    path.write_text(text + text.splitlines()[-1] + "\n")
    with pytest.raises(UserError, match="digits resnet10-w8 p-at-aka 0 aa has 2 rows, a cell has one"):
        collect.read(path, table, study, str(root))
    path.write_text(text.replace(",p-at-aka,", ",q-at-aka,"))
    with pytest.raises(UserError, match="is none of table2's cells"):
        collect.read(path, table, study, str(root))


def test_every_cell_there_is(root: Path, study: Study) -> None:
    studies.write_cell(root, study, CELL, {"config_sha256": "stale", "method": "of-old", "more": "1"})
    path, count = collect.write_all(study, str(root))
    table = rows(path)
    assert count == len(table) == 24
    assert "of-old" in {row["method"] for row in table}
    assert {row["more"] for row in table} == {"", "1"}


def test_no_cells_at_all(tmp_path: Path, study: Study) -> None:
    with pytest.raises(UserError, match=r"there are no cells below .*; make some: snakemake --cores all"):
        collect.write_all(study, str(tmp_path))
    assert not (tmp_path / "cells.csv").exists()


def test_the_tests_cells_have_their_digests(root: Path) -> None:
    assert len(json.loads(RUN.choice(root).read_text())["settings_sha256"]) == 64


# ---- edited by hand


def edit(path: Path, **changes: str) -> None:
    """By someone who can count, and who doesn't know of seals."""
    with path.open(newline="") as file:
        header, *found = csv.reader(file)
    for name, value in changes.items():
        found[0][header.index(name)] = value
    with path.open("w", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *found])


SEAL = "line 2, was changed after it was written: its seal doesn't hold"


def test_one_number_edited_by_hand_is_refused_wherever_a_cell_is_taken_in(root: Path, study: Study) -> None:
    path = CELL.csv(root)
    edit(path, seconds="0.1")
    assert f"{path}, {SEAL}\nmake them again: snakemake --cores all {root}/table2.tex --forcerun {path}" in refusal(
        study, root
    )
    table = catalogue.load("table2")
    assert len(collect.gather(table, study, str(root)).measurements) == 23  # --partial leaves it out, and says so
    with pytest.raises(UserError, match=SEAL):
        evidence.bits(study, str(root), CELL)
    with pytest.raises(UserError, match=f"{SEAL}\nmake them again: snakemake --cores all --force {path}"):
        collect.write_all(study, str(root))


def test_a_cell_without_a_seal_is_refused(root: Path, study: Study) -> None:
    path = CELL.csv(root)
    (row,) = rows(path)
    del row["seal"]
    write_rows(path, [row])
    assert f"{path} has no seal: an older version made it, or a hand\nmake them again: " in refusal(study, root)


def test_bits_that_are_not_those_of_the_cell_are_refused(root: Path, study: Study) -> None:
    """As many are right, but others."""
    bits = CELL.bits(root)
    gather(study, root)
    numpy.save(bits, numpy.load(bits)[::-1])
    assert f"{bits} holds other verdicts than those of" in refusal(study, root)
    with pytest.raises(UserError, match=f"{bits} holds other verdicts than those of {CELL.csv(root)}"):
        evidence.bits(study, str(root), CELL)


def test_a_choice_edited_by_hand_is_refused(root: Path, study: Study) -> None:
    path = RUN.choice(root)
    path.write_text(path.read_text().replace("60.2", "60.3"))
    assert f"{path} was changed after it was written: its seal doesn't hold\nmake them again: " in refusal(study, root)


def test_a_collection_edited_by_hand_makes_no_table(root: Path, study: Study) -> None:
    table = catalogue.load("table2")
    path, _ = collect.write(gather(study, root), table, root / "table2")
    edit(path, seconds="0.1")
    again = f"collect again: python -m report collect table2 --root {root}"
    with pytest.raises(
        UserError, match=f"line 2, is not what was collected: it was edited or is damaged; {again} --config"
    ):
        page.compose(table, study, str(root))
