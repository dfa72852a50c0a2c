"""Is exactly that folded which computes the same function folded, in exact arithmetic?"""

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ataka import models
from ataka.attacks.mode import attack_mode
from ataka.models import folding

SMALL = {
    "resnet10-w8": (12, 12),
    "resnet18-w8": (20, 20),
    "mobilenetv2-x0.25": (55, 55),
    "wrn16-2": (7, 13),
    "wrn10-1-silu": (3, 7),
}
"""How many normalisations are folded, of how many. In pre-activation blocks one of two follows a convolution."""


class Net(nn.Module):
    """A convolution and a normalisation, with something between, beside or around them."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.conv = nn.Conv2d(3, 3, 3, padding=1)
        self.bn = nn.BatchNorm2d(3)
        if kind == "untracked":
            self.bn = nn.BatchNorm2d(3, track_running_stats=False)
        elif kind == "subclass":
            self.bn = BatchNormReLU(3)
        elif kind == "transposed":
            self.conv = nn.ConvTranspose2d(3, 3, 3, padding=1)  # type: ignore[assignment]
        elif kind == "parametrised":
            nn.utils.parametrizations.weight_norm(self.conv)
        elif kind == "hooked":
            self.seen: list[Tensor] = []
            self.conv.register_forward_hook(lambda _module, _given, output: self.seen.append(output))

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv(x)
        if self.kind == "two calls":
            return self.bn(self.conv(F.relu(out)))
        if self.kind == "skip":
            return self.bn(out) + out
        if self.kind == "view":
            return self.bn(out) + out[:, :, :1]
        if self.kind == "detached":
            return self.bn(out) * out.detach().mean()
        if self.kind == "in place":
            return self.bn(F.relu_(out))
        if self.kind == "weights":
            return self.bn(out) + self.conv.weight.square().sum()
        if self.kind == "two norms":
            return self.bn(self.bn(out))
        return self.bn(out)


class BatchNormReLU(nn.BatchNorm2d):
    """One that does more, as timm's."""

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(super().forward(x))


def built(arch: str) -> nn.Module:
    torch.manual_seed(0)
    return unlike_the_identity(models.build(arch, classes=10).eval())


def unlike_the_identity(network: nn.Module) -> nn.Module:
    """In place: statistics, factors and offsets of normalisations are drawn."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d) and module.running_mean is not None:
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                nn.init.uniform_(tensor, -0.5, 0.5)
    return network


@pytest.mark.parametrize(("arch", "counts"), SMALL.items())
def test_how_many_are_folded(arch: str, counts: tuple[int, int]) -> None:
    network = built(arch)
    norms = sum(isinstance(module, nn.BatchNorm2d) for module in network.modules())
    assert (len(folding.pairs(network, torch.rand(2, 3, 16, 16))), norms) == counts


@pytest.mark.parametrize("kind", ["plain", "norm without affine", "convolution without bias", "groups"])
def test_a_pair_by_hand(kind: str) -> None:
    """gamma (w x + b - mean) / sqrt(variance + eps) + beta, against the folded convolution, in float64."""
    torch.manual_seed(1)
    groups = 2 if kind == "groups" else 1
    convolution = nn.Conv2d(4, 6, 3, stride=2, groups=groups, bias=kind != "convolution without bias").double()
    norm = nn.BatchNorm2d(6, affine=kind != "norm without affine", eps=0.1).double().eval()
    for tensor in norm.state_dict().values():
        if tensor.is_floating_point():
            nn.init.uniform_(tensor, 0.5, 1.5)
    x = torch.rand(3, 4, 9, 9, dtype=torch.float64)
    weight, bias = folding.folded(convolution, norm)
    one = torch.ones(6, dtype=torch.float64)
    gamma, beta = (one, 0 * one) if norm.weight is None else (norm.weight, norm.bias)
    given = F.conv2d(x, convolution.weight, convolution.bias, 2, groups=groups).transpose(1, 3)
    wanted = gamma * (given - norm.running_mean) / (norm.running_var + 0.1).sqrt() + beta
    torch.testing.assert_close(F.conv2d(x, weight, bias, 2, groups=groups).transpose(1, 3), wanted, rtol=0, atol=1e-12)


def test_the_simplest_is_folded() -> None:
    assert len(folding.pairs(Net("simplest").eval(), torch.rand(2, 3, 5, 5))) == 1


@pytest.mark.parametrize(
    "kind",
    [
        "two calls",
        "skip",
        "view",
        "detached",
        "in place",
        "weights",
        "two norms",
        "untracked",
        "subclass",
        "transposed",
        "parametrised",
        "hooked",
    ],
)
def test_whatever_would_compute_something_else_is_left_alone(kind: str) -> None:
    assert folding.pairs(Net(kind).eval(), torch.rand(2, 3, 5, 5)) == []


def test_nothing_is_folded_in_training_mode() -> None:
    network = built("resnet10-w8").train()
    assert folding.pairs(network, torch.rand(2, 3, 16, 16)) == []
    with attack_mode(network, batchnorm="train"):
        assert folding.pairs(network, torch.rand(2, 3, 16, 16)) == []


def test_two_convolutions_of_one_weight_are_left_alone() -> None:
    network = nn.Sequential(nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3), nn.Conv2d(3, 3, 1), nn.BatchNorm2d(3)).eval()
    network[2].weight = network[0].weight
    assert folding.pairs(network, torch.rand(2, 3, 5, 5)) == []


def test_looking_leaves_no_trace() -> None:
    network = built("resnet10-w8")
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    folding.pairs(network, torch.rand(2, 3, 16, 16))
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in network.modules())
