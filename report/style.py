"""The styles of a table's pages: the paper's, whose files have the table's name alone, and others that files name."""

from enum import StrEnum


class Style(StrEnum):
    """The paper's layout; one for few pages, without deviations; or the paper's numbers beside the measured ones."""

    PAPER = "paper"
    COMPACT = "compact"
    PUBLISHED = "published"

    @property
    def ending(self) -> str:
        """The end of a page's name before its suffix: ``.compact``; nothing for the paper's style."""
        return "" if self is Style.PAPER else f".{self}"


def parted(stem: str) -> tuple[str, Style]:
    """The name of a page without its style, and the style: ``table2.compact`` is ``table2`` in the compact style."""
    name, _, ending = stem.rpartition(".")
    return (name, Style(ending)) if name and ending in (Style.COMPACT, Style.PUBLISHED) else (stem, Style.PAPER)
