"""A table's YAML: which cells it stands for, and which mistakes are refused with the name that was meant."""

import json
from pathlib import Path
from typing import Any, cast

import jsonschema
import pytest
import yaml

from ataka.errors import UserError
from ataka.plan import Run
from ataka.study import Study
from report import catalogue, page, render
from report.accuracies.accuracy_table import AccuracyTable
from report.style import Style
from tests.report import studies


def test_the_papers_layout_has_every_cell_once() -> None:
    study = studies.study(studies.PAPER)
    table = catalogue.load("table2")
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
    assert catalogue.load("table2").blocks(study) == [("cifar10", "resnet18", "digits", "resnet10-w8")]


def test_two_networks_with_one_stand_in_need_their_cells_once() -> None:
    study = studies.study(stand_ins=studies.SMALL["stand_ins"] | {"mobilenetv2": "resnet10-w8"})
    table = catalogue.load("table2")
    assert len(table.blocks(study)) == 2
    assert len(table.cells(study)) == 6 * 4


def test_a_scale_without_any_block_is_refused() -> None:
    study = studies.study(stand_ins=studies.SMALL["stand_ins"] | {"resnet18": None})
    with pytest.raises(UserError, match="leaves out every data set or student of table2"):
        catalogue.load("table2").cells(study)


TABLE = {
    "number": "2",
    "title": "A title",
    "datasets": "[cifar10]",
    "archs": "[resnet18]",
    "columns": "[clean, pgd]",
    "rows": "[[natural], [en-sat]]",
}


def write(folder: Path, **changes: str | None) -> None:
    lines = {key: value for key, value in (TABLE | changes).items() if value is not None}
    (folder / "mine.yaml").write_text("".join(f"{key}: {value}\n" for key, value in lines.items()))


def mine(folder: Path, **changes: str | None) -> AccuracyTable:
    write(folder, **changes)
    return cast(AccuracyTable, catalogue.load("mine", [folder]))


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
        ({"rows": "[natural, en-sat]"}, "rows: rows stand in groups, each a list: write [natural] for natural, or [["),
        ({"number": "two"}, "number: "),
        ({"rows": "[[{mean_of: [natural, natural], label: M}]]"}, "rows.0.0: 'natural' is listed twice"),
        ({"rows": "[[{mean_of: [natural]}]]"}, "rows.0.0: label is missing"),
        ({"rows": "[[{label: M}]]"}, "rows.0.0: give one of method, mean_of, range_of"),
        ({"rows": "[[{method: natural, mean_of: [en-sat], label: M}]]"}, "not method and mean_of"),
        ({"rows": "[[{methd: natural}]]"}, "rows.0.0.methd: unknown key; did you mean 'method'?"),
        ({"rows": "[[{range_of: [natural, en-satt], label: R}]]"}, "rows: no method 'en-satt'"),
        ({"columns": "[{mean_of: [clean, pgdd], label: M}]"}, "columns: no attack 'pgdd'"),
        ({"columns": "[{mean_of: [clean, pgd]}]"}, "columns.0: label is missing"),
        ({"kind": "particle"}, "kind: 'particle' is none of accuracies, particles; did you mean 'particles'?"),
        ({"kind": "particles"}, "datasets: unknown key"),
        ({"rows": "[[en-satt]]"}, "rows: no method 'en-satt' in config/; did you mean 'en-sat'?"),
        ({"columns": "[pgdd]"}, "columns: no attack 'pgdd' in config/; did you mean 'pgd'?"),
        ({"title": "[unclosed"}, "mine.yaml is no valid YAML"),
        ({"name": "yours"}, "name: unknown key; a table's name is that of its file"),
        ({"label": "tab mine"}, "label: "),
        ({"number": None, "supplement": "true"}, "number is missing: which table of the paper"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, study: Study, changes: dict[str, str], message: str) -> None:
    with pytest.raises(UserError) as error:
        mine(tmp_path, **changes).cells(study)
    assert "mine.yaml" in str(error.value)
    assert message in str(error.value)


def test_an_unknown_table_names_the_nearest() -> None:
    with pytest.raises(UserError, match="no table 'tabel2' in report/paper/tables/; did you mean 'table2'"):
        catalogue.load("tabel2")


@pytest.mark.parametrize("name", catalogue.names())
def test_every_table_of_ours_fits_the_configuration(name: str, study: Study) -> None:
    assert catalogue.load(name).sources(study)


