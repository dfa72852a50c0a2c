"""Catastrophic overfitting: does the probe see it, see nothing else, and leave everything as it was?"""

from collections.abc import Iterator, Sequence

import numpy
import pytest
import torch
from scipy.stats import binom
from torch import Tensor, nn
from torch.nn import functional

from ataka import datasets, streams, training
from ataka.attacks import pgd
from ataka.errors import UserError
from ataka.objectives.teachers import Teachers, budget
from ataka.training import Batch, Overfitted, loop
from ataka.training.overfitting import LEVEL, RECENT, _tail, lost
from ataka.training.probe import Probe
from baselines import sat
from tests import tiny

# ---- the criterion


@pytest.mark.parametrize(("least", "count", "chance"), [(0, 5, 0.3), (17, 64, 0.1), (14, 14, 0.5), (200, 512, 0.01)])
def test_the_tail_is_scipys(least: int, count: int, chance: float) -> None:
    assert _tail(least, count, chance) == pytest.approx(binom.sf(least - 1, count, chance), rel=1e-9)


SUDDEN = {
    "within an epoch": ([30, 45, 52], 2, 90),
    "within two epochs": ([30, 52, 20], 0, 90),
    "at the tenth": ([50], 5, 50),
    "four epochs after the best": ([52, 20, 18, 15, 9], 3, 99),
}
OTHERWISE = {
    "nothing before": ([], 0, 90),
    "never robust": ([0, 1, 2, 0], 0, 100),
    "never above chance": ([13, 12, 14], 1, 90),
    "too few to tell": ([25], 2, 20),
    "more than a tenth": ([50], 6, 90),
    "robust overfitting": ([60, 62, 58, 55], 48, 110),
    "faded away": ([60, 40, 25, 18, 14, 12, 9], 1, 99),
    "gone with all that it knew": ([52], 3, 20),
    "collapsed to one class": ([52], 12, 12),
    "robust again": ([52, 1, 0, 0, 2], 40, 90),
}


@pytest.mark.parametrize("case", SUDDEN)
def test_a_sudden_loss_is_seen_at_once(case: str) -> None:
    past, robust, clean = SUDDEN[case]
    assert lost(past, robust, clean, 128, 10) == len(past) - past.index(max(past))


@pytest.mark.parametrize("case", OTHERWISE)
def test_nothing_else_is_taken_for_it(case: str) -> None:
    past, robust, clean = OTHERWISE[case]
    assert lost(past, robust, clean, 128, 10) is None


def noise(count: int, share: float, classes: int, runs: int = 500, epochs: int = 300) -> float:
    """The share of runs that end, if verdicts are drawn anew in each epoch and all are right on clean images."""
    found = numpy.random.default_rng(count).binomial(count, share, (runs, epochs))
    low = numpy.argwhere(10 * found <= found.max(1)[:, None])
    ended = {run for run, at in low if lost(found[run, :at].tolist(), int(found[run, at]), count, count, classes)}
    return len(ended) / runs


@pytest.mark.parametrize("share", [0.02, 0.05, 0.08, 0.12, 0.18, 0.3])
@pytest.mark.parametrize(("count", "classes"), [(64, 10), (128, 10), (64, 100), (128, 100)])
def test_noise_ends_hardly_any_training(share: float, count: int, classes: int) -> None:
    """Far more noise than there is: images and starts are the same in every epoch."""
    assert noise(count, share, classes) <= 1 / 250


def test_the_level_is_what_the_sizes_above_were_measured_at() -> None:
    assert (LEVEL, RECENT) == (1e-5, 5)


# ---- a network that had it and loses it

EPS = "24/255"
DIGITS = tiny.cut("digits", train=400, validation=128, test=10)
FACTS = datasets.find("digits").specification


def perceptron() -> nn.Sequential:
    with streams.global_stream(0, "test"):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 10))


class Fragile:
    """Right on the images, and wrong wherever it is led."""

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        (network,) = networks
        x_adv = pgd.attack(network, batch.x, batch.y, eps=24 / 255, step_size=12 / 255, steps=3, start=batch.x)
        wrong = functional.cross_entropy(network(x_adv), batch.y).clamp(max=8)
        yield functional.cross_entropy(network(batch.x), batch.y) - 0.15 * wrong


