"""Faster, and the same function: up to rounding inside an attack, and to the bit outside of it."""

import os
import re
import shutil
import subprocess
import sys
from copy import deepcopy
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch._dynamo.utils import counters

from ataka import evaluation, generation, models
from ataka.attacks import aa, aa_parts, acceleration, ascent, compilation, fgsm
from ataka.attacks.acceleration import Switches, accelerated, switched
from ataka.attacks.gradient import input_gradient
from ataka.attacks.mode import attack_mode
from ataka.datasets.images import to_unit
from ataka.models.mixture import Mixture
from tests import tiny
from tests.models.test_folding import Net, unlike_the_identity

ARCHITECTURES = ("resnet10-w8", "mobilenetv2-x0.25", "wrn10-1", "wrn10-1-silu")
EXACT = [Switches(fold=True), Switches(channels_last=True), Switches(fold=True, channels_last=True)]
EVERY = [*EXACT, Switches(bfloat16=True), Switches(True, True, True)]


@pytest.fixture(params=ARCHITECTURES)
def network(request: pytest.FixtureRequest) -> nn.Module:
    torch.manual_seed(0)
    return unlike_the_identity(models.build(request.param, classes=10))


@pytest.fixture
def images() -> tuple[Tensor, Tensor]:
    source = torch.Generator().manual_seed(3)
    return torch.rand(6, 3, 16, 16, generator=source), torch.arange(6)


def gradient(network: nn.Module, x: Tensor, y: Tensor, switches: Switches = acceleration.OFF) -> Tensor:
    with switched(switches), attack_mode(network), accelerated(network, images=x):
        return input_gradient(network, x, y)


@pytest.mark.parametrize("switches", EXACT)
def test_in_exact_arithmetic_it_is_the_same_function(
    network: nn.Module, images: tuple[Tensor, Tensor], switches: Switches
) -> None:
    """In float64, where rounding is 1e-16: logits and gradients agree to 1e-11 of the largest."""
    network, x, y = network.double(), images[0].double(), images[1]
    wanted = gradient(network, x, y)
    with attack_mode(network):
        logits = network(x)
        with switched(switches), accelerated(network, images=x):
            torch.testing.assert_close(network(x), logits, rtol=0, atol=1e-11 * float(logits.abs().max()))
    got = gradient(network, x, y, switches)
    torch.testing.assert_close(got, wanted, rtol=0, atol=1e-11 * float(wanted.abs().max()))


@pytest.mark.parametrize("switches", EVERY)
def test_networks_come_back_as_they_were(network: nn.Module, images: tuple[Tensor, Tensor], switches: Switches) -> None:
    before = {name: (tensor.data_ptr(), tensor.clone()) for name, tensor in network.state_dict().items()}
    attributes = {name: set(vars(module)) for name, module in network.named_modules()}

    def interrupted() -> None:
        with switched(switches), attack_mode(network), accelerated(network, images=images[0]):
            network(images[0])
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert acceleration.in_force() == acceleration.OFF
    assert {name: set(vars(module)) for name, module in network.named_modules()} == attributes
    for name, tensor in network.state_dict().items():
        assert (tensor.data_ptr(), tensor.stride()) == (before[name][0], before[name][1].stride())
        assert torch.equal(tensor, before[name][1])
    assert not any(module._forward_hooks for module in network.modules())


def test_nothing_changes_where_nothing_is_switched_on(network: nn.Module, images: tuple[Tensor, Tensor]) -> None:
    with attack_mode(network):
        wanted = input_gradient(network, *images)
    assert torch.equal(gradient(network, *images), wanted)


def test_bfloat16_points_the_same_way(network: nn.Module, images: tuple[Tensor, Tensor]) -> None:
    """Its gradients are float32 and near the others; weights come out of half precision untouched."""
    wanted, got = gradient(network, *images), gradient(network, *images, Switches(bfloat16=True))
    assert got.dtype == torch.float32
    assert not torch.equal(got, wanted)
    assert torch.cosine_similarity(got.flatten(1), wanted.flatten(1)).min() > 0.95


