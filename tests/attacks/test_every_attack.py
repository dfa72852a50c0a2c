"""What every attack promises. Attacks are found by being there: a new one is tested without editing this.

Each stands with arguments of its own: those of its entry at the smoke scale; where it has none, its Options' defaults
and, for what they require, a usual value of that type.
"""

import importlib
import inspect
import json
import pkgutil
import sys
from collections import Counter
from collections.abc import Mapping
from dataclasses import asdict
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import numpy
import pytest
import torch
from pydantic.fields import FieldInfo
from torch import Tensor, nn
from torch.nn import functional
from torch.overrides import TorchFunctionMode

import ataka.attacks
from ataka import evaluation
from ataka.attacks.check import ensure_checked
from ataka.attacks.finite import NotFinite
from ataka.attacks.gradient import input_gradient
from ataka.attacks.mode import attack_mode
from ataka.datasets.images import Split
from ataka.machine import memory
from ataka.models.mixture import Mixture
from ataka.study import attacks, config
from ataka.study.fields import arguments

EPS = 0.1
HEALTH = (config.HOME / "docs/health.md").read_text(encoding="utf-8")
STUDY = config.load("smoke")
KINDS = attacks.kinds()
SVGD = {"eps": EPS, "step_size": 0.03, "steps": 4, "bandwidth": "median", "gamma": 1.0}
"""The paper's generator is an attack, but no column of a table: it has no Options."""
NAMES = [*KINDS, "svgd"]
WITH_FILES: dict[str, dict[str, Any]] = {"corruption": {"corruption": "fog", "severity": 2}}
"""The entries of those that read files, by kind."""


def module(name: str) -> ModuleType:
    return importlib.import_module(f"ataka.attacks.{name}")


def usual(option: FieldInfo) -> object:
    """A value for an option without a default."""
    if get_origin(option.annotation) is Literal:
        return get_args(option.annotation)[0]
    return {str: str(EPS / 4), int: 4, float: 1.0, bool: False}[option.annotation]


@pytest.fixture(scope="session", autouse=True)
def files_of_attacks(tmp_path_factory: pytest.TempPathFactory) -> None:
    """The files that some attacks read beside the images: those of ``x`` and ``y``, and those of ``split``."""
    wrong = numpy.arange(60) % 10
    wrong[:5] += 1
    for name, labels in (("x", numpy.arange(12) % 10), ("split", wrong)):
        folder = tmp_path_factory.mktemp(f"corrupted-{name}")
        images = numpy.random.default_rng(0).integers(0, 256, (5 * len(labels), 8, 8, 1), dtype=numpy.uint8)
        numpy.save(folder / "fog.npy", images)
        numpy.save(folder / "labels.npy", numpy.tile(labels, 5))
        entries = WITH_FILES if name == "x" else CONFIGURED
        entries["corruption"] |= {"folder": str(folder)}


def values(kind: str) -> dict[str, Any]:
    """The kind's own entry in a YAML."""
    options = module(kind).Options.model_fields
    configured = (entry.options for entry in STUDY.attacks.values() if entry and entry.kind == kind)
    required = {name: usual(option) for name, option in options.items() if option.is_required()}
    given = required | dict(next(configured, {})) | ({"eps": str(EPS)} if "eps" in options else {})
    return given | WITH_FILES.get(kind, {})


def own(name: str) -> dict[str, Any]:
    """What the attack is called with."""
    if name == "svgd":
        return SVGD
    given = arguments(module(name).Options(**values(name)))
    return {key: value for key, value in given.items() if key != "images"} | (
        {"seed": 5} if "seed" in parameters(name) else {}
    )


def parameters(name: str) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(module(name).attack).parameters


DRAWN = [name for name in NAMES if "start" in parameters(name)]
RANDOM = [name for name in DRAWN if "generator" in parameters(name)]


