"""Do others' weights make our networks compute what theirs do, and is everything else refused?"""

import argparse
import hashlib
import pickle
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from ataka import datasets, models
from ataka.datasets.images import to_unit
from ataka.errors import UserError
from ataka.files.locate import locate
from ataka.models import checkpoints

MODEL_TEST = "pyautoattack:examples/model_test.pt"
MODEL_TEST_SHA256 = "399f52da9f914c323fa5a6096d60f460a3449a59b64a6405200c1e629f8425a7"
CLASSES = 7
Tensors = dict[str, Tensor]

# ---- networks as others name and compute them: modules only hold the tensors, the forwards are written out


def conv(in_width: int, out_width: int, kernel: int, stride: int = 1, padding: int = 0, groups: int = 1) -> nn.Conv2d:
    return nn.Conv2d(in_width, out_width, kernel, stride, padding, groups=groups, bias=False)


def holding(**modules: nn.Module) -> nn.Module:
    """A module without a forward, with these children."""
    holder = nn.Module()
    for name, module in modules.items():
        holder.add_module(name, module)
    return holder


class KuangliuResNet(nn.Module):
    def __init__(self, width: int, blocks: int = 2) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, width, 3, padding=1), nn.BatchNorm2d(width)
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        for stage in range(4):
            shapes = [(widths[stage], widths[stage + 1], 1 if stage == 0 else 2)]
            shapes += [(widths[stage + 1], widths[stage + 1], 1)] * (blocks - 1)
            self.add_module(f"layer{stage + 1}", nn.Sequential(*(self.block(*shape) for shape in shapes)))
        self.linear = nn.Linear(8 * width, CLASSES)

    def block(self, in_width: int, out_width: int, stride: int) -> nn.Module:
        shortcut = nn.Sequential()
        if stride == 2 or in_width != out_width:
            shortcut = nn.Sequential(conv(in_width, out_width, 1, stride), nn.BatchNorm2d(out_width))
        return holding(
            conv1=conv(in_width, out_width, 3, stride, 1),
            bn1=nn.BatchNorm2d(out_width),
            conv2=conv(out_width, out_width, 3, padding=1),
            bn2=nn.BatchNorm2d(out_width),
            shortcut=shortcut,
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        for stage in range(1, 5):
            block: Any
            for block in self.get_submodule(f"layer{stage}").children():
                inner = block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x)))))
                x = F.relu(inner + block.shortcut(x))
        logits: Tensor = self.linear(F.avg_pool2d(x, 4).flatten(1))
        return logits


class KuangliuMobileNetV2(nn.Module):
    rows = ((1, 16, 1, 1), (6, 24, 2, 1), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.bn1 = conv(3, 32, 3, padding=1), nn.BatchNorm2d(32)
        blocks, before = [], 32
        for expansion, width, count, stride in self.rows:
            for index in range(count):
                blocks.append(self.block(before, width, expansion * before, stride if index == 0 else 1))
                before = width
        self.layers = nn.Sequential(*blocks)
        self.conv2, self.bn2 = conv(320, 1280, 1), nn.BatchNorm2d(1280)
        self.linear = nn.Linear(1280, CLASSES)

    def block(self, before: int, width: int, inner: int, stride: int) -> nn.Module:
        shortcut = nn.Sequential()
        if stride == 1 and before != width:
            shortcut = nn.Sequential(conv(before, width, 1), nn.BatchNorm2d(width))
        return holding(
            conv1=conv(before, inner, 1),
            bn1=nn.BatchNorm2d(inner),
            conv2=conv(inner, inner, 3, stride, 1, groups=inner),
            bn2=nn.BatchNorm2d(inner),
            conv3=conv(inner, width, 1),
            bn3=nn.BatchNorm2d(width),
            shortcut=shortcut,
        )

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.bn1(self.conv1(x)))
        block: Any
        for block in self.layers.children():
            inner = F.relu(block.bn2(block.conv2(F.relu(block.bn1(block.conv1(x))))))
            out = block.bn3(block.conv3(inner))
            x = out + block.shortcut(x) if block.conv2.stride == (1, 1) else out
        x = F.relu(self.bn2(self.conv2(x)))
        logits: Tensor = self.linear(F.avg_pool2d(x, 4).flatten(1))
        return logits


class PreActResNet(nn.Module):
    """The last batch-norm, and the shortcut's input, are the caller's choice."""

    def __init__(self, width: int, *, last: bool, shortcut_of: str) -> None:
        super().__init__()
        self.conv1, self.shortcut_of = conv(3, width, 3, padding=1), shortcut_of
        widths = [width, width, 2 * width, 4 * width, 8 * width]
        for stage in range(4):
            shapes = [(widths[stage], widths[stage + 1], 1 if stage == 0 else 2)]
            shapes += [(widths[stage + 1], widths[stage + 1], 1)]
            self.add_module(f"layer{stage + 1}", nn.Sequential(*(self.block(*shape) for shape in shapes)))
        if last:
            self.bn = nn.BatchNorm2d(8 * width)
        self.linear = nn.Linear(8 * width, CLASSES)

    def block(self, in_width: int, out_width: int, stride: int) -> nn.Module:
        block = holding(
            bn1=nn.BatchNorm2d(in_width),
            conv1=conv(in_width, out_width, 3, stride, 1),
            bn2=nn.BatchNorm2d(out_width),
            conv2=conv(out_width, out_width, 3, padding=1),
        )
        if stride == 2:
            block.add_module("shortcut", nn.Sequential(conv(in_width, out_width, 1, stride)))
        return block

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for stage in range(1, 5):
            block: Any
            for block in self.get_submodule(f"layer{stage}").children():
                active = F.relu(block.bn1(x))
                beside = active if self.shortcut_of == "active" else x
                through = block.conv2(F.relu(block.bn2(block.conv1(active))))
                x = through + (block.shortcut(beside) if hasattr(block, "shortcut") else x)
        x = F.relu(self.bn(x)) if hasattr(self, "bn") else x
        logits: Tensor = self.linear(F.avg_pool2d(x, 4).flatten(1))
        return logits


