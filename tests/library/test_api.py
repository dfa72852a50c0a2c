"""docs/api.md: does it show what `import ataka` really offers, each function as Python sees it?"""

import ast
import inspect
import re
import subprocess
import sys
from functools import reduce
from typing import Any

import pytest

import ataka
from ataka.cli import main
from ataka.library import api
from ataka.library.lazy import SURFACE
from ataka.study import attacks, config

PAGE = (config.HOME / "docs/api.md").read_text(encoding="utf-8")
HEADINGS = set(re.findall(r"^##+ (\S+)$", PAGE, re.MULTILINE))
BLOCKS = re.findall(r"^```python\n(ataka\.[\w.]+)\((.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
"""Each function's dotted name, and its signature behind the bracket."""


def letters(text: str) -> str:
    return re.sub(r"\W", "", text)


def test_the_page_is_current_and_made_without_torch() -> None:
    assert main(["api", "--check"]) == 0
    listing = "import sys; from ataka.library import api; api.document(); print('torch' in sys.modules)"
    said = subprocess.run([sys.executable, "-c", listing], capture_output=True, text=True, cwd=config.HOME, check=True)
    assert said.stdout == "False\n"


def test_a_page_that_is_not_current_is_refused(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(api, "document", lambda: "other")
    assert main(["api", "--check"]) == 2
    assert "docs/api.md is not what the code defines; run: python -m ataka api" in capsys.readouterr().err


def test_every_name_every_attack_and_every_psi_is_there() -> None:
    assert {f"ataka.{name}" for name in SURFACE} <= HEADINGS
    for package, names in (("attacks", attacks.kinds()), ("psi", ataka.psi.names())):
        offered = {f"ataka.{package}.{name}" for name in names if name not in SURFACE}
        assert offered == {heading for heading in HEADINGS if heading.startswith(f"ataka.{package}.")}


@pytest.mark.parametrize(("name", "told"), BLOCKS, ids=[name for name, _ in BLOCKS])
def test_a_function_has_the_arguments_and_the_text_that_python_sees(name: str, told: str) -> None:
    offered: Any = reduce(getattr, name.split(".")[1:], ataka)
    parameters = inspect.signature(offered).parameters.values()
    (shown,) = ast.parse(f"def f({told.rstrip()}: ...").body
    assert isinstance(shown, ast.FunctionDef)
    given = shown.args
    stars = [*filter(None, [given.vararg, *given.kwonlyargs, given.kwarg])]
    assert [one.arg for one in [*given.args, *stars]] == [one.name for one in parameters]
    defaults = sum(one is not None for one in (*given.defaults, *given.kw_defaults))
    assert defaults == sum(one.default is not one.empty for one in parameters)
    assert letters(inspect.getdoc(offered) or name) in letters(PAGE)
