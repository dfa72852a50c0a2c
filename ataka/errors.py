"""What the user can mend: one exception, one exit code, one way to suggest the name that was meant."""

from collections.abc import Iterable
from difflib import get_close_matches


class UserError(Exception):
    """A mistake that the user can mend. Its message says what is wrong, where, and what to do; exit code 2."""


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for a misspelt ``name``, else the list of the ``known`` names."""
    names = sorted(str(candidate) for candidate in known)
    close = get_close_matches(str(name), names, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {', '.join(names) or 'none'}"


def unknown(name: str, known: Iterable[str]) -> str:
    """``nearest``, for a name that may also be the dotted name of a module."""
    return (", and no such module is on the Python path" if "." in name else "") + nearest(name, known)


def few(names: Iterable[str], most: int = 3) -> str:
    """The first names, and how many the others are: ``a, b, c and 4 more``."""
    listed = list(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + rest
