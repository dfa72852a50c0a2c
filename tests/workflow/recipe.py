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
