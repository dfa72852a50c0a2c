"""The hash of source code without its words: the same under every Python version. Needs no package.

The hash is that of the syntax tree, so comments and layout don't count. Left out of the tree are:

- by name, the entries of ``WORDS``: labels, caption sentences, health comparisons, costs, texts of readings, progress
  lines, and any message that a function named so puts together;
- docstrings (of constants, too) and ``pass``, the arguments of the exception that ``raise`` makes, the message of an
  ``assert``, the body of an exception class;
- annotations outside class bodies, and what is imported for annotations alone (``if TYPE_CHECKING``);
- the rooms in ``PLUMBING``, and imports from there.
"""

import ast
import hashlib
import importlib.util
from collections.abc import Iterable, Iterator
from functools import cache, cached_property
from pathlib import Path
from typing import NamedTuple, TypeGuard

from ataka.machine.modules import source

PLUMBING = ("errors", "cli", "__main__", "files", "library", "machine", "study", "plan", "stages")
"""The rooms of ``ataka`` that no result depends on: messages, settings' names, files, the machine, the workflow."""
PACKAGES = ("ataka", "baselines")
"""Packages whose modules count wherever they are imported, as do those of the package that is hashed."""


class Words(NamedTuple):
    """Names of what a plug-in says beside its science, and of what is written for people: neither decides a result."""

    constants: tuple[str, ...]
    """Assigned at the top of a module."""
    functions: tuple[str, ...]
    """Defined anywhere, perhaps with an underscore before the name."""
    keywords: dict[str, tuple[str, ...]]
    """Given to a function, by the function's name."""
    statements: tuple[str, ...]
    """Called in a statement of its own: a function or method, or any method of an object (``progress.``); perhaps with
    an underscore before the name."""


WORDS = Words(
    constants=("LABEL", "EXAMPLES", "BEATS", "CHECKS", "PAPER_NOTE", "SENTENCE"),
    functions=("sentence", "caveat", "forwards", "chunk_forwards", "updates", "message"),
    keywords={
        "reading": ("id", "sentence", "values", "neutral", "description"),
        "added": ("neutral", "description"),
        "Field": ("description",),
        "Specification": ("label",),
        "Architecture": ("label",),
    },
    statements=("print", "say", "progress.", "logging.", "logger.", "warnings.", "states.keep"),
)


class Code:
    """The source files of packages in the folder ``root``, or else on the Python path. Each file is read once."""

    def __init__(self, root: Path | None = None) -> None:
        self.root = root
        self._modules: dict[str, Module | None] = {}
        self._digests: dict[tuple[frozenset[str], bool], str] = {}

    def digest(self, modules: Iterable[str], *, words: bool = False) -> str:
        """SHA-256 of the code of ``modules`` and of what they import from their own packages and ``PACKAGES``.

        With ``words`` only docstrings are left out: for the code of pages, which are made of words.
        """
        key = frozenset(modules), words
        if key not in self._digests:  # a study asks for the same few thousands of times
            digest = hashlib.sha256()
            for name in sorted(self.reachable(key[0])):
                module = self._module(name)
                assert module is not None
                digest.update(f"{name}\n{module.worded if words else module.wordless}\n".encode())
            self._digests[key] = digest.hexdigest()
        return self._digests[key]

    def reachable(self, modules: Iterable[str]) -> set[str]:
        """Names of ``modules`` and of those that they import, directly or through others; no plumbing."""
        reached: set[str] = set()
        pending = list(modules)
        packages = {name.split(".")[0] for name in pending} | set(PACKAGES)
        while pending:
            name = pending.pop()
            if name in reached or is_plumbing(name) or name.split(".")[0] not in packages:
                continue
            module = self._module(name)
            if module is not None:
                reached.add(name)
                pending.extend(module.imports)
        return reached

    def _module(self, name: str) -> "Module | None":
        if name not in self._modules:
            file = source(name, self.root)
            self._modules[name] = Module(file, name) if file else None
        return self._modules[name]


_CODE = Code()