def attack(name: str, network: nn.Module, x: Tensor, y: Tensor, seed: int = 0, **overrides: Any) -> Tensor:
    """``name`` with its own arguments."""
    options = own(name)
    if "generator" in parameters(name) and "start" not in overrides:
        options["generator"] = torch.Generator().manual_seed(seed)
    return ensure_checked(module(name).attack)(network, x, y, **options | overrides)


def forwards(name: str, network: nn.Module, x: Tensor, y: Tensor) -> int:
    """How often the attack asks the network."""
    calls: list[int] = []
    with network.register_forward_hook(lambda *_: calls.append(1)):
        attack(name, network, x, y)
    return len(calls)


def draw(name: str, x: Tensor, seed: int = 0) -> Tensor:
    generator = torch.Generator().manual_seed(seed)
    named = inspect.signature(module(name).draw).parameters
    options = {key: value for key, value in own(name).items() if key in named}
    if "generators" in named:
        return module(name).draw(x, 1, generators=[generator], **options)
    return module(name).draw(x, generator=generator, **options)


def snapshot(network: nn.Module) -> dict[str, list[object]]:
    """All that an attack could change; tensors as bytes, gradients as the very objects and their values."""
    return {
        "state": [value.numpy().tobytes() for value in network.state_dict().values()],
        "modes": [module.training for module in network.modules()],
        "trainable": [parameter.requires_grad for parameter in network.parameters()],
        "gradients": [id(parameter.grad) for parameter in network.parameters()],
        "values": [one.grad.numpy().tobytes() for one in network.parameters() if one.grad is not None],
        "hooks": [len(module._forward_hooks) for module in network.modules()],
    }


def test_the_attacks_are_all_here() -> None:
    assert {"aa", "clean", "cw", "cw_l2", "fgsm", "fog", "pgd", "svgd"} <= set(NAMES)
    assert {"cw", "fog", "pgd", "svgd"} <= set(RANDOM)
    files = [found.name for found in pkgutil.iter_modules(ataka.attacks.__path__)]
    assert [name for name in files if hasattr(module(name), "attack")] == sorted(NAMES)


@pytest.mark.parametrize("kind", KINDS)
def test_says_what_a_study_needs_to_know(kind: str) -> None:
    entry = attacks.describe(kind, values(kind))
    assert json.loads(json.dumps(asdict(entry)))["kind"] == kind
    assert entry.label
    assert entry.settings == {"kind": kind, **entry.options}
    assert attacks.describe(kind, entry.options) == entry
    assert set(entry.beats) <= set(KINDS) - {kind}
    assert entry.beats or not entry.sentence  # whatever is an attack at all has something to beat
    for check in entry.checks:
        assert f"| {check.name} |" in HEALTH, "docs/health.md lists every check"
        assert check.against in ("", *KINDS)
    for name in entry.code:
        importlib.import_module(name)


