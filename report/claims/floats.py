"""Verdicts as floats of a paper: one for each of the paper's tables, in several where one is higher than a page."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby
from math import ceil
from typing import NamedTuple

from ataka.study import words
from report import names
from report.claims.claims_page import WORDS, Block
from report.latex import longest

_LINES = 54
"""The lines of a float that a page of llncs holds below a caption, the narrowest and lowest page that is tested."""
_WHOLE, _CLAIM, _EVIDENCE = 92, 22, 32
"""Characters in a line there: over the whole width, in the column of claims, and in that of the evidence."""


class Line(NamedTuple):
    """A claim in print. The evidence is a difference and what decided it, or why the claim is not measured."""

    claim: str
    verdict: str
    evidence: str
    holm: str
    printed: str


HEADER = Line("", "verdict", "difference, decided by", "Holm", "printed")


@dataclass(frozen=True)
class Sentence:
    """A sentence of the paper, its reading, and its claims."""

    where: str
    quote: str
    reading: str
    lines: list[Line]

    @property
    def height(self) -> int:
        """The lines that it takes on a page of llncs, and one for the space above it."""
        told = ceil((len(self.where) + len(self.quote)) / _WHOLE) + ceil(len(self.reading) / _WHOLE)
        return 1 + told + sum(max(_rows(one.claim, _CLAIM), _rows(one.evidence, _EVIDENCE)) for one in self.lines)


@dataclass(frozen=True)
class Float:
    """The claims of a table of the paper, or a part of these; ``outcome`` counts the verdicts on all of them."""

    table: int
    outcome: str
    sentences: list[Sentence]
    continued: bool = False

    @property
    def widest(self) -> list[list[str]]:
        """For each column but the evidence, the texts of which one is the widest."""
        columns = [*zip(*(line for sentence in self.sentences for line in sentence.lines), strict=True)]
        return [[HEADER[at], *longest([*dict.fromkeys(columns[at])])] for at in (0, 1, 3, 4)]


def of(blocks: Sequence[Block], notes: Sequence[str]) -> list[Float]:
    """The floats of all sentences; the first has ``notes`` below it."""
    made: list[Float] = []
    for table, group in groupby(blocks, key=lambda block: block.table):
        of_table = list(group)
        count = Counter(row[1] for block in of_table for row in block.rows)
        whole = Float(table, names.listed([f"{count[word]} {word}" for word in WORDS if count[word]]), [])
        below = 0 if made else sum(map(len, notes)) // _WHOLE + 1
        parts = _parts([_sentence(block) for block in of_table], below)
        made += [replace(whole, sentences=part, continued=at > 0) for at, part in enumerate(parts)]
    return made


def _parts(sentences: Sequence[Sentence], below: int) -> Iterator[list[Sentence]]:
    """Sentences in order, page by page; the first page has so many lines ``below`` them."""
    part: list[Sentence] = []
    height = below
    for sentence in sentences:
        if part and height + sentence.height > _LINES:
            yield part
            part, height = [], 0
        part.append(sentence)
        height += sentence.height
    yield part


def _sentence(block: Block) -> Sentence:
    return Sentence(block.where, block.quote, block.reading, [_line(row) for row in block.rows])


def _line(row: Sequence[str]) -> Line:
    claim, verdict, decided, difference, _, holm, *_, printed = row
    return Line(claim, verdict, f"{difference}: {decided}" if difference else decided, holm, printed)


def _rows(text: str, width: int) -> int:
    return ceil(len(words.plain(text)) / width)