def test_ten_seeds_are_checked_as_one_is(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """No name of a table depends on the seed, and settings take most of the time of the check."""
    asked: list[Run] = []
    monkeypatch.setattr("ataka.plan.run_settings", lambda _, run: asked.append(run))
    several = study.model_copy(update={"seeds": tuple(range(10))})
    assert catalogue.every(several)[1] == catalogue.every(study)[1]
    assert {run.seed for run in asked} == {0}


def test_the_tables_are_found_by_being_there() -> None:
    assert catalogue.names() == [
        "readings",
        "supplement",
        "table1",
        "table2",
        "table3",
        "table4",
        "table4-fog",
        "table5",
    ]


def test_an_attack_that_the_scale_leaves_out_takes_its_column_with_it(study: Study) -> None:
    table = cast(AccuracyTable, catalogue.load("table4-fog"))
    assert [(column.heading(study), column.attacks) for column in table.kept_columns(study)] == [
        ("Fog 128", ("fog",)),
        ("Fog 256", ("fog-256",)),
        ("Mean", ("fog", "fog-256")),
    ]
    assert {cell.attack for cell in table.cells(study)} == {"fog", "fog-256"}


def test_a_mean_over_one_attack_is_none(tmp_path: Path) -> None:
    study = studies.study(attacks=studies.SMALL["attacks"] | {"pgd": None})
    table = mine(tmp_path, columns="[clean, pgd, {mean_of: [clean, pgd], label: M}]")
    assert [column.heading(study) for column in table.kept_columns(study)] == ["Clean"]
    with pytest.raises(UserError, match="leaves out every attack of mine"):
        mine(tmp_path, columns="[pgd]").cells(study)


def test_a_derived_row_needs_the_cells_of_its_methods_once(tmp_path: Path, study: Study) -> None:
    rows = "[[natural], [{mean_of: [natural, en-sat], label: M}, {range_of: [natural, en-sat], label: R}]]"
    table = mine(tmp_path, rows=rows)
    assert len(table.cells(study)) == 4
    assert table.methods(study) == ["natural", "en-sat"]


def test_a_member_has_the_choice_of_alpha_of_its_joint_run(study: Study) -> None:
    runs = catalogue.load("table4").tuned_runs(study)
    assert {(run.arch, run.method) for run in runs} == {("resnet10-w8", "s-cat-aka"), ("wrn10-1", "s-cat-aka")}


def test_tables_2_and_5_share_the_cells_of_three_teachers() -> None:
    study = studies.study(studies.PAPER | {"methods": {}})
    shared = set(catalogue.load("table2").sources(study)) & set(catalogue.load("table5").sources(study))
    assert {cell.run.method for cell in shared} == {"natural", "s-at-aka"}
    assert len(shared) == 2 * 4 * 3 * 4  # methods, blocks, seeds, attacks


# ---- tables of one's own


def own(study: Study, *folders: Path) -> Study:
    return study.model_copy(update={"tables": tuple(map(str, folders))})


def test_a_table_of_ones_own_has_a_heading_a_label_and_words_of_its_own(tmp_path: Path, study: Study) -> None:
    table = mine(tmp_path, number=None, heading="A_1", label="tab:ours", caption="Seen by nobody yet.")
    made = page.compose(table, study, str(tmp_path), partial=True)
    tex, markdown = render.tex(made), render.md(made)
    assert r"\renewcommand{\thetable}{A\_1}" in render.standalone(made)
    assert r"\label{tab:ours-demo-partial}" in tex
    assert "A title. Seen by nobody yet. " in " ".join(made.caption.text)
    assert markdown.startswith("**Table A\\_1.** A title. Seen by nobody yet. ")


def test_without_a_number_or_a_heading_it_is_called_by_its_name(tmp_path: Path, study: Study) -> None:
    table = mine(tmp_path, number=None)
    assert (table.numbered, table.labelled) == ("mine", "tab:mine")
    with pytest.raises(UserError, match="mine is no table of the paper: there are no published numbers"):
        page.compose(table, study, str(tmp_path), style=Style.PUBLISHED)


def test_the_folders_of_a_scale_are_searched_beside_the_papers(tmp_path: Path, study: Study) -> None:
    mine(tmp_path)
    folders = catalogue.folders(own(study, tmp_path))
    assert catalogue.load("mine", folders).name == "mine"
    assert set(catalogue.names(folders)) == {*catalogue.names(), "mine"}
    (tmp_path / "table2.yaml").write_text("")
    with pytest.raises(
        UserError, match=r"two tables are called 'table2', report/paper/tables/table2.yaml and .*: rename"
    ):
        catalogue.load("table2", folders)
    (tmp_path / "claims.yaml").write_text("")
    assert "claims" not in catalogue.names(folders)
    with pytest.raises(UserError, match="no table can be called 'claims'"):
        catalogue.load("claims", folders)
    with pytest.raises(UserError, match=f"tables: there is no folder {tmp_path / 'elsewhere'}"):
        catalogue.folders(own(study, tmp_path / "elsewhere"))


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"rows": "[[of-another-scale]]"}, "mine.yaml: rows: no method 'of-another-scale'"),
        ({"title": "[unclosed"}, "mine.yaml is no valid YAML"),
        ({"colums": "[clean]"}, "mine.yaml: colums: unknown key"),
        ({"datasets": "[cifar100]"}, "leaves out every data set or student of mine"),
        ({"datasets": "[cifar11]"}, "no data set 'cifar11'; did you mean 'cifar10'?"),
        ({"archs": "[resnet19]"}, "unknown architecture 'resnet19'; did you mean 'resnet18'?"),
    ],
)
def test_a_draft_is_left_out_with_its_reason_and_takes_no_other_with_it(
    tmp_path: Path, study: Study, changes: dict[str, str], reason: str
) -> None:
    complete, _ = catalogue.every(study)
    mine(tmp_path)
    assert {table.name for table in catalogue.every(own(study, tmp_path))[0]} == {
        *(table.name for table in complete),
        "mine",
    }
    write(tmp_path, **changes)
    tables, (left_out,) = catalogue.every(own(study, tmp_path))
    assert tables == complete
    assert left_out.startswith("table 'mine' is left out: ")
    assert reason in left_out


