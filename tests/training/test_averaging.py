"""Weight averages: are they the averages that their definitions state, and are they what is evaluated?"""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from itertools import pairwise
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from ataka import training
from ataka.datasets import views
from ataka.errors import UserError
from ataka.files.resume import State
from ataka.objectives.cat_aka import Options as StudentsOptions
from ataka.objectives.cat_aka import Students
from ataka.study import config
from ataka.training import Batch, Collapsed, watchers
from ataka.training.averaging import estimate_statistics
from ataka.training.watchers import predicted
from baselines import sat
from baselines.natural import Natural
from tests import tiny

DATA, VALIDATION = tiny.split(14), tiny.split(64, seed=3)
STEPS = 4


class Seen(Natural):
    """Natural training that notes the network's state before each step."""

    def __init__(self) -> None:
        self.states: list[dict[str, Tensor]] = []

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        self.states.append(tiny.state(networks[0]))
        return super().losses(networks, batch)


def train(network: nn.Module, objective: training.Objective | None = None, **setup: Any) -> list[dict[str, float]]:
    given = tiny.setup(**{"epochs": 5, "milestones": (), "learning_rate": 0.1} | setup)
    return training.train([network], objective or Natural(), DATA, tiny.FACTS, given, seed=0, validation=VALIDATION)


def trajectory(make: Callable[[], nn.Module], **setup: Any) -> list[dict[str, Tensor]]:
    """The states after each step of a training that averages nothing."""
    seen, network = Seen(), make()
    train(network, seen, **setup)
    return [*seen.states[1:], tiny.state(network)]


def close(state: Mapping[str, Tensor], expected: Mapping[str, Tensor], names: Sequence[str]) -> bool:
    return all(torch.allclose(state[name].double(), expected[name], rtol=1e-5, atol=1e-6) for name in names)


WEIGHTS = [name for name, _ in tiny.convolutional().named_parameters()]
STATISTICS = ["0.1.running_mean", "0.1.running_var"]


@pytest.mark.parametrize("batchnorm", ["averaged", "copied"])
@pytest.mark.parametrize(("decay", "begin"), [(0.5, "0"), (0.5, "0.45"), (0.95, "1/40"), (0.0, "0")])
def test_an_ema_is_its_recursion(decay: float, begin: str, batchnorm: str) -> None:
    """In float64, with the decay of imrahulr's code: min(tau, (1 + d) / (10 + d)), d steps after the begin."""
    states, first = trajectory(tiny.convolutional), {"0": 0.0, "0.45": 9.0, "1/40": 0.5}[begin]
    average = {name: tensor.double() for name, tensor in states[0].items()}
    for taken, state in enumerate(states, 1):
        since = taken - first
        tau = min(decay, (1 + since) / (10 + since)) if since >= 0 else 0.0
        for name, tensor in state.items():
            kept = 0.0 if name in STATISTICS and batchnorm == "copied" else tau
            average[name] = kept * average[name] + (1 - kept) * tensor.double()
    network = tiny.convolutional()
    train(network, ema={"decay": decay, "begin": begin, "batchnorm": batchnorm})
    found = tiny.state(network)
    assert close(found, average, [*WEIGHTS, *STATISTICS])
    assert torch.equal(found["0.1.num_batches_tracked"], states[-1]["0.1.num_batches_tracked"])
    assert tiny.same(found, states[-1]) == (decay == 0)


@pytest.mark.parametrize(("begin", "counted"), [("0", [0, 1, 2, 3, 4]), ("0.5", [3, 4]), ("3/5", [3, 4]), ("4/5", [4])])
def test_swa_is_the_mean_of_the_weights_after_the_epochs_that_count(begin: str, counted: list[int]) -> None:
    ends = trajectory(tiny.convolutional)[STEPS - 1 :: STEPS]
    assert len(ends) == 5
    mean = {name: torch.stack([ends[epoch][name].double() for epoch in counted]).mean(0) for name in WEIGHTS}
    network = tiny.convolutional()
    train(network, swa={"begin": begin})
    assert close(tiny.state(network), mean, WEIGHTS)


