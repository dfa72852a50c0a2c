"""Does a word make nothing again, and does a formula make again exactly what depends on it?"""

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ataka.plan.code import PLUMBING, WORDS, Code
from ataka.study import config
from ataka.study.config import HOME
from tests.plan import golden

STUDY = config.load()
MODULES = golden.modules(STUDY)
ROOMS = ("ataka", "baselines", "config")
SCIENCE = ("ataka", "ataka/*", "baselines")
"""Folders with hashed files, and all others of the package."""
REWORDED = "Reworded. "


class Tree:
    """A copy of the tree that can be edited."""

    def __init__(self, home: Path) -> None:
        self.home = home
        for room in ROOMS:
            shutil.copytree(HOME / room, home / room, ignore=shutil.ignore_patterns("__pycache__"))
        (home / "tests/plan").mkdir(parents=True)
        shutil.copy(golden.__file__, home / "tests/plan")

    def edit(self, files: str, pattern: str, replacement: str) -> None:
        """Replace ``pattern`` wherever it matches in ``files``; that it matches nowhere is an error of the test."""
        count = 0
        for path in sorted(self.home.glob(files)):
            text, changes = re.subn(pattern, replacement, path.read_text(), flags=re.MULTILINE)
            path.write_text(text)
            count += changes
        assert count, f"{pattern} is nowhere in {files}"

    def reword(self, pattern: str) -> None:
        """Put a word before each text that follows ``pattern``, in every hashed file and in all others."""
        count = 0
        for folder in SCIENCE:
            for path in sorted(self.home.glob(f"{folder}/*.py")):
                text, changes = re.subn(f"({pattern})", rf"\g<1>{REWORDED}", path.read_text(), flags=re.MULTILINE)
                path.write_text(text)
                count += changes
        assert count, f"{pattern} is nowhere"

    def append(self, folder: str, text: str) -> None:
        paths = sorted(self.home.glob(f"{folder}/*.py")) or [self.home / f"{folder}.py"]
        for path in paths:
            path.write_text(path.read_text() + text)

    def add(self, path: str, like: str) -> None:
        shutil.copy(self.home / like, self.home / path)

    def code(self) -> dict[str, str]:
        code = Code(self.home)
        return {name: code.digest(used) for name, used in MODULES.items()}


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture(scope="module")
def reference() -> dict[str, str]:
    code = Code(HOME)
    return {name: code.digest(used) for name, used in MODULES.items()}


def messages(tree: Tree) -> None:
    tree.reword(r'raise \w+\(\s*f?"')


def docstrings(tree: Tree) -> None:
    tree.reword(r'^ *"""(?=\w)')


def comments(tree: Tree) -> None:
    for folder in SCIENCE:
        tree.append(folder, "\n# A comment.\n")


def readings(tree: Tree) -> None:
    tree.reword(r'\bsentence=\s*"')
    tree.reword(r'\bvalues=\s*"')


def descriptions(tree: Tree) -> None:
    tree.reword(r'\bdescription=\s*"')


def progress(tree: Tree) -> None:
    tree.reword(r'\bsay\(\s*f?"')


def labels(tree: Tree) -> None:
    tree.reword(r'\blabel=f?"')


def captions(tree: Tree) -> None:
    """And health comparisons, checks and costs, which come with an attack."""
    for name in WORDS.constants:
        value = '"another"' if name in ("LABEL", "PAPER_NOTE", "SENTENCE") else "()"
        tree.append("ataka/attacks", f"\n{name} = {value}\n")
    for name in WORDS.functions:
        tree.append("ataka/attacks", f'\n\ndef {name}(options: object) -> str:\n    return "another"\n')


def plumbing(tree: Tree) -> None:
    """How files are written, locked and reported; settings, the plan, the stages."""
    for room in PLUMBING:
        tree.append(f"ataka/{room}", "\n\ndef another_way() -> int:\n    return 1\n")


def plugins(tree: Tree) -> None:
    tree.add("ataka/attacks/another.py", like="ataka/attacks/fgsm.py")
    tree.add("ataka/datasets/another.py", like="ataka/datasets/digits.py")
    tree.add("ataka/models/another.py", like="ataka/models/resnet.py")
    tree.edit("ataka/models/another.py", '"resnet', '"another')
    tree.add("ataka/psi/another.py", like="ataka/psi/soft.py")
    tree.add("ataka/objectives/another.py", like="ataka/objectives/at_aka.py")
    tree.add("ataka/psi/another.py", like="ataka/psi/soft.py")
    tree.add("baselines/another.py", like="baselines/natural.py")
    method = "\nanother:\n  label: another\n  objective: baselines.another\n  setup: natural\n"
    (tree.home / "config/methods.yaml").open("a").write(method)


