"""A terminal that can't show every character: a question mark stands for those, and no program ends for them."""

import io
import sys


def show_what_it_can() -> None:
    """Let standard output replace the characters that its encoding lacks (a Latin-1 terminal, ``LC_ALL=C``)."""
    if isinstance(sys.stdout, io.TextIOWrapper) and sys.stdout.errors == "strict":
        sys.stdout.reconfigure(errors="replace")
