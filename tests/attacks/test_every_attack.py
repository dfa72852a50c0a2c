"""What every attack promises. Attacks are found by being there: a new one is tested without editing this.

Each stands with arguments of its own: those of its entry at the smoke scale; where it has none, its Options' defaults
and, for what they require, a usual value of that type.
"""

import importlib
import inspect
import json
import pkgutil
from collections.abc import Mapping
from dataclasses import asdict
from types import ModuleType
from typing import Any, Literal, get_args, get_origin

import pytest
import torch
from pydantic.fields import FieldInfo
from torch import Tensor, nn

import ataka.attacks
from ataka import evaluation
from ataka.attacks.check import ensure_checked
from ataka.datasets.images import Split
from ataka.machine import memory
from ataka.study import attacks, config
from ataka.study.fields import arguments

EPS = 0.1
HEALTH = (config.HOME / "docs/health.md").read_text(encoding="utf-8")
STUDY = config.load("smoke")
KINDS = attacks.kinds()
SVGD = {"eps": EPS, "step_size": 0.03, "steps": 4, "bandwidth": "median", "gamma": 1.0}
"""The paper's generator is an attack, but no column of a table: it has no Options."""
NAMES = [*KINDS, "svgd"]


def module(name: str) -> ModuleType:
    return importlib.import_module(f"ataka.attacks.{name}")


def usual(option: FieldInfo) -> object:
    """A value for an option without a default."""
    if get_origin(option.annotation) is Literal:
        return get_args(option.annotation)[0]
    return {str: str(EPS / 4), int: 4, float: 1.0, bool: False}[option.annotation]


def values(kind: str) -> dict[str, Any]:
    """The kind's own entry in a YAML."""
    options = module(kind).Options.model_fields
    configured = (entry.options for entry in STUDY.attacks.values() if entry and entry.kind == kind)
    required = {name: usual(option) for name, option in options.items() if option.is_required()}
    return required | dict(next(configured, {})) | ({"eps": str(EPS)} if "eps" in options else {})


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


RANDOM = [name for name in NAMES if "start" in parameters(name)]


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


@pytest.mark.parametrize("name", RANDOM)
def test_starts_drawn_first_may_be_cut_at_will(name: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    """An attack in chunks between two of them."""
    chunk = {"chunk": 5} if "chunk" in parameters(name) else {}
    cuts = [(0, 5), (5, 10), (10, 12)] if chunk else [(0, 1), (1, 6), (6, 12)]
    start = draw(name, x)
    whole = attack(name, network, x, y, start=start, **chunk)
    batch = max(start.ndim - x.ndim, 0)  # svgd has a dimension for its particles before it
    pieces = [attack(name, network, x[a:b], y[a:b], start=start.narrow(batch, a, b - a), **chunk) for a, b in cuts]
    assert torch.equal(torch.cat(pieces, batch), whole)


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


# ---- as an evaluation uses them

CONFIGURED = {kind: {"kind": kind, **values(kind)} for kind in KINDS}
BOUNDED = [name for name, settings in CONFIGURED.items() if "eps" in settings]


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
