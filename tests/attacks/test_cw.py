"""CW_inf: the margin loss by hand, what its confidence does, and the whole attack against plain loops."""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from ataka.attacks import cw
from ataka.attacks.gradient import input_gradient

STEP: dict[str, Any] = {"eps": 0.1, "step_size": 0.02, "steps": 10}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def linear(classes: int = 5) -> nn.Sequential:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(16, classes)).double()


def margins_of(network: nn.Module, x: Tensor, y: Tensor) -> list[float]:
    """One image after the other, by sorting."""
    found = []
    for logits, label in zip(network(x).tolist(), y.tolist(), strict=True):
        found.append(logits[label] - max(logit for k, logit in enumerate(logits) if k != label))
    return found


def test_margin_is_the_lead_over_the_best_other_class(network: nn.Module, everyone: tuple[Tensor, Tensor]) -> None:
    x, y = everyone
    y = torch.where(torch.arange(len(y)) % 3 == 0, (y + 1) % 10, y)  # some wrong
    assert cw.margin(network(x), y).tolist() == pytest.approx(margins_of(network, x, y), abs=1e-6)


def test_the_gradient_is_that_of_the_margin() -> None:
    """With logits Wx + b it is w_k - w_y, k the best other class, whatever else is in the batch."""
    network, y = linear(), torch.arange(20) % 5
    x = torch.rand(20, 1, 4, 4, generator=generator(), dtype=torch.float64)
    weight, logits = network[1].weight.detach(), network(x).detach()
    rival = [max((k for k in range(5) if k != y[i]), key=lambda k, i=i: logits[i, k].item()) for i in range(20)]
    expected = (weight[rival] - weight[y]).reshape(x.shape)
    torch.testing.assert_close(input_gradient(network, x, y, cw.margin_loss(50.0)), expected, rtol=0, atol=1e-15)


def test_equals_plain_loops_on_a_linear_network() -> None:
    network, y = linear(), torch.arange(20) % 5
    x = torch.rand(20, 1, 4, 4, generator=generator(), dtype=torch.float64)
    start = cw.draw(x, eps=0.1, generator=generator(1))
    weight, bias = (value.detach().numpy() for value in network[1].parameters())
    expected = []
    for image, first, label in zip(x.flatten(1).numpy(), start.flatten(1).numpy(), y.tolist(), strict=True):
        current = np.clip(np.clip(first, image - 0.1, image + 0.1), 0, 1)
        for _ in range(STEP["steps"]):
            logits = weight @ current + bias
            logits[label] -= 1e9
            uphill = np.sign(weight[logits.argmax()] - weight[label])
            current = np.clip(np.clip(current + 0.02 * uphill, image - 0.1, image + 0.1), 0, 1)
        expected.append(current)
    x_adv = cw.attack(network, x, y, start=start, **STEP)
    np.testing.assert_allclose(x_adv.flatten(1).numpy(), np.stack(expected), rtol=0, atol=1e-12)


def test_steps_bring_the_margin_down(network: nn.Module, everyone: tuple[Tensor, Tensor]) -> None:
    x, y = everyone
    means = []
    for steps in (0, 2, 5, 20):
        x_adv = cw.attack(network, x, y, generator=generator(), **STEP | {"steps": steps})
        means.append(cw.margin(network(x_adv), y).mean().item())
    assert means == sorted(means, reverse=True)
    assert means[0] > 0 > means[-1]


def test_a_confidence_beyond_all_margins_does_not_matter(network: nn.Module, x: Tensor, y: Tensor) -> None:
    first, second = (cw.attack(network, x, y, generator=generator(), confidence=c, **STEP) for c in (50.0, 500.0))
    assert torch.equal(first, second)


def test_without_confidence_what_is_wrong_is_left_alone(network: nn.Module, x: Tensor, y: Tensor) -> None:
    y = (network(x).argmax(1) + torch.arange(12) % 2) % 10  # every other one wrong
    x_adv = cw.attack(network, x, y, start=x, confidence=0.0, **STEP)
    assert torch.equal(x_adv[1::2], x[1::2])
    assert ((x_adv != x)[::2].flatten(1).any(1)).all()


@pytest.mark.parametrize("clamp_start", [False, True])
def test_the_start_is_clamped_unless_told_otherwise(
    clamp_start: bool, network: nn.Module, x: Tensor, y: Tensor
) -> None:
    seen: list[Tensor] = []
    network.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].detach()))
    cw.attack(network, x, y, generator=generator(), **STEP, **({} if clamp_start else {"clamp_start": False}))
    assert (seen[0].min() >= 0 and seen[0].max() <= 1) == clamp_start


@pytest.mark.parametrize("confidence", [-1.0, float("nan"), float("inf")])
def test_a_senseless_confidence_is_refused(confidence: float, network: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(ValueError, match="cw: confidence must be"):
        cw.attack(network, x, y, generator=generator(), confidence=confidence, **STEP)