class TorchvisionResNet(nn.Module):
    """torchvision's own, with the stem that people give it for CIFAR: 3x3, and no pooling."""

    def __init__(self) -> None:
        super().__init__()
        torchvision = pytest.importorskip("torchvision")
        self.network = torchvision.models.resnet18(num_classes=CLASSES)
        self.network.conv1, self.network.maxpool = conv(3, 64, 3, padding=1), nn.Identity()

    def state_dict(self, *arguments: Any, **options: Any) -> Any:
        return self.network.state_dict()

    def forward(self, x: Tensor) -> Tensor:
        logits: Tensor = self.network(x)
        return logits


class TradesWideResNet(nn.Module):
    def __init__(self, depth: int, width: int) -> None:
        super().__init__()
        count = (depth - 4) // 6
        self.conv1 = conv(3, 16, 3, padding=1)
        self.block1 = self.group(count, 16, 16 * width, 1)
        self.sub_block1 = self.group(count, 16, 16 * width, 1)  # never called
        self.block2 = self.group(count, 16 * width, 32 * width, 2)
        self.block3 = self.group(count, 32 * width, 64 * width, 2)
        self.bn1 = nn.BatchNorm2d(64 * width)
        self.fc = nn.Linear(64 * width, CLASSES)

    def group(self, count: int, before: int, width: int, stride: int) -> nn.Module:
        blocks = []
        for index in range(count):
            inside = before if index == 0 else width
            block = holding(
                bn1=nn.BatchNorm2d(inside),
                conv1=conv(inside, width, 3, stride if index == 0 else 1, 1),
                bn2=nn.BatchNorm2d(width),
                conv2=conv(width, width, 3, padding=1),
            )
            if inside != width:
                block.add_module("convShortcut", conv(inside, width, 1, stride))
            blocks.append(block)
        return holding(layer=nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = self.conv1(x)
        for group in (self.block1, self.block2, self.block3):
            block: Any
            for block in group.get_submodule("layer").children():
                active = F.relu(block.bn1(x))
                residual = block.conv2(F.relu(block.bn2(block.conv1(active))))
                x = residual + (block.convShortcut(active) if hasattr(block, "convShortcut") else x)
        logits: Tensor = self.fc(F.avg_pool2d(F.relu(self.bn1(x)), 8).flatten(1))
        return logits


class DeepMindWideResNet(nn.Module):
    """As RobustBench's, with buffers; ``sequential`` wraps each conv_0 with its padding."""

    mean: Tensor
    std: Tensor

    def __init__(self, depth: int, width: int, *, sequential: bool = False) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(3, 1, 1))
        self.register_buffer("std", torch.ones(3, 1, 1))
        self.sequential = sequential
        widths, count = [16, 16 * width, 32 * width, 64 * width], (depth - 4) // 6
        self.init_conv = conv(3, 16, 3, padding=1)
        groups = (self.group(count, widths[g], widths[g + 1], 1 if g == 0 else 2) for g in range(3))
        self.layer = nn.Sequential(*groups)
        self.batchnorm = nn.BatchNorm2d(widths[3])
        self.logits = nn.Linear(widths[3], CLASSES)

    def group(self, count: int, before: int, width: int, stride: int) -> nn.Module:
        blocks = []
        for index in range(count):
            inside, step = (before, stride) if index == 0 else (width, 1)
            padding = nn.ZeroPad2d((1, 1, 1, 1) if step == 1 else (0, 1, 0, 1))
            bare = conv(inside, width, 3, step)
            block = holding(
                batchnorm_0=nn.BatchNorm2d(inside),
                conv_0=nn.Sequential(padding, bare) if self.sequential else bare,
                batchnorm_1=nn.BatchNorm2d(width),
                conv_1=conv(width, width, 3, padding=1),
            )
            if inside != width:
                block.add_module("shortcut", conv(inside, width, 1, step))
            blocks.append(block)
        return holding(block=nn.Sequential(*blocks))

    def forward(self, x: Tensor) -> Tensor:
        x = self.init_conv((x - self.mean) / self.std)
        for group in self.layer.children():
            block: Any
            for block in group.get_submodule("block").children():
                active = F.silu(block.batchnorm_0(x))
                strided = hasattr(block, "shortcut") and block.shortcut.stride == (2, 2)
                padded = active if self.sequential else F.pad(active, (0, 1, 0, 1) if strided else (1, 1, 1, 1))
                residual = block.conv_1(F.silu(block.batchnorm_1(block.conv_0(padded))))
                x = residual + (block.shortcut(active) if hasattr(block, "shortcut") else x)
        logits: Tensor = self.logits(F.avg_pool2d(F.silu(self.batchnorm(x)), 8).flatten(1))
        return logits


