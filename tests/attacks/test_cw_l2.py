"""Carlini and Wagner's L2 attack: the nearest wrong image, known in closed form for a linear network."""

from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ataka.attacks import cw_l2
from ataka.attacks.cw import margin


def linear(classes: int) -> tuple[nn.Sequential, Tensor, Tensor]:
    """A linear network, 12 grey images well inside [0,1] and off its boundaries, and its own predictions for them.

    The rows of its matrix are orthonormal: the class in second place is also the nearest.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(classes)
        network = nn.Sequential(nn.Flatten(), nn.Linear(16, classes))
        nn.init.orthogonal_(network[1].weight)
        x = 0.25 + 0.5 * torch.rand(400, 1, 4, 4)
    with torch.no_grad():
        network[1].bias -= network(x).mean(0)
        y = network(x).argmax(1)
    far = distance_to_boundary(network, x, y) > 0.1
    return network, x[far][:12], y[far][:12]


def distance_to_boundary(network: nn.Sequential, x: Tensor, y: Tensor) -> Tensor:
    """min_k (z_y - z_k) / |w_y - w_k|, for every image."""
    weight, logits = network[1].weight.detach(), network(x).detach()
    found = []
    for row, label in zip(logits, y.tolist(), strict=True):
        others = [k for k in range(len(row)) if k != label]
        found.append(min(((row[label] - row[k]) / (weight[label] - weight[k]).norm()).item() for k in others))
    return torch.tensor(found)


def l2(x_adv: Tensor, x: Tensor) -> Tensor:
    return (x_adv - x).flatten(1).norm(dim=1)


def constants_tried(monkeypatch: pytest.MonkeyPatch, run: Callable[[], object]) -> Tensor:
    """c of every search and image, (searches, B), during ``run()``."""
    tried: list[Tensor] = []
    search = cw_l2.search

    def spy(model: nn.Module, x: Tensor, y: Tensor, c: Tensor, **options: Any) -> tuple[Tensor, Tensor]:
        tried.append(c.clone())
        return search(model, x, y, c, **options)

    monkeypatch.setattr(cw_l2, "search", spy)
    run()
    return torch.stack(tried)


@pytest.mark.parametrize("classes", [2, 10])
def test_finds_the_nearest_hyperplane(classes: int) -> None:
    network, x, y = linear(classes)
    x_adv = cw_l2.attack(network, x, y, steps=100)
    assert (network(x_adv).argmax(1) != y).all()
    ratio = l2(x_adv, x) / distance_to_boundary(network, x, y)
    assert ratio.min() > 1 - 1e-4
    assert ratio.max() < 1.01


def test_more_searches_come_nearer() -> None:
    network, x, y = linear(10)
    too_few, *results = (cw_l2.attack(network, x, y, steps=40, searches=n) for n in (1, 4, 6, 9))
    assert torch.equal(too_few, x)
    distances = [l2(x_adv, x) for x_adv in results]
    assert (distances[0] >= distances[1]).all()
    assert (distances[1] >= distances[2]).all()
    assert (distances[0] > distances[2]).any()


def test_c_is_searched_for_each_image_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tenfold until it succeeds, then halves between the greatest failure and the least success."""
    network, x, y = linear(10)
    tried = constants_tried(monkeypatch, lambda: cw_l2.attack(network, x, y, steps=60, searches=9))
    assert tried.shape == (9, 12)
    assert (tried[0] == 1e-3).all()
    assert len(set(tried[-1].tolist())) > 3
    for c in tried.T.tolist():
        first = [later < c[0] * 9 * 10**place for place, later in enumerate(c[1:])].index(True)  # the first success
        assert c[: first + 1] == pytest.approx([1e-3 * 10**place for place in range(first + 1)])
        lower, upper = c[first] / 10, c[first]
        for constant, following in pairwise(c[first + 1 :]):
            assert constant == pytest.approx((lower + upper) / 2)
            lower, upper = (lower, constant) if following < constant else (constant, upper)


