"""The architecture that a network's name stands for. Imports no torch."""

from typing import Any, NamedTuple


class Architecture(NamedTuple):
    """A network: its one ``name``, the ``label`` that tables print, and ``settings`` for its module's ``build``."""

    name: str
    label: str
    settings: dict[str, Any]
