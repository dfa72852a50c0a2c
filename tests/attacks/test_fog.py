"""Fog: its field against a scalar diamond-square, its steps against the authors' formula, and what they achieve."""

import math
from typing import Any, get_args

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F

from ataka.attacks import fog

STEP: dict[str, Any] = {"strength": 128.0, "step_size": 0.05, "steps": 10}
NORMALISED = get_args(fog.Normalised)
TARGETS = get_args(fog.Target)
over_each = pytest.mark.parametrize("normalised", NORMALISED)
towards_each = pytest.mark.parametrize("target", TARGETS)


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


def variables_of(x: Tensor) -> Tensor:
    return fog.draw(x, generator=generator())[:, :-1]


def spread(heights: list[NDArray[np.float64]], normalised: str) -> list[NDArray[np.float64]]:
    """The maps, brought to [0, 1] by the extremes of all, or each by its own."""
    ends = [(min(map(np.min, heights)), max(map(np.max, heights)))] * len(heights)
    if normalised == "image":
        ends = [(height.min(), height.max()) for height in heights]
    return [(height - low) / (high - low) for height, (low, high) in zip(heights, ends, strict=True)]


@over_each
@pytest.mark.parametrize("side", [2, 4, 16, 64])
def test_the_field_equals_diamond_square_point_by_point(side: int, normalised: fog.Normalised) -> None:
    variables = torch.rand(3, side**2 - 1, generator=generator(), dtype=torch.float64)
    expected = spread([diamond_square(numbers, side) for numbers in variables.numpy()], normalised)
    np.testing.assert_allclose(fog.field(variables, normalised=normalised).numpy(), expected, rtol=0, atol=1e-12)


def test_every_images_own_field_spans_0_to_1() -> None:
    field = fog.field(variables_of(images(count=20)), normalised="image")
    assert (field.amin((1, 2)) == 0).all()
    assert (field.amax((1, 2)) == 1).all()


def test_in_a_batch_two_images_give_the_extremes_and_the_others_have_less_contrast() -> None:
    field = fog.field(variables_of(images(count=20)), normalised="batch")
    assert (field.amin(), field.amax()) == (0, 1)
    spans = field.amax((1, 2)) - field.amin((1, 2))
    assert (spans < 1).sum() >= 19
    alone = fog.field(variables_of(images(count=20)), normalised="image")
    assert spans.mean() < 0.8
    own = (field - field.amin((1, 2), keepdim=True)) / spans[:, None, None]
    torch.testing.assert_close(own, alone, rtol=0, atol=1e-5)  # the same fog, fainter


@over_each
def test_a_flat_field_is_no_fog_and_no_nan(normalised: fog.Normalised) -> None:
    assert not fog.field(torch.full((2, 255), 0.5), normalised=normalised).any()


@over_each
@pytest.mark.parametrize(("side", "map_side"), [(8, 16), (28, 32), (31, 32), (32, 64), (64, 128), (224, 256)])
@pytest.mark.parametrize("channels", [1, 3])
def test_the_middle_of_the_map_is_laid_over_the_image(
    side: int, map_side: int, channels: int, normalised: fog.Normalised
) -> None:
    x = images(channels, side, count=2)
    variables = variables_of(x)
    assert variables.shape == (2, map_side**2 - 1)
    margin = (map_side - side) // 2
    middle = fog.field(variables, normalised=normalised)[:, None, margin : margin + side, margin : margin + side]
    expected = []
    for image, over in zip(x, middle, strict=True):
        largest = torch.stack([channel.max() for channel in image]).reshape(-1, 1, 1)
        expected.append(((255 * image + 128 * over) / (255 * largest + 128) * 255).clamp(0, 255) / 255)
    x_adv = fog.foggy(x, variables, strength=128.0, normalised=normalised)
    torch.testing.assert_close(x_adv, torch.stack(expected), rtol=0, atol=1e-6)


@over_each
def test_without_strength_channels_are_stretched_to_1(normalised: fog.Normalised) -> None:
    x = 0.7 * images()
    x[0, 1] = 0  # a black channel stays black
    result = fog.foggy(x, variables_of(x), strength=0.0, normalised=normalised)
    largest = x.amax((2, 3), keepdim=True)
    torch.testing.assert_close(result, torch.where(largest > 0, x / largest, 0.0))


@over_each
def test_without_steps_the_fog_is_the_start(
    normalised: fog.Normalised, network: nn.Module, x: Tensor, y: Tensor
) -> None:
    start, options = fog.draw(x, generator=generator()), STEP | {"steps": 0, "normalised": normalised}
    x_adv = fog.attack(network, x, y, start=start, **options)
    assert torch.equal(x_adv, fog.foggy(x, start[:, :-1], strength=128.0, normalised=normalised))
    assert torch.equal(x_adv, fog.attack(network, x, y, generator=generator(), **options))


def test_starts_are_uniform_in_0_to_1() -> None:
    start = fog.draw(images(count=10), generator=generator())
    assert start.min() >= 0
    assert start.max() <= 1
    assert abs(start.mean().item() - 0.5) < 0.01
    assert abs(start.std().item() - 12**-0.5) < 0.01


# ---- the authors' evaluation, batch by batch, written anew in float64


def levels(side: int) -> Tensor:
    """The matrix (side^2, side^2 - 1) of diamond-square, which is linear in 2 v - 1, from the scalar definition."""
    still = np.full(side**2 - 1, 0.5)
    columns = [diamond_square(still + unit / 2, side).ravel() for unit in np.eye(side**2 - 1)]
    return torch.from_numpy(np.stack(columns, 1))


