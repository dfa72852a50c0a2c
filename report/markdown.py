"""Text and numbers in GitHub's Markdown."""

import re

from ataka.study import words
from report.layout import Entry, Layout


def escape(text: str) -> str:
    """Words as Markdown that prints them, also within a table. A formula that plain text can't say stays a formula."""
    escaped = "".join(_formula(part) if isinstance(part, words.Part) else _escaped(part) for part in words.parts(text))
    return re.sub(r"^(\d*)((?:[-+.)]|#+)(?:\s|$))", r"\1\\\2", escaped)  # else the beginning of a list or a heading


def _escaped(text: str) -> str:
    return re.sub(r"([\\`*_<>|$~\[\]]|&(?=#?\w+;))", r"\\\1", text)


def _formula(part: words.Part) -> str:
    """GitHub sets a formula between $` and `$."""
    if part.exact or not part.latex.startswith("$"):
        return _escaped(part.plain)
    body = part.latex[1:-1].replace("|", r"\vert ")
    return f"$`{body}`$"


def number(entry: Entry) -> str:
    """An entry in Markdown: the best one in bold, with its spread and mark."""
    text = entry.text + (f" ± {entry.spread}" if entry.spread else "") + entry.mark
    return f"**{text}**" if entry.best else text


def header(layout: Layout) -> list[str]:
    """The column names: under one group it stands for itself, under several each name says its own."""
    if len(layout.groups) == 1:
        (group,) = layout.groups
        return [escape(name) for name in (group.title, *group.headings)]
    return ["", *(escape(f"{group.title} {column}") for group in layout.groups for column in group.headings)]


def rule(layout: Layout) -> list[str]:
    """The line below a table's heading: labels to the left, numbers to the right."""
    return ["---", *("---:" for group in layout.groups for _ in group.columns)]
