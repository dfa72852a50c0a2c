"""MART: its loss an image at a time, nothing detached, and where x' comes from."""

import math

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ataka.study.fields import readings_of
from baselines import mart
from tests import tiny
from tests.baselines import oracle

LABELS = torch.tensor([0, 3, 3, 1])


def options(**changes: object) -> mart.Options:
    return mart.Options(**{"eps": "16/255", "step_size": "4/255", "steps": 3} | changes)


def by_hand(natural: Tensor, adversarial: Tensor, beta: float, *, constants: bool) -> float:
    one, almost, tiny_amount = (1.0001, 1.0000001, 1e-12) if constants else (1.0, 1.0, 0.0)
    total = 0.0
    for p, q, y in zip(oracle.softmax(natural), oracle.softmax(adversarial), LABELS.tolist(), strict=True):
        others = sorted(value for k, value in enumerate(q) if k != y)
        total += -math.log(q[y]) - math.log(one - others[-1] + tiny_amount)
        divergence = sum(a * (math.log(a) - math.log(b + tiny_amount)) for a, b in zip(p, q, strict=True))
        total += beta * divergence * (almost - p[y])
    return total / len(LABELS)


def test_the_authors_weight_and_mode_are_the_default() -> None:
    assert (options().beta, options().batchnorm) == (5.0, "eval")
    assert ("batchnorm", "A12", "eval") in [*readings_of(options())]


@pytest.mark.parametrize("beta", [0.0, 5.0, 6.0])
def test_the_loss_is_the_authors(beta: float) -> None:
    natural, adversarial = oracle.logits(1), oracle.logits(2)
    found = mart.loss(natural, adversarial, LABELS, beta=beta).item()
    assert found == pytest.approx(by_hand(natural, adversarial, beta, constants=True), rel=1e-12)
    assert found == pytest.approx(by_hand(natural, adversarial, beta, constants=False), rel=1e-3)


def test_the_runner_up_is_the_top_class_unless_that_is_the_label() -> None:
    """Class probabilities .5, .3, .2: the boosted part is -log(1 - .3) for label 0, -log(1 - .5) for the others."""
    z = torch.tensor([[0.5, 0.3, 0.2]], dtype=torch.float64).log()
    for label, runner_up in ((0, 0.3), (1, 0.5), (2, 0.5)):
        y = torch.tensor([label])
        boosted = mart.loss(z, z, y, beta=0.0) - functional.cross_entropy(z, y)
        assert boosted.item() == pytest.approx(-math.log(1.0001 - runner_up), rel=1e-9)


def test_nothing_is_detached_not_even_the_weight() -> None:
    natural, adversarial = oracle.logits(1), oracle.logits(2)

    def of_natural(z: Tensor) -> Tensor:
        return mart.loss(z, adversarial, LABELS, beta=5.0)

    def of_adversarial(z: Tensor) -> Tensor:
        return mart.loss(natural, z, LABELS, beta=5.0)

    torch.testing.assert_close(oracle.gradient(of_natural, natural), oracle.quotients(of_natural, natural))
    torch.testing.assert_close(
        oracle.gradient(of_adversarial, adversarial), oracle.quotients(of_adversarial, adversarial)
    )
    assert oracle.gradient(of_natural, natural).abs().max() > 0.1


def test_certainty_right_or_wrong_gives_finite_numbers() -> None:
    sure = torch.eye(tiny.CLASSES)[LABELS] * 1000
    wrong = sure.roll(1, 1)
    assert mart.loss(sure, sure, LABELS, beta=5.0).item() == pytest.approx(-1e-4, rel=1e-2)
    for natural, adversarial in ((sure, wrong), (wrong, sure), (wrong, wrong)):
        natural, adversarial = natural.clone().requires_grad_(), adversarial.clone().requires_grad_()
        loss = mart.loss(natural, adversarial, LABELS, beta=5.0)
        loss.backward()
        assert all(tensor.isfinite().all() for tensor in (loss, natural.grad, adversarial.grad))


def test_the_attack_ascends_cross_entropy_from_a_start_beside_x() -> None:
    network, batch = tiny.dense().train(), tiny.batch()
    twin = tiny.dense().eval()
    start = batch.x + 0.001 * oracle.noise(batch.x)
    expected = oracle.ascend(
        lambda x: functional.cross_entropy(twin(x), batch.y), start, batch.x, eps=16 / 255, size=4 / 255, steps=3
    )
    with oracle.forwards(network) as seen:
        (loss,) = mart.create(options()).losses([network], batch)
    assert torch.equal(seen[0][0], start)
    assert [train for _, train in seen] == [False] * 3 + [True] * 2
    assert torch.equal(seen[3][0], batch.x)
    torch.testing.assert_close(seen[4][0], expected, rtol=0, atol=1e-6)
    natural, adversarial = tiny.dense().train()(batch.x), tiny.dense().train()(seen[4][0])
    assert loss.item() == mart.loss(natural, adversarial, batch.y, beta=5.0).item()


@pytest.mark.parametrize(("mode", "count"), [("eval", 2), ("train", 5)])
def test_batch_statistics_move_as_the_reading_says(mode: str, count: int) -> None:
    network = tiny.convolutional().train()
    [*mart.create(options(batchnorm=mode)).losses([network], tiny.batch())]
    assert network[0][1].num_batches_tracked.item() == count
    assert network.training


def test_without_a_budget_both_forwards_agree_and_the_divergence_is_nothing() -> None:
    batch = tiny.batch()
    (loss,) = mart.create(options(eps="0")).losses([tiny.dense().train()], batch)
    z = tiny.dense().train()(batch.x)
    assert loss.item() == pytest.approx(mart.loss(z, z, batch.y, beta=0.0).item(), rel=1e-5)


def test_it_trains() -> None:
    oracle.assert_trains_and_leaves_alone(mart.create(options(steps=1)))
