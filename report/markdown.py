"""Text and numbers in GitHub's Markdown."""

import re

from report.layout import Entry, Layout


def escape(text: str) -> str:
    """Plain text as Markdown that prints it, also within a table."""
    return re.sub(r"([\\`*_<>|$~\[\]])", r"\\\1", text)


def number(entry: Entry) -> str:
    text = entry.text + (f" ± {entry.spread}" if entry.spread else "") + entry.mark
    return f"**{text}**" if entry.best else text


def header(layout: Layout) -> list[str]:
    """The column names: under one group it stands for itself, under several each name says its own."""
    if len(layout.groups) == 1:
        (group,) = layout.groups
        return [escape(name) for name in (group.title, *group.headings)]
    return ["", *(escape(f"{group.title} {column}") for group in layout.groups for column in group.headings)]


def rule(layout: Layout) -> list[str]:
    return ["---", *("---:" for group in layout.groups for _ in group.columns)]
