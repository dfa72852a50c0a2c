"""Data sets by name: each is one file of this folder, or a module anywhere on the Python path. Imports no torch.

A data set of arrays in an .npz file, or of images in folders, is an entry in a study's settings instead
(ataka/study/archives.py).
The module of a data set has ``SPECIFICATION`` and ``load(folder)``, which returns training and test images with labels.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ataka.datasets.specification import Specification
from ataka.errors import UserError, nearest, reason, unknown
from ataka.files.locate import expanded
from ataka.machine.modules import plugin, source

if TYPE_CHECKING:
    from ataka.datasets.specification import Loaded

__all__ = ["Dataset", "Specification", "archive_folder", "find", "names"]


@dataclass(frozen=True)
class Dataset:
    """A data set whose images ``module`` loads, from ``file`` where one file or folder is all of the data set."""

    name: str
    module: str
    specification: Specification
    file: Path | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    """What the module's ``load`` is told beside the file."""

    def load(self, folder: Path) -> Loaded:
        """The official training and test images with labels.

        Raises UserError if files are missing or damaged, or hold something else than the specification says.
        """
        from ataka.datasets.loaded import check

        loaded: Loaded = import_module(self.module).load(self.file or folder, **self.options)
        check(self.name, loaded, self.specification)
        return loaded


def archive_folder(folder: str | Path) -> Path:
    """The folder of the archives: ATAKA_DATA if that variable is set, else the configured folder."""
    return expanded(os.environ.get("ATAKA_DATA") or folder)


def names() -> list[str]:
    """The data sets of this folder."""
    return sorted(file.stem for file in Path(__file__).parent.glob("*.py") if _has_specification(file))


def find(name: str, others: Iterable[str] = ()) -> Dataset:
    """The data set of this folder, or the module, that ``name`` says; UserError, with the nearest, if there is none."""
    loaded = sys.modules.get(f"{__name__}.{name}")  # most often, and a table asks thousands of times
    if isinstance(specification := getattr(loaded, "SPECIFICATION", None), Specification):
        return Dataset(name, f"{__name__}.{name}", specification)
    dotted = plugin(name, __name__)
    file = source(dotted) if dotted else None
    if dotted is None or file is None:
        raise UserError(f"no data set '{name}'{unknown(name, [*names(), *others])}")
    if not _has_specification(file):
        raise UserError(f"no data set '{name}': {file} has no SPECIFICATION{nearest(name, [*names(), *others])}")
    try:
        module = import_module(dotted)
    except Exception as error:  # whatever a user's own module does when it is imported
        raise UserError(f"data set '{name}': can't import '{dotted}': {reason(error)}") from None
    if not isinstance(module.SPECIFICATION, Specification):
        raise UserError(f"data set '{name}': SPECIFICATION of '{dotted}' is no ataka.datasets.Specification")
    if not callable(getattr(module, "load", None)):
        raise UserError(f"data set '{name}': '{dotted}' has no function load(folder)")
    return Dataset(name, dotted, module.SPECIFICATION)


def _has_specification(file: Path) -> bool:
    """Whether the file is a data set's, by its source: nobody's code is run."""
    return bool(re.search(r"^SPECIFICATION\b", file.read_text(encoding="utf-8"), re.MULTILINE))
