"""Each network's worst case over all attacks, image by image."""

import csv
from pathlib import Path

import numpy
import pytest
from scipy.stats import binomtest

from ataka.errors import UserError
from ataka.plan import Cell, Run, commands
from ataka.study import Study
from report import union
from report.cli import main
from tests.report import studies
from tests.report.test_command import CONFIG

NETWORK = Run("digits", "resnet10-w8", "en-sat", 0)


@pytest.fixture
def root(tmp_path: Path, study: Study) -> Path:
    folder = studies.root(tmp_path)
    for cell in union.sources(study):
        studies.write_bits(folder, study, cell, studies.draw_bits(study, cell, 0.5))
    return folder


def rows(path: Path) -> list[dict[str, str]]:
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_an_image_counts_if_it_is_right_under_every_attack_over_those_in_common() -> None:
    one, other = numpy.array([1, 1, 0, 1, 1], bool), numpy.array([0, 1, 1], bool)
    assert union.worst([one, other]).tolist() == [False, True, False]
    assert union.worst([one]).tolist() == one.tolist()


def test_a_row_is_a_network_with_its_attacks_and_wilsons_interval(root: Path, study: Study) -> None:
    path, count = union.write(study, str(root))
    found = rows(path)
    assert count == len(found) == len({cell.run for cell in union.sources(study)})
    attacks = ("clean", "fgsm", "pgd", "aa")
    (row,) = [one for one in found if (one["method"], one["arch"]) == ("en-sat", "resnet10-w8")]
    assert row["attacks"].split() == list(attacks)
    cells = [Cell("digits", "resnet10-w8", "en-sat", 0, attack) for attack in attacks]
    assert [row["torch"]] * len(cells) == [rows(cell.csv(root))[0]["torch"] for cell in cells]
    right = numpy.logical_and.reduce([numpy.load(cell.bits(root))[:32] for cell in cells])  # AutoAttack had 32
    interval = binomtest(int(right.sum()), 32).proportion_ci(method="wilson")
    assert (row["n"], row["correct"]) == ("32", str(right.sum()))
    assert float(row["ci_high"]) == pytest.approx(100 * interval.high, abs=1e-4)


def test_every_cell_of_every_table_takes_part(study: Study) -> None:
    found = union.sources(study)
    assert len(found) == len(set(found))
    assert {"fog", "fog-256", "cw"} <= {cell.attack for cell in found if cell.method == "en-sat.t4"}
    cifar100 = studies.study(stand_ins=studies.SMALL["stand_ins"] | {"cifar10": None, "cifar100": "digits"})
    assert {cell.method for cell in union.sources(cifar100)}.isdisjoint({"n-rslad"})  # Table 3 is left out


def test_bits_of_another_cell_are_refused(root: Path, study: Study) -> None:
    cell = union.sources(study)[0]
    right = numpy.load(cell.bits(root))
    numpy.save(cell.bits(root), ~right)
    with pytest.raises(
        UserError,
        match=rf"clean.bits.npy holds other verdicts .*{right.sum()} of 360 correct.\nmake them again: snakemake",
    ):
        union.write(study, str(root))
    cell.bits(root).write_bytes(b"")
    with pytest.raises(UserError, match="can't be read"):
        union.write(study, str(root))


def test_one_command_makes_every_cell_again(root: Path, study: Study) -> None:
    stale = [studies.write_cell(root, study, cell, {"config_sha256": "0" * 64}) for cell in union.sources(study)[:3]]
    with pytest.raises(UserError) as caught:
        union.write(study, str(root))
    *listed, last = str(caught.value).splitlines()
    assert len(listed) == 3
    again = commands.snakemake(study, f"{root}/union.csv", forcerun=stale)
    assert last == f"make them again: {again} (or see what there is: --partial)"


def test_by_a_command(root: Path, study: Study, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["union", "--root", str(root), "--config", CONFIG]) == 0
    assert capsys.readouterr().out.endswith(f"networks: {root}/union.csv\n")
    union.sources(study)[0].csv(root).unlink()
    assert main(["union", "--root", str(root), "--config", CONFIG]) == 2
    assert main(["union", "--root", str(root), "--config", CONFIG, "--partial"]) == 0
    assert rows(root / "union.partial.csv")[0]["attacks"] == "fgsm pgd aa"
