"""AutoAttack in l_2, AutoAttack plus and APGD alone: the package's own bits, chunk by chunk."""

import math
from typing import Any

import pyautoattack
import pytest
import torch
from pyautoattack.autopgd_base import APGDAttack, APGDAttack_targeted
from torch import Tensor, nn

from ataka.attacks import aa, aa_l2, aa_log, aa_parts, aa_plus, aa_warnings, apgd
from ataka.datasets.images import Split
from ataka.errors import UserError
from ataka.evaluation import evaluate
from ataka.study import attacks, config

Images = tuple[Tensor, Tensor]
EPS, RADIUS, SEED = 0.06, 0.35, 3
CUTS = {"iterations": 4, "target_classes": 2, "queries": 20}
SHORT: dict[str, Any] = {"version": "shortened", "seed": SEED, **CUTS}
KINDS: dict[str, tuple[Any, dict[str, Any]]] = {
    "aa_l2": (aa_l2, SHORT | {"radius": RADIUS}),
    "aa_plus": (aa_plus, SHORT | {"eps": EPS}),
}
NORMS = {"aa_l2": {"norm": "L2", "eps": RADIUS}, "aa_plus": {"norm": "Linf", "eps": EPS}}


def packages_own(network: nn.Module, kind: str, index: int) -> Any:
    """The package's object for a chunk; the cut-down components set by hand."""
    version = "plus" if kind == "aa_plus" else "standard"
    return pyautoattack.AutoAttack(network, seed=aa_parts.chunk_seed(SEED, index), version=version, **NORMS[kind])


def shorten(adversary: Any) -> Any:
    for each in (adversary.apgd, adversary.apgd_targeted):
        made = type(each)(each.model, n_iter=4, eps=each.eps)
        for name in ("n_iter", "n_iter_orig", "n_iter_2", "n_iter_min", "size_decr"):
            setattr(each, name, getattr(made, name))
        each.n_restarts = 1
    adversary.apgd_targeted.n_target_classes = adversary.fab.n_target_classes = 2
    adversary.fab.n_restarts, adversary.fab.n_iter, adversary.square.n_queries = 1, 4, 20
    return adversary


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The package's versions as they are, with restarts and targets, but for the longest searches."""
    original = pyautoattack.AutoAttack._set_version

    def set_version(self: Any, version: str) -> None:
        original(self, version)
        self.square.n_queries, self.fab.n_iter, self.apgd.n_iter, self.apgd_targeted.n_iter = 40, 8, 12, 12

    monkeypatch.setattr(pyautoattack.AutoAttack, "_set_version", set_version)


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("kind", KINDS)
def test_each_whole_version_is_the_packages_own(kind: str, network: nn.Module, everyone: Images) -> None:
    """Two chunks, each attacked by an object of its own: of one object, FAB has one restart in the second chunk."""
    x, y = (tensor[:30] for tensor in everyone)
    module, options = KINDS[kind]
    budget = {name: options[name] for name in ("eps", "radius") if name in options}
    chunks = [slice(0, 20), slice(20, 30)]
    expected = [
        packages_own(network, kind, index).run_standard_evaluation(x[chunk], y[chunk], batch_size=20)[0]
        for index, chunk in enumerate(chunks)
    ]
    x_adv = module.attack(network, x, y, seed=SEED, chunk=20, **budget)
    assert torch.equal(x_adv, torch.cat(expected))
    survived = network(x_adv).argmax(1) == y
    assert 0 < survived.sum() < 30  # so that every component had something to do