@pytest.mark.parametrize("name", ["50%", "x#y", "a b", "a~b", "a{b}", "ä", "-a", "table2.partial"])
def test_a_name_that_latex_would_stop_at_is_refused_and_takes_no_other_table_with_it(
    name: str, tmp_path: Path, study: Study
) -> None:
    complete, _ = catalogue.every(study)
    write(tmp_path)
    (tmp_path / "mine.yaml").rename(tmp_path / f"{name}.yaml")
    named = f"{tmp_path}/{name}.yaml: a table's name is letters, digits, '-' and '_': rename the file"
    with pytest.raises(UserError) as error:
        catalogue.load(name, [tmp_path])
    assert str(error.value) == named
    assert catalogue.every(own(study, tmp_path)) == (complete, [f"table '{name}' is left out: {named}"])


def test_a_data_set_without_teachers_leaves_out_the_tables_of_their_students(tmp_path: Path) -> None:
    study = own(studies.study(studies.PAPER), tmp_path)
    mine(tmp_path, datasets="[digits]", rows="[[natural]]")
    assert catalogue.every(study)[1] == []
    mine(tmp_path, datasets="[digits]", rows="[[natural], [s-at-aka]]")
    (left_out,) = catalogue.every(study)[1]
    assert left_out.startswith("table 'mine' is left out: teachers: no architecture is given for 'digits'")


# ---- the schema


@pytest.mark.parametrize("name", catalogue.names())
def test_an_editor_finds_nothing_wrong_with_a_table_of_ours(name: str) -> None:
    text = (catalogue.FOLDER / f"{name}.yaml").read_text(encoding="utf-8")
    assert text.startswith("# yaml-language-server: $schema=schema.json\n")
    jsonschema.validate(yaml.safe_load(text), json.loads(catalogue.SCHEMA.read_text(encoding="utf-8")))


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"colums": ["clean"]}, "colums"),
        ({"rows": [[{"methd": "natural"}]]}, "methd"),
        ({"kind": "particles"}, "datasets"),
        ({"kind": "particle"}, "particle"),
        ({"columns": []}, r"\[\]"),
        ({"name": "mine"}, "name"),
    ],
)
def test_an_editor_sees_a_mistake(changes: dict[str, Any], wrong: str) -> None:
    content = {key: yaml.safe_load(value) for key, value in TABLE.items()}
    jsonschema.validate(content, json.loads(catalogue.schema()))
    with pytest.raises(jsonschema.ValidationError, match=wrong):
        jsonschema.validate(content | changes, json.loads(catalogue.schema()))


def test_the_schema_beside_the_tables_is_current() -> None:
    assert catalogue.SCHEMA.read_text(encoding="utf-8") == catalogue.schema(), "run: python -m report schema"
