"""Files that settings name by a path, or as a resource of an installed package. Imports no torch."""

import re
from importlib.util import find_spec
from pathlib import Path, PurePosixPath

from ataka.errors import UserError


def expanded(path: str | Path) -> Path:
    """``path``, with ``~`` as the user's home and ``~name`` as that of ``name``; UserError for a name unknown here."""
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise UserError(f"'{path}': this machine knows no user of that name; give the folder's whole path") from None


def locate(path: str) -> Path:
    """The file called ``path``: ``package:resource`` lies inside an installed package, which isn't imported.

    Raises UserError if it isn't there.
    """
    if match := re.fullmatch(r"([^\W\d]\w*):(.+)", path):
        return _resource(path, *match.groups())
    file = expanded(path)
    if not file.is_file():
        raise UserError(f"there is no file {file}: put it there, or correct its path")
    return file


def _resource(path: str, package: str, resource: str) -> Path:
    try:
        spec = find_spec(package)
    except ValueError:  # a module of that name is loaded, and came from no installation
        spec = None
    if spec is None:
        raise UserError(f"{path}: package '{package}' isn't installed; install it, or give the file's own path")
    if not PurePosixPath(resource).is_absolute() and ".." not in PurePosixPath(resource).parts:
        for folder in spec.submodule_search_locations or ():
            if (file := Path(folder, resource)).is_file():
                return file
    raise UserError(
        f"{path}: package '{package}' has no such file: correct its path, or install the version that has it"
    )
