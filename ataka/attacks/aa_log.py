"""Counts the warnings that AutoAttack's package logs while it attacks, so that an interruption loses none."""

import logging
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

LOGGER = logging.getLogger("auto-attack")


@contextmanager
def heard(warnings: Counter[str]) -> Iterator[None]:
    """Count in ``warnings`` each text that the package logs inside."""
    listener = _Listener(warnings)
    LOGGER.addHandler(listener)
    try:
        yield
    finally:
        LOGGER.removeHandler(listener)


def merged(warnings: Mapping[str, int]) -> Counter[str]:
    """Counts of ``warnings``, where texts that differ only in their numbers are joined under the first of them."""
    firsts: dict[str, str] = {}
    sums: Counter[str] = Counter()
    for text, count in warnings.items():
        sums[firsts.setdefault(re.sub(r"\d+", "0", text), text)] += count
    return sums


class _Listener(logging.Handler):
    def __init__(self, warnings: Counter[str]) -> None:
        super().__init__(logging.WARNING)
        self.warnings = warnings

    def emit(self, record: logging.LogRecord) -> None:
        self.warnings[re.sub(r" See \S+ for details\.", "", record.getMessage()).replace(";", ",")] += 1
