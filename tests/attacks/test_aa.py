"""The AutoAttack adapter: the package's own bits, chunk by chunk, and nothing else disturbed."""

import random
import sys
from types import ModuleType
from typing import Any

import numpy as np
import pyautoattack
import pytest
import torch
from torch import Tensor, nn

from ataka.attacks import aa, aa_parts
from ataka.attacks.finite import NotFinite
from ataka.errors import UserError

EPS = 0.06
SHORT: dict[str, Any] = {
    "version": "shortened",
    "iterations": 4,
    "target_classes": 2,
    "queries": 20,
    "eps": EPS,
    "seed": 3,
}


class Hasty(pyautoattack.AutoAttack):
    """The package with a tenth of its patience: its own would take 15 seconds."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        aa_parts.adjust(self, 10, {"iterations": 20, "target_classes": 9, "queries": 500})


def test_standard_is_the_packages_own(
    network: nn.Module, everyone: tuple[Tensor, Tensor], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Images bit by bit, whatever the patience that the package is made with."""
    monkeypatch.setattr(pyautoattack, "AutoAttack", Hasty)
    x, y = (tensor[[0, 1, 2, 16]] for tensor in everyone)
    adversary = pyautoattack.AutoAttack(network, norm="Linf", eps=EPS, seed=aa_parts.chunk_seed(3, 0))
    expected, _ = adversary.run_standard_evaluation(x, y, batch_size=4)
    assert torch.equal(aa.attack(network, x, y, eps=EPS, seed=3, chunk=4), expected)
    survived = network(expected).argmax(1) == y
    assert 0 < survived.sum() < 4  # so that every component had something to do


def numbers(adversary: pyautoattack.AutoAttack) -> list[dict[str, Any]]:
    """All plain settings of each component."""
    components = (adversary.apgd, adversary.apgd_targeted, adversary.fab, adversary.square)
    plain = (bool, int, float, str)
    return [{name: value for name, value in vars(each).items() if isinstance(value, plain)} for each in components]


def test_standard_has_the_packages_own_patience(network: nn.Module, x: Tensor) -> None:
    adversary = pyautoattack.AutoAttack(network, norm="Linf", eps=EPS, seed=7, device=x.device)
    with aa_parts.attacked(network, x, norm="Linf", eps=EPS, seed=7) as ours:
        assert numbers(ours) == numbers(adversary)
    _, targeted, _, square = numbers(adversary)
    assert (targeted["n_iter"], targeted["n_target_classes"], square["n_queries"]) == (100, 9, 5000)


def test_chunks_do_not_depend_on_each_other(network: nn.Module, x: Tensor, y: Tensor) -> None:
    whole = aa.attack(network, x, y, chunk=5, **SHORT)
    for index in (2, 0, 1):
        piece = slice(5 * index, 5 * index + 5)
        assert torch.equal(aa.attack_chunk(network, x[piece], y[piece], index=index, **SHORT), whole[piece])


def test_a_chunk_goes_on_from_each_of_its_points_to_the_same_bits(
    network: nn.Module, everyone: tuple[Tensor, Tensor]
) -> None:
    """And its points are those of the package's own loop, stopped after each component."""
    x, y = (tensor[:40] for tensor in everyone)
    points: list[aa.Point] = []
    whole = aa.attack_chunk(network, x, y, index=0, keep=points.append, **SHORT)
    assert [point.done for point in points] == [0, 1, 2, 3, 4]
    standing = [int(point.standing.sum()) for point in points]
    assert standing[0] > standing[1] >= standing[2] >= standing[3] > 0  # so that every component had something to do
    assert [point.before_square for point in points] == [0, 0, 0, standing[3], standing[3]]
    assert points[1].message == f"apgd-t on {standing[1]} of 40 images"
    assert points[4].message == "the verdicts"
    for point in points:
        kept = point.x_adv.clone(), point.standing.clone()
        assert torch.equal(aa.attack_chunk(network, x, y, index=0, point=point, **SHORT), whole)
        assert torch.equal(point.x_adv, kept[0])
        assert torch.equal(point.standing, kept[1])
        arguments = {"norm": "Linf", "eps": EPS, "seed": aa_parts.chunk_seed(3, 0), "device": "cpu"}
        adversary = pyautoattack.AutoAttack(network, version="standard", **arguments)
        cuts = {"iterations": 4, "target_classes": 2, "queries": 20}
        aa_parts.adjust(adversary, 10, aa_parts.settings_of("shortened", cuts))
        adversary.attacks_to_run = list(aa.Point.COMPONENTS[: point.done])
        expected, predicted = adversary.run_standard_evaluation(x, y, batch_size=40)
        assert torch.equal(point.x_adv, expected)
        assert torch.equal(point.standing, predicted == y)