class Normaliser(nn.Module):
    mean: Tensor
    std: Tensor

    def __init__(self, mean: float, std: float) -> None:
        super().__init__()
        self.register_buffer("mean", torch.full((1, 3, 1, 1), mean))
        self.register_buffer("std", torch.full((1, 3, 1, 1), std))

    def forward(self, x: Tensor) -> Tensor:
        return (x - self.mean) / self.std


FOREIGN: dict[str, tuple[str, Callable[[], nn.Module]]] = {
    "kuangliu's ResNet": ("resnet18-w8", lambda: KuangliuResNet(8)),
    "kuangliu's MobileNetV2": ("mobilenetv2", KuangliuMobileNetV2),
    "PreActResNet": ("preactresnet18-w8", lambda: PreActResNet(8, last=True, shortcut_of="active")),
    "PreActResNet, fast": ("preactresnet18-fast-w8", lambda: PreActResNet(8, last=False, shortcut_of="x")),
    "PreActResNet, kuangliu's": (
        "preactresnet18-kuangliu-w8",
        lambda: PreActResNet(8, last=False, shortcut_of="active"),
    ),
    "torchvision's ResNet": ("resnet18", TorchvisionResNet),
    "TRADES's": ("wrn16-2", lambda: TradesWideResNet(16, 2)),
    "TRADES's, no shortcut in the first group": ("wrn10-1", lambda: TradesWideResNet(10, 1)),
    "DeepMind's": ("wrn16-2-silu", lambda: DeepMindWideResNet(16, 2)),
    "DeepMind's, padding in a Sequential": ("wrn10-2-silu", lambda: DeepMindWideResNet(10, 2, sequential=True)),
}


def scrambled(network: nn.Module) -> nn.Module:
    """Eval mode, every tensor random, statistics and affines away from the identity."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if name.endswith("num_batches_tracked"):
            tensor.fill_(3)
        elif name.endswith(("running_var", "std")) or (tensor.ndim == 1 and name.endswith("weight")):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.ndim > 1 and not name.endswith("mean"):
            tensor.normal_(0, (2 / tensor[0].numel()) ** 0.5, generator=generator)
        else:
            tensor.uniform_(-0.5, 0.5, generator=generator)
    return network.eval()


def foreign(kind: str = "TRADES's, no shortcut in the first group") -> nn.Module:
    return scrambled(FOREIGN[kind][1]())


def ours(arch: str = "wrn10-1", classes: int = CLASSES) -> nn.Module:
    torch.manual_seed(0)
    return models.build(arch, classes=classes).eval()


def saved(path: Path, content: Any, **options: Any) -> tuple[str, str]:
    torch.save(content, path, **options)
    return str(path), digest(path)


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def load(path: Path, content: Any, network: nn.Module) -> nn.Module:
    return loaded(path, content, network).network


def loaded(path: Path, content: Any, network: nn.Module, **more: Any) -> checkpoints.Loaded:
    name, sha256 = saved(path, content)
    return checkpoints.load(name, sha256=sha256, network=network, **more)


def refusal(path: Path, content: Any, network: nn.Module) -> str:
    """What is said of a file that is refused; the network must be as it was."""
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    with pytest.raises(UserError) as caught:
        load(path, content, network)
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())
    assert str(path) in str(caught.value)
    return str(caught.value)


@torch.no_grad()
def assert_same_function(theirs: nn.Module, network: nn.Module) -> None:
    x = torch.rand(3, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    expected = theirs(x)
    assert expected.std(dim=0).min() > 1e-3  # it isn't that nothing reaches the logits
    torch.testing.assert_close(network(x), expected, rtol=1e-5, atol=1e-5)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "weights.pt"


# ---- what is loaded computes what theirs does


@pytest.mark.parametrize("kind", FOREIGN)
def test_our_network_computes_what_theirs_does(kind: str, file: Path) -> None:
    theirs = foreign(kind)
    network = load(file, theirs.state_dict(), ours(FOREIGN[kind][0]))
    assert_same_function(theirs, network)
    assert not isinstance(network, nn.Sequential) or kind.startswith("DeepMind's")  # nothing normalises unasked
    counters = [tensor for name, tensor in network.state_dict().items() if name.endswith("num_batches_tracked")]
    assert {int(counter) for counter in counters} == {3}


@pytest.mark.parametrize("wrapper", ["state_dict", "model_state_dict", "net", "model", "weights", "ema"])
@pytest.mark.parametrize(
    "prefix", ["", "module.", "module.model.", "model.module.module.", "_orig_mod.", "module._orig_mod.model."]
)
def test_usual_wrappers_are_taken_off(wrapper: str, prefix: str, file: Path) -> None:
    theirs = foreign()
    tensors = {prefix + name: tensor for name, tensor in theirs.state_dict().items()}
    network = load(file, {wrapper: tensors, "epoch": 76, "optimizer": {"state": {}}}, ours())
    assert_same_function(theirs, network)


def test_files_of_old_torch_have_no_counters(file: Path) -> None:
    theirs = foreign()
    tensors = {name: tensor for name, tensor in theirs.state_dict().items() if "num_batches" not in name}
    name, sha256 = saved(file, tensors, _use_new_zipfile_serialization=False)
    network = ours()
    checkpoints.load(name, sha256=sha256.upper(), network=network)
    assert_same_function(theirs, network)


def test_half_precision_is_exact(file: Path) -> None:
    theirs = foreign().half()
    network = load(file, theirs.state_dict(), ours())
    assert network.state_dict()["linear.weight"].dtype == torch.float32
    assert_same_function(theirs.float(), network)


def test_wide_resnets_without_the_dead_block_load_too(file: Path) -> None:
    theirs = foreign()
    del theirs.sub_block1
    assert_same_function(theirs, load(file, theirs.state_dict(), ours()))


def test_rslads_teacher_leaves_the_normalisation_to_the_caller(file: Path) -> None:
    """Their mean and deviation are no buffers, so the network's own stay."""
    theirs: Any = foreign("DeepMind's")
    tensors = {name: tensor for name, tensor in theirs.state_dict().items() if name not in ("mean", "std")}
    mean, std = theirs.mean.flatten().tolist(), theirs.std.flatten().tolist()
    network = models.build("wrn16-2-silu", classes=CLASSES, mean=mean, std=std).eval()
    assert_same_function(theirs, load(file, tensors, network))


