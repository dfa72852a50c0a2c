"""Are these the networks of the paper? Parameters, costs, shapes, padding, normalisation, public weights."""

from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ataka import models
from ataka.attacks.gradient import input_gradient
from ataka.attacks.mode import attack_mode
from ataka.models.normalised import CIFAR10_MEAN, CIFAR10_STD, Normalise
from ataka.models.operations import multiply_accumulates, weight_bytes
from ataka.models.wide_resnet_silu import StridedSameConv2d

SMALL = (
    "resnet10-w8",
    "resnet18-w8",
    "resnet20",
    "mobilenetv2-x0.25",
    "wrn10-1",
    "wrn16-2",
    "wrn10-1-silu",
    "preactresnet18-w8",
)
LARGE = ("resnet18", "resnet56", "mobilenetv2", "wrn34-10", "wrn70-16", "preactresnet18", "wrn70-16-relu")


def build(arch: str, *, classes: int = 10, channels: int = 3) -> nn.Module:
    """``arch`` in eval mode from seed 0, with batch-norm statistics and affines that aren't the identity."""
    torch.manual_seed(0)
    network = models.build(arch, classes=classes, channels=channels).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            assert module.running_mean is not None
            assert module.running_var is not None
            for tensor in (module.weight, module.running_var):
                nn.init.uniform_(tensor, 0.5, 1.5)
            for tensor in (module.bias, module.running_mean):
                nn.init.uniform_(tensor, -0.5, 0.5)
    return network


@pytest.mark.parametrize(
    ("arch", "classes", "parameters"),
    [
        ("resnet18", 10, 11_173_962),
        ("resnet18", 100, 11_220_132),
        ("resnet20", 10, 272_474),
        ("resnet56", 10, 855_770),
        ("resnet56", 100, 861_620),
        ("mobilenetv2", 10, 2_296_922),
        ("mobilenetv2", 100, 2_412_212),
        ("wrn34-10", 10, 46_160_474),
        ("wrn34-10", 100, 46_218_164),
        ("preactresnet18", 10, 11_172_170),
        ("preactresnet18-fast", 10, 11_171_146),
        ("wrn70-16", 10, 266_796_506),
        ("wrn70-16", 100, 266_888_756),
    ],
)
def test_parameters_are_those_of_the_sources(arch: str, classes: int, parameters: int) -> None:
    with torch.device("meta"):
        network = models.build(arch, classes=classes)
    assert sum(parameter.numel() for parameter in network.parameters()) == parameters


@pytest.mark.parametrize(
    ("arch", "giga"), [("resnet18", 0.555), ("mobilenetv2", 0.091), ("wrn34-10", 6.66), ("wrn70-16", 38.8)]
)
def test_cost_is_that_of_the_protocol(arch: str, giga: float) -> None:
    counted = multiply_accumulates(arch, classes=10, channels=3, size=32)
    assert counted / 1e9 == pytest.approx(giga, rel=0.005)


def test_cost_agrees_with_a_count_by_hand() -> None:
    """A WRN-10-1 on 8x8: stem, three groups of two convolutions with their shortcuts, classifier."""
    stem = 9 * 16 * 64
    group1 = 2 * 9 * 16 * 16 * 64  # 16 channels in and out: no shortcut
    group2 = (9 * 16 * 32 + 9 * 32 * 32 + 16 * 32) * 16
    group3 = (9 * 32 * 64 + 9 * 64 * 64 + 32 * 64) * 4
    by_hand = stem + group1 + group2 + group3 + 64 * 10
    assert multiply_accumulates("wrn10-1", classes=10, channels=1, size=8) == by_hand


def test_bytes_agree_with_a_count_by_hand() -> None:
    """The same network: its weights, and for each batch norm scale, shift, mean, variance and an int64 counter."""
    convolutions = 9 * (16 + 2 * 16 * 16 + 16 * 32 + 32 * 32 + 32 * 64 + 64 * 64) + 16 * 32 + 32 * 64
    norms = [16, 16, 16, 32, 32, 64, 64]
    by_hand = 4 * (convolutions + 4 * sum(norms) + 64 * 10 + 10) + 8 * len(norms)
    assert weight_bytes("wrn10-1", classes=10, channels=1, size=8) == by_hand


