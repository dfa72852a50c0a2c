"""Is each fact what an independent computation gives, and does it follow from the data and nothing else?"""

import re
from pathlib import Path

import pandas
import pytest

from ataka.errors import UserError
from report.cli import main
from report.paper import published, published_facts
from report.paper.published import Number
from report.paper.published_facts import Fact, Rows, facts, load_rslad

PRINTED = published.load()
TITLES = [
    "Table 1: distances and the ball",
    "FGSM below PGD",
    "PGD minus AutoAttack",
    "Table 2's en- rows and the RSLAD paper",
    "Clean accuracies",
    "Table 5 and Table 2",
    "Table 5: one more teacher",
    "Table 4: three students",
]


def found(printed: dict[published.Key, Number] | None = None, rslad: Rows | None = None) -> dict[str, Fact]:
    return {fact.title: fact for fact in facts(printed or PRINTED, rslad or load_rslad())}


def numbers(text: str) -> list[float]:
    return [float(number) for number in re.findall(r"[-+]?\d+\.\d+", text)]


def row(title: str, name: str) -> list[float]:
    (cells,) = [cells for cells in found()[title].table if cells[0] == name]
    return [float(cell) for cell in cells[1:]]


@pytest.fixture(scope="module")
def wide() -> pandas.DataFrame:
    """A row for each table, data set, network and method; a column for each attack."""
    long = pandas.read_csv(published.PATH)
    index = ["table", "dataset", "arch", "method"]
    return long[long.table > 1].pivot(index=index, columns="attack", values="value").reset_index()


def test_the_facts_are_these() -> None:
    assert list(found()) == TITLES


def test_distances() -> None:
    fact = found()["Table 1: distances and the ball"]
    assert "17.1 (PGD) and 78.4 (SVGD)" in fact.text
    assert fact.text.endswith("beyond ℓ∞ on [0, 1], ℓ∞ on 0 to 255 and ℓ₂ on [0, 1].")
    assert [list(cells) for cells in fact.table[1:]] == [
        ["ℓ∞", "0.06275", "16"],
        ["ℓ₂", "3.478", "886.8"],
        ["ℓ₁", "192.8", "49,152"],
    ]  # 2 x 8/255 times 1, the root of 3,072, and 3,072


def test_fgsm_below_pgd(wide: pandas.DataFrame) -> None:
    below = wide[wide.fgsm < wide.pgd]
    text = found()["FGSM below PGD"].text
    assert text.startswith(f"In {len(below)} of the {int((wide.fgsm.notna() & wide.pgd.notna()).sum())} rows")
    assert numbers(text) == [value for _, row in below.iterrows() for value in (row.fgsm, row.pgd)]
    assert numbers(text) == [61.15, 62.07, 58.43, 60.18]


def test_gaps(wide: pandas.DataFrame) -> None:
    second = wide[wide.table == 2]
    for name, rows in (
        ("Table 2, en- rows", second[second.method.str.startswith("en-")]),
        ("Table 2, AT-AKA rows", second[second.method.str.endswith("at-aka")]),
        ("Table 3, AT-AKA with PGD", wide[(wide.table == 3) & wide.method.str.endswith(".pgd")]),
        ("Table 3, en-RSLAD with the amalgamations", wide[(wide.table == 3) & wide.method.str.endswith("rslad")]),
        ("Table 5, 1, 2 or 4 teachers", wide[(wide.table == 5) & wide.method.str.contains(r"\.n")]),
    ):
        gap = (rows.pgd - rows.aa).round(2)
        expected = [len(gap), gap.mean(), gap.min(), gap.max(), (gap > 6).sum()]
        assert row("PGD minus AutoAttack", name) == pytest.approx(expected, abs=0.0051)
    assert numbers(found()["PGD minus AutoAttack"].text) == [4.95, 8.29]


def test_the_offset_of_the_en_rows() -> None:
    ours = pandas.read_csv(published.PATH)
    ours = ours[(ours.table == 2) & ours.method.str.startswith("en-")]
    theirs = pandas.read_csv(published_facts.RSLAD).assign(method=lambda table: "en-" + table.method)
    both = ours.merge(theirs, on=["dataset", "arch", "method", "attack"], suffixes=("", "_rslad"))
    difference = (both.value - both.value_rslad).round(2)
    assert len(both) == 64
    text = found()["Table 2's en- rows and the RSLAD paper"].text
    expected = [difference.mean(), difference.std(), difference.min(), difference.max(), 0.85, 1.15, 0.53]
    assert numbers(text) == pytest.approx(expected, abs=0.0051)
    assert numbers(text)[:4] == [1.00, 0.14, 0.43, 1.40]
    assert f"; {int(difference.between(0.85, 1.15).sum())} of 64 lie" in text
    assert "; 54 of 64 lie" in text
    for method, label in (("en-sat", "en-SAT"), ("en-ard", "en-ARD"), ("en-iad", "en-IAD"), ("en-rslad", "en-RSLAD")):
        means = [
            difference[(both.method == method) & (both.attack == attack)].mean() for attack in ours.attack.unique()
        ]
        assert row("Table 2's en- rows and the RSLAD paper", label) == pytest.approx(means, abs=0.0051)


