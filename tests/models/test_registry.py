"""Which names exist, what is said of the others, and what does asking import?"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from ataka import models
from ataka.errors import UserError
from ataka.plan.code import code_digest

ROOT = Path(__file__).parents[2]
LABELS = {
    "resnet18": "RN-18",
    "resnet10": "RN-10",
    "resnet10-w16": "RN-10 (w 16)",
    "mobilenetv2": "MN",
    "mobilenetv2-x0.25": "MN (x 0.25)",
    "mobilenetv2-x2": "MN (x 2)",
    "wrn34-10": "WRN-34-10",
    "wrn10-1": "WRN-10-1",
    "wrn70-16": "WRN-70-16",
    "wrn10-1-silu": "WRN-10-1 (SiLU)",
    "timm/test_resnet": "test_resnet",
}


@pytest.mark.parametrize("arch", LABELS)
def test_known_names(arch: str) -> None:
    models.check(arch)
    assert models.label(arch) == LABELS[arch]
    assert all(find_spec(source) for source in models.sources(arch))


def test_examples_are_names() -> None:
    assert "__init__" not in models.examples()
    for arch in models.examples():
        models.check(arch.format(name="resnet18"))


def test_the_papers_wide_resnets_are_two_architectures() -> None:
    assert models.sources("wrn34-10") == ("ataka.models.wide_resnet",)
    assert models.sources("wrn70-16")[0] == "ataka.models.wide_resnet_silu"


@pytest.mark.parametrize(
    ("arch", "message"),
    [
        ("resnet81", "unknown architecture 'resnet81'; did you mean 'resnet18'?"),
        ("ResNet18", "did you mean 'resnet18'?"),
        ("mobilenet", "did you mean 'mobilenetv2'?"),
        ("mobilenetv2-x0", "did you mean 'mobilenetv2"),
        ("wrn-34-10", "did you mean 'wrn34-10'?"),
        ("wrn35-10", "depth is 10, 16, 22"),
        ("wrn4-1", "depth is 10, 16, 22"),
        ("resnet18-w0", "did you mean 'resnet18-w16'?"),
        ("resnet18 ", "did you mean 'resnet18'?"),
        ("timm/", "did you mean 'timm/{name}'?"),
        ("timm/resnet18.a1_in1k", "unknown architecture"),
        ("__init__", "unknown architecture '__init__'"),
        ("", "known: "),
    ],
)
def test_unknown_names_get_a_hint(arch: str, message: str) -> None:
    for ask in (models.check, models.label, models.sources, lambda arch: models.build(arch, classes=10)):
        with pytest.raises(ValueError, match="architecture") as caught:
            ask(arch)
        assert message in str(caught.value)


@pytest.mark.parametrize(
    ("arch", "name"),
    [
        ("resnet18-w64", "resnet18"),
        ("mobilenetv2-x1.0", "mobilenetv2"),
        ("mobilenetv2-x0.50", "mobilenetv2-x0.5"),
        ("wrn70-16-silu", "wrn70-16"),
    ],
)
def test_one_network_has_one_name(arch: str, name: str) -> None:
    with pytest.raises(ValueError, match=f"'{arch}' is called '{name}' here"):
        models.check(arch)


def modules_after(code: str) -> set[str]:
    """What a fresh interpreter has imported after ``code``."""
    command = [sys.executable, "-c", f"{code}\nimport sys\nprint(*sys.modules)"]
    process = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    return set(process.stdout.split())


def test_asking_for_names_imports_no_torch() -> None:
    asked = modules_after(
        "from ataka import models\n"
        "for arch in ('resnet18', 'wrn70-16', 'timm/resnet18'):\n"
        "    models.check(arch), models.label(arch), models.sources(arch)"
    )
    assert "ataka.models" in asked
    assert not asked & {"torch", "torchvision", "timm", "numpy"}
    assert {name for name in asked if name.startswith("ataka.models.")} == {"ataka.models.architecture"}


def test_our_own_networks_need_neither_timm_nor_torchvision() -> None:
    built = modules_after(
        "from ataka import models\n"
        "for arch in ('resnet10-w8', 'mobilenetv2-x0.25', 'wrn10-1', 'wrn10-1-silu'):\n"
        "    models.build(arch, classes=10)"
    )
    assert "torch" in built
    assert not built & {"torchvision", "timm"}


def test_timm_models_are_passed_through() -> None:
    pytest.importorskip("timm")
    models.check("timm/test_resnet")
    network = models.build("timm/test_resnet", classes=7, channels=1).eval()
    assert network(torch.rand(2, 1, 32, 32)).shape == (2, 7)


def test_timm_says_what_it_has() -> None:
    pytest.importorskip("timm")
    with pytest.raises(UserError, match=r"did you mean .*resnet18"):
        models.build("timm/resnett18", classes=10)
    with pytest.raises(UserError, match=r"timm\.list_models"):
        models.build("timm/zzzzzzzzzzzzzzzz", classes=10)


def test_without_timm_the_error_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "timm", None)
    with pytest.raises(UserError, match="isn't installed"):
        models.build("timm/resnet18", classes=10)


# ---- a network of one's own

TINY = """
from torch import nn

LABEL = "Tiny"


def build(*, classes, channels):
    return nn.Sequential(nn.Flatten(), nn.LazyLinear(classes))
