"""TRADES: its loss in both arguments, where x' comes from, and which forward moves which statistic."""

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ataka.study.fields import readings_of
from baselines import natural, trades
from tests import tiny
from tests.baselines import oracle

LABELS = torch.tensor([0, 3, 3, 1])


def options(**changes: object) -> trades.Options:
    return trades.Options(**{"eps": "16/255", "step_size": "4/255", "steps": 3} | changes)


def test_the_authors_weight_and_mode_are_the_default() -> None:
    assert (options().beta, options().batchnorm, options().extra_forward) == (6.0, "eval", True)
    assert ("batchnorm", "A12", "eval") in [*readings_of(options())]


@pytest.mark.parametrize("beta", [0.0, 1.0, 6.0])
def test_the_loss_is_cross_entropy_and_beta_times_the_divergence(beta: float) -> None:
    clean, adversarial = oracle.logits(1), oracle.logits(2)
    expected = oracle.cross_entropy(clean, LABELS) + beta * sum(oracle.kl(clean, adversarial)) / 4
    assert trades.loss(clean, adversarial, LABELS, beta=beta).item() == pytest.approx(expected, rel=1e-12)


def test_neither_side_of_the_divergence_is_detached() -> None:
    clean, adversarial = oracle.logits(1), oracle.logits(2)

    def of_clean(z: Tensor) -> Tensor:
        return trades.loss(z, adversarial, LABELS, beta=6.0)

    def of_adversarial(z: Tensor) -> Tensor:
        return trades.loss(clean, z, LABELS, beta=6.0)

    torch.testing.assert_close(oracle.gradient(of_clean, clean), oracle.quotients(of_clean, clean))
    torch.testing.assert_close(
        oracle.gradient(of_adversarial, adversarial), oracle.quotients(of_adversarial, adversarial)
    )
    only_labels = oracle.gradient(lambda z: functional.cross_entropy(z, LABELS), clean)
    assert (oracle.gradient(of_clean, clean) - only_labels).abs().max() > 0.1


def test_the_attack_is_the_authors_written_out() -> None:
    """They compute f(x) again in each step, in evaluation mode; we do once."""
    network, batch = tiny.dense().train(), tiny.batch()
    twin = tiny.dense().eval()

    def divergence(x_adv: Tensor) -> Tensor:
        log_output, target = torch.log_softmax(twin(x_adv), 1), torch.softmax(twin(batch.x), 1)
        return functional.kl_div(log_output, target, reduction="sum")

    noise = oracle.noise(batch.x)
    start = batch.x + 0.001 * noise
    expected = oracle.ascend(divergence, start, batch.x, eps=16 / 255, size=4 / 255, steps=3)
    with oracle.forwards(network) as seen:
        (loss,) = trades.create(options()).losses([network], batch)
    torch.testing.assert_close(seen[1][0], start, rtol=0, atol=0)
    torch.testing.assert_close(seen[5][0], expected, rtol=0, atol=1e-6)
    assert divergence(seen[5][0]) > 10 * divergence(start)
    clean, adversarial = tiny.dense().train()(batch.x), tiny.dense().train()(expected)
    value = oracle.cross_entropy(clean.detach(), batch.y) + sum(oracle.kl(clean.detach(), adversarial.detach()))
    assert loss.item() == pytest.approx(value, rel=1e-4)


def test_what_is_forwarded_in_which_mode() -> None:
    network, batch = tiny.convolutional().train(), tiny.batch()
    with oracle.forwards(network) as seen:
        [*trades.create(options(steps=2)).losses([network], batch)]
    assert [train for _, train in seen] == [False] * 3 + [True] * 3
    assert [torch.equal(x, batch.x) for x, _ in seen] == [True, False, False, True, False, True]
    assert network.training


@pytest.mark.parametrize(
    ("mode", "extra", "count"), [("eval", False, 2), ("eval", True, 3), ("train", False, 6), ("train", True, 7)]
)
def test_batch_statistics_move_as_the_options_say(mode: str, extra: bool, count: int) -> None:
    network = tiny.convolutional().train()
    [*trades.create(options(batchnorm=mode, extra_forward=extra)).losses([network], tiny.batch())]
    assert network[0][1].num_batches_tracked.item() == count


def test_the_extra_forward_moves_the_running_statistics_and_no_gradient() -> None:
    networks = {}
    for extra in (False, True):
        networks[extra] = tiny.convolutional().train()
        (loss,) = trades.create(options(extra_forward=extra)).losses([networks[extra]], tiny.batch())
        loss.backward()
    assert tiny.same(oracle.gradients(networks[False]), oracle.gradients(networks[True]))
    means = [networks[extra][0][1].running_mean for extra in (False, True)]
    batch_mean = networks[False][0][0](tiny.batch().x).mean((0, 2, 3))
    torch.testing.assert_close(means[1], 0.9 * means[0] + 0.1 * batch_mean)


def test_the_gradient_is_the_one_of_the_authors_two_forwards_of_x() -> None:
    network, batch = tiny.convolutional().train(), tiny.batch()
    with oracle.forwards(network) as seen:
        (loss,) = trades.create(options()).losses([network], batch)
    loss.backward()
    twin = tiny.convolutional().train()
    target, log_output = torch.softmax(twin(batch.x), 1), torch.log_softmax(twin(seen[5][0]), 1)
    robust = functional.kl_div(log_output, target, reduction="sum") / 6
    (functional.cross_entropy(twin(batch.x), batch.y) + 6.0 * robust).backward()
    for name, parameter in twin.named_parameters():
        torch.testing.assert_close(network.get_parameter(name).grad, parameter.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("steps", [0, 3])
def test_without_a_budget_trades_is_natural_training(steps: int) -> None:
    batch = tiny.batch()
    (robust,) = trades.create(options(eps="0", steps=steps)).losses([tiny.dense().train()], batch)
    (clean,) = natural.Natural().losses([tiny.dense().train()], batch)
    assert robust.item() == pytest.approx(clean.item(), rel=1e-6)


def test_it_trains() -> None:
    oracle.assert_trains_and_leaves_alone(trades.create(options(steps=1)))


def test_within_the_scripts_budget_no_image_goes_further() -> None:
    """0.031 and 10 steps of 0.007 (E3): 0.00037 less than 8/255 a pixel, and another gradient."""
    gradients, furthest = {}, {}
    for eps in ("8/255", "0.031"):
        network, batch = tiny.convolutional().train(), tiny.batch()
        with oracle.forwards(network) as seen:
            (loss,) = trades.create(options(eps=eps, step_size="0.007", steps=10)).losses([network], batch)
        loss.backward()
        gradients[eps] = network[0][0].weight.grad
        furthest[eps] = max((x - batch.x).abs().max().item() for x, _ in seen)
    assert furthest == pytest.approx({"8/255": 8 / 255, "0.031": 0.031}, abs=1e-7)
    assert not torch.allclose(gradients["8/255"], gradients["0.031"], rtol=1e-4)
