"""Is the hash of code the same under every Python, and does it hold no word that is written for people?"""

import ast
import hashlib
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from ataka.plan import code
from ataka.plan.code import PLUMBING, WORDS, Code, Words
from ataka.study.config import HOME

TREE = tuple(
    ".".join(path.relative_to(HOME).with_suffix("").parts).removesuffix(".__init__")
    for package in ("ataka", "baselines", "report")
    for path in sorted((HOME / package).rglob("*.py"))
)
SYNTAX = r"""
import a.b as c, d
from . import e
a = f"{x}" "b" f'{y!r:>{width}.{digits}}c' rf"\d{{{z}}}" f""
b = f"{x=}", f"{ x = !s}", f"{x=:>5}", f"{x:}", f"{'a' 'b'}", f"{d['k']}", f"", u"u", "\N{EM DASH}\ud800", b"\xff\0"
c = 1e400, -0.0, 1j, 0xFFFFFFFFFFFFFFFFFFFF, 1_000, True, None, ..., "\U0001F600\u0378"
async def f(a: int, /, b=1, *c, d, e=2, **g) -> int:
    x: int = 1
    y: str
    async with a as b, c: return [i async for i in a if await i]
    try:
        yield {**a, 1: 2}
    except* (ValueError, KeyError) as error:
        raise error from None
    return lambda *, k=None: (k := 2, *a, x[1:2, ...], x[*a])
class A(B, metaclass=C):
    x: int = 1
    y: "list[A]"
def g(v):
    match v:
        case {"a": 1, **rest} | [1, *_, None] | A(x=-1j, y=True) | "s" if v: pass
        case _: global w; del w
    while v: break
    else: print(f"{v}")
"""
"""What trees of different Python versions differ in, or might."""
SCRIPT = """
import json, pathlib, runpy, sys
root, names, syntax = json.load(sys.stdin)
code = runpy.run_path("ataka/plan/code.py")
wordless, worded = (code["Code"](pathlib.Path(root)).digest(names, words=words) for words in (False, True))
print(json.dumps([wordless, worded, code["text"](code["ast"].parse(syntax))]))
"""


def interpreters() -> list[str]:
    """Pythons of other minor versions on this machine, the newest of each."""
    home = Path(os.environ.get("PYENV_ROOT", Path.home() / ".pyenv"))
    candidates = [f"python3.{minor}" for minor in range(11, 20)]
    paths = [path for name in candidates if (path := shutil.which(name))]
    paths += [str(path) for path in sorted(home.glob("versions/3.*/bin/python"))]
    versions: dict[str, str] = {}
    for path in paths:
        ask = [path, "-c", "import sys; print('%d.%d' % sys.version_info[:2])"]
        answer = subprocess.run(ask, capture_output=True, text=True, check=False).stdout.strip()
        if answer and tuple(map(int, answer.split("."))) >= (3, 11):
            versions[answer] = path
    versions.pop("{}.{}".format(*sys.version_info), None)
    return list(versions.values())


def test_the_hash_is_the_same_under_every_python() -> None:
    there = interpreters()
    if not there:
        pytest.skip("no other Python here; test_the_text_of_code_is_pinned and golden_digests.json hold under each")
    own = [Code().digest(TREE, words=words) for words in (False, True)] + [code.text(ast.parse(SYNTAX))]
    for python in there:
        given = json.dumps([str(HOME), TREE, SYNTAX])
        process = subprocess.run(
            [python, "-W", "ignore", "-c", SCRIPT], input=given, cwd=HOME, capture_output=True, text=True, check=False
        )
        assert process.returncode == 0, process.stderr
        assert json.loads(process.stdout) == own, python


def test_the_text_of_code_is_pinned() -> None:
    """Whichever Python runs this test."""
    digest = hashlib.sha256(code.text(ast.parse(SYNTAX)).encode()).hexdigest()
    assert digest == "a85463c26ca2961a613331910807a51d95bff6212b59e395fb01e68153ae782d"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("x = None", "(Assign targets=[(Name id='x')] value=(Constant))"),
        ("x: int", "(AnnAssign annotation=(Name id='int') simple=0x1 target=(Name id='x'))"),
        ("return", "(Return)"),
        ("return None", "(Return value=(Constant))"),
        ("(a, *b)", "(Expr value=(Tuple elts=[(Name id='a') (Starred value=(Name id='b'))]))"),
        (
            "f'{a:}b' 'c'",
            "(Expr value=(JoinedStr values=["
            "(FormattedValue conversion=-0x1 value=(Name id='a')) (Constant value='bc')]))",
        ),
        ("f''", "(Expr value=(JoinedStr))"),
    ],
)
def test_the_text_of_code_is_its_tree(source: str, text: str) -> None:
    assert code.text(ast.parse(source).body[0]) == text


