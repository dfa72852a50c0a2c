"""Is a network that gives no usable logits refused as it is built, and is a good one left as it was?"""

import hashlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from ataka import datasets, networks
from ataka.errors import UserError

CPU = torch.device("cpu")
FACTS = datasets.find("digits").specification
SOURCE = """
import torch
from torch import nn


class Net(nn.Module):
    def __init__(self, *, classes, channels):
        super().__init__()
        self.drop, self.norm = nn.Dropout(0.5), nn.BatchNorm2d(channels)
        self.linear = nn.Linear(channels * 64, classes)

    def forward(self, x):
        logits = self.linear(self.drop(self.norm(x).flatten(1)))
        torch.rand(3)
        return {}


def build(**facts):
    return Net(**facts){}
"""


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], str]:
    """The name of a module of the user's with this source."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(source: str) -> str:
        name = f"net_{hashlib.sha256(source.encode()).hexdigest()[:12]}"
        (tmp_path / f"{name}.py").write_text(source)
        return name

    return write


@pytest.mark.parametrize(
    ("result", "made", "message"),
    [
        (
            "logits, x",
            "",
            r"gives an object of type tuple, where one tensor of logits is expected: return the logits alone",
        ),
        ("{'logits': logits}", "", r"gives an object of type dict, where one tensor of logits is expected"),
        ("logits.half()", "", r"gives logits of type float16: return logits.float\(\)"),
        ("logits.bfloat16()", "", r"gives logits of type bfloat16: return logits.float\(\)"),
        ("logits.double()", "", r"gives logits of type float64: return logits.float\(\)"),
        ("logits[:, :3]", "", r"gives \(2, 3\) for two images of 10 classes"),
        ("logits[0]", "", r"gives \(10,\) for two images of 10 classes"),
        ("logits.argmax(1)", "", r"gives logits of type int64"),
        ("logits", ".double()", r"holds weights of type float64, as norm.weight, norm.bias, .* build it in float32"),
        ("logits", ".half()", r"holds weights of type float16"),
        ("missing", "", r"can't take images of shape \(2, 1, 8, 8\): NameError: name 'missing' is not defined \(net"),
    ],
)
def test_what_no_attack_can_use_is_refused_as_it_is_built(
    result: str, made: str, message: str, module: Callable[[str], str]
) -> None:
    arch = module(SOURCE.replace("return {}", f"return {result}").replace("){}", f"){made}"))
    with pytest.raises(UserError, match=rf"network '{arch}' {message}"):
        networks.build(arch, FACTS, device=CPU)


def test_a_good_network_is_left_as_it_was(module: Callable[[str], str]) -> None:
    arch = module(SOURCE.replace("return {}", "return logits").replace("){}", ")"))
    network: Any = networks.build(arch, FACTS, device=CPU)
    network.drop.eval()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    state = torch.get_rng_state()
    networks.require_logits(network, arch, FACTS, device=CPU)
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert [module.training for module in network.children()] == [False, True, True]
    assert network.training
