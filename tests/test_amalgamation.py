"""The four amalgamations against hand-computed weights, a grid, and a general-purpose solver."""

import itertools
import math
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from torch import Tensor

from ataka import amalgamation

F64 = torch.float64


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


@pytest.mark.parametrize(("name", "weights"), [("linear", LINEAR), ("soft", SOFT)])
def test_averages_with_the_weights_worked_out_by_hand(name: str, weights: list[list[float]]) -> None:
    expected = torch.tensor(weights, dtype=F64)
    found = getattr(amalgamation, f"{name}_weights")(LOGITS, LABELS)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(
        getattr(amalgamation, name)(LOGITS, LABELS),
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
    assert (amalgamation.linear_weights(logits, label) == 1 / 3).all()
    assert (amalgamation.soft_weights(logits, label) == 1 / 3).all()


def test_a_loss_below_the_floor_counts_as_the_floor() -> None:
    """C6: losses of 1, 2 and 4, and of 3, 2 and 1 times log 2; at least 2 log 2 they weigh 2:3, 2:2 and 4:2."""
    found = amalgamation.linear_weights(LOGITS, LABELS, floor=2 * math.log(2))
    expected = torch.tensor([[2 / 5, 1 / 2, 2 / 3], [3 / 5, 1 / 2, 1 / 3]], dtype=F64)
    torch.testing.assert_close(found, expected, rtol=1e-12, atol=1e-12)
    mixed = (expected.unsqueeze(-1) * LOGITS).sum(0)
    torch.testing.assert_close(amalgamation.linear(LOGITS, LABELS, floor=2 * math.log(2)), mixed)


def test_huge_losses_do_not_overflow() -> None:
    logits = torch.tensor([[[-1e4, 0.0]], [[-2e4, 0.0]]])
    label = torch.tensor([0])
    assert amalgamation.soft_weights(logits, label).flatten().tolist() == [0, 1]
    assert amalgamation.linear_weights(logits, label).flatten().tolist() == pytest.approx([1 / 3, 2 / 3])


def random_logits(n: int, images: int = 6, classes: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(classes, (images,), generator=generator)
    return 2 * torch.randn(n, images, classes, generator=generator), labels


@pytest.mark.parametrize("name", amalgamation.NAMES)
def test_one_teacher_is_passed_on(name: str) -> None:
    """A15: with n = 1 all four coincide."""
    logits, labels = random_logits(1)
    if name == "pareto":
        student = torch.softmax(logits[0].flip(1), 1)
        probabilities, weights = amalgamation.pareto(logits.softmax(2), student)
        assert torch.equal(probabilities, logits.softmax(2)[0])
        assert torch.equal(weights, torch.ones(6, 1))
    else:
        assert torch.equal(getattr(amalgamation, name)(logits, labels), logits[0])


@pytest.mark.parametrize("name", ["naive", "linear", "soft"])
def test_a_gradient_flows_through_logits_and_weights_where_there_is_a_graph(name: str) -> None:
    logits, labels = random_logits(3)
    logits = logits.double()
    function = getattr(amalgamation, name)
    assert not function(logits, labels).requires_grad
    assert torch.autograd.gradcheck(lambda z: function(z, labels), logits.requires_grad_())


@pytest.mark.parametrize("per", ["image", "batch"])
@pytest.mark.parametrize("n", [1, 2, 3])
def test_paretos_gradient_is_its_finite_difference_lambda_included(n: int, per: Any) -> None:
    """Eq. 7's minimum is differentiated where it is: on a corner, an edge or inside."""
    teachers, student = random_probabilities(n, 10)
    assert not any(output.requires_grad for output in amalgamation.pareto(teachers, student, weights_per=per))
    mixture = partial(amalgamation.pareto, ridge=1e-3, weights_per=per)
    assert torch.autograd.gradcheck(mixture, (teachers.requires_grad_(), student.requires_grad_()))


def test_paretos_gradient_is_finite_where_teachers_agree() -> None:
    """Lambda is then all but free, and what hangs on it moves nothing."""
    teachers, student = random_probabilities(1, 4)
    same = teachers.expand(3, 4, 5).clone().requires_grad_()
    probabilities, _ = amalgamation.pareto(same, student)
    (gradient,) = torch.autograd.grad(probabilities.square().sum(), same)
    torch.testing.assert_close(gradient, 2 * teachers.expand(3, 4, 5) / 3)


@pytest.mark.parametrize("name", ["naive", "linear", "soft"])
def test_images_do_not_feel_each_other(name: str) -> None:
    function = getattr(amalgamation, name)
    logits, labels = random_logits(3)
    each = [function(logits[:, [image]], labels[[image]]) for image in range(6)]
    assert torch.equal(torch.cat(each), function(logits, labels))


def random_probabilities(n: int, images: int, classes: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    everyone = torch.softmax(2 * torch.randn(n + 1, images, classes, generator=generator, dtype=F64), -1)
    return everyone[1:], everyone[0]


def distance(weights: Tensor, teachers: Tensor, student: Tensor) -> Tensor:
    """Eq. 7's objective, (B,)."""
    return (student - (weights.T.unsqueeze(-1) * teachers).sum(0)).square().sum(-1)


@pytest.mark.parametrize("n", [2, 3])
def test_pareto_beats_every_point_of_a_grid(n: int) -> None:
    teachers, student = random_probabilities(n, 30)
    probabilities, weights = amalgamation.pareto(teachers, student)
    torch.testing.assert_close(probabilities, (weights.T.unsqueeze(-1) * teachers).sum(0))
    best = distance(weights, teachers, student)
    faces = (weights > 0).sum(1)
    assert set(faces.tolist()) == set(range(1, n + 1))  # corners, edges and the inside all occur
    steps = 60
    grid = [
        [part / steps for part in parts]
        for parts in itertools.product(range(steps + 1), repeat=n)
        if sum(parts) == steps
    ]
    on_grid = torch.stack([distance(torch.tensor(point, dtype=F64).expand(30, n), teachers, student) for point in grid])
    assert (best <= on_grid.min(0).values + 1e-8).all()
    assert (on_grid.min(0).values - best < 1e-3).all()


@pytest.mark.parametrize("n", [2, 3, 4])
def test_pareto_agrees_with_slsqp(n: int) -> None:
    teachers, student = random_probabilities(n, 10, seed=n)
    _, weights = amalgamation.pareto(teachers, student)
    for image in range(10):
        target, columns = student[image].numpy(), teachers[:, image].numpy()
        solution = minimize(
            lambda w, target=target, columns=columns: np.sum((target - w @ columns) ** 2),
            np.full(n, 1 / n),
            method="SLSQP",
            bounds=[(0, 1)] * n,
            constraints={"type": "eq", "fun": lambda w: w.sum() - 1},
            options={"ftol": 1e-14, "maxiter": 500},
        )
        np.testing.assert_allclose(weights[image].numpy(), solution.x, atol=2e-5)


# ---- C8: one lambda for the batch


@pytest.mark.parametrize("n", [2, 3])
def test_paretos_weights_for_a_batch_beat_every_point_of_a_grid(n: int) -> None:
    """The mean distance over the batch, by brute force, of batches whose optimum is a corner, an edge or inside."""
    faces = set()
    for seed in range(20):
        teachers, student = random_probabilities(n, 3, seed=seed)
        probabilities, weights = amalgamation.pareto(teachers, student, weights_per="batch")
        assert torch.equal(weights, weights[:1].expand(3, n))
        torch.testing.assert_close(probabilities, (weights.T.unsqueeze(-1) * teachers).sum(0))
        best = distance(weights, teachers, student).mean()
        steps = 40
        parts = [point for point in itertools.product(range(steps + 1), repeat=n) if sum(point) == steps]
        grid = torch.tensor(parts, dtype=F64) / steps
        on_grid = min(distance(point.expand(3, n), teachers, student).mean().item() for point in grid)
        assert best <= on_grid + 1e-8
        assert on_grid - best < 1e-3
        faces.add(int((weights[0] > 0).sum()))
    assert faces == set(range(1, n + 1))


def test_a_batch_is_one_image_of_all_its_classes() -> None:
    """Sums of squares over images and classes alike: the solver's answer to one long vector."""
    teachers, student = random_probabilities(3, 7)
    _, weights = amalgamation.pareto(teachers, student, ridge=1e-8, weights_per="batch")
    _, long = amalgamation.pareto(teachers.reshape(3, 1, 35), student.reshape(1, 35), ridge=7e-8)
    torch.testing.assert_close(weights[:1], long, rtol=0, atol=1e-9)
    _, apart = amalgamation.pareto(teachers, student)
    assert (distance(apart, teachers, student) <= distance(weights, teachers, student) + 1e-7).all()
    assert (apart - weights).abs().max() > 0.1


def test_an_image_alone_is_a_batch() -> None:
    teachers, student = random_probabilities(3, 1)
    for one, other in zip(
        amalgamation.pareto(teachers, student), amalgamation.pareto(teachers, student, weights_per="batch"), strict=True
    ):
        assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("per", ["image", "batch"])
@pytest.mark.parametrize("n", [2, 3, 4])
def test_pareto_weighs_teachers_that_agree_the_same(n: int, per: Any, dtype: torch.dtype) -> None:
    teachers, student = random_probabilities(1, 8)
    same = teachers.expand(n, 8, 5).to(dtype)
    probabilities, weights = amalgamation.pareto(same, student.to(dtype), weights_per=per)
    torch.testing.assert_close(weights, torch.full((8, n), 1 / n, dtype=dtype), rtol=0, atol=1e-7)
    torch.testing.assert_close(probabilities, same[0])


def test_pareto_splits_the_weight_of_two_that_agree() -> None:
    teachers, student = random_probabilities(2, 20)
    _, apart = amalgamation.pareto(teachers, student)
    _, weights = amalgamation.pareto(teachers[[0, 1, 1]], student)
    torch.testing.assert_close(weights[:, 1], weights[:, 2], rtol=0, atol=1e-7)
    torch.testing.assert_close(weights[:, 0], apart[:, 0], rtol=0, atol=1e-5)


def test_pareto_finds_a_student_that_is_one_of_the_teachers() -> None:
    teachers, _ = random_probabilities(3, 8)
    probabilities, weights = amalgamation.pareto(teachers, teachers[1])
    torch.testing.assert_close(weights, torch.tensor([0.0, 1.0, 0.0], dtype=F64).expand(8, 3), rtol=0, atol=1e-6)
    torch.testing.assert_close(probabilities, teachers[1], rtol=0, atol=1e-6)


def simplex_points(classes: int) -> st.SearchStrategy[list[float]]:
    """Probability vectors, corners and near-duplicates included."""
    share = st.one_of(st.just(0.0), st.floats(0, 1), st.sampled_from([1e-12, 1e-6, 1.0]))
    return (
        st.lists(share, min_size=classes, max_size=classes)
        .filter(lambda shares: sum(shares) > 1e-3)
        .map(lambda shares: [part / sum(shares) for part in shares])
    )


@settings(max_examples=200, deadline=None, derandomize=True)
@given(data=st.data(), n=st.integers(1, 4), classes=st.integers(2, 5), half=st.booleans())
def test_pareto_stays_on_the_simplex_and_beats_its_corners(
    data: st.DataObject, n: int, classes: int, half: bool
) -> None:
    dtype = torch.float32 if half else F64
    points = data.draw(st.lists(simplex_points(classes), min_size=n + 1, max_size=n + 1))
    student, *teachers = (torch.tensor([point], dtype=dtype) for point in points)
    stacked = torch.stack(teachers)
    probabilities, weights = amalgamation.pareto(stacked, student)
    assert probabilities.dtype == weights.dtype == dtype
    assert (weights >= 0).all()
    assert weights.sum().item() == pytest.approx(1, abs=1e-6)
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)
    corners = torch.stack([(student - teacher).square().sum() for teacher in teachers])
    assert (student - probabilities).square().sum() <= corners.min() + 1e-6