def code_digest(modules: Iterable[str], *, words: bool = False) -> str:
    """``Code.digest`` of modules on the Python path; within a process each file is read once."""
    return _CODE.digest(modules, words=words)


def is_plumbing(module: str) -> bool:
    """Whether a module, or a name within one, lies in a room of ``ataka`` that is never hashed."""
    top, _, below = module.partition(".")
    return top == "ataka" and below.split(".")[0] in PLUMBING


class Module:
    """One source file, as it is when it is first read."""

    def __init__(self, file: Path, name: str) -> None:
        self._package = name if file.name == "__init__.py" else name.rpartition(".")[0]
        self._source = file.read_bytes()
        self._tree: ast.Module | None = ast.parse(self._source)
        self.imports = tuple(_imports(self._tree, self._package))

    @cached_property
    def wordless(self) -> str:
        """The module's tree as text, without the words that are written for people."""
        return text(_Wordless(self._package).visit(self._parsed()))

    @cached_property
    def worded(self) -> str:
        """The module's tree as text, without its docstrings alone."""
        return text(_Undocumented().visit(self._parsed()))

    def _parsed(self) -> ast.Module:
        """A tree that its caller may change. None is kept: those of all modules would take 15 MB."""
        tree, self._tree = self._tree, None
        return tree or ast.parse(self._source)


