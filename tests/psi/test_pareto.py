"""Eq. 7 against a grid, and a general-purpose solver."""

import itertools
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize
from sklearn.svm import OneClassSVM
from torch import Tensor
from torch.nn import functional as F

from ataka.psi.pareto import pareto

F64 = torch.float64
PER = ("image", "batch", "mean_distance")


def random_probabilities(n: int, images: int, classes: int = 5, seed: int = 0) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    everyone = torch.softmax(2 * torch.randn(n + 1, images, classes, generator=generator, dtype=F64), -1)
    return everyone[1:], everyone[0]


def distance(weights: Tensor, teachers: Tensor, student: Tensor) -> Tensor:
    """Eq. 7's objective, (B,)."""
    return (student - (weights.T.unsqueeze(-1) * teachers).sum(0)).square().sum(-1)


@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize("n", [1, 2, 3])
def test_paretos_gradient_is_its_finite_difference_lambda_included(n: int, per: Any) -> None:
    """Eq. 7's minimum is differentiated where it is: on a corner, an edge or inside."""
    teachers, student = random_probabilities(n, 10)
    assert not any(output.requires_grad for output in pareto(teachers, student, weights_per=per))
    mixture = partial(pareto, ridge=1e-3, weights_per=per)
    assert torch.autograd.gradcheck(mixture, (teachers.requires_grad_(), student.requires_grad_()))


def test_paretos_gradient_is_finite_where_teachers_agree() -> None:
    """Lambda is then all but free, and what hangs on it moves nothing."""
    teachers, student = random_probabilities(1, 4)
    same = teachers.expand(3, 4, 5).clone().requires_grad_()
    probabilities, _ = pareto(same, student)
    (gradient,) = torch.autograd.grad(probabilities.square().sum(), same)
    torch.testing.assert_close(gradient, 2 * teachers.expand(3, 4, 5) / 3)


@pytest.mark.parametrize("n", [2, 3])
def test_pareto_beats_every_point_of_a_grid(n: int) -> None:
    teachers, student = random_probabilities(n, 30)
    probabilities, weights = pareto(teachers, student)
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
    _, weights = pareto(teachers, student)
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


def aekd_weights(teacher_logits: Tensor, student_logits: Tensor) -> np.ndarray[Any, Any]:
    """AE-KD's lambda without its cap (C = 1) at temperature 1, as Du et al. solve it: by a one-class SVM.

    Its dual is min 1/2 a'Ga with sum(a) = nu m and 0 <= a <= 1. G is the Gram matrix of the gradients of the
    divergences by the student's logits, each averaged over the batch.
    """
    m, gradients = len(teacher_logits), []
    for logits in teacher_logits:
        leaf = student_logits.clone().requires_grad_()
        F.kl_div(leaf.log_softmax(1), logits.softmax(1), reduction="sum").div(len(leaf)).backward()
        gradients.append(leaf.grad.mean(0))
    vectors = torch.stack(gradients).numpy() * len(student_logits)  # a scale alone, for the solver's absolute tolerance
    svm = OneClassSVM(kernel="precomputed", nu=1 / m, tol=1e-12).fit(vectors @ vectors.T)
    weights = np.zeros(m)
    weights[svm.support_] = svm.dual_coef_[0]
    return weights / weights.sum()


@pytest.mark.parametrize("n", [2, 3, 4])
def test_paretos_weights_for_a_batch_are_ae_kds(n: int) -> None:
    """From autograd and an independent solver; the mean of the distances has another minimum."""
    faces, apart = set(), 0.0
    for seed in range(20):
        generator = torch.Generator().manual_seed(seed)
        *teachers, student = 2 * torch.randn(n + 1, 16, 5, generator=generator, dtype=F64)
        stacked = torch.stack(teachers)
        _, weights = pareto(stacked.softmax(-1), student.softmax(-1), ridge=1e-12, weights_per="batch")
        assert torch.equal(weights, weights[:1].expand(16, n))
        np.testing.assert_allclose(weights[0].numpy(), aekd_weights(stacked, student), atol=1e-5)
        _, others = pareto(stacked.softmax(-1), student.softmax(-1), weights_per="mean_distance")
        apart = max(apart, (weights - others).abs().max().item())
        faces.add(int((weights[0] > 1e-6).sum()))
    assert len(faces) > 1
    assert apart > 0.1


