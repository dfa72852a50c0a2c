"""FGSM against the closed form of a linear network."""

import torch
from torch import nn

from ataka.attacks import fgsm


def test_linear_network_in_closed_form() -> None:
    """With logits Wx + b the gradient is W'(p - e_y), here worked out by hand in float64."""
    generator = torch.Generator().manual_seed(0)
    x = torch.rand(20, 1, 4, 4, generator=generator, dtype=torch.float64)
    y = torch.arange(20) % 5
    linear = nn.Linear(16, 5).double()
    residual = torch.softmax(x.flatten(1) @ linear.weight.T + linear.bias, 1) - torch.eye(5)[y]
    expected = x + 0.1 * torch.sign(residual @ linear.weight).reshape(x.shape)
    x_adv = fgsm.attack(nn.Sequential(nn.Flatten(), linear), x, y, eps=0.1)
    torch.testing.assert_close(x_adv, expected.detach().clip(0, 1), rtol=0, atol=1e-15)


def test_one_forward_is_enough(network: nn.Module, x: torch.Tensor, y: torch.Tensor) -> None:
    seen: list[torch.Tensor] = []
    with network.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].detach())):
        fgsm.attack(network, x, y, eps=0.1)
    assert len(seen) == 1
    assert torch.equal(seen[0], x)
