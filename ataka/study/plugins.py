"""Facts that settings need of plug-ins, kept beside the results, so that reading settings loads no torch.

A method or an attack is one file, and its module may import torch at its top. Settings need few facts of the module:
options with their defaults, readings, parameters, roles. The module is imported for them once; then they lie in
``results/.facts.json`` until Python, pydantic or the source of a module changes that was loaded with them. So the first
start after such a change, or in a fresh checkout, loads torch. To delete the file costs one such start.
"""

import atexit
import hashlib
import json
import os
import platform
import sys
import time
import uuid
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from types import ModuleType
from typing import Any

import pydantic

from ataka.files.provenance import ROOMS
from ataka.files.records import seal
from ataka.machine.modules import source

STORE = Path("results/.facts.json")
"""The file that keeps facts, if its folder is there."""
_MOST = 2000
"""Facts that are kept; beyond these, the oldest go."""
_BEGAN = time.time() - time.process_time()
"""The time when this process started, or a little later."""
_ENVIRONMENT = f"python {platform.python_version()}, pydantic {pydantic.VERSION}"
_INSTALLED = Path(os.__file__).parent
_source = cache(source)
_left_out: set[str] = set()
"""Modules on which no fact rests."""


@dataclass
class _Store:
    """Facts by module and question, and the sources they rest on: for each module its file and the file's SHA-256."""

    path: Path
    facts: dict[str, Any] = field(default_factory=dict)
    sources: dict[str, list[str]] = field(default_factory=dict)
    edited: set[str] = field(default_factory=set)
    """Modules whose file is gone, or was edited since this process began."""
    seen: int = 0
    """The number of modules loaded when ``sources`` was last brought up to date."""
    added: bool = False
    """Whether this process found facts that were not there."""


def facts(module: str, question: object, answer: Callable[[], Any]) -> Any:
    """The JSON that ``answer`` returns, from the store if it is there.

    ``answer`` imports ``module``. Its result depends on the sources of the loaded modules and on ``question``, whose
    repr says all else. Nothing is kept of an error, of a result that is no JSON, of a module that has no file, and of
    sources that were edited since this process began.
    """
    store, key = _store(), f"{module} {question!r}"
    if key in store.facts and _source(module):
        return store.facts[key]
    result = answer()
    try:
        result = json.loads(json.dumps(result))  # the same types, whether read or computed
    except (TypeError, ValueError):
        return result
    if _note_sources(store, module):
        store.facts[key], store.added = result, True
    return result


def leave_out(modules: Iterable[str]) -> None:
    """Let no fact rest on ``modules``, which a user's own network has loaded, but for those of this project."""
    _left_out.update(name for name in modules if name.partition(".")[0] not in ROOMS)


def keep() -> None:
    """Write new facts now rather than when this process ends, which may be in weeks."""
    _write(_store())


@cache
def _store() -> _Store:
    store = _read(STORE.absolute())
    atexit.register(_write, store)
    return store


def _read(path: Path) -> _Store:
    """The facts at ``path`` if they hold; none if the file is missing, damaged, or older than a source."""
    with suppress(OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        content = json.loads(path.read_bytes())
        current = content["environment"] == _ENVIRONMENT and content["seal"] == seal(content)
        if current and all(
            _sha256(_source(name) or Path(file)) == was for name, (file, was) in content["sources"].items()
        ):
            return _Store(path, dict(content["facts"]), dict(content["sources"]))
    return _Store(path)


def _write(store: _Store) -> None:
    """Add new facts to those that other processes have written meanwhile; a folder that takes none goes without."""
    if not store.added or not store.path.parent.is_dir():
        return
    with suppress(OSError, ValueError):
        there = _read(store.path)
        if any(there.sources.get(name, known)[1] != known[1] for name, known in store.sources.items()):
            return  # a source has changed since this process loaded it
        kept = dict([*(there.facts | store.facts).items()][-_MOST:])
        content = {"environment": _ENVIRONMENT, "sources": there.sources | store.sources, "facts": kept}
        part = store.path.with_name(f"{store.path.name}.{uuid.uuid4().hex}.part")
        try:
            part.write_text(json.dumps(content | {"seal": seal(content)}), encoding="utf-8")
            part.replace(store.path)
        finally:
            part.unlink(missing_ok=True)


def _note_sources(store: _Store, plugin: str) -> bool:
    """Bring the store's sources up to date with what is loaded; whether facts of ``plugin`` may be kept.

    A package that is installed counts only if it is the plug-in's own.
    """
    if len(sys.modules) != store.seen:
        for name, module in list(sys.modules.items()):
            file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
            if name == "__main__" or name in _left_out or not file or not file.endswith(".py"):
                continue
            if store.sources.get(name, [""])[0] == file:
                continue
            if name.split(".")[0] in ("ataka", plugin.split(".")[0]) or not _is_installed(file):
                if not Path(file).exists() or Path(file).stat().st_mtime > _BEGAN:
                    store.edited.add(name)
                else:
                    store.sources.setdefault(name, [file, _sha256(Path(file))])
        store.seen = len(sys.modules)
    return plugin in store.sources and store.edited.isdisjoint(sys.modules)


@cache
def _is_installed(file: str) -> bool:
    path = Path(file)
    return path.is_relative_to(_INSTALLED) or not {"site-packages", "dist-packages"}.isdisjoint(path.parts)


@cache
def _sha256(file: Path) -> str:
    return hashlib.sha256(file.read_bytes()).hexdigest()
