"""docs/peers.md from the CSVs beside it, and from what cells.py and calls.py say of their cells and calls."""

import csv
import platform
import sys
from collections.abc import Iterable, Iterator
from itertools import groupby
from pathlib import Path

from bench.peers import calls, cells
from bench.timing import machine

FOLDER = Path(__file__).parent.parent.parent / "docs" / "peers"
ROUNDING = 1e-6
"""Up to this difference of pixels in [0,1], images are called the same but for rounding."""
GRADES = ("the same bits", "the same but for rounding", "the same verdicts", "other verdicts", "no image fell")

HEAD = """# Peers

Whether other libraries give our images and verdicts, and the exact call that does. `make peers` trains the robust
network by Snakemake if it is not there, installs the libraries into an environment of its own, runs our cells beside
their calls image by image, and writes [cells.csv](peers/cells.csv), [surprises.csv](peers/surprises.csv) and this page,
which is generated: `python -m bench.peers page`. `make peers PEERS="--images 100 fgsm pgd"` measures two cells again,
on fewer images.

- **Robust** is the first member of en-SAT at the scale pocket, a ResNet-10 of width 16 that was trained on 5,000 images
  of CIFAR-10. **Natural ResNet-18** is the undefended network in the package pyautoattack, under small budgets: under
  the paper's, none of its images stands, and agreement says nothing.
- Images are the first of CIFAR-10's test set. Expensive attacks get fewer, and most of them the robust network alone;
  each line says how many.
- Ours are the images of `ataka.evaluate(net, ATTACK, images=..., **settings)`. A row of *ataka* is the same cell with
  the study's switches of speed (folded batch normalisations, channels_last), under which a study's jobs attack: another
  order of the same sums, so that pixels differ where a gradient is nearly 0.
- A call gets batches x, y of 128 images, or of the cell's chunk. Before the first batch:
  `seed = ataka.streams.seed_of(0, "evaluate", KIND); torch.manual_seed(seed); numpy.random.seed(seed % 2**32)`. In the
  calls of APGD and AutoAttack `seed` is `ataka.attacks.aa_parts.chunk_seed(0, INDEX)`. Fog's `start` is
  `ataka.attacks.fog.draw(x, generator=ataka.streams.generator(0, "evaluate", "fog"))`. `MEAN`, `STD`, `FromImagenet`
  and `OnTheCpu` are in bench/peers/calls.py.
- An image stands if the network classifies the attacked image rightly; this is judged here for all alike.
"""
Line = dict[str, str]


def about() -> dict[str, str]:
    """The columns that every line has: the machine and the versions."""
    return {"machine": machine(), "versions": f"Python {platform.python_version()}, {_torch()}"}


def _torch() -> str:
    return f"torch {calls.version('torch')}"


def write(folder: Path) -> None:
    """The page, beside the folder of the CSVs."""
    _page(folder).write_text(text(folder), encoding="utf-8")
    print(f"written: {_page(folder)}")


def check(folder: Path) -> int:
    """0 if the page is what its CSVs give, else 2 and a line on stderr."""
    if _page(folder).exists() and _page(folder).read_text(encoding="utf-8") == text(folder):
        return 0
    print(f"error: {_page(folder)} is not what its CSVs give; run: python -m bench.peers page", file=sys.stderr)
    return 2


def _page(folder: Path) -> Path:
    return folder.with_suffix(".md")


def text(folder: Path) -> str:
    """The page's text."""
    return "\n".join([*_lines(_read(folder / "cells.csv"), _read(folder / "surprises.csv"))]) + "\n"


def _read(path: Path) -> list[Line]:
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def _lines(rows: list[Line], surprises: list[Line]) -> Iterator[str]:
    yield HEAD
    for machines in dict.fromkeys(f"{row['machine']}; {row['versions']}" for row in [*rows, *surprises]):
        yield f"Measured on {machines}.\n"
    yield "## At a glance\n"
    yield from _glance(rows)
    yield "## What surprises\n"
    yield from _surprises(surprises)
    for cell in cells.CELLS:
        yield f"## {cell.name}\n"
        yield f"{cell.about}\n"
        if cell.lacking:
            yield f"{cell.lacking}\n"
        of_cell = [row for row in rows if row["cell"] == cell.name]
        yield from _cell(cell.name, of_cell)
        networks = dict.fromkeys(row["network"] for row in rows)
        missing = [network for network in networks if not any(row["network"] == network for row in of_cell)]
        if of_cell and missing and cell.larger:
            yield f"Not measured so far on: {', '.join(missing)}.\n"