def test_a_batchs_weights_are_those_of_its_mean_image() -> None:
    teachers, student = random_probabilities(3, 7)
    probabilities, weights = pareto(teachers, student, weights_per="batch")
    _, of_mean = pareto(teachers.mean(1, keepdim=True), student.mean(0, keepdim=True))
    torch.testing.assert_close(weights, of_mean.expand(7, 3), rtol=0, atol=1e-12)
    torch.testing.assert_close(probabilities, (weights.T.unsqueeze(-1) * teachers).sum(0))


@pytest.mark.parametrize("n", [2, 3])
def test_the_weights_of_the_least_mean_distance_beat_every_point_of_a_grid(n: int) -> None:
    """The mean distance over the batch, by brute force, of batches whose optimum is a corner, an edge or inside."""
    faces = set()
    for seed in range(20):
        teachers, student = random_probabilities(n, 3, seed=seed)
        probabilities, weights = pareto(teachers, student, weights_per="mean_distance")
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
    _, weights = pareto(teachers, student, ridge=1e-8, weights_per="mean_distance")
    _, long = pareto(teachers.reshape(3, 1, 35), student.reshape(1, 35), ridge=7e-8)
    torch.testing.assert_close(weights[:1], long, rtol=0, atol=1e-9)
    _, apart = pareto(teachers, student)
    assert (distance(apart, teachers, student) <= distance(weights, teachers, student) + 1e-7).all()
    assert (apart - weights).abs().max() > 0.1


def test_an_image_alone_is_a_batch() -> None:
    teachers, student = random_probabilities(3, 1)
    for per in PER[1:]:
        for one, other in zip(pareto(teachers, student), pareto(teachers, student, weights_per=per), strict=True):
            assert torch.equal(one, other)


@pytest.mark.parametrize("dtype", [torch.float32, F64])
@pytest.mark.parametrize("per", PER)
@pytest.mark.parametrize("n", [2, 3, 4])
def test_pareto_weighs_teachers_that_agree_the_same(n: int, per: Any, dtype: torch.dtype) -> None:
    teachers, student = random_probabilities(1, 8)
    same = teachers.expand(n, 8, 5).to(dtype)
    probabilities, weights = pareto(same, student.to(dtype), weights_per=per)
    torch.testing.assert_close(weights, torch.full((8, n), 1 / n, dtype=dtype), rtol=0, atol=1e-7)
    torch.testing.assert_close(probabilities, same[0])


def test_pareto_splits_the_weight_of_two_that_agree() -> None:
    teachers, student = random_probabilities(2, 20)
    _, apart = pareto(teachers, student)
    _, weights = pareto(teachers[[0, 1, 1]], student)
    torch.testing.assert_close(weights[:, 1], weights[:, 2], rtol=0, atol=1e-7)
    torch.testing.assert_close(weights[:, 0], apart[:, 0], rtol=0, atol=1e-5)


def test_pareto_finds_a_student_that_is_one_of_the_teachers() -> None:
    teachers, _ = random_probabilities(3, 8)
    probabilities, weights = pareto(teachers, teachers[1])
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
    probabilities, weights = pareto(stacked, student)
    assert probabilities.dtype == weights.dtype == dtype
    assert (weights >= 0).all()
    assert weights.sum().item() == pytest.approx(1, abs=1e-6)
    assert probabilities.sum().item() == pytest.approx(1, abs=1e-5)
    corners = torch.stack([(student - teacher).square().sum() for teacher in teachers])
    assert (student - probabilities).square().sum() <= corners.min() + 1e-6