NAMES = (("mean", "std"), ("mu", "sigma"))


class Normalising(nn.Module):
    """As RobustBench's: buffers in the network's own state dict, applied before its forward."""

    def __init__(self, network: nn.Module, names: tuple[str, str], shape: tuple[int, ...]) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(5)
        self.names = names
        for name in names:
            self.register_buffer(name, (torch.rand(3, generator=generator) + 0.1).view(shape))
        self.network = network

    def state_dict(self, *arguments: Any, **options: Any) -> Any:
        return {name.removeprefix("network."): tensor for name, tensor in super().state_dict().items()}

    def forward(self, x: Tensor) -> Tensor:
        mean, std = (getattr(self, name).view(1, 3, 1, 1) for name in self.names)
        logits: Tensor = self.network((x - mean) / std)
        return logits


@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("shape", [(3,), (3, 1, 1), (1, 3, 1, 1)])
@pytest.mark.parametrize("kind", ["kuangliu's ResNet", "TRADES's", "PreActResNet, fast"])
def test_a_network_of_ours_takes_a_normalisation_that_the_file_holds(
    kind: str, shape: tuple[int, ...], names: tuple[str, str], file: Path
) -> None:
    theirs = Normalising(foreign(kind), names, shape).eval()
    network = load(file, theirs.state_dict(), ours(FOREIGN[kind][0]))
    assert_same_function(theirs, network)
    again = load(file, network.state_dict(), ours(FOREIGN[kind][0]))  # as this project saves it
    assert_same_function(theirs, again)


@pytest.mark.parametrize("kind", ["kuangliu's ResNet", "DeepMind's"])
def test_a_normalisation_outside_the_file_is_the_callers_to_say(kind: str, file: Path) -> None:
    inside: Any = foreign(kind)
    tensors = {name: tensor for name, tensor in inside.state_dict().items() if name not in ("mean", "std")}
    if kind == "DeepMind's":
        inside.mean, inside.std = torch.zeros(3, 1, 1), torch.ones(3, 1, 1)
    theirs: Any = Normalising(inside, ("mean", "std"), (3,)).eval()
    statistics = {"mean": theirs.mean.tolist(), "std": theirs.std.tolist()}
    network = loaded(file, tensors, ours(FOREIGN[kind][0]), **statistics).network
    assert_same_function(theirs, network)


def test_a_file_is_not_normalised_twice(file: Path) -> None:
    theirs: Any = Normalising(foreign(), ("mu", "sigma"), (1, 3, 1, 1))
    same = {"mean": theirs.mu.flatten().tolist(), "std": theirs.sigma.flatten().tolist()}
    assert_same_function(theirs.eval(), loaded(file, theirs.state_dict(), ours(), **same).network)
    with pytest.raises(UserError, match=r"normalises its images itself, by another mean \[.*: leave out normalise"):
        loaded(file, theirs.state_dict(), ours(), mean=[0.5] * 3, std=[0.25] * 3)


@pytest.mark.parametrize("std", [0.0, -0.2, float("nan")])
def test_a_deviation_is_above_0(std: float, file: Path) -> None:
    wrapped = nn.Sequential(Normaliser(0.5, std), foreign())
    assert "normalise.std not " in refusal(file, wrapped.state_dict(), ours())


@pytest.mark.parametrize("wrap", ["sequential", "named"])
def test_a_normalisation_of_nothing_is_dropped(wrap: str, file: Path) -> None:
    theirs = foreign("kuangliu's ResNet")
    normaliser = Normaliser(0, 1)
    whole = nn.Sequential(normaliser, theirs) if wrap == "sequential" else holding(normalize=normaliser, model=theirs)
    assert_same_function(theirs, load(file, whole.state_dict(), ours("resnet18-w8")))


