"""Natural training and SAT: what loss, on which images."""

import pytest
import torch
from torch.nn import functional

from ataka import streams
from ataka.attacks import pgd
from ataka.study.fields import number
from baselines import natural, sat
from tests import tiny


def options(**changes: object) -> sat.Options:
    return sat.Options(**{"eps": "16/255", "step_size": "4/255", "steps": 3, "batchnorm": "eval"} | changes)


def test_natural_training_is_cross_entropy_on_the_images_themselves() -> None:
    network, batch = tiny.dense(), tiny.batch()
    (loss,) = natural.create(natural.Options()).losses([network], batch)
    p = torch.log_softmax(tiny.dense()(batch.x).double(), 1)[torch.arange(6), batch.y]
    assert loss.item() == pytest.approx(-p.mean().item(), rel=1e-6)


def test_sats_loss_is_cross_entropy_on_pgds_images() -> None:
    network, batch = tiny.linear(), tiny.batch()
    (loss,) = sat.create(options()).losses([network], batch)
    # independently: three signed steps of a linear network, whose gradient is known in closed form
    weight, bias = network[1].weight.detach(), network[1].bias.detach()
    eps, step = number("16/255"), number("4/255")
    x = batch.x
    noise = torch.rand(x.shape, generator=streams.generator(0, "start", 0)) * 2 - 1
    x_adv = (x + eps * noise).clamp(0, 1)
    for _ in range(3):
        error = torch.softmax(x_adv.flatten(1) @ weight.T + bias, 1) - torch.eye(tiny.CLASSES)[batch.y]
        x_adv = x_adv + step * (error @ weight).sign().reshape(x.shape)
        x_adv = torch.minimum(torch.maximum(x_adv, x - eps), x + eps).clamp(0, 1)
    expected = functional.cross_entropy(x_adv.flatten(1) @ weight.T + bias, batch.y)
    assert loss.item() == pytest.approx(expected.item(), rel=1e-5)
    assert loss.item() > functional.cross_entropy(network(x), batch.y).item()


@pytest.mark.parametrize("steps", [0, 3])
def test_without_a_budget_sat_is_natural_training(steps: int) -> None:
    batch = tiny.batch()
    (adversarial,) = sat.create(options(eps="0", steps=steps)).losses([tiny.dense()], batch)
    (clean,) = natural.Natural().losses([tiny.dense()], batch)
    assert adversarial.item() == clean.item()


@pytest.mark.parametrize(("mode", "forwards"), [("eval", 1), ("train", 4)])
def test_batch_statistics_move_as_the_reading_says(mode: str, forwards: int) -> None:
    """Madry's code updates them in each attack step; later code only in the update's own forward."""
    network = tiny.convolutional().train()
    (loss,) = sat.create(options(batchnorm=mode)).losses([network], tiny.batch())
    assert network[0][1].num_batches_tracked.item() == forwards
    assert network.training
    assert all(parameter.requires_grad and parameter.grad is None for parameter in network.parameters())
    loss.backward()
    assert all(parameter.grad is not None for parameter in network.parameters())


def test_the_attack_pays_no_heed_to_gradients_of_its_own_making() -> None:
    """The outer loss treats x' as given: its gradient is that of cross-entropy at these images."""
    network, batch = tiny.linear(), tiny.batch()
    (loss,) = sat.create(options()).losses([network], batch)
    loss.backward()
    twin = tiny.linear()
    start = pgd.draw(batch.x, eps=number("16/255"), generator=streams.generator(0, "start", 0))
    x_adv = pgd.attack(twin, batch.x, batch.y, eps=16 / 255, step_size=4 / 255, steps=3, start=start, clamp_start=True)
    functional.cross_entropy(twin(x_adv), batch.y).backward()
    assert torch.equal(network[1].weight.grad, twin[1].weight.grad)


def test_sats_loss_is_the_mean_cross_entropy() -> None:
    z, y = torch.tensor([[2.0, 0.0], [0.0, 1.0]]), torch.tensor([0, 0])
    expected = (torch.tensor([-2.0, 1.0]).exp().log1p()).mean()
    assert sat.loss(z, y).item() == pytest.approx(expected.item())
