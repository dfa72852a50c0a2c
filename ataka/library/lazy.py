"""Names that are looked up on first use (PEP 562), so that ``import ataka`` loads no torch. Imports none of ataka."""

import sys
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING as TYPE_CHECKING
from typing import Any

SURFACE = {
    "attacks": "ataka.attacks",
    "evaluate": "ataka.library.evaluation:evaluate",
    "load": "ataka.library.networks:load",
    "psi": "ataka.psi",
    "svgd": "ataka.attacks.svgd",
    "tape": "ataka.library.tapes:tape",
}
"""The names of the package ``ataka``: a module each, or what it holds behind the colon."""
NAMES = [*SURFACE]
"""``ataka.__all__``, by which ``help(ataka)`` shows the functions, too."""


def attribute(name: str) -> Any:
    """The object that ``ataka`` offers as ``name``; AttributeError if it offers none."""
    if name not in SURFACE:
        raise AttributeError(f"module 'ataka' has no attribute '{name}'; it offers {', '.join(SURFACE)}")
    module, _, member = SURFACE[name].partition(":")
    loaded = import_module(module)
    return getattr(loaded, member) if member else loaded


def names() -> list[str]:
    """The names that ``dir(ataka)`` shows."""
    return sorted({*SURFACE, *vars(sys.modules["ataka"])})


def attack(name: str) -> ModuleType:
    """The module of ``ataka.attacks`` called ``name``; AttributeError if there is none."""
    return _submodule("ataka.attacks", name)


def psi(name: str) -> ModuleType:
    """The module of ``ataka.psi`` called ``name``; AttributeError if there is none."""
    return _submodule("ataka.psi", name)


def _submodule(package: str, name: str) -> ModuleType:
    if name.startswith("__") or find_spec(f"{package}.{name}") is None:
        raise AttributeError(f"module '{package}' has no attribute '{name}'")
    return import_module(f"{package}.{name}")