@pytest.mark.parametrize("wrap", ["sequential", "named"])
def test_a_normalising_wrapper_fills_ours(wrap: str, file: Path) -> None:
    """Shape (1, 3, 1, 1) there, (3, 1, 1) here."""
    theirs: Any = foreign("DeepMind's")
    tensors = {name: tensor for name, tensor in theirs.state_dict().items() if name not in ("mean", "std")}
    first, second = ("0", "1") if wrap == "sequential" else ("normalize", "model")
    wrapped = {f"module.{second}.{name}": tensor for name, tensor in tensors.items()}
    wrapped |= {f"module.{first}.mean": theirs.mean[None], f"module.{first}.std": theirs.std[None]}
    assert_same_function(theirs, load(file, wrapped, ours("wrn16-2-silu")))


def test_our_own_names_load(file: Path) -> None:
    for arch in ("wrn10-1", "wrn10-1-silu", "mobilenetv2-x0.25"):
        ourselves = scrambled(models.build(arch, classes=CLASSES))
        assert_same_function(ourselves, load(file, ourselves.state_dict(), ours(arch)))


def test_the_public_resnet_computes_what_kuangliu_wrote() -> None:
    pytest.importorskip("pyautoattack")
    network = ours("resnet18", classes=10)
    checkpoints.load(MODEL_TEST, sha256=MODEL_TEST_SHA256, network=network)
    theirs = KuangliuResNet(64)
    theirs.linear = nn.Linear(512, 10)
    theirs.load_state_dict(torch.load(locate(MODEL_TEST), map_location="cpu", weights_only=True))
    assert_same_function(theirs.eval(), network)


def test_the_public_resnet_knows_real_images(real_data: Path) -> None:
    pytest.importorskip("pyautoattack")
    network = ours("resnet18", classes=10)
    checkpoints.load(MODEL_TEST, sha256=MODEL_TEST_SHA256, network=network)
    _, (images, labels) = datasets.find("cifar10").load(real_data)
    with torch.no_grad():
        predicted = network(to_unit(images[:200])).argmax(dim=1)
    assert (predicted == labels[:200]).float().mean() > 0.8


# ---- what isn't theirs, or isn't only weights, is refused