def in_the_authors_fog(x: Tensor, variables: Tensor, matrix: Tensor, strength: float, normalised: str) -> Tensor:
    """Pixels of 0 to 255 in the fog, back in [0, 1]."""
    side, image = math.isqrt(len(matrix)), x.shape[-1]
    maps = (2 * variables - 1) @ matrix.T
    low, high = (maps.min(), maps.max()) if normalised == "batch" else (maps.min(1).values, maps.max(1).values)
    maps = ((maps.T - low) / (high - low)).T.reshape(-1, 1, side, side)
    margin = (side - image) // 2
    over = maps[..., margin : margin + image, margin : margin + image]
    pixels, largest = 255 * x, 255 * x.flatten(2).max(2).values[..., None, None]
    return ((pixels + strength * over) / (largest + strength) * 255).clamp(0, 255) / 255


def by_the_authors(
    network: nn.Module, x: Tensor, y: Tensor, variables: Tensor, targets: Tensor | None, normalised: str
) -> Tensor:
    """Their FogAttack on a batch: mean cross-entropy of the label, up, or of ``targets``, down."""
    matrix = levels(16)
    for _ in range(STEP["steps"]):
        variables = variables.detach().requires_grad_()
        logits = network(in_the_authors_fog(x, variables, matrix, STEP["strength"], normalised))
        F.cross_entropy(logits, y if targets is None else targets).backward()
        step = variables.grad.sign() if targets is None else -variables.grad.sign()
        variables = (variables.detach() + STEP["step_size"] * step).clamp(0, 1)
    return in_the_authors_fog(x, variables, matrix, STEP["strength"], normalised).detach()


@over_each
@towards_each
def test_equals_the_authors_evaluation(
    target: fog.Target, normalised: fog.Normalised, network: nn.Module, x: Tensor, y: Tensor
) -> None:
    """Twelve images in batches of five, five and two."""
    network, x = network.double(), x.double()
    start = fog.draw(x, generator=generator())
    options = {"normalised": normalised, "target": target, "chunk": 5}
    x_adv = fog.attack(network, x, y, start=start, **STEP, **options)
    expected = []
    for batch in torch.arange(12).split(5):
        targets = None
        if target == "random":  # the class of rank r above the label, counted in a circle
            pairs = zip(y[batch].tolist(), start[batch, -1].tolist(), strict=True)
            targets = torch.tensor([(label + 1 + math.floor(9 * chance)) % 10 for label, chance in pairs])
            assert (targets != y[batch]).all()
        expected.append(by_the_authors(network, x[batch], y[batch], start[batch, :-1], targets, normalised))
    torch.testing.assert_close(x_adv, torch.cat(expected), rtol=0, atol=1e-9)


def test_another_class_is_any_other_as_often_as_any() -> None:
    y = torch.arange(7).repeat(3000)
    other = fog.other_class(y, torch.rand(len(y), generator=generator()), 7)
    counts = torch.bincount(7 * y + other, minlength=49).reshape(7, 7)
    assert not counts.diagonal().any()
    assert ((counts + 500 * torch.eye(7) - 500).abs() < 100).all()  # 5 standard deviations


@pytest.mark.parametrize("classes", [2, 10, 1000])
def test_no_chance_chooses_the_label_itself(classes: int) -> None:
    extremes = torch.tensor([0.0, 1 - 2**-24])
    y = torch.tensor([0, 0])
    assert fog.other_class(y, extremes, classes).tolist() == [1 % classes, classes - 1]


# ---- chunks


@towards_each
def test_an_image_alone_gets_the_same_fog(target: fog.Target, network: nn.Module, x: Tensor, y: Tensor) -> None:
    """Where its field is its own: under ``batch`` it feels its chunk."""
    start = fog.draw(x, generator=generator())

    def cut(normalised: str, chunk: int) -> Tensor:
        options = {"normalised": normalised, "target": target, "chunk": chunk}
        return fog.attack(network, x, y, start=start, **STEP, **options)

    assert torch.equal(cut("image", 1), cut("image", 12))
    assert torch.equal(cut("batch", 1), cut("image", 12))
    assert not torch.equal(cut("batch", 4), cut("batch", 12))


def test_a_short_last_chunk_is_normalised_by_itself(network: nn.Module, x: Tensor, y: Tensor) -> None:
    start = fog.draw(x, generator=generator())
    whole = fog.attack(network, x, y, start=start, chunk=9, **STEP)
    pieces = [
        fog.attack_chunk(network, x[piece], y[piece], start=start[piece], **STEP)
        for piece in (slice(9), slice(9, None))
    ]
    assert torch.equal(torch.cat(pieces), whole)


def test_a_batchs_field_and_a_random_target_are_the_weaker_readings(
    network: nn.Module, everyone: tuple[Tensor, Tensor]
) -> None:
    x, y = everyone
    correct = []
    for normalised, target in [("image", "none"), ("batch", "none"), ("batch", "random")]:
        options = STEP | {"normalised": normalised, "target": target}
        x_adv = fog.attack(network, x, y, generator=generator(), **options)
        correct.append(int((network(x_adv).argmax(1) == y).sum()))
    assert correct[0] + 50 < correct[1] < correct[2]


def test_steps_raise_the_cross_entropy(network: nn.Module, everyone: tuple[Tensor, Tensor]) -> None:
    x, y = everyone
    start = fog.draw(x, generator=generator())
    losses = []
    for steps in (0, 3, 10, 30):
        x_adv = fog.attack(network, x, y, start=start, normalised="image", **STEP | {"steps": steps})
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
    with pytest.raises(ValueError, match=r"fog: start is of shape \(1, 256\), but \(12, 256\) fits"):
        fog.attack(network, x, y, start=torch.rand(1, 256), **STEP)