def test_a_mixture_and_its_members_at_once(network: nn.Module, images: tuple[Tensor, Tensor]) -> None:
    """Nested blocks fold nothing twice."""
    mixture, x = Mixture([network, network]), images[0]
    with switched(Switches(fold=True)), attack_mode(mixture):
        wanted = mixture(x)
        with accelerated(mixture, network, images=x), accelerated(network, images=x):
            torch.testing.assert_close(mixture(x), wanted, rtol=1e-4, atol=1e-4)


class Liar(nn.Conv2d):
    """Gives its weight to the operation, and leaves its bias out: folded, it would lose the offset."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(x, self.weight)


def test_a_network_that_computes_something_else_folded_stays_as_it_is() -> None:
    network = unlike_the_identity(nn.Sequential(Liar(3, 8, 3, bias=False), nn.BatchNorm2d(8)).eval())
    x = torch.rand(4, 3, 9, 9)
    with switched(Switches(fold=True)), attack_mode(network), torch.no_grad():
        wanted = network(x)
        with accelerated(network, images=x):
            assert torch.equal(network(x), wanted)


def test_what_is_left_alone_is_counted(images: tuple[Tensor, Tensor]) -> None:
    wide, narrow = models.build("wrn16-2", classes=10), models.build("resnet10-w8", classes=10)
    with switched(Switches(fold=True)):
        assert acceleration.left_alone(wide, images[0]) == (6, 13)
        assert acceleration.left_alone(narrow, images[0]) == (0, 12)
    assert acceleration.left_alone(wide, images[0]) == (0, 0)


def test_hooks_that_came_later_are_heard() -> None:
    network, x = Net("simplest").eval(), torch.rand(2, 3, 5, 5)
    seen: list[Tensor] = []
    with switched(Switches(fold=True)), attack_mode(network), torch.no_grad():
        with accelerated(network, images=x):
            network(x)
        wanted = network.conv(x)
        network.conv.register_forward_hook(lambda _module, _given, output: seen.append(output))
        with accelerated(network, images=x):
            network(x)
    assert torch.equal(seen[0], wanted)


@pytest.mark.parametrize("switches", EVERY)
def test_adversarial_images_are_contiguous(
    network: nn.Module, images: tuple[Tensor, Tensor], switches: Switches
) -> None:
    x, y = images
    with switched(switches):
        assert fgsm.attack(network, x, y, eps=0.1).is_contiguous()
        assert ascent.ascend(network, x, y, eps=0.1, step_size=0.05, steps=2, start=x).is_contiguous()


def test_an_attack_in_training_mode_folds_nothing_and_moves_statistics_by_its_own_steps_alone(
    network: nn.Module, images: tuple[Tensor, Tensor]
) -> None:
    """SAT, ARD and IAD attack so: the same images, statistics and random numbers with the switch and without."""
    plain, folding = deepcopy(network).train(), network.train()
    x, y = images
    ends = []
    for each, switches in ((plain, acceleration.OFF), (folding, Switches(fold=True))):
        torch.manual_seed(5)
        with switched(switches):
            x_adv = ascent.ascend(each, x, y, eps=0.1, step_size=0.05, steps=2, start=x, batchnorm="train")
        ends.append((x_adv, torch.rand(1), *each.buffers()))
    assert all(torch.equal(one, other) for one, other in zip(*ends, strict=True))
    with switched(Switches(fold=True)):
        apart, norms = acceleration.left_alone(folding, x)
    assert apart < norms  # the look in training mode is none that later attacks would inherit


@pytest.mark.parametrize("kind", ["pgd", "aa"])
def test_the_verdict_is_the_plain_networks(kind: str) -> None:
    """Whatever found an image: each forward without a gradient of all images meets an unfolded network in float32."""
    torch.manual_seed(0)
    network = unlike_the_identity(models.build("resnet10-w8", classes=5, channels=1)).eval()
    norm = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    split = tiny.split(6)
    attack = {"kind": "pgd", "images": 6, "eps": "8/255", "step_size": "2/255", "steps": 2, "clamp_start": False}
    if kind == "aa":
        cuts = {"iterations": 2, "target_classes": 1, "queries": 2}
        attack = {"kind": "aa", "images": 6, "eps": "8/255", "version": "shortened", "chunk": 6, **cuts}
    calls: list[tuple[bool, bool]] = []
    network.register_forward_hook(lambda *_: calls.append(("forward" in vars(norm), torch.is_grad_enabled())))
    with switched(Switches(fold=True, channels_last=True)):
        verdicts = evaluation.evaluate(network, attack, split, seed=0)
    assert (True, True) in calls  # the attack climbs the folded one
    assert calls[-1] == (False, False)  # and the plain one judges
    assert len(verdicts.correct) == 6


def test_autoattack_goes_on_with_what_the_plain_network_gets_right(monkeypatch: pytest.MonkeyPatch) -> None:
    """A component that fools the folded network alone has fooled nobody."""
    torch.manual_seed(0)
    network = unlike_the_identity(models.build("resnet10-w8", classes=5, channels=1)).eval()
    norm = next(module for module in network.modules() if isinstance(module, nn.BatchNorm2d))
    x = to_unit(tiny.split(6).images)
    y = network(x).argmax(1)
    shown: list[tuple[int, bool]] = []

    class Component:
        def perturb(self, images: Tensor, _labels: Tensor) -> Tensor:
            shown.append((len(images), "forward" in vars(norm)))
            return images

    monkeypatch.setattr(aa_parts, "component", lambda *_, **__: Component())
    with switched(Switches(fold=True)):
        aa.attack_chunk(network, x, y, eps=0.1, seed=0, index=0, version="shortened")
    assert shown == [(6, True)] * 4


def test_one_teacher_is_folded_as_each_of_several(network: nn.Module, images: tuple[Tensor, Tensor]) -> None:
    """The generator's n networks: particle i is that of network i alone, with the switches on."""
    x, y = images
    torch.manual_seed(1)
    other = unlike_the_identity(models.build("resnet10-w8", classes=10))
    start = torch.stack([x, x])
    with switched(Switches(fold=True)):
        both = generation.particles(tiny.generator(), [network, other], x, y, start)
        alone = generation.particles(tiny.generator(), [other], x, y, start[:1])
    assert torch.equal(both[1], alone[0])


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch compiles networks by a C++ compiler")
def test_compiled_networks_compute_the_same_and_share_a_program() -> None:
    """Batches of another shape than the first run as they are, and a network of the same kind compiles nothing anew."""
    torch.manual_seed(0)
    first, second = (
        unlike_the_identity(nn.Sequential(Net("skip"), nn.ReLU(), nn.Flatten(), nn.Linear(192, 10))) for _ in range(2)
    )
    x, y = torch.rand(6, 3, 8, 8, generator=torch.Generator().manual_seed(3)), torch.arange(6)
    everything = Switches(fold=True, channels_last=True, compile=True)
    for network in (first, second):
        for images in (x, x[:4]):
            wanted = gradient(network, images, y[: len(images)])
            got = gradient(network, images, y[: len(images)], everything)
            torch.testing.assert_close(got, wanted, rtol=0, atol=1e-5 * float(wanted.abs().max()))
        assert "forward" not in vars(network)
    assert counters["stats"]["unique_graphs"] == 1


