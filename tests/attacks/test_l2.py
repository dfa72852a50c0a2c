"""The l_2 ball and PGD within it, against the mathematics image by image, and optima known in closed form."""

import math
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka.attacks import l2, pgd_l2
from ataka.errors import UserError
from ataka.study import config

RADIUS = 0.5
OPTIONS: dict[str, Any] = {"radius": RADIUS, "step_size": 0.15, "steps": 6}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def norm(image: Tensor) -> float:
    return math.sqrt(math.fsum(float(value) ** 2 for value in image.flatten()))


def written_out(network: nn.Module, x: Tensor, y: Tensor, start: Tensor, *, step_size: float, steps: int) -> Tensor:
    """PGD in l_2 from its formula, an image at a time."""

    def inside(point: Tensor, image: Tensor) -> Tensor:
        away = point - image
        length = norm(away)
        within = image + away * (RADIUS / length) if length > RADIUS else point
        return torch.where(within < 0, 0, torch.where(within > 1, 1, within)).to(point)

    results = []
    for image, label, begun in zip(x, y, start, strict=True):
        point = inside(begun, image)
        for _ in range(steps):
            point = point.detach().requires_grad_()
            loss = functional.cross_entropy(network(point.unsqueeze(0)), label.unsqueeze(0))
            (gradient,) = torch.autograd.grad(loss, point)
            point = inside(point.detach() + step_size * gradient / norm(gradient), image)
        results.append(point)
    return torch.stack(results)


def test_equals_the_formula_image_by_image(network: nn.Module, x: Tensor, y: Tensor) -> None:
    network, x = network.double(), x.double()
    start = pgd_l2.draw(x, radius=RADIUS, restarts=1, begin="ball", generator=generator())
    expected = written_out(network, x, y, start[:, 0], step_size=0.15, steps=6)
    x_adv = pgd_l2.attack(network, x, y, start=start, **OPTIONS)
    torch.testing.assert_close(x_adv, expected, rtol=0, atol=1e-12)
    assert (x_adv == 0).any() or (x_adv == 1).any()  # the range was felt
    lengths = [norm(change) for change in x_adv - x]
    assert max(lengths) <= RADIUS + 1e-12
    assert min(lengths) > RADIUS / 4


def test_reaches_the_optimum_of_a_linear_network() -> None:
    """Of two classes the loss grows along w_1 - w_0: the best point of the ball is known, away from the bounds."""
    x = 0.4 + 0.2 * torch.rand(8, 1, 4, 4, dtype=torch.float64, generator=generator())
    y = torch.zeros(8, dtype=torch.int64)
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 2)).double()
    direction = (network[1].weight[1] - network[1].weight[0]).detach().reshape(1, 1, 4, 4)
    best = x + 0.3 * direction / norm(direction)
    for begin in ("image", "ball"):
        x_adv = pgd_l2.attack(network, x, y, radius=0.3, step_size=0.1, steps=60, begin=begin, generator=generator())
        torch.testing.assert_close(x_adv, best, rtol=0, atol=1e-6)


def test_no_image_leaves_ball_or_range_in_single_precision(everyone: tuple[Tensor, Tensor]) -> None:
    x, _ = everyone
    wild = x + 3 * torch.randn(x.shape, generator=generator())
    for radius in (0.0, 1e-3, 0.5, 100.0):
        inside = l2.project(wild, x, radius)
        assert inside.min() >= 0
        assert inside.max() <= 1
        assert max(norm(change) for change in (inside - x).double()) <= radius * (1 + 1e-6) + 1e-6
        torch.testing.assert_close(l2.project(inside, x, radius), inside, rtol=0, atol=1e-6)
    assert torch.equal(l2.project(x + 1e-4, x, 1.0), (x + 1e-4).clamp(max=1))  # inside already