def test_numbers_that_are_not_finite_end_it_with_the_component_that_meets_them(
    network: nn.Module, everyone: tuple[Tensor, Tensor]
) -> None:
    """Here the third: the later components, hours of Square's queries, are never begun."""

    class Late(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.broken = False

        def forward(self, x: Tensor) -> Tensor:
            logits: Tensor = network(x)
            return logits * torch.nan if self.broken else logits

    late, begun = Late(), list[int]()

    def keep(point: aa.Point) -> None:
        begun.append(point.done)
        late.broken = point.done == aa.Point.COMPONENTS.index("fab-t")

    x, y = (tensor[:40] for tensor in everyone)
    with pytest.raises(NotFinite, match=r"^aa \(fab-t\): .*logits .* of \d+ images"):
        aa.attack_chunk(late, x, y, index=0, keep=keep, **SHORT)
    assert begun == [0, 1, 2]


def test_the_chunk_is_part_of_the_result(network: nn.Module, everyone: tuple[Tensor, Tensor]) -> None:
    assert aa_parts.chunk_seed(3, 0) != aa_parts.chunk_seed(3, 1) != aa_parts.chunk_seed(4, 0)
    attacked = [aa.attack_chunk(network, *everyone, index=index, **SHORT) for index in (0, 1)]
    assert not torch.equal(*attacked)


def test_fools_images_or_leaves_them_clean(network: nn.Module, everyone: tuple[Tensor, Tensor]) -> None:
    x, y = everyone[0][:60], everyone[1][:60].clone()
    y[:3] = (y[:3] + 1) % 10  # three that the network gets wrong
    correct = network(x).argmax(1) == y
    x_adv = aa.attack(network, x, y, chunk=20, **SHORT)
    survived = network(x_adv).argmax(1) == y
    unchanged = (x_adv == x).flatten(1).all(1)
    assert not correct[:3].any()
    assert not (survived & ~correct).any()
    assert torch.equal(unchanged, survived | ~correct)
    assert 0 < survived.sum() < correct.sum()


def test_the_shortened_version_is_the_same_attack_with_less_patience(network: nn.Module) -> None:
    adversary = aa_parts.package().AutoAttack(network, eps=EPS, seed=0, version="standard")
    aa_parts.adjust(adversary, 10, aa_parts.settings_of("shortened", {"iterations": 20, "queries": 7}))
    assert adversary.attacks_to_run == pyautoattack.AutoAttack(network).attacks_to_run == list(aa.Point.COMPONENTS)
    for apgd in (adversary.apgd, adversary.apgd_targeted):
        remade = type(apgd)(network, n_iter=20, eps=EPS)
        for name in ("n_iter", "n_iter_orig", "n_iter_2", "n_iter_min", "size_decr", "eps"):
            assert getattr(apgd, name) == getattr(remade, name), name
        assert apgd.n_restarts == 1
    assert (adversary.fab.n_iter, adversary.fab.n_restarts, adversary.square.n_queries) == (20, 1, 7)
    assert adversary.apgd_targeted.n_target_classes == adversary.fab.n_target_classes == 3


@pytest.mark.parametrize(("classes", "targets"), [(4, 3), (10, 9), (100, 9)])
def test_standard_targets_nine_classes_or_all_there_are(classes: int, targets: int, network: nn.Module) -> None:
    adversary = pyautoattack.AutoAttack(network)
    aa_parts.adjust(adversary, classes, None)
    assert adversary.apgd_targeted.n_target_classes == adversary.fab.n_target_classes == targets


def few_classes(classes: int) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(64, classes))


