"""Are initial weights those that a set-up asks for, on every network, and nothing else of it touched?"""

import math

import pytest
import torch
from torch import nn

from ataka import datasets, networks
from ataka.errors import UserError
from ataka.models.initialisation import initialise, set_momentum
from ataka.study import Setup
from tests import tiny

FACTS = datasets.find("digits").specification
ARCHS = ("resnet10-w16", "mobilenetv2-x0.25", "wrn16-2", "wrn16-2-silu")


def network(arch: str, **settings: object) -> nn.Module:
    setup: Setup = tiny.setup(**settings)
    return networks.student(arch, FACTS, seed=0, device=torch.device("cpu"), setup=setup)


def layers(drawn: nn.Module) -> list[nn.Conv2d | nn.Linear]:
    return [module for module in drawn.modules() if isinstance(module, nn.Conv2d | nn.Linear)]


def scaled(drawn: nn.Module) -> torch.Tensor:
    """All convolutions' weights, each times the square root of its fan-in, k k in_channels / groups."""
    convolutions = [layer for layer in layers(drawn) if isinstance(layer, nn.Conv2d)]
    fans = [math.prod(layer.kernel_size) * layer.in_channels // layer.groups for layer in convolutions]
    pairs = zip(convolutions, fans, strict=True)
    return torch.cat([layer.weight.detach().flatten() * math.sqrt(fan) for layer, fan in pairs])


@pytest.mark.parametrize("arch", ARCHS)
def test_fan_in_is_haikus_normal_cut_at_two_deviations(arch: str) -> None:
    weights = scaled(network(arch, initialisation="fan-in"))
    assert weights.abs().max() <= 2 * (1 + 1e-6)
    assert weights.abs().max() > 1.95
    density = math.exp(-2) / math.sqrt(2 * math.pi)  # of the standard normal at two deviations
    variance = 1 - 4 * density / math.erf(math.sqrt(2))
    assert weights.var().item() == pytest.approx(variance, rel=0.03)
    assert variance == pytest.approx(0.774, abs=1e-3)


@pytest.mark.parametrize("arch", ARCHS)
def test_fan_in_starts_with_logits_of_zero(arch: str) -> None:
    drawn = network(arch, initialisation="fan-in").eval()
    assert (drawn(torch.rand(3, 1, 8, 8)) == 0).all()
    assert (network(arch).eval()(torch.rand(3, 1, 8, 8)) != 0).any()


@pytest.mark.parametrize("arch", ARCHS)
def test_torchs_default_is_uniform_within_the_root_of_the_fan_in(arch: str) -> None:
    weights = scaled(network(arch, initialisation="torch"))
    assert weights.abs().max() <= 1 + 1e-6
    assert weights.var().item() == pytest.approx(1 / 3, rel=0.03)


@pytest.mark.parametrize("arch", ARCHS)
def test_only_weights_are_drawn_anew_and_from_the_streams(arch: str) -> None:
    own, other = network(arch), network(arch, initialisation="fan-in")
    changed = {name for name, tensor in own.state_dict().items() if not torch.equal(tensor, other.state_dict()[name])}
    drawn = {id(parameter) for layer in layers(own) for parameter in layer.parameters()}
    assert changed == {name for name, parameter in own.named_parameters() if id(parameter) in drawn} - {
        name for name, parameter in own.named_parameters() if name.endswith("bias") and not parameter.any()
    }
    torch.manual_seed(5)
    assert tiny.same(tiny.state(other), tiny.state(network(arch, initialisation="fan-in")))
    without = networks.student(arch, FACTS, seed=0, device=torch.device("cpu"))
    assert tiny.same(tiny.state(own), tiny.state(without))


def test_each_teacher_has_weights_of_its_own_whatever_their_number() -> None:
    setup = tiny.setup(initialisation="fan-in")
    two, three = (
        networks.teachers("wrn10-1", FACTS, count, seed=0, device=torch.device("cpu"), setup=setup) for count in (2, 3)
    )
    assert all(tiny.same(tiny.state(a), tiny.state(b)) for a, b in zip(two, three, strict=False))
    assert not torch.equal(two[0].conv1.weight, two[1].conv1.weight)


@pytest.mark.parametrize("momentum", [None, 0.01])
def test_running_statistics_move_by_the_momentum(momentum: float | None) -> None:
    drawn = network("wrn10-1", batchnorm_momentum=momentum).train()
    x = torch.rand(6, 1, 8, 8)
    drawn(x)
    entering = drawn.conv1(x).mean((0, 2, 3))
    torch.testing.assert_close(drawn.block1[0].bn1.running_mean, (momentum or 0.1) * entering)
    assert {module.momentum for module in drawn.modules() if isinstance(module, nn.BatchNorm2d)} == {momentum or 0.1}


def test_a_network_without_last_linear_logits_is_refused() -> None:
    body = nn.Sequential(nn.Linear(4, 6), nn.ReLU())
    with pytest.raises(UserError, match="no last linear layer of Sequential gives the 10 logits"):
        initialise(body, "fan-in", classes=10)
    set_momentum(body, 0.01)
