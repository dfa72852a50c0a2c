"""Do imports point one way: from what knows more to what knows less, and never in a circle?"""

import ast
from collections.abc import Iterator
from functools import cache
from graphlib import TopologicalSorter
from itertools import chain
from pathlib import Path

from ataka.study.config import HOME

LAYERS = (
    ("ataka.errors", "ataka.streams", "ataka.draws", "ataka.library.lazy"),
    ("ataka.machine",),
    ("ataka.files", "ataka.datasets"),
    ("ataka.models",),
    ("ataka.study",),
    ("ataka.plan",),
    ("ataka.attacks", "ataka.psi"),
    ("ataka.networks", "ataka.generation", "ataka.training", "ataka.evaluation"),
    ("ataka.objectives", "ataka.particles", "ataka.amalgamation"),
    ("ataka.stages",),
    ("ataka", "ataka.cli", "ataka.library", "ataka.__main__"),
    ("baselines",),
    ("report",),
    ("rules",),
)
"""The rooms, from the one that knows least. A module imports modules of its own layer and of those before."""
MODULES = {
    ".".join(path.relative_to(HOME).with_suffix("").parts).removesuffix(".__init__"): path
    for room in ("ataka", "baselines", "report", "rules")
    for path in sorted((HOME / room).rglob("*.py"))
}


def imported(path: Path) -> Iterator[str]:
    """The modules that a file imports as it is loaded: not those that its functions or type checkers import."""
    pending: list[ast.AST] = [ast.parse(path.read_bytes())]
    while pending:
        node = pending.pop()
        if isinstance(node, ast.FunctionDef) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            package = f"{node.module}." if isinstance(node, ast.ImportFrom) else ""
            for alias in node.names:
                yield from [name for name in above(f"{package}{alias.name}") if name in MODULES][:1]
        pending.extend(ast.iter_child_nodes(node))


def above(name: str) -> list[str]:
    """``a.b.c``, ``a.b`` and ``a``."""
    parts = name.split(".")
    return [".".join(parts[:length]) for length in range(len(parts), 0, -1)]


@cache
def arrows() -> dict[str, set[str]]:
    return {name: {*imported(path)} - {name} for name, path in MODULES.items()}


def layer(module: str) -> int:
    places = {room: place for place, rooms in enumerate(LAYERS) for room in rooms}
    return next(places[name] for name in above(module) if name in places)


def test_no_import_points_upward() -> None:
    assert len([*chain(*arrows().values())]) > 1000
    upward = [(name, other) for name, others in arrows().items() for other in others if layer(other) > layer(name)]
    assert upward == []


def test_no_imports_form_a_circle() -> None:
    TopologicalSorter(arrows()).prepare()  # CycleError names one