def test_counting_leaves_the_random_stream_alone() -> None:
    before = torch.get_rng_state()
    multiply_accumulates("wrn10-1", classes=10, channels=1, size=8)
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("arch", LARGE)
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 32), (3, 33), (3, 64)])
def test_large_networks_give_a_logit_a_class(arch: str, channels: int, size: int) -> None:
    with torch.device("meta"), torch.no_grad():
        network = models.build(arch, classes=100, channels=channels)
        assert network(torch.rand(2, channels, size, size)).shape == (2, 100)


@pytest.mark.parametrize("arch", SMALL)
@pytest.mark.parametrize(("channels", "size"), [(1, 8), (3, 9), (3, 32)])
def test_small_networks_run_and_train(arch: str, channels: int, size: int) -> None:
    network = build(arch, classes=7, channels=channels).train()
    logits = network(torch.rand(4, channels, size, size))
    assert logits.shape == (4, 7)
    assert logits.isfinite().all()
    loss = F.cross_entropy(logits, torch.arange(4))
    # autograd.grad raises for a parameter that the forward doesn't use
    gradients = torch.autograd.grad(loss, list(network.parameters()))
    assert all(gradient.isfinite().all() for gradient in gradients)


@pytest.mark.parametrize("arch", SMALL)
def test_in_eval_mode_images_ignore_each_other(arch: str) -> None:
    network = build(arch).double()
    x = torch.rand(5, 3, 16, 16, dtype=torch.float64)
    together, alone = network(x), torch.cat([network(image[None]) for image in x])
    torch.testing.assert_close(together, alone, rtol=1e-10, atol=1e-10)
    torch.testing.assert_close(network(x.flip(0)), together.flip(0), rtol=1e-10, atol=1e-10)
    assert together.std(dim=0).min() > 1e-6  # it isn't that nothing reaches the logits


TIMM_TOKENS = ("timm/xcit_nano_12_p8_224", "timm/lambda_resnet26t")
"""Networks whose features come from tokens: there a CPU's BatchNorm has a wrong gradient for one image alone."""