@pytest.mark.parametrize("kind", [kind for kind in KINDS if not hasattr(module(kind), "Point")])
def test_the_work_that_it_announces_is_what_it_does(kind: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    """A gradient is two forwards, and its images are judged in one; what it asks without a gradient weighs less."""
    done = 2 * forwards(kind, network, x, y) + 1
    assert done / 2 < attacks.describe(kind, values(kind)).forwards < done * 2


@pytest.mark.parametrize("name", NAMES)
def test_result_is_inside_the_ball_and_the_range(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    assert x.min() == 0
    assert x.max() == 1
    x_adv = attack(name, network, x, y)
    assert torch.isfinite(x_adv).all()
    assert x_adv.min() >= 0
    assert x_adv.max() <= 1
    assert not x_adv.requires_grad
    assert x_adv.dtype == x.dtype
    if "eps" in parameters(name):
        assert 0 < (x_adv - x).abs().max() <= EPS + 1e-6


@pytest.mark.parametrize("name", [name for name in NAMES if "eps" in parameters(name)])
def test_without_a_budget_the_result_is_clean(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    x_adv = attack(name, network, x, y, eps=0.0)
    assert torch.equal(x_adv, x.expand_as(x_adv))


@pytest.mark.parametrize("name", NAMES)
def test_is_a_function_of_its_seed(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    assert torch.equal(attack(name, network, x, y), attack(name, network, x, y))


@pytest.mark.parametrize("name", RANDOM)
def test_other_seeds_give_other_results(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    assert not torch.equal(attack(name, network, x, y, seed=0), attack(name, network, x, y, seed=1))


@pytest.mark.parametrize("name", DRAWN)
def test_starts_drawn_first_may_be_cut_at_will(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    """An attack in chunks between two of them."""
    chunk = {"chunk": 5} if "chunk" in parameters(name) else {}
    cuts = [(0, 5), (5, 10), (10, 12)] if chunk else [(0, 1), (1, 6), (6, 12)]
    start = draw(name, x)
    whole = attack(name, network, x, y, start=start, **chunk)
    batch = 1 if name == "svgd" else 0  # its particles come first
    pieces = [attack(name, network, x[a:b], y[a:b], start=start.narrow(batch, a, b - a), **chunk) for a, b in cuts]
    # A step of l_2 has the gradient's own digits, of which the last depends on the batch; a sign's step hasn't.
    rounding = 1e-6 if "radius" in parameters(name) else 0
    torch.testing.assert_close(torch.cat(pieces, batch), whole, rtol=0, atol=rounding)


@pytest.mark.parametrize("name", RANDOM)
def test_an_images_start_does_not_depend_on_the_images_after_it(name: str) -> None:
    """So that the first chunks of a test set are those of a larger one."""
    batch = 1 if name == "svgd" else 0  # its particles come first, each from a stream of its own
    few, many = (draw(name, torch.zeros(images, 3, 8, 8)) for images in (7, 12))
    assert torch.equal(many.narrow(batch, 0, 7), few)


@pytest.mark.parametrize("name", RANDOM)
def test_a_random_attack_wants_a_start_or_a_generator(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(ValueError, match="generator"):
        attack(name, network, x, y, generator=None)


@pytest.mark.parametrize("name", NAMES)
def test_leaves_the_network_as_it_was(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    network.train()
    network[1].eval()  # a frozen batch normalisation in a network in training
    network[0].weight.requires_grad_(False)
    network[0].bias.grad = torch.ones(8)
    before = snapshot(network)
    attack(name, network, x, y)
    assert snapshot(network) == before


class Fails(nn.Module):
    """A network whose ``calls``-th forward raises."""

    def __init__(self, network: nn.Module, calls: int) -> None:
        super().__init__()
        self.network, self.calls = network, calls

    def forward(self, x: Tensor) -> Tensor:
        self.calls -= 1
        if self.calls <= 0:
            raise RuntimeError("out of memory")
        return self.network(x)


@pytest.mark.parametrize("calls", [1, 2])
@pytest.mark.parametrize("name", NAMES)
def test_leaves_the_network_as_it_was_when_it_fails(
    name: str, calls: int, network: nn.Module, x: Tensor, y: Tensor
) -> None:
    if forwards(name, network, x, y) < calls:
        pytest.skip("it doesn't ask the network so often")
    failing = Fails(network, calls).train()
    before = snapshot(failing)
    with pytest.raises(RuntimeError, match="out of memory"):
        attack(name, failing, x, y)
    assert snapshot(failing) == before


@pytest.mark.parametrize("name", NAMES)
def test_works_where_the_caller_wants_no_gradients(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    with torch.no_grad():
        quiet = attack(name, network, x, y)
    assert torch.equal(quiet, attack(name, network, x, y))


@pytest.mark.parametrize("name", NAMES)
def test_does_not_write_into_its_arguments(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    given = (x.clone(), y.clone())
    attack(name, network, *given)
    assert torch.equal(given[0], x)
    assert torch.equal(given[1], y)


BAD_INPUT = {
    "above 1": (lambda x, y: (x + 0.5, y), "in \\[0,1\\]"),
    "below 0": (lambda x, y: (x - 0.5, y), "in \\[0,1\\]"),
    "NaN": (lambda x, y: (x * torch.nan, y), "finite"),
    "one image": (lambda x, y: (x[0], y), "shape"),
    "no images": (lambda x, y: (x[:0], y[:0]), "shape"),
    "bytes": (lambda x, y: (x.to(torch.uint8), y), "uint8"),
    "too few labels": (lambda x, y: (x, y[1:]), "labels"),
    "one-hot labels": (lambda x, y: (x, nn.functional.one_hot(y, 10)), "labels"),
    "labels in floats": (lambda x, y: (x, y.float()), "float32"),
    "a negative label": (lambda x, y: (x, y - 1), "negative"),
}


@pytest.mark.parametrize("case", BAD_INPUT)
@pytest.mark.parametrize("name", NAMES)
def test_refuses_bad_input(name: str, case: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    spoil, message = BAD_INPUT[case]
    with pytest.raises(ValueError, match=message):
        attack(name, network, *spoil(x, y))


@pytest.mark.parametrize("name", NAMES)
def test_refuses_a_label_that_is_no_class(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    if not forwards(name, network, x, y):
        pytest.skip("it doesn't ask the network")
    with pytest.raises(ValueError, match=f"{name}.*label 10"):
        attack(name, network, x, torch.full_like(y, 10))


@pytest.mark.parametrize("name", [name for name in NAMES if "eps" in parameters(name)])
@pytest.mark.parametrize("eps", [-0.1, float("nan"), float("inf")])
def test_refuses_a_senseless_budget(name: str, eps: float, network: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(ValueError, match="eps"):
        attack(name, network, x, y, eps=eps)


# ---- numbers that are not finite


class NoLogits(nn.Module):
    """A network whose logits are of ``value`` in one class, for images from the ``first`` on."""

    def __init__(self, network: nn.Module, value: float, first: int = 0) -> None:
        super().__init__()
        self.network, self.value, self.first = network, value, first

    def forward(self, x: Tensor) -> Tensor:
        spoilt = torch.zeros(len(x), 10, dtype=torch.bool)
        spoilt[self.first :, 3] = True
        return self.network(x).masked_fill(spoilt, self.value)


class NoGradients(nn.Module):
    """A network's own logits, and gradients that are NaN: the slope of the root at 0 is infinite."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x) + (x * 0).sqrt().sum((1, 2, 3)).unsqueeze(1)


def asks(name: str, network: nn.Module, x: Tensor, y: Tensor) -> bool:
    return forwards(name, network, x, y) > 0


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("name", NAMES)
def test_refuses_logits_that_are_not_finite(name: str, value: float, network: nn.Module, x: Tensor, y: Tensor) -> None:
    if not asks(name, network, x, y):
        pytest.skip("it doesn't ask the network")
    with pytest.raises(NotFinite, match=rf"^{name}.*logits are NaN or infinite for \d+ of 12 images") as caught:
        attack(name, NoLogits(network, value), x, y)
    assert caught.value.of_logits
    with pytest.raises(NotFinite, match="for 5 of 12 images"):
        attack(name, NoLogits(network, value, first=7), x, y)


@pytest.mark.parametrize("name", NAMES)
def test_refuses_gradients_that_are_not_finite(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    spoilt = NoGradients(network).eval()
    assert torch.equal(spoilt(x), network(x))
    if not asks(name, network, x, y):
        pytest.skip("it doesn't ask the network")
    with pytest.raises(NotFinite, match=rf"^{name}.*gradients .* NaN or infinite at 12 of 12 images") as caught:
        attack(name, spoilt, x, y)
    assert not caught.value.of_logits
    with pytest.raises(NotFinite, match="at 1 of 1 images"):
        attack(name, spoilt, x[:1], y[:1])


class Waits(TorchFunctionMode):
    """Counts what would wait for a device."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: Counter[str] = Counter()

    def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.calls[getattr(function, "__name__", "")] += 1
        return function(*args, **(kwargs or {}))

    @property
    def count(self) -> int:
        waiting = ("tolist", "item", "cpu", "numpy", "nonzero", "__bool__", "__int__", "__float__", "__index__")
        return sum(self.calls[name] for name in waiting)


@pytest.mark.parametrize("name", [name for name in NAMES if "steps" in parameters(name)])
def test_more_steps_do_not_wait_for_the_device_more_often(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    counts = []
    for steps in (2, 5):
        with Waits() as waits:
            attack(name, network, x, y, steps=steps)
        counts.append(waits.count)
    assert counts[0] >= 3  # the input, the numbers that were not finite, the result
    # svgd asks which particles are coupled; cw_l2's Adam reads the number of its step, which lies on no device
    more = {"svgd": 3, "cw_l2": 3 * own("cw_l2")["searches"]}
    assert counts[1] - counts[0] == more.get(name, 0)


class NoClampIsCrossed(TorchFunctionMode):
    """Refuses a clamp of torch's that a gradient would pass: its value at a bound depends on torch's version."""

    NAMES = (
        "clamp",
        "clamp_",
        "clamp_min",
        "clamp_min_",
        "clamp_max",
        "clamp_max_",
        "clip",
        "clip_",
        "hardtanh",
        "relu6",
    )

    def __torch_function__(self, function: Any, _types: Any, args: Any = (), kwargs: Any = None) -> Any:
        tensors = (each for each in (*args, *(kwargs or {}).values()) if isinstance(each, Tensor))
        if getattr(function, "__name__", "") in self.NAMES and torch.is_grad_enabled():
            assert not any(tensor.requires_grad for tensor in tensors)
        return function(*args, **(kwargs or {}))


@pytest.mark.parametrize("name", NAMES)
def test_no_gradient_passes_a_clamp_of_torchs(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    with NoClampIsCrossed():
        attack(name, network, x, y)


def test_such_a_clamp_would_be_seen(x: Tensor) -> None:
    with NoClampIsCrossed(), pytest.raises(AssertionError):
        x.clone().requires_grad_().clamp(0, 1)


# ---- one image alone


class FromTokens(nn.Module):
    """Features to tokens and back, as XCiT has it: of one image the memory is that of the tokens."""

    def forward(self, x: Tensor) -> Tensor:
        tokens = x.flatten(2).transpose(1, 2).contiguous()
        return tokens.permute(0, 2, 1).reshape(x.shape)


@pytest.fixture
def of_tokens() -> nn.Module:
    """In float64, so that no sign depends on rounding."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = (nn.Conv2d(1, 8, 3, padding=1), FromTokens(), nn.BatchNorm2d(8), nn.Flatten(), nn.Linear(512, 10))
        network = nn.Sequential(*layers).double().eval()
        nn.init.uniform_(network[2].weight, 0.5, 1.5)
    return network


def test_an_image_alone_has_the_gradient_that_it_has_in_a_batch(of_tokens: nn.Module, x: Tensor, y: Tensor) -> None:
    x = x.double()
    together = input_gradient(of_tokens, x, y)
    with attack_mode(of_tokens):
        alone = torch.cat([input_gradient(of_tokens, x[i : i + 1], y[i : i + 1]) for i in range(len(x))])
    torch.testing.assert_close(alone, together)


@pytest.mark.parametrize("name", [name for name in NAMES if not hasattr(module(name), "attack_chunk")])
def test_an_image_alone_is_attacked_as_in_a_batch(name: str, of_tokens: nn.Module, x: Tensor, y: Tensor) -> None:
    x = x.double()
    start = draw(name, x) if name in DRAWN else None
    batch = 1 if name == "svgd" else 0  # its particles come first

    def attacked(piece: slice) -> Tensor:
        given = {} if start is None else {"start": start[:, piece] if batch else start[piece]}
        return attack(name, of_tokens, x[piece], y[piece], **given)

    alone = torch.cat([attacked(slice(i, i + 1)) for i in range(len(x))], batch)
    torch.testing.assert_close(alone, attacked(slice(None)), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_no_image_goes_in_alone(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    """Not in a chunk of AutoAttack's either, and the result is that of one image."""
    sizes = []
    with network[0].register_forward_hook(lambda _module, given, _output: sizes.append(len(given[0]))):
        x_adv = attack(name, network, x[:1], y[:1])
    assert x_adv.shape[-4:] == x[:1].shape
    assert set(sizes) <= {2}
    assert bool(sizes) == asks(name, network, x, y)


# ---- a user's own attack


def own_attack(model: nn.Module, x: Tensor, y: Tensor, *, eps: float) -> Tensor:
    """FGSM by an author who forgot ``checked`` and ``attack_mode``."""
    x = x.clone().requires_grad_()
    functional.cross_entropy(model(x), y, reduction="sum").backward()
    assert x.grad is not None
    return (x + eps * x.grad.sign()).clamp(0, 1).detach()


@pytest.fixture
def users(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """Settings of the user's own attack, which lies in a module of theirs."""
    theirs = ModuleType("theirs.fast")
    theirs.attack, theirs.Options = own_attack, module("fgsm").Options  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "theirs.fast", theirs)
    return {"kind": "theirs.fast", "eps": str(EPS)}


def test_an_image_alone_is_whole_in_a_users_attack_too(of_tokens: nn.Module, x: Tensor, y: Tensor) -> None:
    x = x.double()
    whole = ensure_checked(own_attack)(of_tokens, x, y, eps=EPS)
    alone = [ensure_checked(own_attack)(of_tokens, x[i : i + 1], y[i : i + 1], eps=EPS) for i in range(len(x))]
    assert torch.equal(torch.cat(alone), whole)


# ---- as an evaluation uses them

CONFIGURED = {kind: {"kind": kind, **values(kind)} for kind in KINDS}
BOUNDED = [name for name, settings in CONFIGURED.items() if "eps" in settings]
ASKING = [name for name in CONFIGURED if attacks.describe(name, values(name)).forwards > 1]
"""Those that ask the network for more than its verdict."""


@pytest.fixture(scope="session")
def split(everything: tuple[list[nn.Module], Tensor, Tensor]) -> Split:
    """60 of the images, darker and in bytes; the first five labels are wrong."""
    _, x, y = everything
    labels = y[:60].clone()
    labels[:5] = (labels[:5] + 1) % 10
    return Split((0.9 * 255 * x[:60]).round().to(torch.uint8), labels)


def verdicts(network: nn.Module, split: Split, name: str, **changes: Any) -> Tensor:
    return evaluation.evaluate(network, CONFIGURED[name] | changes, split, seed=0).correct


@pytest.mark.parametrize("name", CONFIGURED)
def test_verdicts_do_not_depend_on_the_cut(
    name: str, network: nn.Module, split: Split, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An attack in chunks is not cut otherwise."""
    found = []
    for size in (60, 7):
        monkeypatch.setattr(memory, "BATCH", size)
        found.append(verdicts(network, split, name))
    assert torch.equal(*found)


@pytest.mark.parametrize("name", BOUNDED)
def test_without_a_budget_verdicts_are_clean(name: str, network: nn.Module, split: Split) -> None:
    clean = verdicts(network, split, "clean")
    assert 0 < int(clean.sum()) < len(clean)
    assert torch.equal(verdicts(network, split, name, eps="0"), clean)


@pytest.mark.parametrize("name", [name for name, settings in CONFIGURED.items() if "strength" in settings])
def test_fog_without_strength_is_judged_on_stretched_images(name: str, network: nn.Module, split: Split) -> None:
    x = split.pixels()
    stretched = x / x.amax((2, 3), keepdim=True)
    assert not torch.equal(x, stretched)
    expected = network(stretched).argmax(1) == split.labels
    assert torch.equal(verdicts(network, split, name, strength=0.0), expected)


@pytest.mark.parametrize("name", BOUNDED)
def test_accuracy_falls_with_the_budget(name: str, network: nn.Module, split: Split) -> None:
    """In aggregate, up to 16/255; an attack that takes steps takes ten, of a quarter of the budget."""
    correct = []
    for eps in (0, 2, 4, 8, 16):
        steps = {"steps": 10, "step_size": f"{eps}/1020" if eps else "1/1020"}
        changes = {option: value for option, value in steps.items() if option in CONFIGURED[name]}
        correct.append(int(verdicts(network, split, name, eps=f"{eps}/255", **changes).sum()))
    assert correct == sorted(correct, reverse=True)
    assert correct[-1] < correct[0]


def test_stronger_attacks_leave_less(network: nn.Module, split: Split) -> None:
    """Clean, FGSM, PGD, AutoAttack: in aggregate. AutoAttack's survivors were correct, each of them."""
    budget = {"eps": "20/255"}
    clean = verdicts(network, split, "clean")
    fgsm, aa = (verdicts(network, split, name, **budget) for name in ("fgsm", "aa"))
    pgd = verdicts(network, split, "pgd", steps=20, step_size="5/255", **budget)
    correct = [int(one.sum()) for one in (clean, fgsm, pgd, aa)]
    assert correct == sorted(correct, reverse=True)
    assert not (aa & ~clean).any()


@pytest.mark.parametrize("name", CONFIGURED)
def test_an_evaluation_ends_by_name_where_logits_are_not_finite(name: str, network: nn.Module, split: Split) -> None:
    with pytest.raises(NotFinite, match=rf"^{name}.*logits"):
        verdicts(NoLogits(network, torch.nan), split, name)


@pytest.mark.parametrize("name", ASKING)
def test_an_evaluation_ends_by_name_where_gradients_are_not_finite(name: str, network: nn.Module, split: Split) -> None:
    with pytest.raises(NotFinite, match=rf"^{name}.*gradients"):
        verdicts(NoGradients(network), split, name)


def test_so_it_does_under_a_users_attack(network: nn.Module, split: Split, users: dict[str, Any]) -> None:
    assert evaluation.evaluate(network, users, split, seed=0).correct.any()
    with pytest.raises(NotFinite, match=r"^test_every_attack: .*gradients .* at 60 of 60 images"):
        evaluation.evaluate(NoGradients(network), users, split, seed=0)
    with pytest.raises(NotFinite, match=r"^test_every_attack: .*logits .* for 60 of 60 images"):
        evaluation.evaluate(NoLogits(network, torch.nan), users, split, seed=0)


@pytest.mark.parametrize("average", ["probabilities", "logits"])
@pytest.mark.parametrize("value", [torch.nan, -torch.inf])
@pytest.mark.parametrize("name", CONFIGURED)
def test_a_member_of_an_average_is_not_hidden_by_the_others(
    name: str, value: float, average: Any, networks: list[nn.Module], split: Split
) -> None:
    """Minus infinity is a probability of 0, of which an average says nothing."""
    average = Mixture([*networks[:2], NoLogits(networks[2], value)], average)
    with pytest.raises(NotFinite, match=rf"^{name}.*logits"):
        verdicts(average, split, name)
    with pytest.raises(NotFinite, match=rf"^{name}.*logits"):
        evaluation.evaluate(average, CONFIGURED[name], split, seed=0, attacked=average.members[0])


@pytest.mark.parametrize("name", ASKING)
def test_nor_are_a_members_gradients(name: str, networks: list[nn.Module], split: Split) -> None:
    with pytest.raises(NotFinite, match=rf"^{name}.*gradients"):
        verdicts(Mixture([*networks[:2], NoGradients(networks[2])]), split, name)
