"""Is a training of networks that draw random numbers a function of its seed, whatever else draws?"""

import random
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka import streams, training
from ataka.files import tape
from ataka.files.resume import State
from ataka.objectives import at_aka
from ataka.objectives.teachers import Teachers
from ataka.training import Batch, Objective, loop
from baselines import sat, trades
from baselines.natural import Natural
from tests import tiny
from tests.dropout import Dropout

SEED, EPOCHS, COUNT = 5, 3, 14
INNER: dict[str, Any] = {"eps": "16/255", "step_size": "6/255", "steps": 2}
OBJECTIVES: dict[str, Objective] = {
    "natural": Natural(),
    "two forwards": trades.create(trades.Options(**INNER, batchnorm="eval", beta=6.0)),
    "attacks in training mode": sat.SAT(sat.Options(**INNER, batchnorm="train")),
    "teachers": Teachers(tiny.generator()),
}
every_objective = pytest.mark.parametrize("objective", OBJECTIVES.values(), ids=OBJECTIVES)


def dropout(seed: int = 0) -> nn.Module:
    with streams.global_stream(seed, "test"):
        return Dropout(classes=tiny.CLASSES, channels=1)


class Kept:
    """States of a training, in memory: ``states`` after each epoch, the first restored from ``start``."""

    def __init__(self, start: State | None = None) -> None:
        self.start, self.states = start, []  # type: ignore[var-annotated]

    def restore(self, take: Any) -> None:
        if self.start:
            take(self.start)

    def keep(self, _message: str, state: Any) -> None:
        tensors, facts = state()
        copies = {name: tensor.clone() for name, tensor in tensors.items()}
        self.states.append(State("", copies, {**facts, "history": [dict(row) for row in facts["history"]]}))


def learn(
    objective: object, networks: Sequence[nn.Module] | None = None, seed: int = SEED, **more: Any
) -> tuple[list[dict[str, float]], list[dict[str, Tensor]]]:
    networks = networks or [dropout()]
    setup = tiny.setup(epochs=EPOCHS)
    history = training.train(networks, objective, tiny.split(COUNT), tiny.FACTS, setup, seed=seed, **more)
    return history, [tiny.state(network) for network in networks]


def equal(one: Any, other: Any) -> bool:
    """Histories, and states bit for bit."""
    return one[0] == other[0] and all(map(tiny.same, one[1], other[1]))


@pytest.fixture(autouse=True)
def unlike_each_other() -> Iterator[None]:
    """No two tests, nor two trainings in one, begin with the same global state unless they set it."""
    yield
    torch.seed()


@every_objective
def test_two_trainings_are_equal_and_other_seeds_are_not(objective: Objective) -> None:
    torch.seed()
    first = learn(objective)
    torch.rand(3)
    assert equal(learn(objective), first)
    assert not equal(learn(objective, seed=SEED + 1), first)


@every_objective
@pytest.mark.parametrize("after", range(EPOCHS - 1))
def test_a_resumed_training_ends_in_the_same_bits(objective: Objective, after: int) -> None:
    kept = Kept()
    whole = learn(objective, states=kept)
    assert equal(learn(objective, [dropout(99)], states=Kept(kept.states[after])), whole)


def test_it_draws_anew_in_each_step_and_epoch() -> None:
    seen: list[Tensor] = []

    class Looks:
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            seen.extend((networks[0](torch.ones(4, 1, 8, 8)).detach(), networks[0](torch.ones(4, 1, 8, 8)).detach()))
            yield 0 * networks[0](batch.x).sum()

    learn(Looks())
    assert len({tuple(logits.flatten().tolist()) for logits in seen}) == len(seen)


def test_watchers_and_attacks_in_evaluation_mode_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "PROBE", 10)
    objective = sat.SAT(sat.Options(**INNER, batchnorm="eval"))
    _, watched = learn(objective, validation=tiny.split(12, seed=3))
    _, alone = learn(objective)
    assert tiny.same(*watched, *alone)