@pytest.mark.parametrize("size", [1.0, 1e-30, 1e30])
def test_a_direction_has_length_1_however_small_the_gradient(size: float) -> None:
    gradient = torch.randn(5, 3, 8, 8, generator=generator())
    exact = gradient.double() / gradient.double().flatten(1).square().sum(1).sqrt().reshape(-1, 1, 1, 1)
    torch.testing.assert_close(l2.unit(gradient * size).double(), exact, rtol=0, atol=1e-6)


def test_no_gradient_is_no_direction() -> None:
    gradient = torch.randn(3, 1, 4, 4, generator=generator())
    gradient[1] = 0
    unit = l2.unit(gradient)
    assert torch.equal(unit[1], torch.zeros(1, 4, 4))
    assert l2.norms(unit).flatten().tolist() == pytest.approx([1, 0, 1])


def test_starts_are_uniform_in_the_ball() -> None:
    """Then (length / radius)^d is uniform in [0,1], and no direction is preferred."""
    x = torch.full((4000, 1, 1, 3), 0.5)
    change = l2.ball_start(x, radius=0.2, generator=generator()) - x
    shares = (change.double().flatten(1).norm(dim=1) / 0.2) ** 3
    assert shares.max() <= 1 + 1e-5
    even = numpy.linspace(0, 1, 4001)[1:]
    assert numpy.abs(numpy.sort(shares.numpy()) - even).max() < 1.63 / math.sqrt(4000)  # Kolmogorov, at 1 %
    second = change.double().flatten(1).T @ change.double().flatten(1) / 4000
    torch.testing.assert_close(second, 0.2**2 / 5 * torch.eye(3, dtype=torch.float64), rtol=0, atol=0.001)
    assert change.double().mean(0).abs().max() < 0.006


def test_from_the_image_nothing_is_random(network: nn.Module, x: Tensor, y: Tensor) -> None:
    results = [pgd_l2.attack(network, x, y, begin="image", generator=generator(seed), **OPTIONS) for seed in (0, 1)]
    assert torch.equal(*results)


def test_accuracy_falls_with_the_radius(network: nn.Module, everyone: tuple[Tensor, Tensor]) -> None:
    x, y = everyone
    correct = []
    for radius in (0.0, 0.2, 0.5, 1.0, 2.0):
        x_adv = pgd_l2.attack(network, x, y, radius=radius, step_size=0.3 * radius, steps=10, generator=generator())
        correct.append(int((network(x_adv).argmax(1) == y).sum()))
    assert correct == sorted(correct, reverse=True)
    assert correct[0] > 180
    assert correct[-1] < 20


def test_each_restart_is_an_attack_from_its_own_start(network: nn.Module, everyone: tuple[Tensor, Tensor]) -> None:
    x, y = everyone
    options = OPTIONS | {"radius": 0.3, "step_size": 0.1, "steps": 3}
    start = pgd_l2.draw(x, radius=0.3, restarts=4, begin="ball", generator=generator())
    alone = [pgd_l2.attack(network, x, y, start=start[:, k : k + 1], **options) for k in range(4)]
    stands = torch.stack([network(x_adv).argmax(1) == y for x_adv in alone])
    x_adv = pgd_l2.attack(network, x, y, start=start, restarts=4, **options)
    assert torch.equal(network(x_adv).argmax(1) == y, stands.all(0))


@pytest.mark.parametrize("radius", [-0.1, math.nan, math.inf])
def test_refuses_a_senseless_radius(radius: float, network: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(ValueError, match="radius"):
        pgd_l2.attack(network, x, y, generator=generator(), **OPTIONS | {"radius": radius})


def test_refuses_a_start_of_another_shape(network: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(ValueError, match=r"start is of shape \(12, 1, 8, 8\)"):
        pgd_l2.attack(network, x, y, start=x, **OPTIONS)


def test_restarts_from_the_image_are_the_users_mistake() -> None:
    with pytest.raises(UserError, match="begin: image has a single start"):
        config.load("smoke", {"attacks": {"pgd-l2": {"begin": "image", "restarts": 2}}})