def _imports(tree: ast.Module, package: str) -> Iterator[str]:
    """Names of all modules, and of whatever may be a module, that are imported anywhere, except for annotations."""
    for node in _run(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from _imported(node, package)


def _run(tree: ast.AST) -> Iterator[ast.AST]:
    """Every node of the tree that runs: ``ast.walk`` without what type checkers alone read."""
    pending = [tree]
    while pending:
        node = pending.pop()
        yield node
        pending.extend(node.orelse if _is_for_types(node) else ast.iter_child_nodes(node))


def _is_for_types(node: ast.AST) -> TypeGuard[ast.If]:
    return isinstance(node, ast.If) and _dotted(node.test)[-1:] == ["TYPE_CHECKING"]


def _imported(node: ast.Import | ast.ImportFrom, package: str) -> Iterator[str]:
    if isinstance(node, ast.Import):
        yield from (alias.name for alias in node.names)
        return
    name = "." * node.level + (node.module or "")
    name = importlib.util.resolve_name(name, package) if node.level else name
    yield name
    yield from (f"{name}.{alias.name}" for alias in node.names)


def _dotted(node: ast.AST) -> list[str]:
    """``a.b.c`` as its names; those after the last call or index where there is one."""
    names: list[str] = []
    while isinstance(node, ast.Attribute):
        names.insert(0, node.attr)
        node = node.value
    return [node.id, *names] if isinstance(node, ast.Name) else names


# ---- the tree as text

_LOOKS = ("ctx", "kind", "type_comment", "type_ignores")
"""Fields that say how a node was written, or what its place says already."""


def text(node: object) -> str:
    """A syntax tree as text: for each node its type and its fields by name, without those that are empty.

    Python versions differ in fields that are empty where a program doesn't use them, in their order, and in the
    pieces of an f-string; the text does not.
    """
    if isinstance(node, ast.AST):
        fields = {name: getattr(node, name, None) for name in _kept(node._fields)}
        if isinstance(node, ast.JoinedStr):
            fields["values"] = list(_pieces(node))
        elif isinstance(node, ast.FormattedValue) and not list(_pieces(node.format_spec)):
            del fields["format_spec"]
        written = (f" {name}={text(value)}" for name, value in fields.items() if value is not None and value != [])
        return f"({type(node).__name__}{''.join(written)})"
    if isinstance(node, list):
        return f"[{' '.join(map(text, node))}]"
    return hex(node) if type(node) is int else ascii(node)


@cache
def _kept(fields: tuple[str, ...]) -> tuple[str, ...]:
    return tuple(name for name in sorted(fields) if name not in _LOOKS)


def _pieces(node: ast.expr | None) -> Iterator[ast.expr]:
    """The pieces of an f-string, or of a format in there, with constants that meet joined and empty ones left out."""
    constant = ""
    for piece in node.values if isinstance(node, ast.JoinedStr) else ():
        if isinstance(piece, ast.Constant):
            constant += str(piece.value)
            continue
        if constant:
            yield ast.Constant(constant)
        constant = ""
        yield piece
    if constant:
        yield ast.Constant(constant)


# ---- what is left out of it


class _Undocumented(ast.NodeTransformer):
    """Leaves out the statements that do nothing: docstrings, those of constants, too, ``...`` and ``pass``."""

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if isinstance(node.value, ast.Constant) else self.generic_visit(node)

    def visit_Pass(self, node: ast.Pass) -> None:
        return None


class _Wordless(_Undocumented):
    """Leaves out whatever is written for people and type checkers, and imports of plumbing into ``package``."""

    def __init__(self, package: str) -> None:
        self._package = package
        self._exceptions: set[str] = set()
        self._annotated = False
        """Whether the annotations at this place count."""

    def visit_Module(self, node: ast.Module) -> ast.AST:
        node.body = [statement for statement in node.body if not _is_words(statement)]
        return self.generic_visit(node)

    def visit_Expr(self, node: ast.Expr) -> ast.AST | None:
        return None if _is_report(node.value) else super().visit_Expr(node)

    def visit_Raise(self, node: ast.Raise) -> ast.AST:
        if isinstance(node.exc, ast.Call):
            node.exc = node.exc.func
        return self.generic_visit(node)

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        node.msg = None
        return self.generic_visit(node)

    def visit_Call(self, node: ast.Call) -> ast.AST:
        words = WORDS.keywords.get("".join(_dotted(node.func)[-1:]), ())
        node.keywords = [keyword for keyword in node.keywords if keyword.arg not in words]
        return self.generic_visit(node)

    def visit_ClassDef(self, node: ast.ClassDef) -> ast.AST:
        bases = {name for base in node.bases for name in _dotted(base)[-1:]}
        if bases & self._exceptions or any(name.endswith(("Error", "Exception")) for name in bases):
            self._exceptions.add(node.name)
            node.body = []
        return self._within(node, annotated=True)

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST | None:
        if node.name.lstrip("_") in WORDS.functions:
            return None
        node.returns = None
        return self._within(node, annotated=False)

    def _within(self, node: ast.AST, *, annotated: bool) -> ast.AST:
        outside, self._annotated = self._annotated, annotated
        node = self.generic_visit(node)
        self._annotated = outside
        return node

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation = None
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST | None:
        """``name: type = value``; in a class the type may decide a value, as it does in hyper-parameters."""
        if self._annotated:
            return self.generic_visit(node)
        return self.generic_visit(ast.Assign([node.target], node.value)) if node.value else None

    def visit_If(self, node: ast.If) -> ast.AST | list[ast.stmt]:
        self.generic_visit(node)
        return node.orelse if _is_for_types(node) else node

    def visit_Import(self, node: ast.Import) -> ast.AST | None:
        return self._without_plumbing(node, "")

    def visit_ImportFrom(self, node: ast.ImportFrom) -> ast.AST | None:
        return self._without_plumbing(node, next(_imported(node, self._package)))

    def _without_plumbing(self, node: ast.Import | ast.ImportFrom, module: str) -> ast.AST | None:
        node.names = [alias for alias in node.names if not is_plumbing(f"{module}.{alias.name}".lstrip("."))]
        return node if node.names else None


def _is_words(statement: ast.stmt) -> bool:
    """Whether a statement at the top of a module assigns one of the constants that are left out."""
    targets = statement.targets if isinstance(statement, ast.Assign) else [getattr(statement, "target", None)]
    return any(isinstance(target, ast.Name) and target.id in WORDS.constants for target in targets)


def _is_report(value: ast.expr) -> bool:
    """Whether a statement's ``value`` is a call that tells a person something."""
    if not isinstance(value, ast.Call):
        return False
    *_, owner, method = ["", "", *(name.lstrip("_") for name in _dotted(value.func))]
    return bool({method, f"{owner}.", f"{owner}.{method}"} & set(WORDS.statements))