@pytest.mark.parametrize("kind", KINDS)
def test_a_chunk_goes_on_from_each_of_its_points_to_the_same_bits(
    kind: str, network: nn.Module, everyone: Images
) -> None:
    """And its points are those of the package's own loop, stopped after each component."""
    x, y = (tensor[:60] for tensor in everyone)
    module, options = KINDS[kind]
    points: list[aa_parts.Point] = []
    whole = module.attack_chunk(network, x, y, index=0, keep=points.append, **options)
    names = module.Point.COMPONENTS
    assert [point.done for point in points] == [*range(len(names) + 1)]
    standing = [int(point.standing.sum()) for point in points]
    assert standing == sorted(standing, reverse=True)
    assert standing[0] > standing[1]
    assert standing[-1] > 0
    square = names.index("square")
    assert points[-1].before_square == standing[square]
    assert points[-1].counts["after_square"] == standing[square + 1]
    assert points[1].message == f"{names[1]} on {standing[1]} of 60 images"
    assert points[-1].message == "the verdicts"
    for point in points:
        assert torch.equal(module.attack_chunk(network, x, y, index=0, point=point, **options), whole)
        adversary = shorten(packages_own(network, kind, 0))
        adversary.attacks_to_run = list(names[: point.done])
        expected, predicted = adversary.run_standard_evaluation(x, y, batch_size=60)
        assert torch.equal(point.x_adv, expected)
        assert torch.equal(point.standing, predicted == y)


def test_within_the_l2_ball(network: nn.Module, everyone: Images) -> None:
    x, y = (tensor[:60] for tensor in everyone)
    x_adv = aa_l2.attack(network, x, y, chunk=20, radius=RADIUS, **SHORT)
    lengths = (x_adv - x).double().flatten(1).norm(dim=1)
    assert RADIUS * 0.9 < lengths.max() <= RADIUS * (1 + 1e-6)
    assert (x_adv - x).abs().max() > RADIUS / 8  # no l_inf ball of the same volume of work


