"""Facts that anyone can compute from the published numbers alone: docs/published.md. Arithmetic, and no judgement.

Every number in a sentence is computed from published/paper_tables.csv (the paper's tables) and rslad_paper.csv: the
best checkpoints in the tables of the RSLAD paper (Zi et al., ICCV 2021), whose baselines and attacks the paper shares.
No fact is about who or why; a measured number never comes in here.
"""

import csv
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from itertools import pairwise
from pathlib import Path
from statistics import fmean, stdev

from ataka.errors import UserError
from ataka.study import Study, config
from report import markdown, names
from report.paper import published
from report.paper.published import Key, Number

RSLAD = Path(__file__).with_name("published") / "rslad_paper.csv"
PAGE = config.HOME / "docs/published.md"
EPS = 8 / 255
PIXELS = 3 * 32 * 32
IMAGES = 10_000
"""The number of images in CIFAR's test set."""
STUDENTS = ("s-cat-aka.s1", "s-cat-aka.s2", "s-cat-aka.s3")
TEACHERS = ("s-at-aka.n1", "s-at-aka.n2", "s-at-aka", "s-at-aka.n4")
"""Table 5's rows of one to four teachers."""
AROUND = (0.85, 1.15)
ATTACKS = {"clean": "Clean", "fgsm": "FGSM", "pgd": "PGD", "aa": "AA"}
"""The columns that the paper's tables share, and their headings there."""
GAP = 6.0
"""Points that PGD may leave above AutoAttack among our own numbers before a table marks it (ataka/attacks/pgd.py)."""

Rows = dict[tuple[str, str, str], dict[str, float]]
"""(data set, arch, method) to its accuracies, by attack."""


@dataclass(frozen=True)
class Fact:
    """A heading, sentences, and perhaps a table under its header."""

    title: str
    text: str
    table: Sequence[Sequence[str]] = ()


def facts(printed: Mapping[Key, Number], rslad: Rows) -> list[Fact]:
    """Every fact, from what was printed and from the RSLAD paper's numbers."""
    tables: dict[int, Rows] = {}
    for (table, dataset, arch, method, attack), number in printed.items():
        tables.setdefault(table, {}).setdefault((dataset, arch, method), {})[attack] = number.value
    return [
        _distances(tables[1]),
        _fgsm_below_pgd(tables),
        _gaps(tables),
        _offset(tables[2], rslad),
        _clean(tables),
        _repeated(tables[2], tables[5]),
        _teachers(tables[5]),
        _students(tables[4]),
    ]


def load_rslad(path: Path = RSLAD) -> Rows:
    """The RSLAD paper's accuracies; UserError for a row that is none."""
    rows: Rows = {}
    with path.open(encoding="utf-8", newline="") as file:
        for line, row in enumerate(csv.DictReader(file), start=2):
            try:
                accuracies = rows.setdefault((row["dataset"], row["arch"], row["method"]), {})
                value = float(row["value"])
                if not 0 <= value <= 100 or row["attack"] in accuracies:
                    raise ValueError
            except (KeyError, TypeError, ValueError):
                raise UserError(f"{path}, line {line}, is no published number") from None
            accuracies[row["attack"]] = value
    return rows


_INTRODUCTION = """\
# The published numbers under arithmetic

`.venv/bin/python -m report published` made this page from [report/paper/published/](../report/paper/published), and
`make check` compares. Every number below is computed from the printed numbers. This arithmetic explains nothing and
judges nobody. [health.md](health.md) has the checks of our own numbers.

`paper_tables.csv` holds the paper's Tables 1 to 5 (arXiv 2405.13324), recovered from its text; `rslad_paper.csv` the
best checkpoints in the tables of the RSLAD paper (Zi et al., ICCV 2021; read from its table images at
awesome-davian/awesome-reviews-kaist, 2022spring/39): single networks, under the same attacks.
"""


def page() -> str:
    """docs/published.md."""
    lines = _INTRODUCTION.splitlines()
    for number, fact in enumerate(facts(published.load(), load_rslad()), start=1):
        lines += ["", f"## {number}. {markdown.escape(fact.title)}", "", markdown.escape(fact.text)]
        if fact.table:
            header, *rows = [[markdown.escape(cell) for cell in row] for row in fact.table]
            lines += ["", f"| {' | '.join(header)} |", "|---" + "|---:" * (len(header) - 1) + "|"]
            lines += [f"| {' | '.join(row)} |" for row in rows]
    return "\n".join(lines) + "\n"


# ---- the facts, in the order of the paper's tables