def _glance(rows: list[Line]) -> Iterator[str]:
    """For each cell and grade, the libraries that reach it on every network that was measured."""
    best = "On every network where an image fell, with the best variant of our cell"
    yield f"{best}; rounding is at most {ROUNDING:g} of [0,1].\n"
    yield f"| cell | {' | '.join(GRADES)} |"
    yield f"|{'---|' * (1 + len(GRADES))}"
    for cell, group in groupby(rows, key=lambda row: row["cell"]):
        graded: dict[str, list[str]] = {grade: [] for grade in GRADES}
        theirs = [row for row in group if row["library"] != "ataka" and row["differ"]]
        for library in dict.fromkeys(row["library"] for row in theirs):
            graded[_best(row for row in theirs if row["library"] == library)].append(library)
        if theirs:
            yield f"| [{cell}](#{cell}) | {' | '.join(', '.join(graded[grade]) for grade in GRADES)} |"
    yield ""


def _best(rows: Iterable[Line]) -> str:
    """The best grade of a library's calls and of our variants, each at its worst network where an image fell."""
    worst: dict[tuple[str, bool], int] = {}
    for row in rows:
        if row["right"] == row["stand_ours"] == row["stand_theirs"]:
            continue  # agreement on images that no attack changes says nothing
        key = row["call"], "; but " in row["ours"]
        worst[key] = max(worst.get(key, 0), _grade(row))
    return GRADES[min(worst.values(), default=4)]


def _grade(row: Line) -> int:
    if row["equal"] == "yes":
        return 0
    if float(row["largest"]) <= ROUNDING:
        return 1
    return 2 if row["differ"] == "0" else 3


def _surprises(lines: list[Line]) -> Iterator[str]:
    for line in lines:
        entry = f"{line['surprise']} *Seen:* {line['seen']}. *Do:* {line['advice']}"
        yield f"- **{line['library']} {line['version']}.** {entry}"
    yield ""


def _cell(name: str, rows: list[Line]) -> Iterator[str]:
    if not rows:
        yield "Not measured so far.\n"
        return
    heading = (
        "network",
        "library",
        "our cell",
        "images",
        "stand: clean, ours, theirs",
        "verdicts differ",
        "largest difference",
    )
    yield f"| {' | '.join([*heading, 'same bits', 'seconds: ours, theirs'])} |"
    yield f"|---|---|---|{'---:|' * 4}---|---:|"
    for row in rows:
        network = f"{row['network']}, {row['eps']}" if row["eps"] else row["network"]
        stand = f"{row['right']}, {row['stand_ours']}, {row['stand_theirs']}"
        middle = f"{row['images']} | {stand} | {row['differ']} | {row['largest']} | {row['equal']}"
        yield (
            f"| {network} | {_label(name, row, rows)} | {row['ours'] or 'clean'} | {middle} "
            f"| {row['seconds_ours']}, {row['seconds_theirs']} |"
        )
    yield ""
    yield from _calls(name, rows)


def _label(name: str, row: Line, rows: list[Line]) -> str:
    """The library, with a number where it has several calls."""
    texts = [*dict.fromkeys(other["call"] for other in rows if other["library"] == row["library"])]
    return row["library"] if len(texts) == 1 else f"{row['library']} ({texts.index(row['call']) + 1})"


def _calls(name: str, rows: list[Line]) -> Iterator[str]:
    """Each call with its remark; KeyError for one that calls.py has no more, and that was therefore not measured."""
    remarks = {(call.library, call.text): call.remark for call in calls.of(name)}
    shown = {(row["library"], row["call"]): row for row in rows if row["call"]}
    for (library, call), row in shown.items():
        remark = f": {remarks[library, call]}" if remarks[library, call] else ""
        yield f"**{_label(name, row, rows)} {row['version']}**{remark}\n"
        yield f"```python\n{call}\n```\n"
