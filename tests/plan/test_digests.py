"""Does the code's digest change with a formula, and with nothing else?"""

import importlib
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from ataka import plan, psi
from ataka.plan import Cell, Particles, Run
from ataka.plan.code import Code, code_digest
from ataka.study.config import load

PACKAGE = "some_method"
FILES = {
    "__init__": '"""A method."""\n',
    "loss": (
        '"""Its loss."""\n\nfrom some_method.parts import scale\n\nBETA = 6.0\n"""What beta is."""\n\n\n'
        'def loss(x):\n    """Beta times x."""\n    return scale(BETA * x)  # linear\n'
    ),
    "parts": "def scale(x):\n    return 2 * x\n",
    "unused": "CONSTANT = 1\n",
}
Digest = Callable[..., str]


@pytest.fixture
def digest(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Digest:
    """The digest of some_method.loss with some of its files as given."""
    monkeypatch.syspath_prepend(str(tmp_path))

    def compute(**changes: str) -> str:
        folder = tmp_path / PACKAGE
        folder.mkdir(exist_ok=True)
        for name, content in (FILES | changes).items():
            (folder / f"{name}.py").write_text(content)
        for name in [name for name in sys.modules if name.split(".")[0] == PACKAGE]:
            monkeypatch.delitem(sys.modules, name)
        importlib.invalidate_caches()
        return Code().digest([f"{PACKAGE}.loss"])

    return compute


LOSS = FILES["loss"]
COSMETIC = {
    "a module's docstring": LOSS.replace('"""Its loss."""', '"""The loss of it, at length."""'),
    "no docstring": LOSS.replace('"""Its loss."""', ""),
    "a function's docstring": LOSS.replace("Beta times x.", "x times beta."),
    "a constant's docstring": LOSS.replace("What beta is.", "It is six."),
    "a comment": LOSS.replace("# linear", "# linear in x"),
    "blank lines": LOSS.replace("\n\n", "\n\n\n\n"),
    "layout": LOSS.replace("scale(BETA * x)", "scale(\n        (BETA * x)\n    )"),
    "indentation": LOSS.replace("\n    ", "\n  "),
}
MEANT = {
    "a constant": LOSS.replace("6.0", "6.5"),
    "a formula": LOSS.replace("BETA * x", "BETA + x"),
    "an import": LOSS.replace("import scale", "import scale as scale2, scale"),
    "a default": LOSS.replace("def loss(x)", "def loss(x=1)"),
    "text that is used": LOSS.replace("return scale(BETA * x)", 'return "scale"'),
}


@pytest.mark.parametrize("change", COSMETIC)
def test_looks_change_nothing(digest: Digest, change: str) -> None:
    assert COSMETIC[change] != LOSS
    assert digest(loss=COSMETIC[change]) == digest()


@pytest.mark.parametrize("change", MEANT)
def test_meaning_changes_it(digest: Digest, change: str) -> None:
    assert MEANT[change] != LOSS
    assert digest(loss=MEANT[change]) != digest()


def test_what_is_imported_counts_and_what_is_not_does_not(digest: Digest) -> None:
    reference = digest()
    assert digest(parts=FILES["parts"].replace("2", "3")) != reference
    assert digest(parts=FILES["parts"] + "# more\n") == reference
    assert digest(unused="CONSTANT = 2\n") == reference


@pytest.mark.parametrize(
    "line",
    [
        "from some_method.parts import scale",
        "from some_method import parts",
        "import some_method.parts",
        "from . import parts",
        "from .parts import scale",
        "from .parts import *",
    ],
)
def test_every_way_to_import_is_followed(digest: Digest, line: str) -> None:
    importing = LOSS.replace("from some_method.parts import scale", line)
    assert digest(loss=importing) != digest(loss=importing, parts="def scale(x):\n    return 7 * x\n")


def test_imports_are_followed_through_others_and_inside_functions(digest: Digest) -> None:
    through = {"parts": "def scale(x):\n    from some_method.unused import CONSTANT\n    return CONSTANT * x\n"}
    assert digest(**through) != digest(**through, unused="CONSTANT = 2\n")


def test_circles_end(digest: Digest) -> None:
    circle = {"parts": "import some_method.loss\n" + FILES["parts"]}
    assert len(digest(**circle)) == 64


def test_hashing_runs_nobodys_code(digest: Digest) -> None:
    digest(loss="raise SystemExit\n" + LOSS, parts="raise SystemExit\n" + FILES["parts"])
    assert PACKAGE not in sys.modules


def test_other_packages_do_not_count_but_ours_do(digest: Digest) -> None:
    """A third party's method stands on ataka; torch's own version is recorded, not hashed."""
    digest(loss="import json, torch\nfrom ataka import training\n")
    reached = Code().reachable([f"{PACKAGE}.loss"])
    assert "ataka.training" in reached
    assert "ataka.datasets.images" in reached  # through training
    assert not any(name.split(".")[0] in ("json", "torch") for name in reached)


def test_settings_names_and_messages_never_record_a_tape_again() -> None:
    reached = Code().reachable(["ataka.training", "ataka.objectives.at_aka", "ataka.evaluation", "baselines.sat"])
    assert {
        "ataka.attacks.svgd",
        "ataka.attacks.ascent",
        "ataka.psi",
        "ataka.streams",
    } <= reached
    assert not reached & {
        "ataka.study.config",
        "ataka.study.fields",
        "ataka.errors",
        "ataka.files.tape",
        "ataka.machine.progress",
        "ataka.plan",
        "ataka.stages",
    }


@pytest.mark.parametrize("name", ["sat", "trades", "mart", "ard", "iad", "rslad"])
def test_the_shared_inner_attack_is_part_of_each_baselines_code(name: str) -> None:
    assert {"baselines.inner", "ataka.attacks.ascent"} <= Code().reachable([f"baselines.{name}"])


def test_no_artifacts_code_is_a_diagnosis() -> None:
    """What is noted of the teachers beside their tape: an edit there records nothing again."""
    study = load("smoke")
    run = Run("digits", "resnet10-w8", "s-at-aka", 0)
    tape = plan.tape_of(study, run)
    assert tape
    particles = Particles("digits", "resnet10-w8", "natural", 0, "svgd")
    for node in (tape, run, Cell("digits", "resnet10-w8", "s-at-aka", 0, "pgd"), particles):
        assert not any(name.startswith("ataka.stages") for name in Code().reachable(plan.code_of(study, node)))
    assert "ataka.generation" in Code().reachable(plan.tape_code(study, tape))


def test_each_run_has_its_own_code() -> None:
    study = load("smoke")
    codes = {
        (arch, method): code_digest(plan.run_code(study, Run("digits", arch, method, 0)))
        for arch in ("resnet10-w8", "mobilenetv2")
        for method in ("natural", "en-sat", "s-at-aka")
    }
    assert len(set(codes.values())) == 6
    again = code_digest(reversed(plan.run_code(study, Run("digits", "mobilenetv2", "natural", 0))))
    assert again == codes["mobilenetv2", "natural"]
    resnets = [
        code_digest(plan.run_code(study, Run("digits", arch, "natural", 0))) for arch in ("resnet10", "resnet18")
    ]
    assert resnets[0] == resnets[1]


def test_a_training_depends_on_the_probe_where_it_has_one() -> None:
    run = Run("digits", "resnet10-w8", "natural", 0)
    last, best = load("smoke"), load("smoke", {"setups": {"natural": {"checkpoint": "best"}}})
    assert "ataka.attacks.ascent" not in Code().reachable(plan.run_code(last, run))
    assert {"ataka.training.probe", "ataka.attacks.ascent"} <= Code().reachable(plan.run_code(best, run))


@pytest.mark.parametrize("name", psi.names())
@pytest.mark.parametrize("method", ["s-at-aka", "s-cat-aka", "s-rslad"])
def test_one_psi_is_part_of_a_methods_code_and_no_other(method: str, name: str) -> None:
    """So a new psi, or an edit of another, makes nothing again."""
    run = Run("digits", "resnet10-w8", method, 0)
    reached = Code().reachable(plan.run_code(load("smoke"), run))
    assert (psi.source(name) in reached) == (name == "soft")
    assert "ataka.amalgamation" not in reached


def test_settings_hold_the_options_of_one_psi_and_the_reading_of_one_pull() -> None:
    def options(method: str) -> dict[str, object]:
        found: dict[str, object] = plan.run_settings(load("smoke"), Run("digits", "resnet10-w8", method, 0))["options"]
        return found

    assert options("s-at-aka")["psi"] == {"beta": 1.0}
    assert options("p-at-aka")["psi"] == {"weights_per": "image", "ridge": 1e-8}
    assert "kl" in options("p-at-aka").keys() - options("s-at-aka").keys()
    assert "mse" in options("s-at-aka").keys() - options("p-at-aka").keys()
    assert options("s-rslad").keys() - options("en-rslad").keys() == {"psi", "amalgamate_on"}
