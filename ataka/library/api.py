"""docs/api.md: the functions that ``import ataka`` offers, by their signatures and docstrings.

Everything is read from the sources and nothing is imported, so that the page needs no torch and is the same under every
supported Python.
"""

import ast
import re
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path

from ataka.library.lazy import SURFACE

HEAD = """# The functions of ataka

`.venv/bin/python -m ataka api` made this page from the docstrings, and `make check` compares. [library.md](library.md)
has an example of each function, and what all have in common.
"""
_HOME = Path(__file__).parents[2]
_OF_MODULES = {"attacks": ("attack", "attack_chunk"), "svgd": ("attack", "phi", "kernel")}
"""The functions of a module that other programs call; of the modules of other names, every public one."""
Function = ast.FunctionDef
Definition = ast.FunctionDef | ast.ClassDef


class Source:
    """A module's text, and its definitions by their names."""

    def __init__(self, module: str) -> None:
        path = _HOME.joinpath(*module.split("."))
        self.path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        self.text = self.path.read_text(encoding="utf-8")
        self.tree = ast.parse(self.text)
        self.defined = {node.name: node for node in self.tree.body if isinstance(node, Definition)}

    def find(self, name: str) -> "tuple[Source, Definition] | None":
        """The definition of ``name``, here or in the module that it is imported from; None where there is none.

        A name that stands for the outcome of a decorator, as ``attack = checked()(climb)``, is what was decorated.
        """
        if name in self.defined:
            return self, self.defined[name]
        for node in self.tree.body:
            if isinstance(node, ast.ImportFrom) and node.module:
                for alias in node.names:
                    if name == (alias.asname or alias.name):
                        return Source(node.module).find(alias.name)
            elif isinstance(node, ast.Assign) and isinstance(node.value, ast.Call) and len(node.value.args) == 1:
                (decorated,) = node.value.args
                if name in [self.segment(target) for target in node.targets] and isinstance(decorated, ast.Name):
                    return self.find(decorated.id)
        return None

    def segment(self, node: ast.AST) -> str:
        """The text of ``node``."""
        return ast.get_source_segment(self.text, node) or ""

    def signature(self, name: str, function: Function) -> str:
        """The first lines of ``function``, which is called ``name``, without the colon."""
        head, _, _ = self.segment(function).partition(self.segment(function.body[0]))
        return re.sub(rf"^def {function.name}\b", name, head.rstrip().removesuffix(":"))


def document() -> str:
    """The text of docs/api.md."""
    parts = [part for name, target in sorted(SURFACE.items()) for part in _of(name, *target.partition(":")[::2])]
    return "\n".join([HEAD, *parts])


def modules(package: str) -> list[str]:
    """The modules of a package that other programs use: attacks and psi, without what these share.

    A module that ``ataka`` offers by a name of its own is not among them.
    """
    names = sorted(path.stem for path in Source(package).path.parent.glob("[!_]*.py"))
    wanted = "attack" if package == "ataka.attacks" else "amalgamate"
    known = [target for target in SURFACE.values() if target != package]
    return [name for name in names if f"{package}.{name}" not in known and Source(f"{package}.{name}").find(wanted)]


def _of(name: str, module: str, member: str) -> Iterator[str]:
    source = Source(module)
    if member:
        yield f"## ataka.{name}\n"
        yield from _function(source, f"ataka.{name}", member)
    elif source.path.name == "__init__.py":
        yield f"## ataka.{name}\n"
        yield _markdown(_doc(source.tree).partition("\n\n")[0])
        for each in modules(module):
            yield from _module(f"ataka.{name}.{each}", Source(f"{module}.{each}"), _OF_MODULES.get(name), "###")
    else:
        yield from _module(f"ataka.{name}", source, _OF_MODULES.get(name), "##")


def _module(name: str, source: Source, wanted: Sequence[str] | None, level: str) -> Iterator[str]:
    yield f"{level} {name}\n"
    yield _markdown(_doc(source.tree))
    public = [each for each, node in source.defined.items() if isinstance(node, Function) and each[0] != "_"]
    for each in wanted or public:
        if source.find(each):
            yield from _function(source, f"{name}.{each}", each)


def _function(source: Source, shown: str, name: str) -> Iterator[str]:
    """A function, and after it the class of its own module that it returns."""
    found = source.find(name)
    assert found
    source, function = found
    assert isinstance(function, Function)
    yield _code(source.signature(shown, function))
    yield _markdown(_doc(function))
    returned = source.defined.get(source.segment(function.returns) if function.returns else "")
    if isinstance(returned, ast.ClassDef):
        yield f"### {returned.name}\n"
        yield _markdown(_doc(returned))
        yield "".join(_members(source, returned))


def _members(source: Source, of: ast.ClassDef) -> Iterator[str]:
    """The public attributes and methods of a class, each with its docstring, as a list."""
    yield from _attributes(source, of.body)
    for node in of.body:
        if not isinstance(node, Function):
            continue
        if node.name == "__init__":
            yield from _attributes(source, node.body)
        elif node.name[0] != "_" or node.name == "__len__":
            called = re.sub(r"\(self(, )?", "(", source.signature(node.name, node))
            is_property = "property" in [source.segment(decorator) for decorator in node.decorator_list]
            yield _member(called.replace("() ->", ":") if is_property else called, _doc(node))


def _attributes(source: Source, body: Sequence[ast.stmt]) -> Iterator[str]:
    for node, below in pairwise(body):
        text = below.value.value if isinstance(below, ast.Expr) and isinstance(below.value, ast.Constant) else None
        if isinstance(node, ast.AnnAssign) and isinstance(text, str):
            yield _member(source.segment(node).partition(" = ")[0].removeprefix("self."), text)


def _member(code: str, text: str) -> str:
    return f"- `{code}`: " + " ".join(_markdown(text).split()) + "\n"


def _doc(node: ast.Module | Definition) -> str:
    return ast.get_docstring(node) or ""


def _code(text: str) -> str:
    return f"```python\n{text}\n```\n"


def _markdown(text: str) -> str:
    """A docstring in Markdown; lines that are indented by four are code there, too."""
    return "\n".join(line if line.startswith("    ") else _escaped(line) for line in text.split("\n")) + "\n"


def _escaped(line: str) -> str:
    """Code between `` is code between ` in Markdown; elsewhere * and < stand for themselves."""
    parts = line.split("``")
    return "".join(f"`{part}`" if at % 2 else re.sub(r"([*<])", r"\\\1", part) for at, part in enumerate(parts))
