"""Is the learning rate of each step the one that the set-up's schedule states?"""

import math
from collections.abc import Iterator, Sequence
from itertools import pairwise

import numpy
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from ataka import training
from ataka.training import Batch
from ataka.training.schedule import learning_rate
from tests import tiny

STEPS = 7


def rates(steps: int = STEPS, **setup: object) -> list[float]:
    """Of all steps, in order."""
    given = tiny.setup(**{"milestones": ()} | setup)
    return [learning_rate(given, epoch, step, steps) for epoch in range(given.epochs) for step in range(steps)]


def shares(epochs: int) -> numpy.ndarray:
    """Of the training that is over with each step."""
    return numpy.arange(1, epochs * STEPS + 1) / (epochs * STEPS)


@pytest.mark.parametrize(
    ("completed", "drops"), [(0, 0), (199, 0), (200, 1), (249, 1), (250, 2), (269, 2), (270, 3), (299, 3)]
)
@pytest.mark.parametrize("step", [0, STEPS - 1])
def test_milestones_count_completed_epochs(completed: int, drops: int, step: int) -> None:
    setup = tiny.setup(epochs=300, learning_rate=0.1, milestones=(200, 250, 270), decay=0.1)
    assert learning_rate(setup, completed, step, STEPS) == pytest.approx(0.1 * 0.1**drops, rel=1e-12)


@pytest.mark.parametrize("warmup", ["0", "1/20", "0.3"])
def test_a_cosine_falls_to_nothing_after_the_warm_up(warmup: str) -> None:
    begun = {"0": 0.0, "1/20": 0.05, "0.3": 0.3}[warmup]
    share = shares(20)
    later = numpy.clip((share - begun) / (1 - begun), 0, 1)
    expected = 0.2 * numpy.minimum(share / begun if begun else 1, 0.5 * (1 + numpy.cos(numpy.pi * later)))
    assert rates(epochs=20, learning_rate=0.2, schedule="cosine", warmup=warmup) == pytest.approx(expected, abs=1e-15)


def test_a_cosine_is_torchs() -> None:
    """Torch's gives the rate before each step; ours the rate once it is taken."""
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=0.2)
    scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimiser, T_max=5 * STEPS)
    expected = []
    for _ in range(5 * STEPS):
        optimiser.step()
        scheduler.step()
        expected += scheduler.get_last_lr()
    assert rates(epochs=5, learning_rate=0.2, schedule="cosine") == pytest.approx(expected, abs=1e-15)


@pytest.mark.parametrize("peak", ["2/5", "0.5", "0.01", "1", "0"])
def test_a_cycle_is_piecewise_linear(peak: str) -> None:
    top = {"2/5": 0.4, "0.5": 0.5, "0.01": 0.01, "1": 1.0, "0": 0.0}[peak]
    knots, values = ([0, top, 1], [0, 0.2, 0]) if 0 < top < 1 else ([0, 1], [0, 0.2] if top else [0.2, 0])
    expected = numpy.interp(shares(20), knots, values)
    assert rates(epochs=20, learning_rate=0.2, schedule="cyclic", peak=peak) == pytest.approx(expected, abs=1e-15)


def test_steps_warm_up_linearly_and_drop_as_ever() -> None:
    warm = rates(epochs=10, milestones=(5,), learning_rate=0.2, warmup="1/5")
    cold = rates(epochs=10, milestones=(5,), learning_rate=0.2)
    expected = numpy.array(cold) * numpy.minimum(1, shares(10) / 0.2)
    assert warm == pytest.approx(expected, rel=1e-12)
    assert warm[2 * STEPS :] == cold[2 * STEPS :]


@given(
    st.integers(1, 12),
    st.integers(1, 9),
    st.sampled_from(["steps", "cosine", "cyclic"]),
    st.floats(0, 1).map("{:.3f}".format),
)
def test_no_rate_leaves_its_bounds(epochs: int, steps: int, schedule: str, share: str) -> None:
    """No step but the last of a schedule that ends at 0 has a rate of 0."""
    found = rates(
        steps,
        epochs=epochs,
        learning_rate=0.3,
        schedule=schedule,
        **{"peak" if schedule == "cyclic" else "warmup": share},
    )
    assert all(0 < rate <= 0.3 * (1 + 1e-12) for rate in found[:-1])
    assert found[-1] >= 0
    ends_at_nothing = schedule != "steps" and float(share) < 1
    assert math.isclose(found[-1], 0, abs_tol=1e-12) == ends_at_nothing


def test_each_update_takes_the_rate_of_its_step() -> None:
    """Plain gradient descent on a loss of gradient 1 moves a weight by the rate, step by step."""
    seen: list[float] = []

    class Slope:
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            bias = networks[0][1].bias
            seen.append(bias[0].item())
            yield bias.sum()

    setup = tiny.setup(epochs=3, schedule="cosine", warmup="1/6", milestones=(), momentum=0.0, weight_decay=0.0)
    network = tiny.linear()
    history = training.train([network], Slope(), tiny.split(14), tiny.FACTS, setup, seed=0)
    seen.append(network[1].bias[0].item())
    moved = [before - after for before, after in pairwise(seen)]
    expected = rates(4, epochs=3, schedule="cosine", warmup="1/6")
    assert moved == pytest.approx(expected, abs=1e-6)
    assert [row["learning_rate"] for row in history] == expected[3::4]
