"""Label smoothing: is each method's cross-entropy, and nothing else of its loss, that with smoothed labels?"""

from collections.abc import Callable

import numpy
import pytest
import torch
from torch import Tensor

from ataka import training
from ataka.errors import UserError
from ataka.objectives import at_aka
from ataka.objectives.teachers import Teachers
from ataka.study import config
from baselines import ard, iad, mart, sat, trades
from baselines.natural import Natural
from tests import tiny
from tests.baselines import oracle

LABELS = torch.tensor([0, 3, 1, 1])
T, N, S, S_ADV = (oracle.logits(seed) for seed in range(4))
PROBABILITIES = torch.softmax(T, 1)


def smoothed(z: Tensor, smoothing: float) -> float:
    """Float64: -sum_k q_k log p_k, q = (1 - s) on the label and s / C everywhere."""
    p = oracle.softmax(z)
    q = numpy.full(p.shape, smoothing / p.shape[1])
    q[numpy.arange(len(LABELS)), LABELS.numpy()] += 1 - smoothing
    return float(-(q * numpy.log(p)).sum(1).mean())


LOSSES: dict[str, tuple[Callable[[float], Tensor], Tensor, float]] = {
    "sat": (lambda s: sat.loss(S_ADV, LABELS, smoothing=s), S_ADV, 1.0),
    "trades": (lambda s: trades.loss(S, S_ADV, LABELS, beta=6.0, smoothing=s), S, 1.0),
    "mart": (lambda s: mart.loss(S, S_ADV, LABELS, beta=5.0, smoothing=s), S_ADV, 1.0),
    "ard": (lambda s: ard.loss(T, S_ADV, S, LABELS, temperature=3.0, alpha=0.8, smoothing=s), S, 0.2),
    "iad I": (lambda s: iad.loss(T, N, S, S_ADV, LABELS, beta=0.1, alpha=0.8, smoothing=s), S, 0.2),
    "iad II": (lambda s: iad.loss_ii(T, N, S, S_ADV, LABELS, beta=0.1, smoothing=s), S_ADV, 0.25),
    "eqs. 3 and 9": (lambda s: at_aka.student_loss(S, T, LABELS, alpha=0.3, smoothing=s), S, 0.7),
    "eq. 8": (lambda s: at_aka.pareto_student_loss(S, PROBABILITIES, LABELS, alpha=0.3, smoothing=s), S, 0.7),
}
"""For each loss, as a function of the smoothing: the logits of its cross-entropy, and the cross-entropy's weight."""


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("smoothing", [0.1, 0.5])
def test_the_cross_entropy_is_that_with_smoothed_labels(name: str, smoothing: float) -> None:
    loss, logits, weight = LOSSES[name]
    expected = weight * (smoothed(logits, smoothing) - smoothed(logits, 0.0))
    assert (loss(smoothing) - loss(0.0)).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("objective", [Natural(), Teachers(tiny.generator())], ids=["natural", "teachers"])
def test_the_set_up_says_how_much(objective: training.Objective) -> None:
    """With a rate too small to move anything, an epoch's loss is linear in the set-up's smoothing."""
    losses = []
    for smoothing in (0.0, 0.2, 0.4):
        setup = tiny.setup(epochs=1, learning_rate=1e-20, milestones=(), smoothing=smoothing)
        (row,) = training.train([tiny.linear()], objective, tiny.split(), tiny.FACTS, setup, seed=0)
        losses.append(row["loss"])
    assert losses[1] != losses[0]
    assert losses[2] - losses[0] == pytest.approx(2 * (losses[1] - losses[0]), rel=1e-4)


@pytest.mark.parametrize("alpha", [0.5, 1.0])
def test_distillation_without_labels_has_nothing_to_smooth(alpha: float) -> None:
    """For one data set, too: what ``where`` says decides there."""
    changed = {
        "setups": {"ard": {"smoothing": 0.1}},
        "methods": {"en-ard": {"options": {"alpha": 0.5}, "where": {"cifar100": {"options": {"alpha": alpha}}}}},
    }
    if alpha < 1:
        config.load("smoke", changed)
        return
    with pytest.raises(UserError, match=r"methods\.en-ard\.setup: ard smooths labels, but the loss of baselines\.ard"):
        config.load("smoke", changed)


def test_smoothing_for_one_network_alone_is_seen_too() -> None:
    with pytest.raises(UserError, match=r"methods\.en-rslad\.setup: rslad smooths labels"):
        config.load("smoke", {"setups": {"rslad": {"where": {"wrn34-10": {"smoothing": 0.1}}}}})
