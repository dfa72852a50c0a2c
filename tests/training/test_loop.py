"""Does the one loop do what its set-up says, and the same each time?"""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ataka import datasets, training
from ataka.attacks.check import AttackError
from ataka.attacks.finite import NotFinite
from ataka.datasets import views
from ataka.errors import UserError
from ataka.objectives.teachers import Teachers
from ataka.training import Batch, Collapsed, Diverged, loop, meters, sgd, watchers
from ataka.training.epoch import cuts, streams_of
from ataka.training.meters import Meter
from baselines import sat
from baselines.natural import Natural
from tests import tiny


def train(networks: list[nn.Module], objective: object, count: int = 14, seed: int = 0, **setup: object) -> list[dict]:
    return training.train(networks, objective, tiny.split(count), tiny.FACTS, tiny.setup(**setup), seed=seed)


# ---- the schedule and the update


def test_the_history_says_which_rate_was_in_force() -> None:
    history = train([tiny.linear()], Natural(), epochs=4, milestones=(1, 3), decay=0.5, learning_rate=0.08)
    assert [row["learning_rate"] for row in history] == [0.08, 0.04, 0.04, 0.02]
    assert [row["epoch"] for row in history] == [1, 2, 3, 4]


@pytest.mark.parametrize(("momentum", "weight_decay"), [(0.9, 0.05), (0.0, 0.05), (0.9, 0.0)])
def test_the_update_is_sgd_by_hand(momentum: float, weight_decay: float) -> None:
    """Softmax regression: v <- m v + (dCE/dw + wd w); w <- w - lr v, weight and bias alike, in float64."""
    network = tiny.linear(3)
    weight, bias = (parameter.detach().double() for parameter in network.parameters())
    velocity = [torch.zeros_like(weight), torch.zeros_like(bias)]
    images = tiny.split(14)
    for epoch in range(3):
        rate = 0.3 if epoch < 2 else 0.03
        view = views.view(9, epoch, 14, shift=tiny.FACTS.shift, flip=tiny.FACTS.flip)
        x_all = view.apply(images.images).double().flatten(1) / 255
        y_all = images.labels[view.order]
        for x, y in zip(x_all.split(4), y_all.split(4), strict=True):
            error = torch.softmax(x @ weight.T + bias, 1)
            error[torch.arange(len(y)), y] -= 1
            gradients = [error.T @ x / len(y), error.mean(0)]
            for place, (parameter, gradient) in enumerate(zip((weight, bias), gradients, strict=True)):
                velocity[place] = momentum * velocity[place] + gradient + weight_decay * parameter
                parameter -= rate * velocity[place]
    setup = {"epochs": 3, "learning_rate": 0.3, "milestones": (2,), "momentum": momentum, "weight_decay": weight_decay}
    train([network], Natural(), seed=9, **setup)
    for trained, expected in zip(network.parameters(), (weight, bias), strict=True):
        assert torch.allclose(trained.double(), expected, rtol=0, atol=2e-6)


@pytest.mark.parametrize("decayed", ["all", "weights"])
def test_what_weight_decay_reaches(decayed: str) -> None:
    """G2: with a loss that says nothing, a parameter shrinks by (1 - lr wd) a step; weights are not one-dimensional."""

    class Nothing:
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            yield 0 * sum(parameter.sum() for parameter in networks[0].parameters())

    network = tiny.convolutional()
    before = [parameter.detach().clone() for parameter in network.parameters()]
    setup = {"epochs": 1, "learning_rate": 0.5, "momentum": 0.0, "weight_decay": 0.1, "milestones": ()}
    train([network], Nothing(), count=8, decayed=decayed, **setup)
    shrunk = []
    for old, new in zip(before, network.parameters(), strict=True):
        shrunk.append(decayed == "all" or old.ndim > 1)
        assert torch.allclose(new, old * 0.95**2) if shrunk[-1] else torch.equal(new, old)
    assert sum(shrunk) == (len(shrunk) if decayed == "all" else 2)