class Creates:
    """Unpickling this creates a file."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Any, ...]:
        return open, (str(self.path), "w")


@pytest.mark.parametrize("form", ["zip", "legacy", "plain"])
def test_code_in_a_file_is_not_run(form: str, file: Path, tmp_path: Path) -> None:
    created = tmp_path / "created"
    content = foreign().state_dict() | {"extra": Creates(created)}
    if form == "plain":
        file.write_bytes(pickle.dumps(content, protocol=2))
    else:
        saved(file, content, _use_new_zipfile_serialization=form == "zip")
    with pytest.raises(UserError, match=r"more than plain tensors.*could run code") as caught:
        checkpoints.load(str(file), sha256=digest(file), network=ours())
    assert str(file) in str(caught.value)
    assert not created.exists()
    torch.load(file, weights_only=False) if form != "plain" else pickle.loads(file.read_bytes())
    assert created.exists()  # it would have


def test_whole_networks_are_refused(file: Path) -> None:
    assert "save its state dict alone" in refusal(file, nn.Linear(2, 2), ours())


def test_another_file_is_not_even_unpickled(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name, sha256 = saved(file, foreign().state_dict())
    monkeypatch.setattr(torch, "load", lambda *_, **__: pytest.fail("unpickled"))
    with pytest.raises(UserError) as caught:
        checkpoints.load(name, sha256="0" * 64, network=ours())
    for part in (name, sha256, "0" * 64):
        assert part in str(caught.value)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(place=st.integers(min_value=0), bit=st.integers(0, 7))
def test_a_flipped_bit_is_refused_by_the_digest(place: int, bit: int, file: Path) -> None:
    name, sha256 = saved(file, {"linear.weight": torch.ones(CLASSES, 64)})
    content = bytearray(file.read_bytes())
    content[place % len(content)] ^= 1 << bit
    file.write_bytes(content)
    with pytest.raises(UserError, match=sha256):
        checkpoints.load(name, sha256=sha256, network=ours())


@pytest.mark.parametrize("length", [0, 1, 30, 200, 0.3, 0.9])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_file_is_damaged(length: float, zipped: bool, file: Path) -> None:
    saved(file, foreign().state_dict(), _use_new_zipfile_serialization=zipped)
    whole = file.read_bytes()
    file.write_bytes(whole[: int(length * len(whole)) if 0 < length < 1 else int(length)])
    with pytest.raises(UserError, match=str(file)):
        checkpoints.load(str(file), sha256=digest(file), network=ours())


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (torch.zeros(3), "but an object of type Tensor"),
        ([torch.zeros(3)], "but an object of type list"),
        ({}, "nothing in it"),
        ({"state_dict": {}}, "state_dict in it"),
        ({"last": {}, "best": {}}, "last, best in it"),
        ({"epoch": 3, "state_dict": None}, "epoch, state_dict in it"),
        ({1: torch.zeros(3)}, "1 in it"),
        ({"net": {}, "model": {}}, "net, model in it"),
        ({"state_dict": {"linear.weight": torch.zeros(3), "epoch": 3}}, "epoch in it"),
    ],
)
def test_what_is_no_state_dict_is_refused(content: Any, message: str, file: Path) -> None:
    assert message in refusal(file, content, ours())


def changed(**changes: Tensor | None) -> Mapping[str, Tensor]:
    """The TRADES-like tensors, some replaced or, for None, left out; `__` stands for a dot."""
    tensors: dict[str, Any] = dict(foreign().state_dict())
    tensors |= {name.replace("__", "."): tensor for name, tensor in changes.items()}
    return {name: tensor for name, tensor in tensors.items() if tensor is not None}


# ---- weights of a file that holds several


AVERAGES: dict[str, Callable[[Tensors], Any]] = {
    "timm's": lambda average: {"state_dict_ema": average},
    "ultralytics's": lambda average: {"model_ema": average},
    "nested": lambda average: {"ema": {"decay": 0.999, "module": {f"module.{n}": t for n, t in average.items()}}},
    "parameters alone": lambda average: {"shadow": {n: t for n, t in average.items() if "running" not in n}},
    "torch_ema's list": lambda average: {
        "ema": {"shadow_params": [average[name] for name, _ in foreign_parameters()], "decay": 0.99}
    },
    "its list with statistics": lambda average: {"ema": [*average.values()]},
    "ema_pytorch's": lambda average: {"ema": {f"ema_model.{name}": tensor for name, tensor in average.items()}},
    "names without dots": lambda average: {"ema": {name.replace(".", ""): t for name, t in average.items()}},
    "in a list": lambda average: {"ema": [average]},
    "in a tuple": lambda average: {"ema": (0.999, average)},
    "deep": lambda average: {"ema": {"a": {"b": {"c": {"d": average}}}}},
    "torch's AveragedModel": lambda average: {
        "swa": {"n_averaged": torch.tensor(3)} | {f"module.{name}": tensor for name, tensor in average.items()}
    },
}


def foreign_parameters() -> list[tuple[str, Tensor]]:
    return [*foreign("kuangliu's ResNet").named_parameters()]


@pytest.mark.parametrize("beside", ["state_dict", "model", "net", "weights", "last"])
@pytest.mark.parametrize("kind", AVERAGES)
def test_an_average_is_never_dropped_silently(kind: str, beside: str, file: Path) -> None:
    theirs = foreign("kuangliu's ResNet")
    average = {name: tensor * 0.5 for name, tensor in theirs.state_dict().items()}
    content = {beside: theirs.state_dict(), "epoch": 3, **AVERAGES[kind](average)}
    message = refusal(file, content, ours("resnet18-w8"))
    key = next(iter(AVERAGES[kind](average)))
    assert f"holds several sets of weights that the network may take: {beside}, {key}" in message
    assert f"say which is meant, as weights: {beside}" in message
    assert_same_function(theirs, loaded(file, content, ours("resnet18-w8"), weights=beside).network)


def test_the_average_can_be_picked(file: Path) -> None:
    theirs, average = foreign(), foreign()
    with torch.no_grad():
        average.get_parameter("fc.weight").mul_(0.5)
    content = {"model": theirs.state_dict(), "ema": {"module": average.state_dict()}}
    taken = loaded(file, content, ours(), weights="ema.module")
    assert taken.weights == "ema.module"
    assert_same_function(average, taken.network)
    with pytest.raises(UserError, match=r"holds no weights called 'emma.module'; did you mean 'ema.module'\?"):
        loaded(file, content, ours(), weights="emma.module")


def test_an_average_alone_is_taken_with_its_counter(file: Path) -> None:
    theirs = foreign()
    swa = torch.optim.swa_utils.AveragedModel(theirs, use_buffers=True).eval()
    taken = loaded(file, swa.state_dict(), ours())
    assert taken.weights == ""
    assert_same_function(theirs, taken.network)


def test_an_optimisers_state_is_no_network(file: Path) -> None:
    theirs = foreign("kuangliu's ResNet")
    optimiser = torch.optim.AdamW(theirs.parameters())
    sum(parameter.sum() for parameter in theirs.parameters()).backward()  # type: ignore[union-attr]
    optimiser.step()
    content = {"net": theirs.state_dict(), "optimizer": optimiser.state_dict(), "acc": 91.2, "epoch": 7}
    assert_same_function(theirs, load(file, content, ours("resnet18-w8")))


def test_another_network_in_the_file_is_no_second_choice(file: Path) -> None:
    theirs = foreign()
    content = {"student": theirs.state_dict(), "teacher": foreign("kuangliu's ResNet").state_dict()}
    assert loaded(file, content, ours()).weights == "student"


def test_one_mapping_under_two_names_is_one(file: Path) -> None:
    theirs = foreign()
    state = theirs.state_dict()
    assert_same_function(theirs, load(file, {"net": state, "model": state}, ours()))


# ---- numbers that no network has


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda tensor: (tensor * 100).to(torch.int8), "of type int8"),
        (lambda tensor: tensor.long(), "of type int64"),
        (lambda tensor: tensor > 0, "of type bool"),
        (lambda tensor: tensor.to(torch.complex64), "of type complex64"),
        (lambda tensor: tensor.to(torch.float8_e4m3fn), "of type float8_e4m3fn"),
        (lambda tensor: torch.quantize_per_tensor(tensor, 0.1, 0, torch.qint8), "of type qint8 (quantised)"),
        (lambda tensor: tensor.to_sparse(), "as sparse_coo tensors"),
        (lambda tensor: tensor.to("meta"), "without any numbers"),
        (lambda tensor: tensor.index_fill(0, torch.tensor([1]), float("nan")), "not finite"),
        (lambda tensor: tensor.index_fill(0, torch.tensor([1]), float("inf")), "not finite"),
        (lambda tensor: tensor.double() * 1e300, "not finite in float32"),
    ],
)
def test_weights_that_are_no_real_numbers_are_named(
    change: Callable[[Tensor], Tensor], message: str, file: Path
) -> None:
    tensors = foreign().state_dict()
    tensors["block2.layer.0.conv1.weight"] = change(tensors["block2.layer.0.conv1.weight"])
    assert f"block2.0.conv1.weight {message}" in refusal(file, tensors, ours())


def test_a_negative_variance_is_named(file: Path) -> None:
    tensors = changed(bn1__running_var=torch.full((64,), -0.1))
    assert "bn.running_var negative" in refusal(file, tensors, ours())
    assert_same_function(foreign(), load(file, foreign().state_dict(), ours()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16, torch.float64])
def test_other_floating_point_types_are_converted(dtype: torch.dtype, file: Path) -> None:
    theirs = foreign().to(dtype)
    network = load(file, theirs.state_dict(), ours())
    assert {parameter.dtype for parameter in network.parameters()} == {torch.float32}
    assert_same_function(theirs.float(), network)


# ---- formats


def test_safetensors_files_are_read(file: Path) -> None:
    from safetensors.torch import save_file

    theirs = foreign()
    save_file({f"module.{name}": tensor for name, tensor in theirs.state_dict().items()}, file, {"format": "pt"})
    network = ours()
    checkpoints.load(str(file), sha256=digest(file), network=network)
    assert_same_function(theirs, network)
    whole = file.read_bytes()
    for length in (9, 200, len(whole) - 1):
        file.write_bytes(whole[:length])
        with pytest.raises(UserError, match=r"can't read .* as safetensors"):
            checkpoints.load(str(file), sha256=digest(file), network=ours())


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("protocol", [4, 5])
def test_a_newer_pickle_protocol_is_named(protocol: int, zipped: bool, file: Path) -> None:
    torch.save(foreign().state_dict(), file, pickle_protocol=protocol, _use_new_zipfile_serialization=zipped)
    with pytest.raises(UserError, match=rf"written in pickle protocol {protocol}, .*refused.*save its state dict"):
        checkpoints.load(str(file), sha256=digest(file), network=ours())


@pytest.mark.filterwarnings("ignore")
def test_torchscript_is_refused_in_our_words(file: Path) -> None:
    torch.jit.save(torch.jit.script(nn.Linear(2, 2)), file)
    with pytest.raises(UserError, match="is a TorchScript archive: a program with its weights") as caught:
        checkpoints.load(str(file), sha256=digest(file), network=ours())
    assert "weights_only" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            b"<!DOCTYPE html><html><title>Google Drive</title>",
            "it is a web page: the download failed",
        ),
        (b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "it is a pointer of Git LFS"),
        (b"\x89HDF\r\n\x1a\n" + bytes(100), "it is an HDF5 file"),
        (b"\x1f\x8b" + bytes(100), "it is a gzip archive: unpack it"),
        (b"hello", "is neither a PyTorch nor a safetensors file"),
    ],
)
def test_other_files_are_named(content: bytes, message: str, file: Path) -> None:
    file.write_bytes(content)
    with pytest.raises(UserError, match=message):
        checkpoints.load(str(file), sha256=digest(file), network=ours())


def test_what_is_no_tensor_is_named(file: Path) -> None:
    content = {"state_dict": foreign().state_dict(), "args": argparse.Namespace(lr=0.1)}
    assert "holds more than plain tensors (argparse.Namespace)" in refusal(file, content, ours())


# ---- names and shapes


def test_what_lacks_is_named(file: Path) -> None:
    message = refusal(file, changed(fc__bias=None, block2__layer__0__bn1__running_mean=None), ours())
    assert "the file lacks block2.0.bn1.running_mean, linear.bias. " in message
    assert "closest layout: TRADES" in message


def test_what_is_left_is_named(file: Path) -> None:
    assert "the network has no fc.scale. " in refusal(file, changed(fc__scale=torch.ones(1)), ours())


def test_shapes_are_named(file: Path) -> None:
    message = refusal(file, foreign().state_dict(), ours(classes=10))
    assert "other shapes in the file: linear.weight (7, 64), not (10, 64), linear.bias (7,), not (10,). " in message


def test_long_lists_are_cut(file: Path) -> None:
    message = refusal(file, foreign().state_dict(), ours("wrn16-1"))
    assert message.count("block1.1.") == 3
    assert "and 27 more" in message


@pytest.mark.parametrize(
    "changes",
    [
        {"sub_block1__layer__0__bn1__weight": None},
        {"sub_block1__layer__0__bn1__weight": torch.ones(5)},
        {"sub_block1__layer__0__bn3__weight": torch.ones(16)},
        {"sub_block2__layer__0__bn1__weight": torch.ones(16)},
    ],
)
def test_only_the_known_dead_block_is_dropped(changes: dict[str, Any], file: Path) -> None:
    message = refusal(file, changed(**changes), ours())
    assert f"the network has no {next(iter(changes))[:10]}" in message


def test_a_file_with_two_networks_in_one_is_refused(file: Path) -> None:
    tensors = foreign().state_dict()
    both = tensors | {f"module.{name}": tensor for name, tensor in tensors.items()}
    assert "several tensors for" in refusal(file, both, ours())
    assert "the network has no linear.bias" in refusal(file, changed(linear__bias=torch.ones(CLASSES)), ours())


@pytest.mark.parametrize(("mean", "std"), [(0.5, 1.0), (0.0, 0.25)])
def test_a_normalisation_is_not_silently_lost(mean: float, std: float, file: Path) -> None:
    wrapped = nn.Sequential(Normaliser(mean, std), foreign()).eval()
    assert_same_function(wrapped, load(file, wrapped.state_dict(), ours()))


def test_half_a_normalisation_is_refused(file: Path) -> None:
    tensors = foreign("DeepMind's").state_dict()
    del tensors["std"]
    assert "the file lacks normalise.std" in refusal(file, tensors, ours("wrn16-2-silu"))
    half = foreign().state_dict() | {"mu": torch.full((1, 3, 1, 1), 0.5)}
    assert "half a normalisation, mean alone" in refusal(file, half, ours())


def test_an_unknown_first_layer_is_refused(file: Path) -> None:
    """Sequential(something without tensors, network) may be a normalisation."""
    wrapped = {f"1.{name}": tensor for name, tensor in foreign().state_dict().items()}
    assert "doesn't fit" in refusal(file, wrapped, ours())


def test_relu_weights_do_not_reach_a_silu_network(file: Path) -> None:
    wrapped = nn.Sequential(Normaliser(0.5, 0.25), foreign())
    assert "doesn't fit" in refusal(file, wrapped.state_dict(), ours("wrn10-1-silu"))
    tensors = foreign("DeepMind's").state_dict()
    plain = {name: tensor for name, tensor in tensors.items() if name not in ("mean", "std")}
    assert "doesn't fit" in refusal(file, plain, ours("wrn16-2"))


# ---- where files are


def test_a_path_is_as_given(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.touch()
    assert locate(str(file)) == file
    with pytest.raises(UserError, match=r"there is no file absent\.pt: put it there"):
        locate("absent.pt")
    with pytest.raises(UserError, match="there is no file"):
        locate(str(file.parent))
    monkeypatch.setenv("HOME", str(file.parent))
    assert locate(f"~/{file.name}") == file
    with pytest.raises(UserError, match=r"'~nobody-of-this-name/x\.pt': this machine knows no user of that name"):
        locate("~nobody-of-this-name/x.pt")


def test_a_resource_is_found_without_importing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "ataka_test_package"
    (package / "deep").mkdir(parents=True)
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "deep/file.pt").touch()
    (tmp_path / "outside.pt").touch()
    monkeypatch.syspath_prepend(tmp_path)
    assert locate("ataka_test_package:deep/file.pt") == package / "deep/file.pt"
    assert "ataka_test_package" not in sys.modules
    for resource in ("deep/none.pt", "deep", "../outside.pt", str(tmp_path / "outside.pt")):
        with pytest.raises(UserError, match="has no such file"):
            locate(f"ataka_test_package:{resource}")


def test_an_absent_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UserError, match="package 'no_such_package' isn't installed"):
        locate("no_such_package:file.pt")
    monkeypatch.setitem(sys.modules, "no_such_package", ModuleType("no_such_package"))
    with pytest.raises(UserError, match="isn't installed"):
        locate("no_such_package:file.pt")


# ---- RobustBench's classes that no network of ours is (robustbench_peer.py compares those that are)


@pytest.mark.parametrize(
    ("arch", "names", "message"),
    [
        ("resnet18-w8", ["layer1.0.conv3.weight"], "blocks of three convolutions, as ResNet-50"),
        ("resnet18-w8", ["branch1.conv1.weight", "models.0.conv1.weight"], "several networks, whose probabilities"),
        ("resnet18-w8", ["layer1.0.conv2.fc1.weight"], "split attention in its blocks, as ResNeSt"),
        ("resnet18-w8", ["stage_1.0.conv_reduce.weight"], "grouped convolutions, as ResNeXt"),
        ("wrn10-1", ["block1.layer.0.activation.alpha"], "an activation with parameters"),
        ("wrn10-1", ["stem_conv.weight", "blocks.0.layer.0.bn1.weight"], "stages whose widths or depths"),
        ("wrn10-1-silu", ["layer.0.block.0.se.fc1.weight"], "squeeze-and-excitation in its blocks"),
        ("wrn10-1-silu", ["layer.0.block.0.meansparse_0.threshold"], "MeanSparse's thresholds in its blocks"),
        ("resnet18", ["1.odefunc.fc1._layer.weight"], "an ordinary differential equation between"),
        ("resnet18", ["std_model.root.conv.weight"], "a standard and a robust network, whose outputs its authors mix"),
    ],
)
def test_other_networks_are_refused_by_what_is_different(arch: str, names: list[str], message: str, file: Path) -> None:
    tensors = {name: torch.ones(2) for name in names}
    assert f"The file's network has {message}" in refusal(file, tensors, ours(arch))


def test_a_last_layer_without_a_bias_is_named(file: Path) -> None:
    assert "has a last layer without a bias" in refusal(file, changed(fc__bias=None), ours())


def test_imagenets_stem_is_named(file: Path) -> None:
    theirs: Any = TorchvisionResNet()
    theirs.network.conv1 = conv(3, 64, 7, 2, 3)
    assert "has ImageNet's stem" in refusal(file, theirs.state_dict(), ours("resnet18"))
