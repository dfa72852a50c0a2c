"""The user's mistakes, as Snakemake's terminal shows them."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ataka.errors import UserError


@contextmanager
def mistakes_stop() -> Iterator[None]:
    """The user's mistake ends Snakemake before any job, with its message and exit code 2."""
    try:
        yield
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        sys.exit(2)