def test_a_split_update_is_sgd_of_two_groups() -> None:
    """G2: as torch.optim.SGD with weight decay in one of two groups of parameters, over several steps."""
    ours, theirs = tiny.convolutional(), tiny.convolutional()
    weights = [parameter for parameter in theirs.parameters() if parameter.ndim > 1]
    plain = [parameter for parameter in theirs.parameters() if parameter.ndim == 1]
    groups = [{"params": weights, "weight_decay": 0.1}, {"params": plain, "weight_decay": 0.0}]
    reference = torch.optim.SGD(groups, lr=0.3, momentum=0.9)
    optimiser = sgd.SGD(ours, tiny.setup(momentum=0.9, weight_decay=0.1, decayed="weights"))
    for step in range(4):
        batch = tiny.batch(seed=step)
        for network, one in ((ours, optimiser), (theirs, reference)):
            one.zero_grad()
            torch.nn.functional.cross_entropy(network(batch.x), batch.y).backward()
        optimiser.step(0.3)
        reference.step()
        assert tiny.same(tiny.state(ours), tiny.state(theirs))


@pytest.mark.parametrize(("augmentation", "differ"), [("crop-flip", True), ("none", False)])
def test_augmentation_is_a_choice(augmentation: str, differ: bool) -> None:
    """G6: without it every epoch shows the images themselves, in an order of its own."""
    seen: list[tuple[Tensor, Tensor]] = []

    class Looks:
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            seen.append((batch.index, batch.x))
            yield networks[0](batch.x).sum()

    train([tiny.linear()], Looks(), augmentation=augmentation)
    images = tiny.split(14).pixels()
    assert any(not torch.equal(x, images[index]) for index, x in seen) == differ
    assert not torch.equal(seen[0][0], seen[len(seen) // 2][0])


# ---- what an objective sees


class Spy:
    """Records its batches; descends a loss of no consequence."""

    def __init__(self) -> None:
        self.batches: list[Batch] = []
        self.modes: list[bool] = []

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        self.batches.append(batch)
        self.modes += [module.training for network in networks for module in network.modules()]
        batch.log("size", torch.tensor(float(len(batch.y))))
        batch.log("size_max", torch.tensor(float(batch.index.max())))
        for network in networks:
            yield network(batch.x).square().mean()
            network.eval()


def test_batches_show_the_epochs_view_of_the_images() -> None:
    spy, images = Spy(), tiny.split(14)
    train([tiny.convolutional()], spy, seed=2)
    assert [len(batch.y) for batch in spy.batches] == [4, 4, 4, 2] * 2
    for epoch in range(2):
        view = views.view(2, epoch, 14, shift=1, flip=True)
        batches = spy.batches[4 * epoch : 4 * epoch + 4]
        assert torch.equal(torch.cat([batch.index for batch in batches]), view.order)
        assert torch.equal(torch.cat([batch.y for batch in batches]), images.labels[view.order])
        assert torch.equal(torch.cat([batch.x for batch in batches]), view.apply(images.images).float() / 255)
    assert images.digest() == tiny.split(14).digest()


def test_networks_train_in_training_mode_each_epoch() -> None:
    spy = Spy()
    train([tiny.convolutional(), tiny.dense()], spy, batch_size=14, epochs=2)
    assert spy.modes
    assert all(spy.modes)


def test_history_averages_over_images_and_keeps_maxima() -> None:
    spy = Spy()
    history = train([tiny.convolutional(), tiny.dense()], spy)
    assert history[0]["size"] == pytest.approx((3 * 4 * 4 + 2 * 2) / 14)
    assert history[0]["size_max"] == 13
    assert list(history[0])[:2] == ["epoch", "learning_rate"]
    assert {"loss0", "loss1"} < set(history[0])
    assert "loss" in train([tiny.dense()], Spy())[0]


def test_a_loss_is_the_mean_over_the_epochs_images() -> None:
    """With a rate too small to move anything, it is the initial network's loss."""
    network = tiny.linear(1)
    initial = tiny.linear(1)
    (row,) = train([network], Natural(), epochs=1, learning_rate=1e-20, milestones=())
    view = views.view(0, 0, 14, shift=1, flip=True)
    logits = initial(view.apply(tiny.split(14).images).float() / 255)
    expected = nn.functional.cross_entropy(logits, tiny.split(14).labels[view.order])
    assert row["loss"] == pytest.approx(expected.item(), rel=1e-6)


@given(st.lists(st.tuples(st.floats(-5, 5), st.integers(1, 9)), min_size=1, max_size=6))
def test_the_meter_weighs_by_size(values: list[tuple[float, int]]) -> None:
    meter = Meter()
    for value, size in values:
        meter.add(size, "loss", torch.tensor(value, dtype=torch.float64))
        meter.add(size, "k_max", torch.tensor(value, dtype=torch.float64))
    row = meter.row()
    mean = sum(value * size for value, size in values) / sum(size for _, size in values)
    assert row["loss"] == pytest.approx(mean, abs=1e-9)
    assert row["k_max"] == max(value for value, _ in values)


def test_updates_follow_after_the_last_loss() -> None:
    """The second network's loss is computed from the first one's old weights, though it was back-propagated."""
    seen = []

    class Pair:
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            first, second = networks
            before = tiny.state(first)
            yield first(batch.x).square().mean()
            seen.append(tiny.same(before, tiny.state(first)))
            yield second(batch.x).square().mean()

    networks = [tiny.linear(0), tiny.linear(1)]
    before = tiny.state(networks[0])
    train(networks, Pair())
    assert seen
    assert all(seen)
    assert not tiny.same(before, tiny.state(networks[0]))


def test_an_objective_may_have_its_updates_early_and_once() -> None:
    """C11: what is asked for after ``update`` sees new weights; where nothing does, no bit of the training changes."""
    seen: list[tuple[bool, bool]] = []

    class Pair:
        def __init__(self, calls: int) -> None:
            self.calls = calls

        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            before = [tiny.state(network) for network in networks]
            yield networks[0](batch.x).square().mean()
            for _ in range(self.calls):
                batch.update()
            moved = [not tiny.same(*pair) for pair in zip(before, map(tiny.state, networks), strict=True)]
            seen.append((moved[0], moved[1]))
            yield networks[1](batch.x).square().mean()

    trained = []
    for calls in (0, 1, 2):
        seen.clear()
        networks = [tiny.linear(0), tiny.linear(1)]
        history = train(networks, Pair(calls))
        assert set(seen) == {(calls > 0, False)}
        trained.append((history, [tiny.state(network) for network in networks]))
    for history, states in trained[1:]:
        assert history == trained[0][0]
        assert all(map(tiny.same, states, trained[0][1]))


def test_streams_are_one_an_epoch_and_name() -> None:
    drawn: dict[tuple[int, str, int], Tensor] = {}

    class Drawer(Spy):
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            step = len(self.batches)
            names = [("start", 0), ("start", 1)] if step % 2 else [("start", 1), ("start", 0)]
            for name in names:
                drawn[step, *name] = torch.rand(3, generator=batch.stream(*name))
            return super().losses(networks, batch)

    train([tiny.dense()], Drawer(), count=8)
    values = [tuple(value.tolist()) for value in drawn.values()]
    assert len(set(values)) == len(values) == 8  # 2 epochs x 2 steps x 2 names, none repeated
    fresh = streams_of(0, 1, torch.device("cpu"))
    assert torch.equal(torch.rand(3, generator=fresh("start", 1)), drawn[2, "start", 1])  # whatever was drawn before


# ---- batches


@given(st.integers(1, 60), st.integers(2, 20))
def test_batches_cover_all_but_an_image_left_alone(count: int, size: int) -> None:
    found = list(cuts(count, size))
    covered = [index for start, stop in found for index in range(start, stop)]
    assert covered == list(range(count - (count % size == 1)))
    assert all(2 <= stop - start <= size for start, stop in found)


# ---- determinism and divergence


@pytest.mark.parametrize("arch", tiny.ARCHITECTURES)
def test_equal_runs_are_equal_and_other_seeds_are_not(arch: str) -> None:
    states, histories = [], []
    for seed in (0, 0, 1):
        network = tiny.ARCHITECTURES[arch]()
        histories.append(train([network], Natural(), seed=seed))
        states.append(tiny.state(network))
    assert tiny.same(states[0], states[1])
    assert histories[0] == histories[1]
    assert not tiny.same(states[0], states[2])


def test_training_lowers_the_loss() -> None:
    digits = tiny.cut("digits", train=200, test=10)["train"]
    network = nn.Sequential(nn.Flatten(), nn.Linear(64, 10))
    facts, setup = (
        datasets.find("digits").specification,
        tiny.setup(epochs=5, batch_size=20, learning_rate=0.2, milestones=()),
    )
    history = training.train([network], Natural(), digits, facts, setup, seed=0)
    assert history[-1]["loss"] < 0.7 * history[0]["loss"]


class Bomb:
    """Fine until its step, then of ``value``."""

    def __init__(self, step: int, value: float) -> None:
        self.step, self.value, self.taken = step, value, 0

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        self.taken += 1
        loss = networks[0](batch.x).square().mean()
        yield loss * self.value if self.taken == self.step else loss


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
@pytest.mark.parametrize(("step", "epoch"), [(1, 1), (4, 1), (5, 2), (12, 3)])
def test_divergence_is_noticed_in_its_epoch(value: float, step: int, epoch: int) -> None:
    with pytest.raises(Diverged, match=f"epoch {epoch}") as caught:
        train([tiny.linear()], Bomb(step, value), epochs=3)
    assert caught.value.epoch == epoch == len(caught.value.history)
    assert caught.value.step == (step - 1) % 4 + 1
    assert str(caught.value).endswith(f"in epoch {epoch}, step {caught.value.step}")


@pytest.mark.parametrize("step", [1, 3, 4, 5, 9])
def test_divergence_ends_a_training_within_a_few_steps(step: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(meters, "CHECK", 4)
    bomb = Bomb(step, math.nan)
    with pytest.raises(Diverged, match=rf"epoch 1, step {step}$"):
        train([tiny.linear()], bomb, count=40)
    assert bomb.taken == min(4 * math.ceil(step / 4), 10)


def test_the_second_networks_loss_is_watched_too() -> None:
    class Second:
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            yield networks[0](batch.x).square().mean()
            yield networks[1](batch.x).square().mean() * math.inf

    with pytest.raises(Diverged, match="epoch 1, step 1"):
        train([tiny.linear(0), tiny.linear(1)], Second())


@pytest.mark.parametrize(
    "objective",
    [
        Natural(),
        sat.SAT(sat.Options(eps="8/255", step_size="4/255", steps=2, batchnorm="eval")),
        Teachers(tiny.generator()),
    ],
    ids=["natural", "sat", "teachers"],
)
def test_an_absurd_learning_rate_diverges_and_says_so(objective: object) -> None:
    """An attack on a network of NaN fails first; that, too, is divergence, not a defect of the attack."""
    with pytest.raises(Diverged) as caught:
        train([tiny.dense()], objective, epochs=6, learning_rate=1e30, milestones=())
    assert caught.value.history[-1]["epoch"] == caught.value.epoch


def test_an_attack_that_fails_on_a_sound_network_stays_a_defect() -> None:
    class Broken:
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            raise AttackError("outside its budget")

    with pytest.raises(AttackError, match="outside its budget"):
        train([tiny.dense()], Broken())


class Spoilt(nn.Module):
    """A network whose ``step``-th forward and all later ones add ``root`` of 0 to the logits, or else infinity."""

    def __init__(self, *, root: bool, forward: int) -> None:
        super().__init__()
        self.network, self.root, self.left = tiny.convolutional(), root, forward

    def forward(self, x: Tensor) -> Tensor:
        self.left -= 1
        logits = self.network(x)
        if self.left > 0:
            return logits
        return logits + (x * 0).sqrt().sum((1, 2, 3)).unsqueeze(1) if self.root else logits + torch.inf


SAT = sat.SAT(sat.Options(eps="8/255", step_size="4/255", steps=2, batchnorm="eval"))


@pytest.mark.parametrize("objective", [SAT, Teachers(tiny.generator())], ids=["sat", "teachers"])
def test_gradients_that_are_not_finite_in_a_sound_network_end_its_training_by_name(objective: object) -> None:
    """No rate would mend them: the network has not diverged, and is not trained as if it saw clean images."""
    with pytest.raises(NotFinite, match=r"^epoch 1, step 1: (pgd|svgd): gradients .* at 4 of 4 images"):
        train([Spoilt(root=True, forward=1)], objective)
    with pytest.raises(NotFinite, match=r"^epoch 1, step 3: "):
        train([Spoilt(root=True, forward=7)], SAT)  # two forwards of the attack and one of the loss a step


@pytest.mark.parametrize("objective", [SAT, Teachers(tiny.generator())], ids=["sat", "teachers"])
def test_logits_that_overflow_before_the_weights_do_are_divergence(objective: object) -> None:
    with pytest.raises(Diverged, match=r"epoch 1, step 1$"):
        train([Spoilt(root=False, forward=1)], objective)


def test_outputs_that_overflow_as_an_epoch_ends_are_divergence() -> None:
    """The weights are sound: accuracy, which is measured first, must not count the first class for them."""

    class AtTheEnd(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.network = tiny.convolutional()

        def forward(self, x: Tensor) -> Tensor:
            logits = self.network(x)
            return logits if self.training else logits * torch.inf

    with pytest.raises(Diverged, match=r"epoch 1$"):
        train([AtTheEnd()], Natural())


def test_the_last_update_may_not_ruin_the_weights_unseen() -> None:
    class Cliff:
        """A finite loss whose update overflows."""

        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            yield (next(networks[0].parameters()) * 1e30).sum()

    with pytest.raises(Diverged, match="a loss or a weight"):
        train([tiny.linear()], Cliff(), count=4, epochs=1, milestones=(), learning_rate=1e10)


# ---- collapse


class Dead:
    """Of no consequence; kills the network at the end of the epochs listed, and wakes it after."""

    def __init__(self, epochs: Sequence[int]) -> None:
        self.epochs, self.steps, self.kept = epochs, 0, None

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        network = networks[-1]
        if self.kept is None:
            self.kept = tiny.state(network)
        self.steps += 1
        with torch.no_grad():
            for name, tensor in network.state_dict().items():
                tensor.mul_(0).add_(self.kept[name] * (self.steps not in self.epochs))
        yield from (0 * sum(parameter.sum() for parameter in network.parameters()) for network in networks)


PROBE = tiny.split(loop.PROBE, seed=3)


def probed(networks: list[nn.Module], objective: object, validation: object = PROBE, **setup: object) -> list[dict]:
    """One step an epoch."""
    given = tiny.setup(batch_size=4, milestones=(), **setup)
    return training.train(networks, objective, tiny.split(4), tiny.FACTS, given, seed=0, validation=validation)


@pytest.mark.parametrize(("epochs", "patience"), [(1, 3), (8, 3), (30, 3), (31, 4), (300, 30)])
def test_patience_with_a_constant_prediction_is_a_tenth_of_the_training(epochs: int, patience: int) -> None:
    assert watchers.patience(epochs) == patience


def test_a_network_that_stays_constant_has_collapsed() -> None:
    with pytest.raises(Collapsed, match="one class for every image of the probe from epoch 3 to 5") as caught:
        probed([tiny.dense(0), tiny.dense(1)], Dead([1, 3, 4, 5]), epochs=8)
    assert caught.value.epoch == 5
    assert [row["classes"] == 1 for row in caught.value.history] == [True, False, True, True, True]


@pytest.mark.parametrize("dead", [[1, 2], [1, 2, 4, 5, 7, 8]])
def test_a_network_that_wakes_again_has_not(dead: list[int]) -> None:
    assert len(probed([tiny.dense()], Dead(dead), epochs=8)) == 8


def test_too_few_images_are_no_probe() -> None:
    history = probed([tiny.dense()], Dead(range(9)), validation=tiny.split(loop.PROBE - 1), epochs=8)
    assert len(history) == 8
    assert "classes" not in history[0]


def test_the_probe_disturbs_nothing() -> None:
    states = []
    for probe in (None, PROBE):
        network = tiny.convolutional()
        objective = sat.SAT(sat.Options(eps="8/255", step_size="4/255", steps=2, batchnorm="eval"))
        history = probed([network], objective, validation=probe, epochs=3)
        states.append(tiny.state(network))
    assert tiny.same(*states)
    assert all(1 <= row["classes"] <= tiny.CLASSES for row in history)


def test_losses_that_return_are_told_to_yield() -> None:
    class Returns:
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Any:
            return torch.zeros((), requires_grad=True)

    with pytest.raises(
        UserError, match=r"returns an object of type Tensor, where it should yield a loss for each network"
    ):
        train([tiny.convolutional()], Returns(), epochs=1, milestones=())
