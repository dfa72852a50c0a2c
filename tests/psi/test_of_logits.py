"""Eqs. 4 to 6 against weights worked out by hand."""

import math
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor

from ataka import amalgamation
from ataka.psi.linear import linear_weights
from ataka.psi.soft import soft_weights

F64 = torch.float64
Function = Callable[..., Tensor]


def logits_with_losses(losses: list[list[float]]) -> Tensor:
    """Two-class logits (n,B,2) whose cross-entropies for label 0 are ``losses`` (n,B)."""
    probabilities = torch.exp(-torch.tensor(losses, dtype=F64))
    return torch.stack([probabilities, 1 - probabilities], -1).log()


# Three images, two teachers; as multiples of log 2, the losses and what eqs. 4 to 6 make of them by hand.
LOSSES = [[1.0, 2.0, 4.0], [3.0, 2.0, 1.0]]
HARDEST = [1, 0, 0]
LINEAR = [[1 / 4, 1 / 2, 4 / 5], [3 / 4, 1 / 2, 1 / 5]]
SOFT = [[1 / 5, 1 / 2, 8 / 9], [4 / 5, 1 / 2, 1 / 9]]  # 2^1 : 2^3, 2^2 : 2^2, 2^4 : 2^1
LOGITS = logits_with_losses([[math.log(2) * loss for loss in teacher] for teacher in LOSSES])
LABELS = torch.zeros(3, dtype=torch.int64)


def test_naive_takes_the_hardest_teacher() -> None:
    expected = torch.stack([LOGITS[HARDEST[image], image] for image in range(3)])
    assert torch.equal(amalgamation.naive(LOGITS, LABELS), expected)


def test_naive_may_take_the_easiest_teacher() -> None:
    """C7: the other of the two, where their losses differ."""
    expected = torch.stack([LOGITS[teacher, image] for image, teacher in enumerate([0, 0, 1])])
    assert torch.equal(amalgamation.naive(LOGITS, LABELS, "easiest"), expected)


@pytest.mark.parametrize("follow", ["hardest", "easiest"])
def test_naive_takes_the_first_of_equals(follow: Any) -> None:
    same = torch.tensor([[[0.0, 1.0]], [[2.0, 3.0]], [[4.0, 5.0]]])
    assert torch.equal(amalgamation.naive(same, torch.tensor([1]), follow), same[0])


@pytest.mark.parametrize(
    ("function", "weigh", "weights"),
    [(amalgamation.linear, linear_weights, LINEAR), (amalgamation.soft, soft_weights, SOFT)],
)
def test_averages_with_the_weights_worked_out_by_hand(
    function: Function, weigh: Function, weights: list[list[float]]
) -> None:
    expected = torch.tensor(weights, dtype=F64)
    torch.testing.assert_close(weigh(LOGITS, LABELS), expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        function(LOGITS, LABELS),
        expected[0].unsqueeze(1) * LOGITS[0] + expected[1].unsqueeze(1) * LOGITS[1],
    )


def test_soft_is_naive_for_a_large_beta_and_the_mean_for_none() -> None:
    sure = amalgamation.soft(LOGITS[:, [0, 2]], LABELS[:2], beta=1e6)
    torch.testing.assert_close(sure, amalgamation.naive(LOGITS[:, [0, 2]], LABELS[:2]))
    torch.testing.assert_close(amalgamation.soft(LOGITS, LABELS, beta=0.0), LOGITS.mean(0))


def test_certain_teachers_weigh_the_same() -> None:
    """Their cross-entropies are exactly 0, and eq. 5 is 0/0 (C6)."""
    logits = torch.tensor([[[200.0, 0.0]], [[400.0, 0.0]], [[800.0, 0.0]]])
    label = torch.tensor([0])
    assert (linear_weights(logits, label) == 1 / 3).all()
    assert (soft_weights(logits, label) == 1 / 3).all()


def test_a_loss_below_the_floor_counts_as_the_floor() -> None:
    """C6: losses of 1, 2 and 4, and of 3, 2 and 1 times log 2; at least 2 log 2 they weigh 2:3, 2:2 and 4:2."""
    found = linear_weights(LOGITS, LABELS, floor=2 * math.log(2))
    expected = torch.tensor([[2 / 5, 1 / 2, 2 / 3], [3 / 5, 1 / 2, 1 / 3]], dtype=F64)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    mixed = (expected.unsqueeze(-1) * LOGITS).sum(0)
    torch.testing.assert_close(amalgamation.linear(LOGITS, LABELS, floor=2 * math.log(2)), mixed)


def test_huge_losses_do_not_overflow() -> None:
    logits = torch.tensor([[[-1e4, 0.0]], [[-2e4, 0.0]]])
    label = torch.tensor([0])
    assert soft_weights(logits, label).flatten().tolist() == [0, 1]
    assert linear_weights(logits, label).flatten().tolist() == pytest.approx([1 / 3, 2 / 3])


def random_logits(n: int, images: int = 6, classes: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (images,), generator=generator)
    return 2 * torch.randn(n, images, classes, generator=generator), labels


@pytest.mark.parametrize("name", ["naive", "linear", "soft"])
def test_a_gradient_flows_through_logits_and_weights_where_there_is_a_graph(name: str) -> None:
    logits, labels = random_logits(3)
    logits = logits.double()
    function = getattr(amalgamation, name)
    assert not function(logits, labels).requires_grad
    assert torch.autograd.gradcheck(lambda z: function(z, labels), logits.requires_grad_())


@pytest.mark.parametrize("name", ["naive", "linear", "soft"])
def test_images_do_not_feel_each_other(name: str) -> None:
    function = getattr(amalgamation, name)
    logits, labels = random_logits(3)
    each = [function(logits[:, [image]], labels[[image]]) for image in range(6)]
    assert torch.equal(torch.cat(each), function(logits, labels))
