"""The clamp whose gradient at a bound is stated: the value is torch's, the gradient no version's."""

import math

import pytest
import torch
from torch import Tensor, nn

from ataka.attacks import cw, cw_l2, fog
from ataka.attacks.bounds import clamped

VALUES = [-0.5, 0.0, 0.25, 1.0, 1.5]


@pytest.mark.parametrize(
    ("bounds", "slopes"), [((0.0, 1.0), [0, 1, 1, 1, 0]), ((0.0, math.inf), [0, 1, 1, 1, 1]), ((), [1, 1, 1, 1, 1])]
)
def test_the_gradient_passes_on_the_bounds_and_not_beyond(bounds: tuple[float, ...], slopes: list[float]) -> None:
    values = torch.tensor(VALUES, requires_grad=True)
    result = clamped(values, *bounds)
    low, high = (*bounds, *(-math.inf, math.inf)[len(bounds) :])
    assert torch.equal(result, values.clamp(low, high))
    assert result.dtype == values.dtype
    result.sum().backward()
    assert values.grad is not None
    assert values.grad.tolist() == slopes


def test_nan_is_not_hidden() -> None:
    assert clamped(torch.tensor([torch.nan, 2.0]), 0.0, 1.0).isnan().tolist() == [True, False]


@pytest.mark.parametrize(("margin", "slope"), [(-50.1, 0.0), (-50.0, -1.0), (-49.9, -1.0)])
def test_cw_pushes_an_image_at_its_very_confidence(margin: float, slope: float) -> None:
    lead = torch.tensor([[margin, 0.0, -100.0]], dtype=torch.float64, requires_grad=True)
    cw.margin_loss(50.0)(lead, torch.tensor([0])).backward()
    assert lead.grad is not None
    assert lead.grad[0, 0] == slope


def test_cw_l2_leaves_a_tie_which_is_no_success() -> None:
    """A network whose two classes are alike at the clean image alone: from a gradient of 0 no step would lead away."""

    class Tie(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            brightness = x.mean((1, 2, 3)) - 0.5
            return torch.stack([brightness, -brightness], 1)

    grey = torch.full((1, 1, 2, 2), 0.5)
    assert torch.equal(Tie()(grey), torch.zeros(1, 2))
    distance, image = cw_l2.search(
        Tie(), grey, torch.tensor([0]), torch.tensor([1.0]), steps=5, learning_rate=0.01, kappa=0.0
    )
    assert 0 < distance.item() < math.inf
    assert Tie()(image).argmax(1).item() == 1


def test_fogs_gradient_is_that_of_its_blend_which_needs_no_clamp() -> None:
    """The blend is exactly 0 where a black pixel has the least fog, and exactly 1 where the brightest has the most."""
    source = torch.Generator().manual_seed(0)
    middle = slice(2, 6)
    while True:  # until both extremes of the map lie in the part that is cut out
        variables = torch.rand(1, 63, dtype=torch.float64, generator=source)
        part = fog.field(variables, normalised="image")[0, middle, middle]
        if (part.amin(), part.amax()) == (0, 1):
            break
    x = (part == 1).double()[None, None]
    variables.requires_grad_()
    weights = torch.rand(1, 1, 4, 4, dtype=torch.float64, generator=source)
    images = fog.foggy(x, variables, strength=255.0, normalised="image")
    assert (images == 0).any()
    assert (images == 1).any()
    (gradient,) = torch.autograd.grad((weights * images).sum(), variables)
    blend = (x + fog.field(variables, normalised="image")[:, None, middle, middle]) / 2
    (expected,) = torch.autograd.grad((weights * blend).sum(), variables)
    torch.testing.assert_close(gradient, expected)
