"""A count with its noun, for one and for several."""


def counted(count: int, noun: str) -> str:
    """``1 check``, ``2,000 checks``."""
    return f"{count:,} {plural(count, noun)}"


def plural(count: float, noun: str) -> str:
    """The noun for so many things: its own form for one, else with an s."""
    return noun if count == 1 else f"{noun}s"
