"""Mistakes that the user can mend: one exception, one exit code, one way to suggest the name that was meant."""

import importlib
import importlib.util
import pkgutil
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from types import ModuleType


class UserError(Exception):
    """A mistake that the user can mend. Its message says what is wrong, where, and what to do; exit code 2."""


class Unusable(UserError):
    """A file of the results that is missing, or that is not what it should be.

    ``problem`` says which file and why. The message ends with a remedy: ``remedied`` gives a better one.
    """

    def __init__(self, problem: str, remedy: str = "delete it and run again") -> None:
        super().__init__(f"{problem}; {remedy}")
        self.problem = problem


@contextmanager
def remedied(remedy: str) -> Iterator[None]:
    """A context in which the remedy for an unusable file is this one."""
    try:
        yield
    except Unusable as error:
        raise Unusable(error.problem, remedy) from None


def nearest(name: str, known: Iterable[str]) -> str:
    """``; did you mean 'x'?`` for a misspelt ``name``, else the first of the ``known`` names."""
    names = sorted(str(candidate) for candidate in known)
    close = get_close_matches(str(name), names, n=1, cutoff=0.6)
    return f"; did you mean '{close[0]}'?" if close else f"; known: {few(names, most=12) or 'none'}"


def unknown(name: str, known: Iterable[str]) -> str:
    """``nearest``, for a name that may also be the dotted name of a module: then the modules beside it count, too."""
    if "." not in name:
        return nearest(name, known)
    return ", and no such module is on the Python path" + nearest(name, [*_beside(name), *known])


def _beside(name: str) -> list[str]:
    """The dotted names of the modules in the package that the dotted ``name`` names."""
    package = name.rpartition(".")[0]
    try:
        spec = importlib.util.find_spec(package)
    except (ImportError, ValueError):  # the package has no such parent, or is half imported
        return []
    folders = spec.submodule_search_locations if spec else None
    return [f"{package}.{module.name}" for module in pkgutil.iter_modules(folders or [])]


def try_import(module: str, failed: str) -> ModuleType | None:
    """A module of the user's; None where there is none, and UserError, ``failed`` and why, if its import fails."""
    try:
        return importlib.import_module(module)
    except Exception as error:  # whatever the module does when it is imported
        if missing(error, module):
            return None
        raise UserError(f"{failed}: {reason(error)}") from None


def missing(error: Exception, module: str) -> bool:
    """Whether an import failed because ``module`` itself isn't there, rather than a module that ``module`` imports."""
    return isinstance(error, ModuleNotFoundError) and bool(error.name) and f"{module}.".startswith(f"{error.name}.")


def reason(error: Exception) -> str:
    """The error and its place in a user's module: ``NameError: name 'x' is not defined (my.py, line 3)``."""
    text = f"{type(error).__name__}: {error}"
    called = traceback.extract_tb(error.__traceback__)[1:]  # from the import on, without the line that asked for it
    own = [frame for frame in called if not frame.filename.startswith("<") and frame.filename != importlib.__file__]
    if isinstance(error, SyntaxError) or not own:  # a SyntaxError says its place, and a module not found has none
        return text
    return f"{text} ({Path(own[-1].filename).name}, line {own[-1].lineno})"


def few(names: Iterable[str], most: int = 3) -> str:
    """The first names, and how many the others are: ``a, b, c and 4 more``."""
    listed = list(names)
    rest = f" and {len(listed) - most} more" if len(listed) > most else ""
    return ", ".join(listed[:most]) + rest
