"""Adversarial weight perturbation: is a step the one that its authors publish?"""

import copy
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka import streams, training
from ataka.datasets import views
from ataka.errors import UserError
from ataka.objectives.teachers import Teachers
from ataka.study import config
from ataka.training import Batch, loop
from ataka.training.awp import Perturbation
from baselines import sat, trades
from baselines.natural import Natural
from tests import tiny

EPS = "16/255"
GAMMA, RATE, MOMENTUM, DECAY = 0.05, 0.1, 0.9, 0.01
EPOCHS, COUNT, BATCH = 3, 12, 4


def kl(target: Tensor, output: Tensor) -> Tensor:
    p, q = target.softmax(1), output.softmax(1)
    return (p * (p.log() - q.log())).sum(1).mean()


def sat_loss(network: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> Tensor:
    return -network(x_adv).softmax(1).log()[torch.arange(len(y)), y].mean()


def trades_loss(network: nn.Module, x: Tensor, x_adv: Tensor, y: Tensor) -> Tensor:
    clean, adversarial = network(x), network(x_adv)
    with torch.no_grad():
        network(x)
    return -clean.softmax(1).log()[torch.arange(len(y)), y].mean() + 6.0 * kl(clean, adversarial)


def images(epoch: int, gaussian: bool) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Each batch in float64, with the images that an attack of no step makes: its start in the ball and in [0, 1]."""
    data = tiny.split(COUNT)
    view = views.view(5, epoch, COUNT, shift=tiny.FACTS.shift, flip=tiny.FACTS.flip)
    source = streams.generator(5, "start", 0, "epoch", epoch)
    x_all = view.apply(data.images).float() / 255
    for x, y in zip(x_all.split(BATCH), data.labels[view.order].split(BATCH), strict=True):
        if gaussian:
            noise = 0.001 * torch.randn(x.shape, generator=source, dtype=torch.float64).float()
        else:
            noise = (2 * torch.rand(x.shape, generator=source) - 1) * (16 / 255)
        yield x.double(), (x + noise.clamp(-16 / 255, 16 / 255)).clamp(0, 1).double(), y


def published(loss: Callable[..., Tensor], gaussian: bool, begin: int) -> nn.Module:
    """Algorithm 1 with one step on the weights, in float64: a proxy climbs, the network descends at w + v."""
    network = tiny.convolutional().double().train()
    parameters = dict(network.named_parameters())
    velocity = {name: torch.zeros_like(parameter) for name, parameter in parameters.items()}
    for epoch in range(EPOCHS):
        for x, x_adv, y in images(epoch, gaussian):
            added = {}
            if epoch >= begin:
                proxy = copy.deepcopy(network)
                before = {name: parameter.detach().clone() for name, parameter in proxy.named_parameters()}
                optimiser = torch.optim.SGD(proxy.parameters(), lr=0.01)
                optimiser.zero_grad()
                (-loss(proxy, x, x_adv, y)).backward()
                optimiser.step()
                for name, parameter in proxy.named_parameters():
                    if "weight" in name and parameter.dim() > 1:
                        difference = parameter.detach() - before[name]
                        added[name] = GAMMA * before[name].norm() / (difference.norm() + 1e-20) * difference
            with torch.no_grad():
                for name, difference in added.items():
                    parameters[name] += difference
            network.zero_grad()
            loss(network, x, x_adv, y).backward()
            with torch.no_grad():
                for name, parameter in parameters.items():
                    velocity[name] = MOMENTUM * velocity[name] + parameter.grad + DECAY * parameter
                    parameter -= RATE * velocity[name]
                    parameter -= added.get(name, torch.zeros(()))
    return network


OBJECTIVES: dict[str, tuple[training.Objective, Callable[..., Tensor], bool]] = {
    "AT-AWP": (sat.SAT(sat.Options(eps=EPS, step_size="4/255", steps=0, batchnorm="eval")), sat_loss, False),
    "TRADES-AWP": (trades.TRADES(trades.Options(eps=EPS, step_size="4/255", steps=0)), trades_loss, True),
}


@pytest.mark.parametrize("name", OBJECTIVES)
@pytest.mark.parametrize("begin", [0, 1, 3])
def test_a_training_is_the_published_algorithm(name: str, begin: int) -> None:
    """Weights, and batch statistics, which see nothing of the proxy; from ``begin`` on."""
    objective, loss, gaussian = OBJECTIVES[name]
    setup = tiny.setup(
        epochs=EPOCHS,
        batch_size=BATCH,
        learning_rate=RATE,
        momentum=MOMENTUM,
        weight_decay=DECAY,
        milestones=(),
        awp={"gamma": GAMMA, "begin": f"{begin}/{EPOCHS}"},
    )
    network, expected = tiny.convolutional(), published(loss, gaussian, begin).state_dict()
    training.train([network], objective, tiny.split(COUNT), tiny.FACTS, setup, seed=5)
    for key, tensor in network.state_dict().items():
        assert torch.allclose(tensor.double(), expected[key].double(), rtol=2e-4, atol=2e-5), key
    other = published(loss, gaussian, 3 if begin == 0 else 0).state_dict()
    assert not torch.allclose(network.state_dict()["2.weight"].double(), other["2.weight"], rtol=1e-3, atol=1e-3)


def perturbation(networks: Sequence[nn.Module], **awp: Any) -> Perturbation:
    return Perturbation(networks, tiny.setup(awp={"gamma": GAMMA} | awp))


@pytest.mark.parametrize("steps", [1, 3])
def test_a_perturbation_is_of_norm_gamma_at_most_raises_the_loss_and_is_taken_back(steps: int) -> None:
    network, batch = tiny.convolutional().train(), tiny.batch()
    before = tiny.state(network)
    (loss,) = Natural().losses([network], batch)
    network.load_state_dict(before)
    added = perturbation([network], gamma=0.01, steps=steps)
    added.add(Natural(), batch)
    moved = tiny.state(network)
    for name, tensor in before.items():
        if name in ("0.0.weight", "2.weight"):
            share = (moved[name] - tensor).norm() / tensor.norm()
            assert share <= 0.01 * (1 + 1e-5)
            assert steps > 1 or share == pytest.approx(0.01, rel=1e-4)
        else:
            assert torch.equal(moved[name], tensor), name
    (higher,) = Natural().losses([network], batch)
    assert higher > loss
    added.remove(0)
    found = tiny.state(network)
    assert all(torch.allclose(found[name], before[name], atol=1e-7) for name in ("0.0.weight", "2.weight"))


def test_a_weight_without_a_gradient_stays() -> None:
    """As one that the loss doesn't reach, or reaches with a gradient of 0."""
    network = nn.ModuleList([nn.Linear(64, 2), nn.Linear(64, 2), nn.Linear(64, 2)])

    class Reaches:
        def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
            first, second, _ = networks[0]  # type: ignore[misc]
            yield first(batch.x.flatten(1)).sum() + 0 * second(batch.x.flatten(1)).sum()

    before = tiny.state(network)
    perturbation([network]).add(Reaches(), tiny.batch())
    moved = [name for name, tensor in tiny.state(network).items() if not torch.equal(tensor, before[name])]
    assert moved == ["0.weight"]
    assert all(tensor.isfinite().all() for tensor in network.state_dict().values())


def test_an_early_update_takes_back_what_was_added_before_anything_else_is_asked() -> None:
    """C11: the teachers' ``updated`` logits are those of the updated weights, without v."""
    generator = tiny.generator(channels=["train_adv", "updated"])
    recorded: dict[str, Tensor] = {}
    teachers = [tiny.convolutional(seed).train() for seed in range(2)]
    setup = tiny.setup(awp={"gamma": GAMMA}, milestones=())
    trainer = loop.Training(teachers, setup, loop.Averages(teachers, setup, steps=1))
    batch = tiny.batch(record=recorded.__setitem__, update=lambda: trainer.update(0.1))
    descended = trainer.perturbation.add(Teachers(generator), batch)
    assert not recorded
    at_w_and_v = [tiny.state(teacher) for teacher in teachers]
    seen: list[Tensor] = []
    for position, loss in enumerate(Teachers(generator).losses(teachers, descended)):
        trainer.descend(position, loss)
        seen.append(loss.detach())
    twins = [tiny.convolutional(seed).train() for seed in range(2)]
    for twin, state, logits, loss in zip(twins, at_w_and_v, recorded["train_adv"], seen, strict=True):
        twin.load_state_dict(state)
        assert functional.cross_entropy(logits, batch.y) == loss
    for teacher, x_adv, logits in zip(teachers, recorded["particles"], recorded["updated"], strict=True):
        assert torch.equal(teacher.eval()(x_adv), logits)


def test_a_loss_that_does_not_say_that_it_may_be_asked_twice_is_refused(tmp_path: Any, monkeypatch: Any) -> None:
    (tmp_path / "shy.py").write_text("from baselines.natural import Options, create\n")
    monkeypatch.syspath_prepend(tmp_path)
    changed = {"setups": {"natural": {"awp": {"gamma": 0.01}}}}
    config.load("smoke", changed)
    said = r"methods\.natural\.setup: natural perturbs weights \(awp\), but shy does not name 'awp' among what it heeds"
    with pytest.raises(UserError, match=said):
        config.load("smoke", {**changed, "methods": {"natural": {"objective": "shy"}}})