def test_clean_accuracies(wide: pandas.DataFrame) -> None:
    third = wide[wide.table == 3].clean
    text = found()["Clean accuracies"].text
    assert numbers(text) == pytest.approx([third.min(), third.max(), third.mean(), 0.36], abs=0.051)
    assert "within 84.12 to 84.43" in text
    second = wide[(wide.table == 2) & wide.method.str.endswith("at-aka")]
    ranges = second.groupby(["dataset", "arch"]).clean.agg(["min", "max"])
    printed = [numbers(cells[2]) for cells in found()["Clean accuracies"].table[2:]]
    assert sorted(printed) == sorted(ranges.to_numpy().tolist())
    assert [84.10, 84.28] in printed


def test_repeated_rows(wide: pandas.DataFrame) -> None:
    key, attacks = ["dataset", "arch", "method"], ["clean", "fgsm", "pgd", "aa"]
    both = wide[wide.table == 5].merge(wide[wide.table == 2], on=key)
    equal = both[[all(one[f"{name}_x"] == one[f"{name}_y"] for name in attacks) for _, one in both.iterrows()]]
    text = found()["Table 5 and Table 2"].text
    assert text.startswith(f"{len(both)} rows stand in both tables (Natural and (S)AT-AKA, of each")
    assert f"{len(equal)} of them are equal in every number (32 in all)." in text
    assert (len(both), len(equal)) == (8, 8)


def test_one_more_teacher(wide: pandas.DataFrame) -> None:
    fifth = wide[wide.table == 5].set_index(["method", "dataset", "arch"])[["fgsm", "pgd", "aa"]]
    methods = ["s-at-aka.n1", "s-at-aka.n2", "s-at-aka", "s-at-aka.n4"]
    for number in (1, 2, 3):
        gain = (fifth.loc[methods[number]] - fifth.loc[methods[number - 1]]).stack()
        expected = [gain.mean(), gain.min(), gain.max()]
        assert row("Table 5: one more teacher", f"{number} to {number + 1}") == pytest.approx(expected, abs=0.0051)
    assert found()["Table 5: one more teacher"].text.endswith("gains more than 0.21.")


def test_three_students(wide: pandas.DataFrame) -> None:
    students = wide[(wide.table == 4) & wide.method.str.startswith("s-cat-aka")]
    columns = students.melt(["dataset", "arch", "method"], ["clean", "fgsm", "pgd", "cw", "fog"])
    columns = columns.pivot(index=["dataset", "arch", "attack"], columns="method", values="value")
    behind = (columns.max(axis=1) - columns["s-cat-aka.s1"]).round(2)
    under = behind.drop("clean", level="attack")
    widths = columns.max(axis=1) - columns.min(axis=1)
    text = found()["Table 4: three students"].text
    assert f"in {(behind == 0).sum()} of {len(behind)} columns" in text
    assert f"in {(under == 0).sum()} of the {len(under)} under attack" in text
    assert numbers(text) == pytest.approx([under.max(), widths.max(), widths.mean()], abs=0.0051)
    assert numbers(text)[0] == 0.11


@pytest.mark.parametrize(
    ("key", "value", "titles"),
    [
        ((1, "cifar10", "unspecified", "svgd", "dist"), 0.05, TITLES[:1]),
        ((2, "cifar10", "resnet18", "n-at-aka", "fgsm"), 63.0, ["FGSM below PGD"]),
        ((2, "cifar10", "resnet18", "en-sat", "aa"), 40.0, TITLES[2:4]),
        ((2, "cifar10", "resnet18", "natural", "fgsm"), 25.0, ["Table 2's en- rows and the RSLAD paper", TITLES[5]]),
        ((3, "cifar10", "resnet18", "n-rslad", "clean"), 80.0, ["Clean accuracies"]),
        (
            (5, "cifar100", "resnet18", "s-at-aka.n4", "pgd"),
            30.0,
            ["PGD minus AutoAttack", "Table 5: one more teacher"],
        ),
        ((4, "cifar10", "resnet18", "s-cat-aka.s2", "cw"), 60.0, ["Table 4: three students"]),
    ],
)
def test_another_number_is_another_sentence(key: published.Key, value: float, titles: list[str]) -> None:
    assert key in PRINTED
    changed = found({**PRINTED, key: Number(str(value), value, "yes")})
    assert [title for title, fact in changed.items() if fact != found()[title]] == titles


def test_another_number_of_the_rslad_paper_too() -> None:
    rslad = load_rslad()
    rslad["cifar10", "resnet18", "sat"]["pgd"] += 1
    changed = found(rslad=rslad)
    assert [title for title in TITLES if changed[title] != found()[title]] == [TITLES[3]]


@pytest.mark.parametrize(
    "row", ["cifar10,resnet18,sat,pgd,x", "cifar10,resnet18,sat,pgd,101", "cifar10,resnet18,sat,pgd"]
)
def test_a_damaged_row_is_named(tmp_path: Path, row: str) -> None:
    path = tmp_path / "rslad_paper.csv"
    path.write_text(f"dataset,arch,method,attack,value\ncifar10,resnet18,sat,clean,83.38\n{row}\n")
    with pytest.raises(UserError, match="line 3, is no published number"):
        load_rslad(path)


def test_the_page_is_current_and_its_check_notices(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["published", "--check"]) == 0
    page = tmp_path / "published.md"
    monkeypatch.setattr(published_facts, "PAGE", page)
    assert main(["published", "--check"]) == 2
    assert main(["published"]) == 0
    assert main(["published", "--check"]) == 0
    page.write_text(page.read_text().replace("4.95", "4.96"))
    assert main(["published", "--check"]) == 2
    assert "run: python -m report published" in capsys.readouterr().err