def test_before_its_begin_an_average_is_the_network_itself() -> None:
    """A begin that no epoch of a short training reaches averages nothing, and says no other accuracy."""
    plain, histories = tiny.convolutional(), []
    histories.append(train(plain))
    for average in ({"swa": {"begin": "1"}}, {"ema": {"begin": "1", "decay": 0.0}}):
        network = tiny.convolutional()
        histories.append(train(network, **average))
        assert tiny.same(tiny.state(network), tiny.state(plain))
    for history in histories[1:]:
        assert [{**row, "classes_trained": row["classes"]} for row in histories[0]] == history


# ---- batch statistics


def direct(network: nn.Sequential, batches: Sequence[Tensor]) -> tuple[Tensor, Tensor]:
    """Of the first convolution's outputs, in float64: the mean over all images, and the mean of unbiased variances."""
    outputs = [
        nn.functional.conv2d(x.double(), *map(torch.Tensor.double, network[0][0].parameters()), padding=1)
        for x in batches
    ]
    channels = [out.transpose(0, 1).flatten(1) for out in outputs]
    sizes = torch.tensor([len(x) for x in batches]).double()
    variances = torch.stack([channel.var(1) for channel in channels])
    return torch.cat(channels, 1).mean(1), (sizes[:, None] * variances).sum(0) / sizes.sum()


def test_swas_statistics_are_those_of_the_averaged_weights_on_the_epochs_images() -> None:
    network = tiny.convolutional()
    train(network, swa={"begin": "0.5"})
    view = views.view(0, 4, 14, shift=tiny.FACTS.shift, flip=tiny.FACTS.flip)
    batches = (view.apply(DATA.images).float() / 255).split(4)
    mean, variance = direct(network, batches)
    layer = network[0][1]
    assert torch.allclose(layer.running_mean.double(), mean, atol=1e-6)
    assert torch.allclose(layer.running_var.double(), variance, rtol=1e-5)
    assert layer.momentum == 0.1


def test_an_image_of_a_short_batch_counts_as_much_as_any() -> None:
    network, images = tiny.convolutional().double(), torch.rand(9, 1, 8, 8, dtype=torch.float64)
    estimate_statistics(network, images.split(4))
    whole = nn.functional.conv2d(images, *network[0][0].parameters(), padding=1).mean((0, 2, 3))
    assert torch.allclose(network[0][1].running_mean, whole, rtol=1e-12)


def test_an_estimate_leaves_all_else_as_it_was_and_draws_nothing() -> None:
    """Frozen layers, modes, momenta, hooks and torch's stream; what was there before doesn't count, not even NaN."""
    network = nn.Sequential(tiny.convolutional(), nn.Dropout(0.5)).eval()
    layer = network[0][0][1]
    layer.running_mean.fill_(torch.nan)
    layer.momentum = 0.3
    weights = {name: parameter.clone() for name, parameter in network.named_parameters()}
    images, stream = torch.rand(4, 1, 8, 8), torch.get_rng_state()
    estimate_statistics(network, [images])
    assert torch.equal(torch.get_rng_state(), stream)
    assert layer.running_mean.isfinite().all()
    assert layer.momentum == 0.3
    assert not layer._forward_pre_hooks
    assert not any(module.training for module in network.modules())
    assert all(torch.equal(parameter, weights[name]) for name, parameter in network.named_parameters())


