"""Is a network that can't take the images refused before any job, and one that can left alone?"""

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from ataka import models, plan
from ataka.errors import UserError
from ataka.models import timm_model
from ataka.plan import Cell
from ataka.study import config
from ataka.study.config import HOME

timm = pytest.importorskip("timm")
TOO_LARGE = "timm/vgg11"
"""Its five poolings leave nothing of 8 pixels."""


@pytest.mark.parametrize(
    "settings",
    [
        {"stand_ins": {"wrn34-10": TOO_LARGE}},
        {"particles": {"networks": [{"arch": TOO_LARGE, "method": "natural"}]}},
        {"methods": {"natural": {"checkpoints": [{"dataset": "digits", "arch": TOO_LARGE}]}}},
    ],
)
def test_a_network_of_the_settings_is_refused_as_they_are_read(settings: dict[str, Any]) -> None:
    for method in settings.get("methods", {}).values():
        method["objective"] = None
        method["checkpoints"][0] |= {"path": "absent.pt", "sha256": "0" * 64}
    with pytest.raises(UserError) as caught:
        config.load("smoke", settings)
    start = f"network '{TOO_LARGE}' can't take the 8x8 images of digits: timm {timm.__version__} says: RuntimeError: "
    assert str(caught.value).startswith(start)


def test_a_network_of_a_target_is_refused() -> None:
    with pytest.raises(UserError, match=r"network 'timm/vgg11' can't take the 8x8 images of digits: timm .* says: "):
        plan.require_known(config.load("smoke"), Cell("digits", TOO_LARGE, "natural", 0, "pgd"))
    plan.require_known(config.load("smoke"), Cell("digits", "timm/test_resnet", "natural", 0, "pgd"))
    with pytest.raises(UserError, match=r"'timm/test_resnett': timm .* has no such model; did you mean test_resnet"):
        plan.require_known(config.load("smoke"), Cell("digits", "timm/test_resnett", "natural", 0, "pgd"))


@pytest.mark.parametrize("name", ["test_resnet", "test_vit", "vgg11", "levit_128s", "inception_v3"])
@pytest.mark.parametrize("size", [8, 32])
def test_the_verdict_is_that_of_the_images_themselves(name: str, size: int) -> None:
    facts: dict[str, Any] = {"name": name, "classes": 7, "channels": 3, "size": size}
    network = timm_model.build(**facts).eval()
    try:
        with torch.no_grad():
            takes = network(torch.rand(2, 3, size, size)).shape == (2, 7)
    except (RuntimeError, AssertionError):
        takes = False
    assert (timm_model.refusal(**facts) is None) == takes


def test_models_for_one_size_are_made_for_the_data_sets() -> None:
    x = torch.rand(2, 3, 32, 32)
    with pytest.raises(AssertionError):
        models.build("timm/vit_tiny_patch16_224", classes=7)(x)
    assert models.build("timm/vit_tiny_patch16_224", classes=7, size=32)(x).shape == (2, 7)
    assert models.build("timm/test_resnet", classes=7, size=32)(x).shape == (2, 7)


def test_a_second_start_asks_nobody(tmp_path: Path) -> None:
    (tmp_path / "results").mkdir()
    code = (
        "import sys\nfrom ataka.errors import UserError\nfrom ataka.study import config\n"
        f"try: config.load('smoke', {{'stand_ins': {{'wrn34-10': {TOO_LARGE!r}}}}})\n"
        "except UserError as error: print(error)\nprint('timm' in sys.modules)"
    )
    (message, first), (again, second) = (
        subprocess.run(
            [sys.executable, "-c", code],
            cwd=tmp_path,
            env={"PYTHONPATH": str(HOME)},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.splitlines()
        for _ in range(2)
    )
    assert message == again
    assert "can't take the 8x8 images" in message
    assert (first, second) == ("True", "False")
