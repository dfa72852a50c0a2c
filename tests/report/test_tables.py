"""A table's YAML: which cells it stands for, and which mistakes are refused with the name that was meant."""

from pathlib import Path

import pytest

from ataka.errors import UserError
from ataka.study import Study
from report import tables
from tests.report import studies


def test_the_papers_layout_has_every_cell_once() -> None:
    study = studies.study(studies.PAPER)
    table = tables.load("table2")
    blocks = table.blocks(study)
    assert [(block.dataset, block.arch) for block in blocks] == [
        ("cifar10", "resnet18"),
        ("cifar10", "mobilenetv2"),
        ("cifar100", "resnet18"),
        ("cifar100", "mobilenetv2"),
    ]
    cells = table.cells(study)
    assert len(cells) == len(set(cells)) == 4 * 6 * 3 * 4  # blocks, implemented rows, seeds, attacks
    assert {run.method for run in table.tuned_runs(study)} == {f"{psi}-at-aka" for psi in "nlsp"}
    assert {run.seed for run in table.tuned_runs(study)} == {0}


def test_stand_ins_replace_and_none_leaves_out(study: Study) -> None:
    assert tables.load("table2").blocks(study) == [("cifar10", "resnet18", "digits", "resnet10-w8")]


def test_two_networks_with_one_stand_in_need_their_cells_once() -> None:
    study = studies.study(stand_ins=studies.SMALL["stand_ins"] | {"mobilenetv2": "resnet10-w8"})
    table = tables.load("table2")
    assert len(table.blocks(study)) == 2
    assert len(table.cells(study)) == 6 * 4


def test_a_scale_without_any_block_is_refused() -> None:
    study = studies.study(stand_ins=studies.SMALL["stand_ins"] | {"resnet18": None})
    with pytest.raises(UserError, match="leaves out every data set or student of table2"):
        tables.load("table2").cells(study)


TABLE = {
    "number": "2",
    "title": "A title",
    "datasets": "[cifar10]",
    "archs": "[resnet18]",
    "columns": "[clean, pgd]",
    "rows": "[[natural], [en-sat]]",
}


def mine(folder: Path, **changes: str | None) -> tables.Table:
    lines = {key: value for key, value in (TABLE | changes).items() if value is not None}
    (folder / "mine.yaml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))
    return tables.load("mine", folder)


def test_a_table_of_ones_own(tmp_path: Path, study: Study) -> None:
    assert len(mine(tmp_path).cells(study)) == 4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"colums": "[clean]"}, "colums: unknown key; did you mean 'columns'?"),
        ({"columns": None}, "columns: is missing"),
        ({"columns": "[clean, clean]"}, "columns: 'clean' is listed twice"),
        ({"rows": "[[natural], [natural]]"}, "rows: 'natural' is listed twice"),
        ({"rows": "[]"}, "rows: "),
        ({"number": "two"}, "number: "),
        ({"rows": "[[en-satt]]"}, "rows: no method 'en-satt' in config/; did you mean 'en-sat'?"),
        ({"columns": "[pgdd]"}, "columns: no attack 'pgdd' in config/; did you mean 'pgd'?"),
        ({"title": "[unclosed"}, "mine.yaml is no valid YAML"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, study: Study, changes: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as error:
        mine(tmp_path, **changes).cells(study)
    assert "mine.yaml" in str(error.value)
    assert message in str(error.value)


def test_an_unknown_table_names_the_nearest() -> None:
    with pytest.raises(UserError, match="no table 'tabel2' in report/tables/; did you mean 'table2'"):
        tables.load("tabel2")


@pytest.mark.parametrize("name", tables.names())
def test_every_table_of_ours_fits_the_configuration(name: str, study: Study) -> None:
    assert tables.load(name).cells(study)
