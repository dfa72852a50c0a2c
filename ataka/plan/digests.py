"""The modules whose code decides an artifact's bytes, and the hash of their code."""

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path

from ataka import models
from ataka.plan.artifacts import Cell, Node, Run, Tape
from ataka.study import Study


def tape_code(study: Study, tape: Tape) -> tuple[str, ...]:
    return (
        "ataka.training",
        "ataka.networks",
        "ataka.objectives.teachers",
        *models.sources(study.teacher(tape.dataset)),
    )


def run_code(study: Study, run: Run) -> tuple[str, ...]:
    method = study.method(run.method)
    modules = ["ataka.networks", *models.sources(run.arch)]
    if method.checkpoints:
        modules.append("ataka.models.checkpoints")
    if method.objective is not None:
        modules += ["ataka.training", method.objective]
    if method.members > 1 and not run.part:
        modules.append("ataka.models.mixture")
    if method.member == "chosen":
        modules += selection_code(study)
    if method.online or method.teachers:
        modules.extend(models.sources(study.teacher(run.dataset)))
    return tuple(modules)


def selection_code(study: Study) -> tuple[str, ...]:
    return ("ataka.evaluation", f"ataka.attacks.{study.selection.attack.kind}")


def attack_code(study: Study, attack: str) -> tuple[str, ...]:
    kind = study.attack(attack).kind
    return ("ataka.evaluation", f"ataka.attacks.{kind}", *(["ataka.attacks.diagnostics"] if kind == "pgd" else []))


def code_of(study: Study, node: Node) -> tuple[str, ...]:
    """The modules whose code decides an artifact's bytes."""
    if isinstance(node, Tape):
        return tape_code(study, node)
    if isinstance(node, Run):
        return run_code(study, node)
    return attack_code(study, node.attack) if isinstance(node, Cell) else ("ataka.particles",)


_NO_SCIENCE = ("errors", "cli", "__main__", "files", "machine", "study", "plan", "stages")
"""The rooms of ``ataka`` that no result depends on: messages, settings' names, files, the machine, the workflow."""


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
        if name in found or _is_plumbing(name) or name.split(".")[0] not in packages or _source(name) is None:
            continue
        found.add(name)
        pending.extend(_imports(name))
    return found


def _is_plumbing(module: str) -> bool:
    top, _, below = module.partition(".")
    return top == "ataka" and below.split(".")[0] in _NO_SCIENCE


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
