"""The recipes of CONTRIBUTING.md, as tests follow them to the letter."""

import re
import shlex
from dataclasses import dataclass
from pathlib import Path
from textwrap import dedent

from tests.workflow.driver import HOME, Answer, Checkout

SCALE = ("results/demo", "results/smoke")
"""The document's scale, and the one at which tests do what it says."""


@dataclass(frozen=True)
class Recipe:
    """A section of CONTRIBUTING.md by its title."""

    text: str

    @classmethod
    def read(cls, title: str) -> "Recipe":
        document = (HOME / "CONTRIBUTING.md").read_text(encoding="utf-8")
        return cls(document.split(f"## {title}\n")[1].split("\n## ")[0])

    def blocks(self, language: str, *, indented: bool = False) -> list[str]:
        """Its code blocks in that language; ``indented`` ones keep the spaces that their fence has not."""
        blocks = re.findall(rf"^( *)```{language}\n(.*?)^ *```", self.text, re.DOTALL | re.MULTILINE)
        if indented:
            return [re.sub(rf"^{fence}", "", block, flags=re.MULTILINE) for fence, block in blocks]
        return [dedent(block) for _, block in blocks]

    def quoted(self, pattern: str) -> list[str]:
        """What stands in backticks in a sentence of that pattern, whose groups these are."""
        (match,) = re.finditer(pattern, " ".join(self.text.split()))
        return list(match.groups())

    def commands(self) -> list[list[str]]:
        """Every command that begins with a program of ``.venv/bin``, at the scale of tests, without its path."""
        quoted = re.findall(r"`\.venv/bin/([^`]+)`", " ".join(self.text.split()))
        return [shlex.split(command.replace(*SCALE)) for command in quoted]


def follow(checkout: Checkout, command: list[str]) -> Answer:
    """``command`` of a recipe, run in ``checkout``."""
    program, *arguments = command
    if program == "python":
        assert arguments[0] == "-m"
        return checkout.run(*arguments[1:])
    assert arguments[:2] == ["--cores", "all"]
    return checkout.run(program, "--cores", "2", *arguments[2:])


def write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


class Own(Checkout):
    """A checkout whose user keeps modules in another folder, on the Python path."""

    def __init__(self, folder: Path, modules: Path) -> None:
        super().__init__(folder)
        self.modules = modules

    @property
    def environment(self) -> dict[str, str]:
        return super().environment | {"PYTHONPATH": str(self.modules)}


def insert_below(path: Path, key: str, line: str) -> None:
    """``line`` as the first entry of the list below ``key``."""
    lines = path.read_text(encoding="utf-8").splitlines(keepends=True)
    (place,) = (number for number, one in enumerate(lines) if one.startswith(key))
    path.write_text("".join([*lines[: place + 1], f"  {line}\n", *lines[place + 1 :]]), encoding="utf-8")


@dataclass(frozen=True)
class Steps:
    """The four steps of a recipe for a module that methods use: what it tells to write where, and to run."""

    module: str
    path: Path
    entry: str
    row: str
    below: str
    table: str
    command: str

    @classmethod
    def read(cls, title: str) -> "Steps":
        recipe = Recipe.read(title)
        module, *_ = recipe.blocks("python")
        (entry,) = recipe.blocks("yaml")
        (path,) = recipe.quoted(r"\*\*One file\*\*, say `(.+?)`")
        row, below, table = recipe.quoted(r"\*\*One row\*\* in a table: add `(.+?)` below `(.+?)` in `(.+?)`")
        (command,) = recipe.quoted(r"\*\*One command\*\*: `(.+?)`")
        return cls(module, Path(path), entry, row, below, table, command)

    def follow(self, checkout: Own) -> Answer:
        """All four, but for the module's place: a folder on the Python path, outside the checkout."""
        write(checkout.modules / self.path.name, self.module)
        with (checkout.folder / "config/methods.yaml").open("a", encoding="utf-8") as methods:
            methods.write("\n" + self.entry.replace(".".join(self.path.with_suffix("").parts), self.path.stem))
        insert_below(checkout.folder / self.table, self.below, self.row)
        *_, target = self.command.replace(*SCALE).split()
        return checkout.snakemake(target)
