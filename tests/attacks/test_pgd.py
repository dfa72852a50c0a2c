"""PGD: an optimum known in closed form, strength in eps, and the order of its clamps."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ataka.attacks import pgd

STEP: dict[str, Any] = {"step_size": 0.02, "steps": 10}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def inputs_seen(network: nn.Module, run: Callable[[], object]) -> list[Tensor]:
    """The images of each forward of ``network`` during ``run()``."""
    seen: list[Tensor] = []
    with network.register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0].detach())):
        run()
    return seen


def test_reaches_the_optimum_of_a_linear_network() -> None:
    """Of two classes the loss falls with (w_0 - w_1)'x: its maximum over ball and range is a known corner."""
    x = torch.rand(8, 1, 4, 4, generator=generator())
    y = torch.zeros(8, dtype=torch.int64)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2))
    weight = network[1].weight
    corner = (x - 0.1 * torch.sign(weight[0] - weight[1]).reshape(1, 1, 4, 4)).clip(0, 1)
    x_adv = pgd.attack(network, x, y, eps=0.1, generator=generator(), **STEP)
    torch.testing.assert_close(x_adv, corner, rtol=0, atol=1e-6)


def test_accuracy_falls_with_eps(network: nn.Module, everyone: tuple[Tensor, Tensor]) -> None:
    x, y = everyone
    correct = []
    for eps in (0.0, 0.02, 0.05, 0.1, 0.2):
        x_adv = pgd.attack(network, x, y, eps=eps, step_size=eps / 4, steps=10, generator=generator())
        correct.append((network(x_adv).argmax(1) == y).sum().item())
    assert correct == sorted(correct, reverse=True)
    assert correct[0] > 180
    assert correct[-1] < 20


def test_is_no_weaker_than_its_start(network: nn.Module, everyone: tuple[Tensor, Tensor]) -> None:
    x, y = everyone
    start = pgd.draw(x, eps=0.1, generator=generator())
    x_adv = pgd.attack(network, x, y, eps=0.1, start=start, **STEP)
    assert F.cross_entropy(network(x_adv), y) > 2 * F.cross_entropy(network(start), y)


def test_equals_the_evaluation_of_trades_written_out(network: nn.Module, x: Tensor, y: Tensor) -> None:
    """Mean cross-entropy and .backward(), as the authors have it: the signs, and so the bits, are ours."""
    start = pgd.draw(x, eps=0.1, generator=generator())
    expected = start
    for _ in range(STEP["steps"]):
        expected = expected.detach().requires_grad_()
        F.cross_entropy(network(expected), y).backward()
        expected = expected.detach() + STEP["step_size"] * expected.grad.sign()
        expected = torch.min(torch.max(expected, x - 0.1), x + 0.1).clamp(0, 1)
    assert torch.equal(pgd.attack(network, x, y, eps=0.1, start=start, **STEP), expected)


def test_the_start_is_uniform_in_the_ball() -> None:
    x = torch.rand(50, 3, 16, 16, generator=generator())
    noise = pgd.draw(x, eps=0.1, generator=generator(1)) - x
    assert noise.abs().max() <= 0.1 + 1e-6
    assert noise.mean().abs() < 1e-3
    assert abs(noise.std().item() - 0.2 / 12**0.5) < 1e-3


@pytest.mark.parametrize("clamp_start", [False, True])
def test_only_a_clamped_start_is_within_the_range(clamp_start: bool, network: nn.Module, x: Tensor, y: Tensor) -> None:
    options = {"eps": 0.1, "generator": generator(), "clamp_start": clamp_start, **STEP}
    first, *later = inputs_seen(network, lambda: pgd.attack(network, x, y, **options))
    assert (first.min() < 0) == (first.max() > 1) == (not clamp_start)
    assert all(images.min() >= 0 and images.max() <= 1 for images in later)


def test_forwards_once_a_step(network: nn.Module, x: Tensor, y: Tensor) -> None:
    options = {"eps": 0.1, "generator": generator(), **STEP}
    assert len(inputs_seen(network, lambda: pgd.attack(network, x, y, **options))) == STEP["steps"]


def test_without_steps_the_start_is_brought_into_the_range(network: nn.Module, x: Tensor, y: Tensor) -> None:
    start = pgd.draw(x, eps=0.1, generator=generator())
    x_adv = pgd.attack(network, x, y, eps=0.1, step_size=0.1, steps=0, start=start)
    assert torch.equal(x_adv, start.clamp(0, 1))


def test_ascends_the_loss_that_it_is_given(network: nn.Module, x: Tensor, y: Tensor) -> None:
    def confidence(logits: Tensor, labels: Tensor) -> Tensor:
        return logits.gather(1, labels.unsqueeze(1)).sum()

    x_adv = pgd.attack(network, x, y, eps=0.1, generator=generator(), loss=confidence, **STEP)
    assert (confidence(network(x_adv), y) > confidence(network(x), y)).item()


def test_batchnorm_train_moves_the_running_statistics(network: nn.Module, x: Tensor, y: Tensor) -> None:
    before = {key: value.clone() for key, value in network.state_dict().items()}
    pgd.attack(network, x, y, eps=0.1, generator=generator(), batchnorm="train", **STEP)
    after = network.state_dict()
    assert after["1.num_batches_tracked"] == before["1.num_batches_tracked"] + STEP["steps"]
    assert not torch.equal(after["1.running_mean"], before["1.running_mean"])
    assert not network[1].training


def test_a_start_of_another_shape_is_refused(network: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(ValueError, match="start is of shape"):
        pgd.attack(network, x, y, eps=0.1, start=x[:1], **STEP)