def trained(objective: training.Objective, **setup: object) -> dict[str, Tensor]:
    network, given = perceptron(), tiny.setup(batch_size=20, milestones=(), probe=None, **setup)
    training.train([network], objective, DIGITS["train"], FACTS, given, seed=0)
    return tiny.state(network)


@pytest.fixture(scope="module")
def states() -> dict[str, dict[str, Tensor]]:
    """Weights that withstand PGD, and weights that only know the images."""
    attack = sat.Options(eps=EPS, step_size="12/255", steps=3, batchnorm="eval")
    return {
        "robust": trained(sat.SAT(attack), epochs=30, learning_rate=0.02),
        "fragile": trained(Fragile(), epochs=15, learning_rate=0.05),
    }


class Scripted:
    """Gives the last network these weights, an epoch each; says that it trains every network adversarially, or none."""

    def __init__(self, weights: Sequence[dict[str, Tensor]], eps: float = 24 / 255) -> None:
        self.weights, self.eps = weights, eps

    def budgets(self, count: int) -> list[float]:
        return [self.eps] * count

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        networks[-1].load_state_dict(self.weights[round(batch.progress * len(self.weights))])
        yield from (0 * sum(parameter.sum() for parameter in network.parameters()) for network in networks)


def scripted(objective: object, networks: int = 1, **setup: object) -> list[dict[str, float]]:
    """Five epochs of a step."""
    given = tiny.setup(**{"epochs": 5, "batch_size": 4, "milestones": (), "weight_decay": 0.0} | setup)
    images = DIGITS["train"].first(4)
    members = [perceptron() for _ in range(networks)]
    return training.train(members, objective, images, FACTS, given, seed=0, validation=DIGITS["validation"])  # type: ignore[arg-type]


@pytest.fixture
def turn(states: dict[str, dict[str, Tensor]]) -> list[dict[str, Tensor]]:
    return [states["robust"]] * 3 + [states["fragile"]] * 2


@pytest.mark.parametrize("networks", [1, 2])
def test_a_training_that_overfits_ends_in_that_epoch(turn: list[dict[str, Tensor]], networks: int) -> None:
    with pytest.raises(Overfitted) as caught:
        scripted(Scripted(turn), networks)
    found, name = caught.value, "" if networks == 1 else "1"
    assert (found.epoch, found.step, len(found.history)) == (4, 1, 4)
    assert [row[f"probe{name}"] > 40 for row in found.history] == [True, True, True, False]
    assert found.history[-1][f"probe_clean{name}"] > 60
    assert f"{'network 1' if name else 'the network'} has overfitted catastrophically: " in str(found)
    assert "of the probe's 128 images withstood PGD-10 within 24/255 in epoch 3, " in str(found)
    assert str(found).endswith("seen as epoch 4 ended, after its step 1")


def test_it_is_only_recorded_where_the_set_up_says_so(turn: list[dict[str, Tensor]]) -> None:
    history = scripted(Scripted(turn), probe={"overfitted": "record"})
    assert [row["probe"] > 40 for row in history] == [True, True, True, False, False]


@pytest.mark.parametrize(
    ("objective", "setup"),
    [("said nothing", {}), ("a budget of 0", {}), ("said", {"probe": None})],
)
def test_who_is_not_probed_is_not_stopped(turn: list[dict[str, Tensor]], objective: str, setup: dict) -> None:
    """A method that trains on clean images may lose what robustness an untrained network had: that is its nature."""

    class Silent:
        losses = Scripted(turn).losses

    tested = {"said nothing": Silent(), "a budget of 0": Scripted(turn, 0.0), "said": Scripted(turn)}[objective]
    history = scripted(tested, **setup)
    assert len(history) == 5
    assert not any(name.startswith("probe") for name in history[0])


def test_few_images_are_all_used_and_fewer_are_no_probe(turn: list[dict[str, Tensor]]) -> None:
    for count, probed in ((loop.PROBE - 1, False), (loop.PROBE, True), (100, True)):
        images = DIGITS["validation"].first(count)
        given = tiny.setup(epochs=1, milestones=())
        train = DIGITS["train"].first(4)
        (row,) = training.train([perceptron()], Scripted(turn[:1]), train, FACTS, given, seed=0, validation=images)
        assert ("probe" in row) == probed
        if probed:
            assert round(row["probe"] * count / 100, 6).is_integer()