"""


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The folder of a package ``mylab`` on the Python path."""
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "mylab").mkdir()
    yield tmp_path / "mylab"
    for name in [name for name in sys.modules if name.split(".")[0] == "mylab"]:
        del sys.modules[name]


def test_a_module_anywhere_on_the_path_is_a_network(lab: Path) -> None:
    (lab / "tiny.py").write_text(TINY)
    models.check("mylab.tiny")
    assert (models.label("mylab.tiny"), models.sources("mylab.tiny")) == ("Tiny", ("mylab.tiny",))
    assert "mylab.tiny" not in sys.modules  # its facts are read without running it
    assert models.build("mylab.tiny", classes=7, channels=1)(torch.rand(2, 1, 8, 8)).shape == (2, 7)
    with pytest.raises(ValueError, match=r"unknown architecture 'ataka\.models\.resnet'"):
        models.check("ataka.models.resnet")
    (lab.parent / "tiny_of_mine.py").write_text(TINY)
    assert models.sources("tiny_of_mine") == ("tiny_of_mine",)
    (lab / "plain.py").write_text(TINY.replace('LABEL = "Tiny"', ""))
    assert models.label("mylab.plain") == "mylab.plain"


def test_one_that_normalises_is_told_the_statistics(lab: Path) -> None:
    (lab / "normal.py").write_text("def build(*, classes, channels, mean, std):\n    return (mean, std)\n")
    assert models.build("mylab.normal", classes=7, channels=1, mean=(0.3,), std=(0.2,)) == ((0.3,), (0.2,))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, r"unknown architecture 'mylab.tiny', and no such module is on the Python path; known: "),
        (TINY.replace("def build", "def make"), r"mylab/tiny.py defines no build\(\*, classes, channels\)"),
        (TINY + "(", r"architecture 'mylab.tiny': .*mylab/tiny.py: .*never closed"),
        (TINY.replace('"Tiny"', "str(5)"), r"architecture 'mylab.tiny': .*mylab/tiny.py: malformed"),
    ],
)
def test_what_is_wrong_with_a_module_is_said(lab: Path, text: str | None, message: str) -> None:
    if text is not None:
        (lab / "tiny.py").write_text(text)
    with pytest.raises(ValueError, match=message):
        models.check("mylab.tiny")


def test_what_fails_in_its_import_is_the_users(lab: Path) -> None:
    (lab / "tiny.py").write_text(TINY.replace("from torch", "from torhc"))
    models.check("mylab.tiny")
    with pytest.raises(UserError, match=r"architecture 'mylab.tiny': can't import 'mylab.tiny': ModuleNotFoundError"):
        models.build("mylab.tiny", classes=7)


@pytest.fixture
def folder(tmp_path: Path) -> Callable[..., list[str]]:
    """Asks a copy of ataka with one more file in ataka/models for the digests of networks, or what is said instead."""
    shutil.copytree(ROOT / "ataka", tmp_path / "ataka", ignore=shutil.ignore_patterns("__pycache__"))

    def ask(file: str, text: str, *archs: str) -> list[str]:
        (tmp_path / f"ataka/models/{file}.py").write_text(text)
        code = (
            "import sys\nfrom ataka import models\nfrom ataka.plan.code import code_digest\n"
            "for arch in sys.argv[1:]:\n    try: print(models.label(arch), code_digest(models.sources(arch)))\n"
            "    except ValueError as error: print(error)"
        )
        command = [sys.executable, "-c", code, *archs]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        answer = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
        return answer.stdout.splitlines()

    return ask


def test_one_file_more_is_one_network_more_and_changes_no_other(folder: Callable[..., list[str]]) -> None:
    known = ("resnet10", "mobilenetv2", "wrn10-1", "wrn10-1-silu", "timm/test_resnet")
    before = [f"{models.label(arch)} {code_digest(models.sources(arch))}" for arch in known]
    *after, mine = folder("tiny", TINY, *known, "tiny")
    assert after == before
    assert mine.startswith("Tiny ")


def test_one_file_more_may_be_a_family(folder: Callable[..., list[str]]) -> None:
    named = """
from ataka.models.architecture import Architecture

EXAMPLES = ("tiny8",)


def named(name):
    match = re.fullmatch("tiny([0-9]+)", name)
    return Architecture(name, label=f"T {match[1]}", settings={"width": int(match[1])}) if match else None
"""
    mine, whole, near = folder("tiny", "import re\n" + TINY + named, "tiny16", "tiny", "tinny8")
    assert mine.startswith("T 16 ")
    assert whole == "unknown architecture 'tiny'; did you mean 'tiny8'?"
    assert near == "unknown architecture 'tinny8'; did you mean 'tiny8'?"


def test_two_families_dont_share_a_name(folder: Callable[..., list[str]]) -> None:
    both, other = folder("copied", (ROOT / "ataka/models/resnet.py").read_text(), "resnet10", "wrn10-1")
    assert both.startswith("architecture 'resnet10' is a name of ataka.models.copied and of ataka.models.resnet")
    assert other.startswith("WRN-10-1 ")


def test_a_draft_with_an_error_is_refused_alone(folder: Callable[..., list[str]]) -> None:
    other, draft = folder("draft", TINY + "(", "resnet10", "draft")
    assert other.startswith("RN-10 ")
    assert draft.startswith("architecture 'draft': ")
    assert "never closed" in draft
