"""Fog: its field against a scalar diamond-square, its image by hand, and what its steps achieve."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ataka.attacks import fog

STEP: dict[str, Any] = {"strength": 128.0, "step_size": 0.05, "steps": 10}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def diamond_square(variables: NDArray[np.float64], side: int) -> NDArray[np.float64]:
    """One map, point by point, from the definition; ``variables`` in the order centres, upper edges, left edges."""
    height = np.full((side, side), np.nan)
    height[0, 0] = 0
    numbers = iter(variables)
    for level in range(int(math.log2(side))):
        cells, amplitude = 2**level, 100 / 2**level
        step = side // cells
        half = step // 2

        def corner(i: int, j: int, cells: int = cells, step: int = step) -> float:
            return float(height[i % cells * step, j % cells * step])

        def centre(i: int, j: int, cells: int = cells, step: int = step, half: int = half) -> float:
            return float(height[i % cells * step + half, j % cells * step + half])

        def wobble(amplitude: float = amplitude) -> float:
            return float(2 * next(numbers) - 1) * amplitude

        every = [(i, j) for i in range(cells) for j in range(cells)]
        for i, j in every:
            mean = (corner(i, j) + corner(i, j + 1) + corner(i + 1, j) + corner(i + 1, j + 1)) / 4
            height[i * step + half, j * step + half] = mean + wobble()
        for i, j in every:  # between two corners of a row; the centre above is the authors', two cells away
            mean = (corner(i, j) + corner(i, j + 1) + centre(i, j) + centre(i - 2, j)) / 4
            height[i * step, j * step + half] = mean + wobble()
        for i, j in every:
            mean = (corner(i, j) + corner(i + 1, j) + centre(i, j) + centre(i, j - 2)) / 4
            height[i * step + half, j * step] = mean + wobble()
    assert next(numbers, None) is None
    return height


def images(channels: int = 3, side: int = 32, count: int = 3) -> Tensor:
    return torch.rand(count, channels, side, side, generator=generator(7))


@pytest.mark.parametrize("side", [2, 4, 16, 64])
def test_the_field_equals_diamond_square_point_by_point(side: int) -> None:
    variables = torch.rand(2, side**2 - 1, generator=generator(), dtype=torch.float64)
    for found, numbers in zip(fog.field(variables), variables.numpy(), strict=True):
        height = diamond_square(numbers, side)
        expected = (height - height.min()) / (height.max() - height.min())
        np.testing.assert_allclose(found.numpy(), expected, rtol=0, atol=1e-12)


def test_every_images_field_spans_0_to_1() -> None:
    field = fog.field(fog.draw(images(count=20), generator=generator()))
    assert (field.amin((1, 2)) == 0).all()
    assert (field.amax((1, 2)) == 1).all()


def test_a_flat_field_is_no_fog_and_no_nan() -> None:
    assert not fog.field(torch.full((2, 255), 0.5)).any()


@pytest.mark.parametrize(("side", "map_side"), [(8, 16), (28, 32), (31, 32), (32, 64), (64, 128), (224, 256)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_middle_of_the_map_is_laid_over_the_image(side: int, map_side: int, channels: int) -> None:
    x = images(channels, side, count=2)
    variables = fog.draw(x, generator=generator())
    assert variables.shape == (2, map_side**2 - 1)
    margin = (map_side - side) // 2
    middle = fog.field(variables)[:, None, margin : margin + side, margin : margin + side]
    expected = []
    for image, over in zip(x, middle, strict=True):
        largest = torch.stack([channel.max() for channel in image]).reshape(-1, 1, 1)
        expected.append(((255 * image + 128 * over) / (255 * largest + 128) * 255).clamp(0, 255) / 255)
    torch.testing.assert_close(fog.foggy(x, variables, strength=128.0), torch.stack(expected), rtol=0, atol=1e-6)


def test_without_strength_channels_are_stretched_to_1() -> None:
    x = 0.7 * images()
    x[0, 1] = 0  # a black channel stays black
    result = fog.foggy(x, fog.draw(x, generator=generator()), strength=0.0)
    largest = x.amax((2, 3), keepdim=True)
    torch.testing.assert_close(result, torch.where(largest > 0, x / largest, 0.0))


def test_without_steps_the_fog_is_the_start(network: nn.Module, x: Tensor, y: Tensor) -> None:
    start = fog.draw(x, generator=generator())
    x_adv = fog.attack(network, x, y, start=start, **STEP | {"steps": 0})
    assert torch.equal(x_adv, fog.foggy(x, start, strength=128.0))
    assert torch.equal(x_adv, fog.attack(network, x, y, generator=generator(), **STEP | {"steps": 0}))


def test_starts_are_uniform_in_0_to_1() -> None:
    start = fog.draw(images(count=10), generator=generator())
    assert start.min() >= 0
    assert start.max() <= 1
    assert abs(start.mean().item() - 0.5) < 0.01
    assert abs(start.std().item() - 12**-0.5) < 0.01


def test_equals_the_authors_steps_written_out(network: nn.Module, x: Tensor, y: Tensor) -> None:
    """Mean cross-entropy, .backward() and their clamp."""
    start = fog.draw(x, generator=generator())
    variables = start
    for _ in range(STEP["steps"]):
        variables = variables.detach().requires_grad_()
        F.cross_entropy(network(fog.foggy(x, variables, strength=128.0)), y).backward()
        variables = (variables.detach() + STEP["step_size"] * variables.grad.sign()).clamp(0, 1)
    x_adv = fog.attack(network, x, y, start=start, **STEP)
    assert torch.equal(x_adv, fog.foggy(x, variables, strength=128.0))


def test_an_image_alone_gets_the_same_fog(network: nn.Module, x: Tensor, y: Tensor) -> None:
    start = fog.draw(x, generator=generator())
    whole = fog.attack(network, x, y, start=start, **STEP)
    alone = [fog.attack(network, x[i : i + 1], y[i : i + 1], start=start[i : i + 1], **STEP) for i in range(len(x))]
    assert torch.equal(torch.cat(alone), whole)


def test_steps_raise_the_cross_entropy(network: nn.Module, everyone: tuple[Tensor, Tensor]) -> None:
    x, y = everyone
    start = fog.draw(x, generator=generator())
    losses = []
    for steps in (0, 3, 10, 30):
        x_adv = fog.attack(network, x, y, start=start, **STEP | {"steps": steps})
        losses.append(F.cross_entropy(network(x_adv), y).item())
    assert losses == sorted(losses)
    assert losses[-1] > 1.5 * losses[0]


def test_accuracy_falls_with_strength(network: nn.Module, everyone: tuple[Tensor, Tensor]) -> None:
    x, y = everyone
    correct = []
    for strength in (0.0, 64.0, 256.0, 8192.0):
        x_adv = fog.attack(network, x, y, generator=generator(), **STEP | {"strength": strength})
        assert x_adv.min() >= 0
        assert x_adv.max() <= 1
        correct.append((network(x_adv).argmax(1) == y).sum().item())
    assert correct == sorted(correct, reverse=True)
    assert correct[0] > 150
    assert correct[-1] < 20


@pytest.mark.parametrize("strength", [-1.0, float("nan"), float("inf")])
def test_a_senseless_strength_is_refused(strength: float, network: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(ValueError, match="fog: strength must be finite and not negative"):
        fog.attack(network, x, y, generator=generator(), **STEP | {"strength": strength})


def test_a_start_of_another_shape_is_refused(network: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(ValueError, match=r"fog: start is of shape \(1, 255\), but \(12, 255\) fits"):
        fog.attack(network, x, y, start=torch.rand(1, 255), **STEP)