# ---- the best epoch (G5)


@pytest.mark.parametrize("eps", [24 / 255, 0.0])
@pytest.mark.parametrize("networks", [1, 2])
def test_the_best_epochs_networks_are_kept(states: dict[str, dict[str, Tensor]], networks: int, eps: float) -> None:
    """The first of equals, of whatever is trained; what trains within no budget is looked at, and loses nothing."""
    weak, strong = states["fragile"], states["robust"]
    other = {name: tensor.clone() for name, tensor in strong.items()}
    other["3.bias"] += 1  # the same predictions
    members = [perceptron() for _ in range(networks)]
    setup = tiny.setup(
        epochs=5, batch_size=4, milestones=(), weight_decay=0.0, checkpoint="best", probe={"overfitted": "record"}
    )
    history = training.train(
        members,
        Scripted([weak, strong, other, weak, weak], eps),
        DIGITS["train"].first(4),
        FACTS,
        setup,
        seed=0,
        validation=DIGITS["validation"],
        eps=24 / 255,
    )
    name = "" if networks == 1 else "1"
    assert len(history) == 5
    assert [row[f"probe{name}"] > 40 for row in history] == [False, True, True, False, False]
    assert tiny.same(tiny.state(members[-1]), strong)
    assert not tiny.same(tiny.state(members[-1]), other)


def test_without_enough_images_nobody_could_choose_an_epoch(turn: list[dict[str, Tensor]]) -> None:
    setup = tiny.setup(epochs=1, milestones=(), checkpoint="best")
    few = DIGITS["validation"].first(loop.PROBE - 1)
    with pytest.raises(UserError, match="needs 64 validation images or more"):
        training.train([perceptron()], Scripted(turn), DIGITS["train"], FACTS, setup, seed=0, validation=few)


# ---- what it leaves alone


def everything(network: nn.Module) -> list[object]:
    return [
        [tensor.numpy().tobytes() for tensor in network.state_dict().values()],
        [module.training for module in network.modules()],
        [(parameter.requires_grad, parameter.grad) for parameter in network.parameters()],
    ]


def test_a_look_changes_nothing_and_always_sees_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    images, network = tiny.split(70), tiny.convolutional().train()
    network[0][0].weight.requires_grad_(False)
    before, stream = everything(network), torch.get_rng_state()
    probe = Probe.draw(images, eps=0.1, steps=3, seed=0)
    found = probe.look(network)
    assert everything(network) == before
    assert torch.equal(torch.get_rng_state(), stream)
    monkeypatch.setattr("ataka.machine.memory.BATCH", 7)
    assert probe.look(network) == Probe.draw(images, eps=0.1, steps=3, seed=0).look(network) == found


@pytest.mark.parametrize("objective", ["sat", "teachers"])
def test_trainings_are_the_same_bits_with_and_without_it(objective: str) -> None:
    attack = sat.Options(eps="8/255", step_size="4/255", steps=2, batchnorm="train")
    made = {"sat": sat.SAT(attack), "teachers": Teachers(tiny.generator())}[objective]
    learnt = []
    for settings in (None, {"images": 64, "steps": 3}):
        networks = [tiny.convolutional(seed) for seed in range(1 if objective == "sat" else 2)]
        setup = tiny.setup(epochs=3, milestones=(), probe=settings)
        history = training.train(
            networks, made, tiny.split(14), tiny.FACTS, setup, seed=0, validation=tiny.split(64, 3)
        )  # type: ignore[arg-type]
        rest = [{name: value for name, value in row.items() if not name.startswith("probe")} for row in history]
        learnt.append((rest, [tiny.state(network) for network in networks]))
    assert learnt[0][0] == learnt[1][0]
    assert all(map(tiny.same, learnt[0][1], learnt[1][1]))
    assert any(name.startswith("probe") for name in history[0])


# ---- which budget


@pytest.mark.parametrize(
    ("change", "expected"),
    [({}, 16 / 255), ({"steps": 0}, 0), ({"update": "raw"}, 0), ({"update": "raw", "kind": "pgd"}, 16 / 255)],
)
def test_a_generator_attacks_where_it_takes_signed_steps(change: dict[str, object], expected: float) -> None:
    assert budget(tiny.generator(**change)) == expected