@pytest.mark.parametrize("arch", [*SMALL, *TIMM_TOKENS])
def test_the_gradient_of_one_image_alone_is_that_in_a_batch(arch: str) -> None:
    """As attacks ask for it. In float64, so that rounding is no excuse."""
    if arch.startswith("timm/"):
        pytest.importorskip("timm")
    network = build(arch).double()
    x = torch.rand(3, 3, 32, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    y = torch.arange(3)
    with attack_mode(network):
        together = input_gradient(network, x, y)
        alone = torch.cat([input_gradient(network, x[i : i + 1], y[i : i + 1]) for i in range(3)])
        assert network(x[:1]).shape == (1, 10)
        torch.testing.assert_close(network(x[:1]), network(x)[:1], rtol=1e-9, atol=1e-9)
    scale = together.abs().amax()
    assert scale > 0
    assert (alone - together).abs().amax() < 1e-9 * scale


@pytest.mark.parametrize("arch", SMALL)
def test_equal_seeds_give_equal_networks(arch: str) -> None:
    first, second = build(arch).state_dict(), build(arch).state_dict()
    assert list(first) == list(second)
    assert all(torch.equal(first[name], second[name]) for name in first)


def test_public_resnet_weights_load_as_they_are() -> None:
    """pyautoattack's wheel holds a CIFAR-10 ResNet-18 in RSLAD's layout."""
    package = find_spec("pyautoattack")
    if package is None or package.origin is None:
        pytest.skip("pyautoattack isn't installed")
    weights = torch.load(Path(package.origin).parent / "examples" / "model_test.pt", map_location="cpu")
    with torch.device("meta"):
        network = models.build("resnet18", classes=10)
    network.load_state_dict(weights, strict=True, assign=True)


@pytest.mark.parametrize("arch", ["wrn10-4", "wrn10-4-silu"])
def test_wide_resnets_start_he_normal(arch: str) -> None:
    torch.manual_seed(0)
    for module in models.build(arch, classes=10).modules():
        if isinstance(module, nn.Conv2d):
            fan_out = module.kernel_size[0] ** 2 * module.out_channels
            assert module.weight.std().item() == pytest.approx((2 / fan_out) ** 0.5, rel=0.15)
        elif isinstance(module, nn.BatchNorm2d):
            assert (module.weight == 1).all()
            assert (module.bias == 0).all()
        elif isinstance(module, nn.Linear):
            assert (module.bias == 0).all()


@pytest.mark.parametrize(("height", "width"), [(8, 8), (5, 6), (2, 2), (1, 1), (32, 32)])
def test_strided_same_convolution_is_tensorflows(height: int, width: int) -> None:
    """Against the definition: output (i, j) looks at rows 2 i - before ... of an image of zeros outside."""
    torch.manual_seed(0)
    convolution = StridedSameConv2d(2, 3, 3, stride=2, bias=False).double()
    x = torch.rand(1, 2, height, width, dtype=torch.float64)
    out = convolution(x)
    assert out.shape[-2:] == ((height + 1) // 2, (width + 1) // 2)
    # TensorFlow's total is 1 for even sides, 2 for odd ones, and the smaller half goes before.
    above, left = height % 2, width % 2
    canvas = torch.zeros(1, 2, height + 6, width + 6, dtype=torch.float64)
    canvas[:, :, 3 : 3 + height, 3 : 3 + width] = x
    for i in range(out.shape[-2]):
        for j in range(out.shape[-1]):
            top, start = 3 + 2 * i - above, 3 + 2 * j - left
            window = canvas[0, :, top : top + 3, start : start + 3]
            expected = (convolution.weight * window).sum(dim=(1, 2, 3))
            torch.testing.assert_close(out[0, :, i, j], expected)


@pytest.mark.parametrize(
    ("arch", "activation", "strided_padding", "mean", "std"),
    [
        ("wrn10-1", F.relu, (1, 1, 1, 1), (0.0, 0.0, 0.0), (1.0, 1.0, 1.0)),
        ("wrn10-1-silu", F.silu, (0, 1, 0, 1), CIFAR10_MEAN, CIFAR10_STD),
    ],
)
def test_wide_resnet_equals_its_definition(
    arch: str,
    activation: Callable[[Tensor], Tensor],
    strided_padding: tuple[int, ...],
    mean: tuple[float, ...],
    std: tuple[float, ...],
) -> None:
    """Against functional code with the authors' explicit padding and 8x8 pooling."""
    network = build(arch).double()
    weights = {name.removeprefix("network."): tensor for name, tensor in network.state_dict().items()}

    def active(x: Tensor, bn: str) -> Tensor:
        statistics = weights[f"{bn}.running_mean"], weights[f"{bn}.running_var"]
        return activation(F.batch_norm(x, *statistics, weights[f"{bn}.weight"], weights[f"{bn}.bias"]))

    def block(x: Tensor, name: str, stride: int) -> Tensor:
        first = active(x, f"{name}.bn1")
        padded = F.pad(first, (1, 1, 1, 1) if stride == 1 else strided_padding)
        second = active(F.conv2d(padded, weights[f"{name}.conv1.weight"], stride=stride), f"{name}.bn2")
        if f"{name}.shortcut.weight" in weights:
            x = F.conv2d(first, weights[f"{name}.shortcut.weight"], stride=stride)
        return x + F.conv2d(second, weights[f"{name}.conv2.weight"], padding=1)

    x = torch.rand(2, 3, 32, 32, dtype=torch.float64)
    centre, spread = (torch.tensor(values).double().view(3, 1, 1) for values in (mean, std))
    out = F.conv2d((x - centre) / spread, weights["conv1.weight"], padding=1)
    for name, stride in (("block1.0", 1), ("block2.0", 2), ("block3.0", 2)):
        out = block(out, name, stride)
    features = F.avg_pool2d(active(out, "bn"), 8).flatten(1)
    logits = F.linear(features, weights["linear.weight"], weights["linear.bias"])
    torch.testing.assert_close(network(x), logits)


def test_normalisation_is_the_first_layer_and_the_only_one() -> None:
    network = build("wrn10-1-silu")
    assert isinstance(next(iter(network.children())), Normalise)
    assert isinstance(network, nn.Sequential)
    mean = torch.tensor(CIFAR10_MEAN).view(1, 3, 1, 1).expand(1, 3, 8, 8)
    assert network[0](mean).abs().max() == 0
    for arch in ("resnet10-w8", "mobilenetv2-x0.25", "wrn10-1"):
        assert not any(isinstance(module, Normalise) for module in build(arch).modules())


def test_normalisation_is_the_callers() -> None:
    network = models.build("wrn10-1-silu", classes=10, channels=1, mean=[0.3], std=[0.2])
    assert network.state_dict()["normalise.mean"].item() == pytest.approx(0.3)
    assert network.state_dict()["normalise.std"].item() == pytest.approx(0.2)
    with pytest.raises(ValueError, match="1 channels"):
        models.build("wrn10-1-silu", classes=10, channels=1, mean=CIFAR10_MEAN, std=CIFAR10_STD)
