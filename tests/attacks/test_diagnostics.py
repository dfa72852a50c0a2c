"""Do the diagnostics see masked gradients and an unfinished attack, and leave verdicts and networks alone?"""

import json
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, cast

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka import streams, training
from ataka.attacks import aa, aa_log, aa_parts, aa_warnings, diagnostics, pgd
from ataka.attacks.verdicts import Verdicts
from ataka.datasets.images import Split
from ataka.evaluation import evaluate
from ataka.files.resume import State
from ataka.machine import memory
from baselines.natural import Natural
from tests import tiny

PGD: dict[str, Any] = {"kind": "pgd", "eps": "12/255", "step_size": "2/255", "steps": 20}
PGD |= {"clamp_start": False, "images": None}
AA = {"kind": "aa", "eps": "12/255", "version": "shortened", "chunk": 8}
AA |= {"iterations": 5, "target_classes": 2, "queries": 60}


class Masked(nn.Module):
    """Another network's logits, and a gradient that is exactly 0."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        return self.network(x.detach()) + 0 * x.flatten(1).sum(1, keepdim=True)


@pytest.fixture
def network() -> nn.Module:
    """It has learnt 30 images by heart."""
    learner, setup = tiny.convolutional(1), tiny.setup(epochs=15, learning_rate=0.2, milestones=())
    training.train([learner], Natural(), tiny.split(30), replace(tiny.FACTS, shift=0, flip=False), setup, seed=0)
    return learner.eval()


@pytest.fixture
def split(network: nn.Module) -> Split:
    """30 images that the network gets right."""
    images = tiny.split(30).images
    return Split(images, network(images.float() / 255).argmax(1))


def test_a_sound_network_and_attack(network: nn.Module, split: Split) -> None:
    found = diagnostics.of_pgd(network, PGD, split, seed=0)
    assert found["zero_gradient_share"] == 0
    assert found["clamped_share"] == 0
    assert 0 < found["loss_rise"] < 0.05
    assert found["accuracy_at_eps_1"] == 0
    assert found["classes"] == tiny.CLASSES


def test_masked_gradients_show(network: nn.Module, split: Split) -> None:
    found = diagnostics.of_pgd(Masked(network), PGD, split, seed=0)
    assert found["zero_gradient_share"] == 1
    assert found["accuracy_at_eps_1"] > 100 / tiny.CLASSES


class Clamping(nn.Module):
    """A network that clamps its images, with a gradient of 0 at the bounds under every version of torch."""

    def __init__(self, network: nn.Module, low: float = 0.0, high: float = 1.0) -> None:
        super().__init__()
        self.network, self.low, self.high = network, low, high

    def forward(self, x: Tensor) -> Tensor:
        return self.network(functional.hardtanh(x, self.low, self.high))


def test_a_network_that_clamps_its_images_shows(network: nn.Module, split: Split) -> None:
    some = Split(split.images.clone(), split.labels)
    some.images[::2, :, :2] = 255  # of every other image two rows in white, of the others one in black
    some.images[1::2, :, 3] = 0
    bounds = (some.pixels() == 0) | (some.pixels() == 1)
    assert 0.1 < bounds.double().mean() < 0.3

    def share(clamping: nn.Module, images: Split = some) -> float:
        return diagnostics.of_pgd(clamping.eval(), PGD, images, seed=0)["clamped_share"]

    assert share(network) == 0
    assert share(Clamping(network)) > 0.9  # all but those that the rectifier leaves without a gradient anyway
    black = float((some.pixels() == 0).sum() / bounds.sum())
    assert share(Clamping(network, high=2.0)) == pytest.approx(black, abs=0.05)
    assert share(Clamping(network, -1.0, 2.0)) == 0
    assert share(Masked(network)) == 0  # a gradient that is 0 everywhere is another check's
    assert share(Clamping(network), Split(some.images.clamp(1, 254), some.labels)) == 0


def test_a_network_that_draws_shows_and_is_measured_alike_each_time(network: nn.Module, split: Split) -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return network(x) + torch.randn(len(x), tiny.CLASSES)

    first = diagnostics.of_pgd(Noisy(), PGD, split, seed=0)
    torch.rand(1)
    assert first["random_share"] == 1
    assert diagnostics.of_pgd(Noisy(), PGD, split, seed=0) == first
    assert diagnostics.of_pgd(network, PGD, split, seed=0)["random_share"] == 0


def test_zero_gradients_are_counted_image_by_image(network: nn.Module, split: Split) -> None:
    class HalfMasked(Masked):
        def forward(self, x: Tensor) -> Tensor:
            masked, sound = super().forward(x), self.network(x)
            return torch.where((x.flatten(1).mean(1) > threshold)[:, None], masked, sound)

    means = split.pixels().flatten(1).mean(1)
    threshold = means.median()
    found = diagnostics.of_pgd(HalfMasked(network), PGD, split, seed=0)
    assert found["zero_gradient_share"] == pytest.approx(float((means > threshold).double().mean()))


@pytest.mark.parametrize(("steps", "last"), [(20, 2), (7, 1)])
def test_the_rise_is_that_of_the_evaluations_own_attack(
    network: nn.Module, split: Split, steps: int, last: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings: dict[str, Any] = {"eps": 12 / 255, "step_size": 2 / 255}
    x, y = split.pixels(), split.labels

    def loss(steps: int) -> float:
        start = pgd.draw(x, eps=12 / 255, generator=streams.generator(3, "evaluate", "pgd"))
        x_adv = pgd.attack(network, x, y, **settings, steps=steps, start=start)
        return functional.cross_entropy(network(x_adv), y).item()

    clean = functional.cross_entropy(network(x), y).item()
    expected = (loss(steps) - loss(steps - last)) / (loss(steps) - clean)
    monkeypatch.setattr(memory, "BATCH", 7)
    found = diagnostics.of_pgd(network, PGD | {"steps": steps}, split, seed=3)["loss_rise"]
    assert found == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("eps", "rise"), [("100/255", 0.1), ("0.019", 0.0526), ("0.01", 0.0)])
def test_a_loss_that_grows_evenly_brings_a_tenth_in_the_last_tenth(
    split: Split, monkeypatch: pytest.MonkeyPatch, eps: str, rise: float
) -> None:
    """And nothing once the boundary is reached."""

    class Linear(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            wrong = x.double().flatten(1).sum(1) + 1e3  # so sure that the loss is this margin
            return torch.stack([-wrong, torch.zeros_like(wrong)], 1)

    monkeypatch.setattr(pgd, "draw", lambda x, **_: x)  # from the image itself
    grey = Split(torch.full_like(split.images, 128), torch.zeros_like(split.labels))
    found = diagnostics.of_pgd(Linear(), PGD | {"eps": eps, "step_size": "0.001"}, grey, seed=0)["loss_rise"]
    assert found == pytest.approx(rise, abs=1e-3)


def test_without_steps_or_a_gain_nothing_rises(network: nn.Module, split: Split) -> None:
    assert diagnostics.of_pgd(network, PGD | {"eps": "0"}, split, seed=0)["loss_rise"] == 0
    assert diagnostics.of_pgd(network, PGD | {"steps": 0}, split, seed=0)["loss_rise"] == 0


def test_only_the_images_that_are_attacked_are_looked_at(network: nn.Module, split: Split) -> None:
    found = diagnostics.of_pgd(network, PGD | {"images": 10}, split, seed=0)
    assert found == diagnostics.of_pgd(network, PGD, split.first(10), seed=0)


def test_verdicts_and_network_are_left_alone(network: nn.Module, split: Split) -> None:
    network.train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    evaluated = {name: value for name, value in PGD.items() if name != "clamp_start"}
    first = evaluate(network, evaluated, split, seed=0).correct
    found = diagnostics.of_pgd(network, PGD, split, seed=0)
    assert found == diagnostics.of_pgd(network, PGD, split, seed=0)
    assert torch.equal(evaluate(network, evaluated, split, seed=0).correct, first)
    assert network.training
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())


# ---- AutoAttack


def test_images_that_stood_before_square_are_counted(network: nn.Module, split: Split) -> None:
    masked = evaluate(Masked(network), AA, split, seed=0)
    assert masked.counts["before_square"] > 20  # a gradient of 0 leads no further than the random start
    assert int(masked.correct.sum()) < masked.counts["before_square"] - 5
    sound = evaluate(network, AA, split, seed=0)
    assert int(sound.correct.sum()) <= sound.counts["before_square"] < 30
    assert evaluate(network, {"kind": "clean"}, split, seed=0).counts["before_square"] == 0


class Kept:
    """Remembers every state, and goes on from the one it is told to."""

    def __init__(self, state: State | None = None) -> None:
        self.state, self.states = state, list[State]()

    def restore(self, take: Callable[[State], None]) -> None:
        if self.state:
            take(self.state)

    def keep(self, where: str, make: Callable[[], Any]) -> None:
        tensors, facts = make()
        self.states.append(State(where, tensors, json.loads(json.dumps(facts))))


def test_an_interruption_loses_no_count_and_no_warning(network: nn.Module, split: Split) -> None:
    """Between any two components, and between chunks: what the cell says is what it would have said."""
    masked, few = Masked(network), split.first(16)

    def diagnosed(states: Kept) -> tuple[Verdicts, dict[str, object]]:
        run = partial(evaluate, masked, AA, few, seed=0, states=cast(Any, states))
        return aa_warnings.diagnose(run, masked, AA, few, seed=0)

    kept = Kept()
    whole, said = diagnosed(kept)
    assert whole.counts["before_square"] == said["before_square"] != 0
    assert said["warned"] == 1
    assert "zero gradient" in str(said["warnings"])
    assert {
        point for state in kept.states for point in [*aa.Point.COMPONENTS, "the verdicts"] if point in state.where
    } == {
        *aa.Point.COMPONENTS,
        "the verdicts",
    }
    for state in kept.states:
        resumed, again = diagnosed(Kept(state))
        assert torch.equal(resumed.correct, whole.correct)
        assert resumed.counts == whole.counts
        assert again == said


def test_autoattacks_warnings_are_counted_once_each(network: nn.Module, split: Split) -> None:
    counts = evaluate(Masked(network), AA, split, seed=0).counts
    warnings = aa_parts.warnings_in(counts)
    assert len(warnings) > 1  # other numbers of images
    (text,) = aa_log.merged(warnings)
    assert text.startswith("there are ")
    assert "zero gradient" in text
    assert "flags_doc" not in text
    assert aa_log.merged(warnings)[text] == warnings.total() > len(split) / AA["chunk"]
    assert not aa_parts.warnings_in(evaluate(network, AA, split.first(8), seed=0).counts)


def test_its_own_checks_see_probabilities_and_chance(network: nn.Module, split: Split) -> None:
    class Noisy(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return network(x) + torch.randn(len(x), tiny.CLASSES)

    def said(model: nn.Module) -> str:
        warnings = Counter[str]()
        with aa_log.heard(warnings):
            aa_warnings.check(model, split.pixels())
        return "; ".join(warnings)

    assert said(network) == ""
    assert "probability distribution" in said(nn.Sequential(network, nn.Softmax(1)))
    assert "randomized" in said(Noisy())


def test_where_memory_is_short_they_say_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    """A PGD cell that went on in smaller pieces is not lost to its own health checks."""
    network, split = tiny.convolutional().eval(), tiny.split(12)
    attack = {"eps": "16/255", "step_size": "4/255", "steps": 10, "clamp_start": False, "images": None}
    expected = diagnostics.of_pgd(network, attack, split, seed=0)
    forward = network.forward

    def with_room_for_five(x: torch.Tensor) -> torch.Tensor:
        if len(x) > 5:
            raise torch.OutOfMemoryError("CUDA out of memory.")
        return forward(x)

    monkeypatch.setattr(network, "forward", with_room_for_five)
    found = diagnostics.of_pgd(network, attack, split, seed=0)
    assert found == pytest.approx(expected, rel=1e-6)