def test_an_image_alone_gets_the_same_result() -> None:
    network, x, y = linear(10)
    options = {"steps": 30, "searches": 6}
    whole = cw_l2.attack(network, x, y, **options)
    assert (whole != x).flatten(1).any(1).all()
    alone = torch.cat([cw_l2.attack(network, x[i : i + 1], y[i : i + 1], **options) for i in range(len(x))])
    torch.testing.assert_close(alone, whole, rtol=0, atol=1e-4)


def test_a_search_equals_the_authors_loop_written_out() -> None:
    """With torch.optim.Adam, one image at a time."""
    network, x, y = linear(10)
    network, x, c = network.double(), x.double(), torch.linspace(0.01, 5, 12, dtype=torch.float64)
    distance, x_adv = cw_l2.search(network, x, y, c, steps=40, learning_rate=0.01, kappa=0.1)
    for i in range(len(x)):
        w = torch.atanh((2 * x[i : i + 1] - 1) * 0.999999).requires_grad_()
        optimiser = torch.optim.Adam([w], lr=0.01)
        nearest, best = torch.inf, x[i : i + 1]
        for _ in range(40):
            image = (w.tanh() + 1) / 2
            logits = network(image)[0]
            lead = logits[y[i]] - max(logit for k, logit in enumerate(logits) if k != y[i])
            squared = ((image - x[i]) ** 2).sum()
            if lead <= -0.1 and squared < nearest:
                nearest, best = squared.item(), image.detach()
            optimiser.zero_grad()
            (squared + c[i] * torch.clamp(lead, min=-0.1)).backward()
            optimiser.step()
        assert distance[i].item() == pytest.approx(nearest, rel=1e-9)
        torch.testing.assert_close(x_adv[i : i + 1], best, rtol=0, atol=1e-9)
    assert distance.isfinite().any()
    assert distance.isinf().any()


def test_kappa_asks_for_a_lead(network: nn.Module, x: Tensor, y: Tensor) -> None:
    distances = []
    for kappa in (0.0, 0.5, 2.0):
        x_adv = cw_l2.attack(network, x, y, steps=50, searches=7, learning_rate=0.05, kappa=kappa)
        lead = margin(network(x_adv), y)
        assert (lead < 0).all()
        assert (lead <= -kappa).all()
        distances.append(l2(x_adv, x))
    assert (distances[0] < distances[1]).all()
    assert (distances[1] < distances[2]).all()


def test_a_success_counts_only_within_the_radius() -> None:
    network, x, y = linear(10)
    anywhere = cw_l2.attack(network, x, y, steps=60)
    distances = l2(anywhere, x)
    radius = distances.median().item() * 1.0001
    within = distances <= radius
    assert 0 < within.sum() < len(x)
    x_adv = cw_l2.attack(network, x, y, steps=60, radius=radius)
    assert torch.equal(x_adv[within], anywhere[within])
    assert torch.equal(x_adv[~within], x[~within])


def test_what_is_wrong_already_is_left_alone(network: nn.Module, x: Tensor) -> None:
    predicted = network(x).argmax(1)
    y = (predicted + torch.arange(12) % 2) % 10
    x_adv = cw_l2.attack(network, x, y, steps=60, learning_rate=0.05)
    assert torch.equal(x_adv[1::2], x[1::2])
    assert (network(x_adv).argmax(1) != y).all()


def test_where_nothing_is_found_the_image_is_clean(network: nn.Module, x: Tensor, y: Tensor) -> None:
    network[-1].weight.requires_grad_(False).zero_()
    network[-1].bias.requires_grad_(False).zero_()  # a tie of all classes is no success
    assert torch.equal(cw_l2.attack(network, x, y, steps=5), x)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("radius", -1.0),
        ("radius", float("nan")),
        ("kappa", -0.1),
        ("learning_rate", 0.0),
        ("initial_c", 0.0),
        ("initial_c", float("inf")),
        ("searches", 0),
        ("steps", -1),
    ],
)
def test_senseless_settings_are_refused(option: str, value: float, network: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(ValueError, match=f"cw_l2: {option} must be finite and"):
        cw_l2.attack(network, x, y, **{"steps": 2} | {option: value})