def test_a_layer_that_is_used_twice_sees_both_uses() -> None:
    class Twice(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.norm = nn.BatchNorm1d(3, affine=False)

        def forward(self, x: Tensor) -> Tensor:
            self.norm(x + 4)
            return torch.as_tensor(self.norm(x))

    network, x = Twice(), torch.rand(8, 3)
    estimate_statistics(network, x.split(4))
    assert torch.allclose(network.norm.running_mean, x.mean(0) + 2, atol=1e-6)


def test_a_network_without_batch_normalisation_needs_no_pass() -> None:
    estimate_statistics(tiny.linear(), iter(lambda: pytest.fail("was asked for images"), None))


# ---- what is evaluated


@pytest.mark.parametrize("average", [{"ema": {"decay": 0.9}}, {"swa": {"begin": "1/5"}}])
def test_the_history_is_of_the_network_that_is_left(average: dict[str, Any]) -> None:
    """Accuracies and predicted classes are the average's; the losses are the trained network's, as without it."""
    network, plain = tiny.convolutional(), tiny.convolutional()
    history, without = train(network, **average), train(plain)
    for name, images in (("train_accuracy", DATA), ("validation_accuracy", VALIDATION)):
        assert history[-1][name] == 100 * int((predicted(network, images) == images.labels).sum()) / len(images)
    assert history[-1]["classes"] == len(set(predicted(network, VALIDATION).tolist()))
    assert [row["loss"] for row in history] == [row["loss"] for row in without]
    assert [row["validation_accuracy"] for row in history] != [row["validation_accuracy"] for row in without]
    assert not any(parameter.grad is None or not parameter.requires_grad for parameter in network.parameters())


def test_the_best_epoch_is_the_averages_best(monkeypatch: pytest.MonkeyPatch) -> None:
    """The probe looks at the average as each epoch ends, and what is left is the average of the best epoch."""
    monkeypatch.setattr(watchers, "patience", lambda epochs: epochs + 1)
    objective = sat.SAT(sat.Options(eps="8/255", step_size="4/255", steps=2, batchnorm="eval"))
    changes = {"epochs": 8, "swa": {"begin": "1/8"}, "probe": {"images": 64, "steps": 2}, "learning_rate": 0.4}
    averages = []
    for epochs in range(1, 9):  # of the same training, cut short: a begin in epochs is the same share of it
        network = tiny.convolutional()
        train(network, objective, **changes | {"epochs": epochs, "swa": {"begin": f"1/{epochs}"}, "probe": None})
        averages.append(tiny.state(network))
    last, best = tiny.convolutional(), tiny.convolutional()
    train(last, objective, **changes)
    history = train(best, objective, **changes, checkpoint="best")
    scores = [row["probe"] for row in history]
    assert scores.index(max(scores)) < 7
    assert tiny.same(tiny.state(last), averages[-1])
    assert tiny.same(tiny.state(best), averages[scores.index(max(scores))])


class Dead:
    """Moves nothing of its own; the trained network predicts one class in the epochs listed."""

    def __init__(self, epochs: Sequence[int]) -> None:
        self.epochs, self.kept = epochs, tiny.state(tiny.dense())

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        for name, parameter in networks[0].named_parameters():
            parameter.data.copy_(self.kept[name] * (round(batch.progress * 8) not in self.epochs))
        yield 0 * sum(parameter.sum() for parameter in networks[0].parameters())


@pytest.mark.parametrize("average", [{}, {"swa": {"begin": "0"}}])
def test_a_trained_network_that_dies_has_collapsed_whatever_its_average_predicts(average: dict[str, Any]) -> None:
    with pytest.raises(Collapsed, match="from epoch 2 to 4") as caught:
        train(tiny.dense(), Dead(range(1, 8)), epochs=8, weight_decay=0.0, **average)
    assert (caught.value.history[-1]["classes"] > 1) == bool(average)


def test_an_average_that_predicts_one_class_may_yet_wake_but_not_in_the_end() -> None:
    biased = tiny.dense()

    class Biased:
        """In its first epoch the network is so sure of one class that the mean over the epochs stays so."""

        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            state = tiny.state(biased)
            if batch.progress == 0:
                state["4.bias"][0] = 1e4
            networks[0].load_state_dict(state)
            yield 0 * sum(parameter.sum() for parameter in networks[0].parameters())

    with pytest.raises(Collapsed, match="from epoch 1 to 8") as caught:
        train(tiny.dense(), Biased(), epochs=8, weight_decay=0.0, swa={"begin": "0"})
    rows = caught.value.history
    assert [row["classes"] for row in rows] == [1] * 8
    assert all(row["classes_trained"] > 1 for row in rows[1:])


# ---- interrupted


class Interrupted(Exception):
    """What ends a training early."""


class Keeps:
    """The state of the latest epoch, as a file would hold it; ends the training after ``last`` epochs."""

    def __init__(self, last: int) -> None:
        self.last, self.state, self.kept = last, State("", {}, {}), 0

    def restore(self, take: Callable[[State], None]) -> bool:
        if self.kept:
            take(self.state)
        return bool(self.kept)

    def keep(self, where: str, make: Callable[[], tuple[Mapping[str, Tensor], Mapping[str, Any]]]) -> None:
        tensors, facts = make()
        held = {name: tensor.clone() for name, tensor in tensors.items()}
        self.state, self.kept = State(where, held, json.loads(json.dumps(facts))), self.kept + 1
        if self.kept == self.last:
            raise Interrupted


OPTIONS: dict[str, dict[str, Any]] = {
    "ema": {"ema": {"decay": 0.9, "begin": "0.3"}},
    "swa": {"swa": {"begin": "2/5"}},
    "swa, best": {"swa": {"begin": "0"}, "checkpoint": "best", "probe": {"images": 64, "steps": 1}},
    "cosine": {"schedule": "cosine", "warmup": "1/4"},
    "cyclic": {"schedule": "cyclic"},
    "smoothing": {"smoothing": 0.2},
    "awp": {"awp": {"gamma": 0.01, "begin": "2/5"}},
}
SHAPES: dict[str, Callable[[], tuple[training.Objective, list[nn.Module]]]] = {
    "independent": lambda: (
        sat.SAT(sat.Options(eps="8/255", step_size="4/255", steps=2, batchnorm="train")),
        [tiny.convolutional()],
    ),
    "joint": lambda: (
        Students(StudentsOptions(amalgamation="soft"), alpha=0.1, generator=tiny.generator()),
        [tiny.convolutional(seed) for seed in range(2)],
    ),
}


def trained(options: str, shape: str, keeps: Any = None) -> tuple[list[dict[str, float]], list[dict[str, Tensor]]]:
    """History and weights of a training, which is resumed from the state that there is in ``keeps``."""
    setup = tiny.setup(**{"epochs": 5, "milestones": ()} | OPTIONS[options])
    objective, networks = SHAPES[shape]()
    given: dict[str, Any] = {"seed": 0, "validation": VALIDATION, "eps": 8 / 255, "states": keeps}
    history = training.train(networks, objective, DATA, tiny.FACTS, setup, **given)
    return history, [tiny.state(network) for network in networks]


whole = cache(trained)
"""A training without interruption."""


@pytest.mark.parametrize("options", OPTIONS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("last", [1, 3, 4])
def test_an_interrupted_training_ends_with_the_same_bits(options: str, shape: str, last: int) -> None:
    keeps = Keeps(last)
    with pytest.raises(Interrupted):
        trained(options, shape, keeps)
    history, states = trained(options, shape, keeps)
    rows, expected = whole(options, shape)
    assert history == rows
    assert all(map(tiny.same, states, expected))
    assert not any(tiny.same(*pair) for pair in pairwise(states))


# ---- settings


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        ({"setups": {"sat": {"ema": {}, "swa": {"begin": "1/2"}}}}, r"setups\.sat: ema and swa exclude each other"),
        ({"setups": {"sat": {"swa": {}}}}, r"setups\.sat\.swa\.begin: is missing"),
        ({"setups": {"sat": {"ema": {"decay": 1}}}}, r"setups\.sat\.ema\.decay: Input should be less than 1"),
        ({"setups": {"sat": {"ema": {"dekay": 0.9}}}}, r"setups\.sat\.ema\.dekay: unknown key; did you mean 'decay'"),
        (
            {"setups": {"table2": {"ema": {}}}},
            r"methods\.n-at-aka\.ensemble\.setup: table2 averages weights, but a tape holds what teachers say as they",
        ),
        (
            {"setups": {"table2": {"where": {"wrn34-10": {"swa": {"begin": "1/2"}}}}}},
            r"methods\.n-at-aka\.ensemble\.setup: table2 averages weights",
        ),
        (
            {"methods": {"s-at-aka.live": {"setup": "table4"}}, "setups": {"table4": {"learning_rate": 0.01}}},
            r"methods\.s-at-aka\.live\.online: student and teachers train in one loop, but under other set-ups",
        ),
    ],
)
def test_settings_that_say_two_things_are_refused(overrides: dict[str, Any], said: str) -> None:
    with pytest.raises(UserError, match=said):
        config.load("smoke", overrides)


@pytest.mark.parametrize("method", ["s-at-aka", "s-at-aka.live"])
def test_a_student_may_be_averaged_beside_teachers_that_are_not(method: str) -> None:
    """So it replays the tape that is there."""
    setups = {"averaged": {"like": "table2", "swa": {"begin": "2/3"}}}
    study = config.load("smoke", {"setups": setups, "methods": {method: {"setup": "averaged"}}})
    assert study.setups["averaged"].averaging
    assert study.methods[method].ensemble