def _distances(rows: Rows) -> Fact:
    printed = {method: row["dist"] for (_, _, method), row in rows.items()}
    units = {"[0, 1]": 1.0, "0 to 255": 255.0}
    norms = {"ℓ∞": 2 * EPS, "ℓ₂": 2 * EPS * math.sqrt(PIXELS), "ℓ₁": 2 * EPS * PIXELS}
    table = [["largest distance of two particles", *(f"images in {unit}" for unit in units)]]
    table += [[norm, *(_figures(reach * scale) for scale in units.values())] for norm, reach in norms.items()]
    beyond = [
        f"{norm} on {unit}"
        for norm, reach in norms.items()
        for unit, scale in units.items()
        if all(value > reach * scale for value in printed.values())
    ]
    values = names.listed([f"{value:g} ({method.upper()})" for method, value in printed.items()])
    return Fact(
        "Table 1: distances and the ball",
        f"Table 1 prints a distance of {values}, called ℓ∞, between particles in a ball ‖ε‖∞ ≤ 8/255 of one image of "
        f"CIFAR-10 ({PIXELS:,} numbers). Two points of such a ball are no further apart than the table below says. "
        f"All printed distances are beyond {names.listed(beyond)}.",
        table,
    )


def _fgsm_below_pgd(tables: Mapping[int, Rows]) -> Fact:
    both = [
        (table, key, row)
        for table, rows in sorted(tables.items())
        for key, row in rows.items()
        if {"fgsm", "pgd"} <= row.keys()
    ]
    below = [(table, key, row) for table, key, row in both if row["fgsm"] < row["pgd"]]
    listed = [
        f"Table {table}, {_label(key[2])}, {_place(key)}: {row['fgsm']:.2f} under FGSM, {row['pgd']:.2f} under PGD"
        for table, key, row in below
    ]
    return Fact(
        "FGSM below PGD",
        f"In {len(below)} of the {len(both)} rows that have both, fewer images withstand one step of FGSM than 20 "
        f"steps of PGD within the same ball: {'; '.join(listed)}.",
    )


def _gaps(tables: Mapping[int, Rows]) -> Fact:
    groups: dict[str, tuple[int, Callable[[str], bool]]] = {
        "Table 2, en- rows": (2, lambda method: method.startswith("en-")),
        "Table 2, AT-AKA rows": (2, lambda method: method.endswith("at-aka")),
        "Table 3, AT-AKA with PGD": (3, lambda method: method.endswith(".pgd")),
        "Table 3, en-RSLAD with the amalgamations": (3, lambda method: method.endswith("-rslad")),
        "Table 5, 1, 2 or 4 teachers": (5, lambda method: ".n" in method),
    }
    table = [["rows", "number", "mean", "least", "most", f"above {GAP:g}"]]
    means = {}
    for title, (number, belongs) in groups.items():
        gaps = [row["pgd"] - row["aa"] for (_, _, method), row in tables[number].items() if belongs(method)]
        means[title] = fmean(gaps)
        over = sum(gap > GAP + 1e-9 for gap in gaps)
        table.append([title, f"{len(gaps)}", f"{means[title]:.2f}", f"{min(gaps):.2f}", f"{max(gaps):.2f}", f"{over}"])
    baseline, ours = list(means.values())[:2]
    return Fact(
        "PGD minus AutoAttack",
        f"AutoAttack takes {baseline:.2f} points more than PGD from the en- rows of Table 2 on average, and {ours:.2f} "
        f"from the AT-AKA rows. Among our own numbers a difference above {GAP:g} points is marked.",
        table,
    )


def _offset(table2: Rows, rslad: Rows) -> Fact:
    def differences(ours: str, theirs: str, attack: str) -> Iterator[float]:
        for (dataset, arch, method), row in table2.items():
            other = rslad.get((dataset, arch, theirs), {})
            if method == ours and attack in other:
                yield row[attack] - other[attack]

    pairs = [(method, method.removeprefix("en-")) for method in dict.fromkeys(key[2] for key in table2)]
    baselines = [pair for pair in pairs if pair[0] != pair[1]]
    table = [["difference", *ATTACKS.values()]]
    every: list[float] = []
    for ours, theirs in baselines:
        columns = [list(differences(ours, theirs, attack)) for attack in ATTACKS]
        every += [value for column in columns for value in column]
        table.append([_label(ours), *(f"{fmean(column):+.2f}" for column in columns)])
    natural = [value for attack in ATTACKS for value in differences("natural", "natural", attack)]
    low, high = AROUND
    within = sum(low - 1e-9 <= value <= high + 1e-9 for value in every)
    return Fact(
        "Table 2's en- rows and the RSLAD paper",
        f"The {len(every)} numbers of Table 2's en- rows minus the RSLAD paper's for single networks of the same name, "
        f"data set and architecture: {fmean(every):+.2f} ± {stdev(every):.2f} (mean and sample standard deviation), "
        f"from {min(every):+.2f} to {max(every):+.2f}; {within} of {len(every)} lie within {low:+.2f} to {high:+.2f}. "
        f"The Natural rows' {len(natural)} numbers differ by at most {max(map(abs, natural)):.2f}. "
        f"Each number of the table is a mean over {len(every) // len(baselines) // len(ATTACKS)} pairs of data set and "
        "architecture.",
        table,
    )


