"""Which names exist, what is said of the others, and what does asking import?"""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch

from ataka import models
from ataka.errors import UserError

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
    for arch in models.EXAMPLES:
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
    assert not any(name.startswith("ataka.models.") for name in asked)


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
