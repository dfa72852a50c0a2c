"""The place of a module's source, found without importing the module."""

import importlib.util
from pathlib import Path


def plugin(name: str, package: str) -> str | None:
    """The dotted name of a plug-in's module: ``name`` is a file of ``package``, or a module elsewhere on the path."""
    if not all(map(str.isidentifier, name.split("."))) or name.startswith(f"{package}."):
        return None
    return next((dotted for dotted in (f"{package}.{name}", name) if source(dotted)), None)


def source(module: str, root: Path | None = None) -> Path | None:
    """The file of a module in the folder ``root``, or else on the Python path; None if there is none.

    Neither the module nor its package is imported: this runs nobody's code.
    """
    top, *below = module.split(".")
    if root is not None and (root / top).is_dir():
        places = [root / top]
    else:
        try:
            spec = importlib.util.find_spec(top)
        except ValueError:  # a module that was made by hand
            return None
        if spec is None or not below:
            return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None
        places = [Path(place) for place in spec.submodule_search_locations or ()]
    paths = [place.joinpath(*below) for place in places]
    files = [file for path in paths for file in (path / "__init__.py", path.with_suffix(".py"))]
    return next((file for file in files if file.is_file()), None)