def _clean(tables: Mapping[int, Rows]) -> Fact:
    def spread(values: Sequence[float]) -> str:
        return f"{min(values):.2f} to {max(values):.2f}"

    third = [row["clean"] for row in tables[3].values()]
    blocks: dict[str, list[float]] = {}
    for key, row in tables[2].items():
        if key[2].endswith("at-aka"):
            blocks.setdefault(_place(key), []).append(row["clean"])
    level = fmean(third)
    deviation = math.sqrt(level * (100 - level) / IMAGES)
    table = [["clean accuracy", "rows", "range", "width"]]
    groups = [("Table 3, all rows", third), *((f"Table 2, AT-AKA, {place}", its) for place, its in blocks.items())]
    table += [[title, f"{len(its)}", spread(its), f"{max(its) - min(its):.2f}"] for title, its in groups]
    return Fact(
        "Clean accuracies",
        f"The clean accuracies of Table 3's {len(third)} rows, methods of different kinds, lie within {spread(third)}. "
        f"The binomial standard deviation of one accuracy of {level:.1f}% over {IMAGES:,} images is {deviation:.2f} "
        "points.",
        table,
    )


def _repeated(table2: Rows, table5: Rows) -> Fact:
    common = [key for key in table5 if key in table2]
    equal = [key for key in common if table5[key] == table2[key]]
    of = names.listed([_label(method) for method in dict.fromkeys(key[2] for key in common)])
    return Fact(
        "Table 5 and Table 2",
        f"{len(common)} rows stand in both tables ({of}, of each data set and architecture). {len(equal)} of them are "
        f"equal in every number ({sum(len(table5[key]) for key in equal)} in all).",
    )


def _teachers(table5: Rows) -> Fact:
    table = [["gain by one more teacher", "mean", "least", "most"]]
    most = 0.0
    for number, (fewer, more) in enumerate(pairwise(TEACHERS), start=1):
        gains = [
            table5[dataset, arch, more][attack] - row[attack]
            for (dataset, arch, method), row in table5.items()
            if method == fewer
            for attack in ("fgsm", "pgd", "aa")
        ]
        most = max(gains)
        table.append([f"{number} to {number + 1}", f"{fmean(gains):+.2f}", f"{min(gains):+.2f}", f"{most:+.2f}"])
    return Fact(
        "Table 5: one more teacher",
        "Under FGSM, PGD and AutoAttack, over data sets and architectures, in points. "
        f"From three teachers to four no number gains more than {most:.2f}.",
        table,
    )


def _students(table4: Rows) -> Fact:
    first, *_ = STUDENTS
    columns = [
        (attack, [table4[dataset, arch, student][attack] for student in STUDENTS])
        for (dataset, arch, method), row in table4.items()
        if method == first
        for attack in row
    ]
    under = [values for attack, values in columns if attack != "clean"]
    every = [values for _, values in columns]

    def highest(some: Sequence[Sequence[float]]) -> int:
        return sum(values[0] == max(values) for values in some)

    lag = max(max(values) - values[0] for values in under)
    widths = [max(values) - min(values) for values in every]
    return Fact(
        "Table 4: three students",
        "Students that are trained alike, but for their random numbers, are each as likely to be the highest in a "
        f"column. CAT-AKA's first is the highest, or level with it, in {highest(every)} of {len(every)} columns (data "
        f"set, architecture, attack), in {highest(under)} of the {len(under)} under attack; elsewhere under attack it "
        f"is at most {lag:.2f} below. The columns of one student are not independent. Within a column the three are "
        f"up to {max(widths):.2f} points apart, {fmean(widths):.2f} on average.",
    )


def _figures(value: float) -> str:
    """Four of them, or a whole number."""
    return f"{value:,.0f}" if value >= 1000 else f"{value:.4g}"


@cache
def _study() -> Study:
    return config.load()


def _label(method: str) -> str:
    return names.method(method, _study())


def _place(key: tuple[str, str, str]) -> str:
    return f"{names.arch(key[1])} on {names.dataset(key[0], _study())}"
