"""The paper's numbers, 1:1, and a clear word when the file no longer holds them."""

import csv
from collections import Counter
from pathlib import Path

import pytest

from ataka.errors import UserError
from ataka.study import config
from report import catalogue
from report.accuracies.accuracy_table import AccuracyTable
from report.paper import published
from report.particles.particle_layout import STATISTICS
from report.particles.particle_table import ParticleTable

RECOVERED = Path(__file__).resolve().parents[3] / "shared" / "paper_tables.csv"
TEXT = published.PATH.read_text(encoding="utf-8")


def test_every_number_of_the_five_tables() -> None:
    numbers = published.load()
    assert len(numbers) == 384
    assert Counter(table for table, *_ in numbers) == {1: 8, 2: 144, 3: 32, 4: 120, 5: 80}
    assert Counter(number.certain for number in numbers.values()) == {"yes": 234, "likely": 148, "no": 2}
    assert sum(number.value for number in numbers.values()) == pytest.approx(18721.05, abs=1e-6)


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ((2, "cifar10", "resnet18", "natural", "clean"), "94.60"),
        ((2, "cifar10", "resnet18", "natural", "aa"), "0.0"),
        ((2, "cifar10", "resnet18", "s-at-aka", "fgsm"), "65.88"),
        ((2, "cifar10", "resnet18", "s-at-aka", "aa"), "54.80"),
        ((2, "cifar10", "mobilenetv2", "p-at-aka", "fgsm"), "67.00"),
        ((2, "cifar100", "mobilenetv2", "l-at-aka", "aa"), "29.0"),
        ((3, "cifar10", "resnet18", "n-at-aka.pgd", "aa"), "48.28"),
        ((3, "cifar10", "resnet18", "s-rslad", "pgd"), "57.62"),
    ],
)
def test_a_number_by_its_place(key: published.Key, text: str) -> None:
    number = published.lookup(*key)
    assert number is not None
    assert (number.text, number.value) == (text, float(text))


def test_what_the_paper_did_not_print() -> None:
    assert published.lookup(2, "digits", "resnet18", "natural", "clean") is None


@pytest.mark.skipif(not RECOVERED.exists(), reason=f"{RECOVERED} is not beside this checkout")
def test_values_are_those_that_were_recovered() -> None:
    with RECOVERED.open(encoding="utf-8", newline="") as file:
        recovered = [(row["table"], row["value"], row["certain"]) for row in csv.DictReader(file)]
    with published.PATH.open(encoding="utf-8", newline="") as file:
        ours = [(row["table"], row["value"], row["certain"]) for row in csv.DictReader(file)]
    assert ours == recovered


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("94.60", "94.61", "was changed: it no longer holds what the paper printed"),
        ("94.60", "9x.60", "line 10: '2,cifar10,resnet18,natural,clean,9x.60,yes' is no published number"),
        ("94.60,yes", "94.60,maybe", "line 10"),
        ("94.60", "946.0", "line 10"),
        ("94.60,yes", "94.60", "line 10"),
        ("natural,fgsm", "natural,clean", "natural clean occurs twice"),
        ("attack,value", "attack,number", "its columns are"),
        ("2,cifar10,resnet18,natural,clean,94.60,yes\n", "", "has 383 numbers, the paper 384"),
    ],
)
def test_a_corrupted_file_is_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    path = tmp_path / "paper_tables.csv"
    path.write_text(TEXT.replace(old, new, 1), encoding="utf-8")
    with pytest.raises(UserError) as error:
        published.load(path)
    assert message in str(error.value)
    assert "git checkout -- report/paper/published" in str(error.value)


def test_line_endings_do_not_matter(tmp_path: Path) -> None:
    path = tmp_path / "paper_tables.csv"
    path.write_bytes(TEXT.replace("\n", "\r\n").encode())
    assert published.load(path) == published.load()


@pytest.mark.parametrize("number", [2, 3, 4, 5])
def test_every_published_number_is_a_cell_of_its_table_in_the_papers_scale(number: int) -> None:
    study, table = config.load(), catalogue.load(f"table{number}")
    assert isinstance(table, AccuracyTable)
    ours = {(number, cell.dataset, cell.arch, cell.method, cell.attack) for cell in table.cells(study)}
    printed = {key for key in published.load() if key[0] == number}
    assert printed <= ours
    assert {key for key in ours - printed if key[3] != "s-cat-aka.chosen"} == set()


def test_every_published_number_of_table_1_is_a_generators_statistic() -> None:
    table = catalogue.load("table1")
    assert isinstance(table, ParticleTable)
    rows = {row.generator for row in table.lines}
    columns = {STATISTICS[name].published for name in table.columns}
    printed = {key for key in published.load() if key[0] == 1}
    assert len(printed) == 8
    assert all(generator in rows and statistic in columns for _, _, _, generator, statistic in printed)