def test_without_a_compiler_the_error_says_what_to_do(tmp_path: Path) -> None:
    """In a process of its own: torch keeps what it found out about a compiler for as long as it runs."""
    lines = (
        "import torch",
        "from ataka.attacks.acceleration import Switches, accelerated, switched",
        "network, x = torch.nn.Conv2d(3, 3, 3), torch.rand(2, 3, 16, 16)",
        "with switched(Switches(compile=True)), accelerated(network, images=x): network(x)",
    )
    without = {"CXX": str(tmp_path / "none"), "TORCHINDUCTOR_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, "-c", "\n".join(lines)], env=os.environ | without, capture_output=True, text=True, timeout=120
    )
    assert done.returncode != 0
    message = (
        r"UserError: speed.compile: torch can't compile this network: No working C\+\+ compiler .*leave the switch off"
    )
    assert re.search(message, done.stderr), done.stderr


def test_an_error_of_the_network_itself_stays_what_it_is(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> Tensor:
        raise RuntimeError("a layer of mine needs another compiler of features")

    monkeypatch.setattr(compilation, "_program", lambda: fails)
    with pytest.raises(RuntimeError, match="a layer of mine"):
        gradient(models.build("wrn10-1", classes=10), torch.rand(2, 3, 16, 16), torch.arange(2), Switches(compile=True))