HARMLESS: list[Callable[[Tree], None]] = [
    messages,
    docstrings,
    comments,
    readings,
    descriptions,
    progress,
    labels,
    captions,
    plumbing,
    plugins,
]


@pytest.mark.parametrize("edit", HARMLESS)
def test_a_word_makes_nothing_again(edit: Callable[[Tree], None], tree: Tree, reference: dict[str, str]) -> None:
    edit(tree)
    assert tree.code() == reference


def test_all_words_together_leave_the_digests_that_the_edited_tree_computes(tree: Tree) -> None:
    """Settings are read anew, by the edited code and with entries for the new plug-ins."""
    for edit in HARMLESS:
        edit(tree)
    process = subprocess.run(
        [sys.executable, "-m", "tests.plan.golden", "--print"],
        cwd=tree.home,
        capture_output=True,
        text=True,
        check=False,
    )
    assert process.returncode == 0, process.stderr
    digests, edited = golden.golden(), json.loads(process.stdout)
    for kind in ("code", "settings"):
        assert {name: edited[kind].get(name) for name in digests[kind]} == digests[kind]


TRAINED = "(run|tape) .*"
PROBED = "(run|tape) (?!natural$).*"
STUDENTS = "run ([nlsp]-at-aka|s-cat-aka)"
MEANT: dict[str, tuple[str, str, str, str]] = {
    "a formula of l_inf": (
        "ataka/attacks/linf.py",
        r"\.clamp\(0\.0, 1\.0\)",
        ".clamp(0.0, 0.9)",
        f"{PROBED}|attack (pgd(-restarts|-targeted|-eps-.*|-steps-.*)?|cw|cw-l2)|particles .*",
    ),
    "a step of PGD": (
        "ataka/attacks/ascent.py",
        r"x_adv \+ step_size",
        "x_adv - step_size",
        f"{PROBED}|attack (pgd(-restarts|-targeted|-eps-.*|-steps-.*)?|cw|cw-l2)|particles .*",
    ),
    "a probe's step": ("ataka/training/probe.py", "self.eps / 4", "self.eps / 5", PROBED),
    "a formula of eq. 3": ("ataka/objectives/at_aka.py", r"\(1 - alpha\)", "(2 - alpha)", STUDENTS),
    "a formula of eq. 6": ("ataka/psi/soft.py", r"beta \*", "2 * beta *", "psi soft|run s-(at-aka|cat-aka|rslad)"),
    "an option of PGD": (
        "ataka/attacks/pgd.py",
        r"    steps: int = Field\(ge=0\)\n",
        "    steps: int = Field(ge=0)\n    restarts: int = 1\n",
        "attack pgd(-eps-.*|-steps-.*)?",
    ),
    "a step of fog": ("ataka/attacks/fog.py", r"\.sign\(\)", ".sgn()", "attack fog.*"),
    "a default of eq. 3": ("ataka/objectives/at_aka.py", r'reading\(\s*"sum"', 'reading("mean"', STUDENTS),
    "a default of eq. 2": (
        "ataka/attacks/svgd.py",
        'OneOverN = "repulsion"',
        'OneOverN = "both"',
        f"{STUDENTS}|(tape|particles) .*",
    ),
    "the stream of first weights": (
        "ataka/networks.py",
        '"initial", "network"',
        '"initial", "student"',
        "(run|tape) .*",
    ),
    "the stream of validation images": ("ataka/datasets/splits.py", '"split", "validation"', '"split"', "data.*"),
    "the stream of starts": ("ataka/evaluation.py", '"evaluate"', '"attack"', "attack .*"),
    "a baseline's loss": ("baselines/trades.py", r"beta \* ", "", "run (en-)?trades.*"),
    "an epoch's updates": ("ataka/training/sgd.py", "momentum", "inertia", TRAINED),
    "how streams are seeded": ("ataka/streams.py", r"\[:8\]", "[8:16]", "(?!psi).*"),
    "what an image is": ("ataka/datasets/images.py", "255", "256", f"{TRAINED}|(attack|data) .*|particles .*"),
}


@pytest.mark.parametrize("name", MEANT)
def test_a_formula_makes_again_what_depends_on_it_alone(name: str, tree: Tree, reference: dict[str, str]) -> None:
    files, pattern, replacement, affected = MEANT[name]
    tree.edit(files, pattern, replacement)
    digests = tree.code()
    assert {name for name in digests if digests[name] != reference[name]} == {
        name for name in reference if re.fullmatch(affected, name)
    }