def test_four_classes_are_enough(x: Tensor) -> None:
    network = few_classes(4)
    y = network(x).argmax(1)
    options = SHORT | {"iterations": 3, "target_classes": 9, "queries": 5}
    assert aa.attack(network, x, y, chunk=6, **options).shape == x.shape


def test_three_classes_are_the_users_mistake(x: Tensor, y: Tensor) -> None:
    with pytest.raises(UserError, match="4 classes or more, the network has 3"):
        aa.attack(few_classes(3), x, y % 3, chunk=6, **SHORT)


@pytest.mark.parametrize(
    ("version", "queries", "message"),
    [("standrad", None, "did you mean 'standard'"), ("standard", 100, "can't be cut, but got queries")],
)
def test_settings_that_it_does_not_have_are_refused(
    version: Any, queries: int | None, message: str, network: nn.Module, x: Tensor, y: Tensor
) -> None:
    with pytest.raises(UserError, match=message):
        aa.attack(network, x, y, eps=EPS, seed=0, chunk=6, version=version, queries=queries)


def test_global_random_numbers_and_tracing_go_on_as_before(network: nn.Module, x: Tensor, y: Tensor) -> None:
    def trace(*_args: object) -> None:
        return None

    states = torch.get_rng_state(), random.getstate(), np.random.get_state()[1]  # noqa: NPY002
    before = sys.gettrace()
    sys.settrace(trace)
    try:
        aa.attack(network, x, y, chunk=6, **SHORT)
        assert sys.gettrace() is trace
    finally:
        sys.settrace(before)
    assert torch.equal(torch.get_rng_state(), states[0])
    assert random.getstate() == states[1]
    assert np.array_equal(np.random.get_state()[1], states[2])  # noqa: NPY002


class Upstream:
    """github.com/fra31/auto-attack's constructor and return value around the same attacks."""

    made: list[dict[str, Any]]

    def __init__(
        self, model, norm="Linf", eps=0.3, seed=None, verbose=True, attacks_to_run=(), version="standard",
        is_tf_model=False, device="cuda", log_path=None,
    ) -> None:  # fmt: skip
        self.made.append({"verbose": verbose, "version": version, "device": device})
        self.inner = pyautoattack.AutoAttack(model, norm=norm, eps=eps, seed=seed, version=version, device=device)
        self.apgd, self.apgd_targeted = self.inner.apgd, self.inner.apgd_targeted
        self.fab, self.square = self.inner.fab, self.inner.square

    def run_standard_evaluation(self, x_orig: Tensor, y_orig: Tensor, bs: int = 250, return_labels: bool = False):
        x_adv, y_adv = self.inner.run_standard_evaluation(x_orig, y_orig, batch_size=bs)
        return (x_adv, y_adv) if return_labels else x_adv


def test_upstreams_package_serves_as_well(
    monkeypatch: pytest.MonkeyPatch, network: nn.Module, x: Tensor, y: Tensor
) -> None:
    expected = aa.attack(network, x, y, chunk=6, **SHORT)
    upstream = ModuleType("autoattack")
    upstream.AutoAttack = Upstream  # type: ignore[attr-defined]
    monkeypatch.setattr(Upstream, "made", [], raising=False)
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    monkeypatch.setitem(sys.modules, "autoattack", upstream)
    assert torch.equal(aa.attack(network, x, y, chunk=6, **SHORT), expected)
    assert Upstream.made == [{"verbose": False, "version": "standard", "device": x.device}] * 2

    fooled = torch.where(y == 0, 1, 0)  # nothing is classified so: standard has nothing left to do
    assert torch.equal(aa.attack(network, x[:2], fooled[:2], eps=EPS, seed=0, chunk=2), x[:2])
    assert Upstream.made[-1]["version"] == "standard"


def test_without_a_package_the_user_is_told_what_to_install(
    monkeypatch: pytest.MonkeyPatch, network: nn.Module, x: Tensor, y: Tensor
) -> None:
    monkeypatch.setitem(sys.modules, "pyautoattack", None)
    monkeypatch.setitem(sys.modules, "autoattack", None)
    with pytest.raises(UserError, match="pip install pyautoattack"):
        aa.attack(network, x, y, chunk=6, **SHORT)
