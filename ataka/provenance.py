"""Who, what, when, from which bytes: the record beside every result, and the hash of the code behind it."""

import ast
import hashlib
import importlib.util
import json
import platform
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

HOME = Path(__file__).resolve().parents[1]
PACKAGES = ("torch", "torchvision", "timm", "numpy", "pyautoattack", "snakemake")
_NOT_RESULTS = {
    "ataka.config",
    "ataka.errors",
    "ataka.explain",
    "ataka.models",
    "ataka.progress",
    "ataka.resume",
    "ataka.settings",
    "ataka.study",
}
"""Modules that results do not depend on (names, messages, resuming), so that a new setting never re-records a tape."""


def environment() -> dict[str, Any]:
    """The commit, whether the checkout was changed, versions and machine, of this process."""
    commit, dirty = git_state()
    return {
        "git_commit": commit,
        "git_dirty": dirty,
        "python": platform.python_version(),
        "platform": platform.platform(terse=True),
        "versions": {name: _version(name) for name in PACKAGES},
    }


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


@cache
def git_state() -> tuple[str, bool | None]:
    """The commit of the checkout and whether tracked files differ from it; ("", None) outside a checkout."""

    def git(*arguments: str) -> str:
        command = ["git", "-C", str(HOME), *arguments]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()

    try:
        return git("rev-parse", "HEAD"), bool(git("status", "--porcelain", "--untracked-files=no"))
    except (OSError, subprocess.CalledProcessError):
        return "", None


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def seal(content: Mapping[str, Any]) -> str:
    """SHA-256 of a JSON object, or of a row of a CSV as text, without its seal."""
    rest = {name: value for name, value in content.items() if name != "seal"}
    return hashlib.sha256(json.dumps(rest, sort_keys=True).encode()).hexdigest()


def seals(rows: Sequence[Mapping[str, str]]) -> list[str]:
    """The seal, ``collected``, of each row of a collection: of what it states, its place and their number.

    So no row can be edited, lost or added. Fields that only other rows have are left out.
    """
    stated = [{name: value for name, value in row.items() if value and name != "collected"} for row in rows]
    return [seal({**row, "collected": f"{place} of {len(rows)}"}) for place, row in enumerate(stated, start=1)]


_COMMENT = {".tex": "% sealed: {}", ".md": "<!-- sealed: {} -->"}


def sealed_page(text: str, suffix: str) -> str:
    """``text`` with a last line that LaTeX or Markdown doesn't show: the SHA-256 of what stands before it."""
    return f"{text}{_COMMENT[suffix].format(hashlib.sha256(text.encode()).hexdigest())}\n"


def holds(page: str, suffix: str) -> bool | None:
    """Whether a page is as ``sealed_page`` wrote it; None if it has no seal at all."""
    text = "".join(page.splitlines(keepends=True)[:-1])
    if _COMMENT[suffix].split("{}")[0] not in page:
        return None
    return page == sealed_page(text, suffix)


def code_digest(modules: Iterable[str]) -> str:
    """SHA-256 of the syntax trees of ``modules`` and what they import of their own packages, bar docstrings.

    Editing a formula changes it; a comment, a docstring or the layout does not.
    """
    digest = hashlib.sha256()
    for name in sorted(_reachable(modules)):
        digest.update(f"{name}\n{_tree(name)}\n".encode())
    return digest.hexdigest()


def _reachable(modules: Iterable[str]) -> set[str]:
    found: set[str] = set()
    pending = list(modules)
    packages = {name.split(".")[0] for name in pending} | {"ataka"}
    while pending:
        name = pending.pop()
        if name in found or name in _NOT_RESULTS or name.split(".")[0] not in packages or _source(name) is None:
            continue
        found.add(name)
        pending.extend(_imports(name))
    return found


@cache
def _source(module: str) -> Path | None:
    """The file of a module, found without importing it or its package: hashing runs nobody's code."""
    top, *below = module.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except ValueError:  # a module that was made by hand
        return None
    if spec is None or not below:
        return Path(spec.origin) if spec and spec.origin and spec.origin.endswith(".py") else None
    bases = [Path(location, *below) for location in spec.submodule_search_locations or ()]
    files = [file for base in bases for file in (base / "__init__.py", base.with_suffix(".py"))]
    return next((file for file in files if file.is_file()), None)


@cache
def _parsed(module: str) -> ast.Module:
    source = _source(module)
    assert source is not None
    return ast.parse(source.read_text(encoding="utf-8"))


@cache
def _imports(module: str) -> tuple[str, ...]:
    source = _source(module)
    is_package = source is not None and source.name == "__init__.py"
    return tuple(_imported(_parsed(module), package=module if is_package else module.rpartition(".")[0]))


def _imported(tree: ast.Module, package: str) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            name = "." * node.level + (node.module or "")
            name = importlib.util.resolve_name(name, package) if node.level else name
            yield name
            yield from (f"{name}.{alias.name}" for alias in node.names)


@cache
def _tree(module: str) -> str:
    tree = _parsed(module)
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if isinstance(body, list):
            kept = [statement for statement in body if not _is_text(statement)]
            if len(kept) < len(body):
                node.body = kept  # type: ignore[attr-defined]
    return ast.unparse(tree)  # the same text in every Python version, unlike ast.dump


def _is_text(statement: ast.stmt) -> bool:
    """A docstring, of a module, class, function or, by convention, of the constant above it."""
    return (
        isinstance(statement, ast.Expr)
        and isinstance(statement.value, ast.Constant)
        and isinstance(statement.value.value, str)
    )
