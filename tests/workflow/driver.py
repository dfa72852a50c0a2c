"""A copy of the checkout, and the real Snakemake in it."""

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

HOME = Path(__file__).resolve().parents[2]
TABLE = "results/smoke/table2.tex"
ARCH = "digits resnet10-w8"
DISTILLED = ("en-ard", "en-iad", "en-rslad")
STUDENTS = ("n-at-aka", "l-at-aka", "s-at-aka", "p-at-aka")
METHODS = ("natural", "en-sat", *DISTILLED, *STUDENTS)
ATTACKS = ("clean", "fgsm", "pgd", "aa")
LAST = {"collect table2", "render table2"}
"""What follows every change of a cell."""
_LEFT_OUT = (".git", ".venv", ".venv-bench", ".venv-peers", ".snakemake", "results", "data", "tests")


@dataclass(frozen=True)
class Answer:
    """What Snakemake said: its exit code, its terminal output, and its jobs as their messages name them."""

    code: int
    text: str

    @property
    def jobs(self) -> list[str]:
        # Not only at a line's start: a job that runs may have written half a line when Snakemake tells of the next one.
        return re.findall(r"\bJob \d+: (.+?) *$", self.text, re.MULTILINE)

    @property
    def idle(self) -> bool:
        return self.code == 0 and "Nothing to be done" in self.text and not self.jobs


class Checkout:
    """A copy of the checkout with its own results, so that no one's edits meet a test's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    @classmethod
    def of(cls, source: Path, folder: Path) -> "Checkout":
        """The code of ``source``, without its results."""

        def leave_out(parent: str, names: list[str]) -> set[str]:
            top = _LEFT_OUT if Path(parent) == source else set()
            return {name for name in names if name in top or name == "__pycache__" or name.endswith("_cache")}

        shutil.copytree(source, folder, ignore=leave_out)
        return cls(folder)

    def copy(self, folder: Path) -> "Checkout":
        """The same, with results and Snakemake's records; times of files are kept."""
        shutil.copytree(self.folder, folder)
        return Checkout(folder)

    def start(self, *arguments: str, log: Path) -> subprocess.Popen[bytes]:
        """Snakemake as a process group of its own, on two cores, that an interrupt reaches as from a terminal."""
        with log.open("wb") as output:
            return subprocess.Popen(
                [sys.executable, "-m", "snakemake", "--cores", "2", *arguments],
                cwd=self.folder,
                env=self.environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                preexec_fn=heed_interrupts,
            )

    def snakemake(self, *arguments: str, timeout: float = 300) -> Answer:
        return self.run("snakemake", "--cores", "2", *arguments, timeout=timeout)

    def run(self, module: str, *arguments: str, timeout: float = 300) -> Answer:
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=timeout,
        )
        return Answer(done.returncode, done.stdout)

    @property
    def environment(self) -> dict[str, str]:
        """Without the user's own profile, caches, paths and number of threads."""
        others = ("SNAKEMAKE", "ATAKA", "OMP_")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        kept.pop("PYTHONPATH", None)
        home = self.folder.parent / "home"
        return kept | {
            "HOME": str(home),
            "XDG_CONFIG_HOME": str(home / "config"),
            "XDG_CACHE_HOME": str(home / "cache"),
        }


def ask_all(questions: Mapping[str, Callable[[], Answer]]) -> dict[str, Answer]:
    """Every answer, two questions at a time."""
    with ThreadPoolExecutor(2) as pool:
        asked = {name: pool.submit(question) for name, question in questions.items()}
        return {name: answer.result() for name, answer in asked.items()}


def cell(method: str, attack: str) -> str:
    """The path of a cell of the smoke scale."""
    return f"results/smoke/cells/digits/resnet10-w8/{method}/seed0/{attack}.csv"


def trains(*runs: str, seed: int = 0) -> set[str]:
    return {f"train {ARCH} {run} seed {seed}" for run in runs}


def trains_an_average(method: str, arch: str = ARCH, seed: int = 0) -> set[str]:
    """Its three members, and their average."""
    runs = [f"{method}/member{index}" for index in range(3)]
    return {f"train {arch} {run} seed {seed}" for run in [*runs, method]}


def selects(*methods: str) -> set[str]:
    return {f"select alpha for {ARCH} {method}" for method in methods}


def evaluates(*methods: str, attacks: tuple[str, ...] = ATTACKS, seed: int = 0) -> set[str]:
    return {f"evaluate {ARCH} {method} seed {seed} under {attack}" for method in methods for attack in attacks}


def students_again(*methods: str) -> set[str]:
    """Everything from the candidates to the cells of these students."""
    candidates = [f"{method}/alpha{alpha}" for method in methods for alpha in (0.1, 0.5)]
    return trains(*candidates, *methods) | selects(*methods) | evaluates(*methods)


def heed_interrupts() -> None:
    """A shell's background jobs ignore interrupts, and so would all that they start, these tests among them."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