@pytest.mark.parametrize("radius", [0.0, -1.0, math.nan, math.inf])
def test_refuses_a_senseless_radius(radius: float, network: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(ValueError, match="radius must be finite and above 0"):
        aa_l2.attack(network, x, y, chunk=6, radius=radius, **SHORT)


def test_refuses_images_that_square_cannot_tile(x: Tensor, y: Tensor) -> None:
    network = nn.Sequential(nn.Flatten(), nn.Linear(16, 10))
    with pytest.raises(UserError, match="5 x 5 pixels or more"):
        aa_l2.attack(network, x[..., :4, :4], y, chunk=6, radius=RADIUS, **SHORT)


def test_squares_gain_is_that_of_its_own_place(network: nn.Module, everyone: Images) -> None:
    """In plus, APGD-T and FAB-T come after it and take images, too."""
    split = Split((255 * everyone[0][:60]).round().to(torch.uint8), everyone[1][:60])
    options = {"kind": "aa_plus", "eps": str(EPS), "version": "shortened", "chunk": 30, "images": None, **CUTS}
    runs = []

    def run() -> Any:
        runs.append(evaluate(network, options, split, seed=SEED))
        return runs[0]

    verdicts, columns = aa_warnings.diagnose(run, network, options, split, seed=SEED)
    before, after = (verdicts.counts[name] for name in ("before_square", "after_square"))
    assert before >= after >= int(verdicts.correct.sum()) > 0
    assert columns["before_square"] == before
    assert columns["square_gain"] == pytest.approx(100 * (before - after) / 60)
    assert {"warned", "warnings"} <= set(columns)


# ---- APGD alone


def alone(network: nn.Module, loss: str, *, restarts: int, index: int) -> Any:
    """The package's own object for a chunk."""
    arguments = {
        "n_iter": 7,
        "eps": EPS,
        "n_restarts": restarts,
        "seed": aa_parts.chunk_seed(SEED, index),
        "device": "cpu",
    }
    if loss == "targeted":
        return APGDAttack_targeted(network, n_target_classes=3, logger=aa_log.LOGGER, **arguments)
    return APGDAttack(network, loss=loss, logger=aa_log.LOGGER, **arguments)


@pytest.mark.parametrize("restarts", [1, 3])
@pytest.mark.parametrize("loss", ["ce", "dlr", "targeted"])
def test_apgd_is_the_packages_own(loss: Any, restarts: int, network: nn.Module, everyone: Images) -> None:
    x, y = (tensor[:50] for tensor in everyone)
    options = {"loss": loss, "iterations": 7, "restarts": restarts, "target_classes": 3}
    x_adv = apgd.attack(network, x, y, eps=EPS, seed=SEED, chunk=30, **options)
    expected = [
        alone(network, loss, restarts=restarts, index=index).perturb(x[chunk], y[chunk])
        for index, chunk in enumerate((slice(0, 30), slice(30, 50)))
    ]
    assert torch.equal(x_adv, torch.cat(expected).detach())
    assert 0 < (network(x_adv).argmax(1) == y).sum() < 50


def test_apgd_on_the_cross_entropy_is_the_first_component_of_autoattack(network: nn.Module, everyone: Images) -> None:
    x, y = (tensor[:50] for tensor in everyone)
    points: list[aa.Point] = []
    aa.attack_chunk(network, x, y, eps=EPS, seed=SEED, index=0, keep=points.append, **{"version": "shortened"} | CUTS)
    x_adv = apgd.attack(network, x, y, eps=EPS, seed=SEED, chunk=50, iterations=4)
    assert torch.equal(x_adv, points[1].x_adv)


def test_more_restarts_leave_no_more_standing(network: nn.Module, everyone: Images) -> None:
    x, y = everyone
    once, often = (
        network(apgd.attack(network, x, y, eps=0.08, seed=SEED, chunk=200, iterations=2, restarts=n)).argmax(1) == y
        for n in (1, 8)
    )
    assert not (often & ~once).any()
    assert often.sum() < once.sum()


@pytest.mark.parametrize(("loss", "classes"), [("ce", 2), ("dlr", 3), ("targeted", 4)])
def test_apgd_needs_as_many_classes_as_its_loss(loss: Any, classes: int, x: Tensor) -> None:
    for there in (classes, classes - 1):
        network = nn.Sequential(nn.Flatten(), nn.Linear(64, there))
        y = network(x).argmax(1)
        if there == classes:
            assert apgd.attack(network, x, y, eps=EPS, seed=0, chunk=6, loss=loss, iterations=3).shape == x.shape
        elif there > 1:
            with pytest.raises(UserError, match=f"needs {classes} classes or more, the network has {there}"):
                apgd.attack(network, x, y, eps=EPS, seed=0, chunk=6, loss=loss, iterations=3)


def test_apgd_refuses_a_loss_that_it_does_not_have(network: nn.Module, x: Tensor, y: Tensor) -> None:
    with pytest.raises(ValueError, match="loss is one of ce, dlr, targeted, not 'cw'"):
        apgd.attack(network, x, y, eps=EPS, seed=0, chunk=6, loss="cw")  # type: ignore[arg-type]


def test_its_warnings_are_in_its_cell(x: Tensor, y: Tensor) -> None:
    """A network without a gradient: the DLR loss of the package warns of it."""

    class Flat(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            fixed = nn.functional.one_hot(torch.arange(len(x)) % 10, 10).to(x)
            return 5 * fixed - 1 + 0 * x.flatten(1).sum(1, keepdim=True)

    split = Split((255 * x).round().to(torch.uint8), y)
    options = {"kind": "apgd", "eps": str(EPS), "loss": "dlr", "iterations": 2, "chunk": 12, "images": None}
    settings = attacks.describe("apgd", {name: options[name] for name in options if name != "kind"}).settings
    _, columns = aa_warnings.diagnose(
        lambda: evaluate(Flat(), settings, split, seed=0), Flat(), settings, split, seed=0
    )
    assert columns["warned"] == 1
    assert "12 points with zero gradient" in str(columns["warnings"])


@pytest.mark.parametrize("kind", ["aa-l2", "aa-plus"])
def test_the_three_cuts_belong_to_the_shortened_version(kind: str) -> None:
    with pytest.raises(UserError, match="version: shortened needs iterations, target_classes and queries"):
        config.load("smoke", {"attacks": {kind: {"queries": None}}})
    whole = "plus" if kind == "aa-plus" else "standard"
    with pytest.raises(UserError, match=f"iterations is for version: shortened; the {whole} version has no such"):
        config.load("smoke", {"attacks": {kind: {"version": whole}}})