@pytest.mark.parametrize(
    ("source", "edited"),
    [
        ("x = 1", "x = 1.0"),
        ("x = 1", "x = True"),
        ("x = 'a'", "x = b'a'"),
        ("x = 'a'", "x = a"),
        ("x = f''", "x = None"),
        ("x = a, b", "x = [a, b]"),
        ("f(a, *b)", "f(a, b)"),
        ("def f(a, b): x", "def f(a, *, b): x"),
        ("def f(*, a=None, b): x", "def f(*, a, b=None): x"),
        ("x = {**a}", "x = {None: a}"),
        ("x -= 1", "x += 1"),
        ("f'{x!r}'", "f'{x!s}'"),
        ("f'{x:>3}'", "f'{x:>4}'"),
        ("case(1)", "case(-1)"),
        ("if a: x()\nelse: y()", "if a: x()\ny()"),
        ("for i in a: x()", "for i in b: x()"),
        ("raise A", "raise B"),
        ("raise A('x')", "raise B('x')"),
        ("assert a, 'x'", "assert b, 'x'"),
        ("x = print(a)", "x = print(b)"),
        ("progress.start(1) + x", "progress.start(2) + x"),
        ("states.restore(a)", "states.restore(b)"),
        ("torch.log(a)", "torch.log(b)"),
        ("batch.log('loss', a)", "batch.log('total', a)"),
        ("reading(1, id='A1')", "reading(2, id='A1')"),
        ("reading(1, ge=1)", "reading(1, ge=2)"),
        ("f(label=1)", "f(label=2)"),
        ("class A:\n    x: int = 1", "class A:\n    x: float = 1"),
        ("class A:\n    x = 'a'", "class A:\n    x = 'b'"),
        ("def f():\n    LABEL = 1\n    return LABEL", "def f():\n    LABEL = 2\n    return LABEL"),
        ("from ataka.attacks import pgd", "from ataka.attacks import fog as pgd"),
        ("from ataka import streams, errors", "from ataka import errors"),
    ],
)
def test_other_code_is_another_text(source: str, edited: str) -> None:
    assert wordless(source) != wordless(edited)


@pytest.mark.parametrize(
    ("source", "edited"),
    [
        ("raise A('x', n)", "raise A(f'reworded {y}')"),
        ("raise A('x') from e", "raise A from e"),
        ("assert a, 'x'", "assert a"),
        ("LABEL = 'x'", "LABEL: str = 'y'"),
        ("BEATS = ('fgsm',)", "BEATS = ()"),
        ("def sentence(options): return 'x'", "def sentence(options): return 'y'"),
        ("def _message(a): return 'x'", "def _message(a, b): return 'y'"),
        ("x = reading(1, id='A1', sentence='x', values='y')", "x = reading(1, id='A2', sentence=Y, values={})"),
        ("x = reading(1)", "x = reading(1, neutral=2)"),
        ("x = Field(1, description='x')", "x = Field(1)"),
        ("Specification(label='x', classes=2)", "Specification(label='y', classes=2)"),
        ("progress.say('x')", "self.progress.say('y')"),
        ("print('x', flush=True)", "logging.info('y')"),
        ("self._say('x')", "self._progress.start()"),
        ("states.keep('x', a)", "pass"),
        ("class FailedError(RuntimeError):\n    status = 'x'", "class FailedError(RuntimeError): ..."),
        ("class A(Exception): pass\nclass B(A): x = 1", "class A(Exception): pass\nclass B(A): x = 2"),
        ("def f(a: int) -> str: return a", "def f(a): return a"),
        ("def f():\n    x: int = 1\n    return x", "def f():\n    x = 1\n    return x"),
        ("x: int = 1", "x = 1"),
        ("if TYPE_CHECKING:\n    from ataka.attacks import pgd", ""),
        ("from ataka.errors import UserError", "from ataka.errors import UserError, nearest"),
        ("from ataka import streams, errors", "from ataka import streams"),
        ("import ataka.files.tape", ""),
        ('x = 1\n"""What x is."""', "x = 1  # a number"),
        ("def f(): ...", "def f(): pass"),
    ],
)
def test_words_and_types_are_left_out(source: str, edited: str) -> None:
    assert wordless(source) == wordless(edited)


def test_a_module_is_the_same_text_in_whichever_way_it_is_read_first(tmp_path: Path) -> None:
    file = tmp_path / "module.py"
    file.write_text('"""Words."""\nLABEL = "l"\n\ndef f(x: int) -> None:\n    "Words."\n    raise A("words", x)\n')
    first, last = (code.Module(file, "module") for _ in range(2))
    ways = first.wordless, first.worded
    assert ways == (last.worded, last.wordless)[::-1]
    assert ways[0] != ways[1]
    assert first.wordless is ways[0]


def wordless(source: str) -> str:
    return code.text(code._Wordless("ataka").visit(ast.parse(source)))


def test_the_list_of_what_is_left_out_by_name() -> None:
    """With each name that is added here, edits make nothing again that did before: say why in the commit."""
    assert (
        Words(
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
        == WORDS
    )
    assert PLUMBING == ("errors", "cli", "__main__", "files", "library", "machine", "study", "plan", "stages")


PROSE = re.compile(r"\(Constant value=['\"]([^()]*?[a-z] [^()]*?|[^()]*? [a-z][^()]*?)['\"]\)")
WRITTEN = {"ataka.attacks.aa_log", "ataka.attacks.aa_warnings"}
"""Modules whose sentences stand in an artifact: AutoAttack's warnings, in a cell."""


def test_no_sentence_is_hashed() -> None:
    """A message belongs into ``raise``, or into a function named ``message``: else to reword it makes results again."""
    source = Code()
    science = source.reachable(name for name in TREE if name.split(".")[0] != "report") - WRITTEN
    hashed = {(name, words) for name in science for words in PROSE.findall(source._module(name).wordless)}
    assert not hashed