def test_what_else_draws_changes_no_network_and_is_drawn_from_the_seed_too() -> None:
    """An objective that mixes images as others' code does: from the generators of torch, numpy and Python."""
    drawn: list[list[float]] = []

    class Draws:
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            drawn[-1] += [torch.rand(1).item(), float(numpy.random.beta(1, 1)), random.random()]  # noqa: NPY002
            yield functional.cross_entropy(networks[0](batch.x), batch.y)

    drawn.append([])
    once = learn(Draws())
    drawn.append([])
    assert equal(learn(Draws()), once)
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) == len(drawn[0])
    assert equal(learn(Natural()), once)


def test_the_global_generators_are_left_as_they_were() -> None:
    def state() -> list[object]:
        return [torch.get_rng_state().tolist(), numpy.random.get_state()[1].tolist(), random.getstate()]  # noqa: NPY002

    network, before = dropout(), state()
    learn(Natural(), [network])
    assert state() == before
    with pytest.raises(AttributeError):
        learn(None, [network])  # type: ignore[arg-type]
    assert state() == before
    assert not network._forward_hooks
    assert not network._forward_pre_hooks


def test_a_forward_that_fails_leaves_them_too() -> None:
    class Fails(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            torch.rand(1)
            raise torch.OutOfMemoryError("CUDA out of memory.")

    network = Fails()
    owner = streams.OwnStream(network)
    before = torch.get_rng_state()
    with pytest.raises(torch.OutOfMemoryError):
        network(torch.ones(1))
    assert torch.equal(torch.get_rng_state(), before)
    owner.end()


def test_a_network_that_draws_nothing_keeps_its_bits() -> None:
    """The loop written out, without streams of forwards."""
    network, twin = tiny.convolutional(), tiny.convolutional()
    learn(Natural(), [network])
    setup, data = tiny.setup(epochs=EPOCHS), tiny.split(COUNT)
    optimiser = loop.Training([twin.train()], setup, loop.Averages([twin], setup, steps=1))
    for number in range(EPOCHS):
        epoch = loop.Epoch(number, data, tiny.FACTS, setup, seed=SEED)
        for batch in epoch.batches(None, None, optimiser.update):
            optimiser.descend(0, functional.cross_entropy(twin(batch.x), batch.y))
            batch.update()
    assert tiny.same(tiny.state(network), tiny.state(twin))


@pytest.mark.parametrize("n", [1, 2])
def test_a_tape_of_teachers_that_draw_gives_the_student_that_stood_beside_them(tmp_path: Path, n: int) -> None:
    """Teacher i draws the same whatever n is, and whether or not a student trains beside it."""
    data, asked = tiny.split(COUNT), tiny.generator()
    student = at_aka.Student(at_aka.Options(amalgamation="soft"), alpha=0.5)
    writer = tape.Writer(tmp_path, asked.channels, count=COUNT)
    _, alone = learn(Teachers(asked), [dropout(100 + index) for index in range(n)], teachers=n, writer=writer)
    writer.finish({"settings_sha256": "", "data_sha256": data.digest()})
    reader = tape.Reader(tmp_path / "manifest.json", settings_sha256="", data_sha256=data.digest())
    _, replayed = learn(student, [dropout(7)], reader=reader)
    networks = [*(dropout(100 + index) for index in range(n)), dropout(7)]
    _, together = learn(at_aka.Online(Teachers(asked), student), networks, teachers=n)
    _, (first, *_) = learn(Teachers(asked), [dropout(100), dropout(101), dropout(102)], teachers=3)
    assert all(map(tiny.same, together, [*alone, *replayed]))
    assert tiny.same(alone[0], first)


def test_networks_of_one_training_draw_from_streams_of_their_own() -> None:
    """Two equal networks would else stay equal."""

    class Both:
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            for network in networks:
                yield functional.cross_entropy(network(batch.x), batch.y)

    _, (first, second) = learn(Both(), [dropout(), dropout()])
    _, (alone,) = learn(Natural(), [dropout()])
    _, (teacher,) = learn(Natural(), [dropout()], teachers=1)
    assert not tiny.same(first, second)
    assert tiny.same(first, alone)
    assert not tiny.same(first, teacher)
