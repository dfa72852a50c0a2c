"""MTARD: its divergences, the weights that follow them, who sees what, and a state that outlives an interruption."""

import json
from collections.abc import Iterator

import numpy as np
import pytest
import torch
from torch import Tensor

from ataka import streams, training
from ataka.datasets import views
from ataka.files.resume import Stateful
from ataka.models.mixture import Mixture
from ataka.study.fields import readings_of
from ataka.training import Batch
from ataka.training.awp import Perturbation
from baselines import mtard
from tests import tiny
from tests.baselines import oracle


def options(**changes: object) -> mtard.Options:
    return mtard.Options(**{"eps": "16/255", "step_size": "4/255", "steps": 3} | changes)


def teachers() -> dict[str, Mixture]:
    return {"robust": oracle.ensemble(11, 12), "standard": oracle.ensemble(13)}


def by_hand(teacher: Tensor, student: Tensor) -> float:
    """The script's: sum p log(p + 1e-5) - p log q over images and classes, over their number."""
    p, q = oracle.softmax(teacher.detach()), oracle.softmax(student.detach())
    return float(np.mean(p * np.log(p + 1e-5) - p * np.log(q)))


def test_the_authors_settings_are_the_default() -> None:
    given = options()
    assert (given.rate, given.drops, given.beta, given.scale) == (0.025, ("215/300", "260/300", "285/300"), 1.0, 1.0)
    assert {("kl", "E3", "mean"), ("batchnorm", "A12", "eval")} == {*readings_of(given)}
    assert mtard.teachers(given) == ("robust", "standard")


def test_the_divergence_is_the_codes_constant_included() -> None:
    teacher, student = oracle.logits(1, scale=4.0), oracle.logits(2)
    mean = mtard.divergence(teacher, student).item()
    assert mean == pytest.approx(by_hand(teacher, student), rel=1e-12)
    assert mtard.divergence(teacher, student, kl="sum").item() == pytest.approx(tiny.CLASSES * mean, rel=1e-12)
    assert mean != pytest.approx(np.mean(oracle.kl(teacher, student)) / tiny.CLASSES, rel=1e-7)
    assert mtard.divergence(teacher, teacher).item() > 0


def test_the_divergences_gradient_is_the_students_alone_and_that_of_kl() -> None:
    teacher, student = oracle.logits(1), oracle.logits(2)
    assert not oracle.gradient(lambda z: mtard.divergence(z, student), teacher).any()
    found = oracle.gradient(lambda z: mtard.divergence(teacher, z, kl="sum"), student)
    expected = (student.softmax(1) - teacher.softmax(1)) / len(student)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("beta", [1.0, 2.0])
def test_a_weight_moves_by_rate_towards_the_share_of_the_loss_that_fell_least(beta: float) -> None:
    robust, standard = 0.9, 0.3
    share = standard**beta / (standard**beta + robust**beta)
    after = mtard.moved(0.5, robust, standard, rate=0.025, beta=beta)
    assert after == pytest.approx(0.975 * 0.5 + 0.025 * share, rel=1e-14)
    assert after < 0.5
    assert mtard.moved(0.5, standard, robust, rate=0.025, beta=beta) == pytest.approx(1 - after, rel=1e-14)
    assert mtard.moved(0.5, 0.7, 0.7, rate=0.025, beta=beta) == 0.5
    weight = 0.5
    for _ in range(1000):
        weight = mtard.moved(weight, robust, standard, rate=0.025, beta=beta)
    assert weight == pytest.approx(share, rel=1e-9)


def test_the_robust_teacher_sees_the_adversarial_images_alone_and_the_other_the_clean_ones_alone() -> None:
    student, batch, taught = tiny.convolutional().train(), tiny.batch(), teachers()
    with (
        oracle.forwards(student) as seen,
        oracle.forwards(taught["robust"]) as robust,
        oracle.forwards(taught["standard"]) as standard,
    ):
        [*mtard.create(options(), teachers=taught).losses([student], batch)]
    assert [train for _, train in seen] == [False] * 3 + [True] * 2
    x_adv = seen[3][0]
    assert torch.equal(seen[0][0], batch.x + 0.001 * oracle.noise(batch.x))
    assert torch.equal(seen[4][0], batch.x)
    assert [torch.equal(x, x_adv) for x, _ in robust] == [True]
    assert [torch.equal(x, batch.x) for x, _ in standard] == [True]
    assert not torch.equal(x_adv, batch.x)


def test_the_attack_ascends_cross_entropy_with_the_label() -> None:
    student, batch = tiny.dense().train(), tiny.batch()
    twin = tiny.dense().eval()
    start = batch.x + 0.001 * oracle.noise(batch.x)
    expected = oracle.ascend(
        lambda x: -twin(x).softmax(1).log()[torch.arange(6), batch.y].mean(),
        start,
        batch.x,
        eps=16 / 255,
        size=4 / 255,
        steps=3,
    )
    with oracle.forwards(student) as seen:
        [*mtard.create(options(), teachers=teachers()).losses([student], batch)]
    torch.testing.assert_close(seen[3][0], expected, rtol=0, atol=1e-6)


def images(epoch: int, count: int, size: int) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """Each batch in float64, with the images that an attack of no step makes."""
    data = tiny.split(count)
    view = views.view(5, epoch, count, shift=tiny.FACTS.shift, flip=tiny.FACTS.flip)
    source = streams.generator(5, "start", 0, "epoch", epoch)
    x_all = view.apply(data.images).float() / 255
    for x, y in zip(x_all.split(size), data.labels[view.order].split(size), strict=True):
        noise = 0.001 * torch.randn(x.shape, generator=source, dtype=torch.float64).float()
        yield x.double(), (x + noise.clamp(-16 / 255, 16 / 255)).clamp(0, 1).double(), y


def published(taught: dict[str, Mixture], epochs: int, scale: float) -> tuple[dict[str, Tensor], float]:
    """The script's loop in float64: the student's weights, and w_n, in the end; one drop after the first epoch."""
    network = tiny.convolutional().double().train()
    doubles = {role: [member.double() for member in teacher.members] for role, teacher in taught.items()}

    def target(role: str, x: Tensor) -> Tensor:
        with torch.no_grad():
            return torch.stack([member(x).softmax(1) for member in doubles[role]]).mean(0)

    weight, first, rate = 0.5, None, 0.3
    for epoch in range(epochs):
        for x, x_adv, _ in images(epoch, 12, 4):
            distances = []
            for role, inputs in (("robust", x_adv), ("standard", x)):
                p = target(role, inputs)
                distances.append((p * ((p + 1e-5).log() - network(inputs).softmax(1).log())).mean())
            values = [distance.item() for distance in distances]
            first = first or values
            robust, standard = values[0] / first[0], values[1] / first[1]
            weight = weight - rate * (weight - standard / (robust + standard))
            network.zero_grad()
            (scale * ((1 - weight) * distances[0] + weight * distances[1])).backward()
            with torch.no_grad():
                for parameter in network.parameters():
                    parameter -= 0.5 * parameter.grad
        if epoch == 0:
            rate *= 0.1
    return network.state_dict(), weight


@pytest.mark.parametrize("scale", [1.0, 10.0])
def test_a_training_is_the_published_algorithm(scale: float) -> None:
    """The weights move with each step, by less after a drop; what the networks say decides them."""
    expected, weight = published(teachers(), 3, scale)
    objective = mtard.create(options(steps=0, rate=0.3, drops=("1/3",), scale=scale), teachers=teachers())
    network = tiny.convolutional()
    setup = tiny.setup(epochs=3, batch_size=4, learning_rate=0.5, momentum=0.0, weight_decay=0.0, milestones=())
    rows = training.train([network], objective, tiny.split(12), tiny.FACTS, setup, seed=5)
    for key, tensor in network.state_dict().items():
        assert torch.allclose(tensor.double(), expected[key].double(), rtol=2e-4, atol=2e-5), key
    assert objective.weight == pytest.approx(weight, rel=1e-5)
    assert weight != pytest.approx(0.5, abs=1e-3)
    assert rows[-1]["weight_standard"] == pytest.approx(weight, abs=0.01)


def weights(objective: mtard.MTARD, *progress: float) -> list[float]:
    """w_n after steps at the given shares of a training, of one student that stands still."""
    found = []
    for place, share in enumerate(progress):
        [*objective.losses([tiny.dense(place).train()], tiny.batch(seed=place, progress=share))]
        found.append(objective.weight)
    return found


def test_the_rate_falls_to_a_tenth_with_each_drop() -> None:
    changes = {}
    for share in (0.0, 214 / 300, 215 / 300, 260 / 300, 285 / 300):
        first, second = weights(mtard.create(options(), teachers=teachers()), 0.0, share)
        assert first == 0.5  # in the first step both losses are 1
        changes[share] = second - first
    assert changes[214 / 300] == changes[0.0]
    for share, factor in ((215 / 300, 0.1), (260 / 300, 0.01), (285 / 300, 0.001)):
        assert changes[share] == pytest.approx(factor * changes[0.0], rel=1e-6)


def test_the_weights_carry_no_gradient() -> None:
    student, batch, taught = tiny.dense(1).train(), tiny.batch(), teachers()
    objective = mtard.create(options(steps=0), teachers=taught)
    weights(objective, 0.0)
    (loss,) = objective.losses([student], batch)
    loss.backward()
    twin = tiny.dense(1).train()
    x_adv = (batch.x + 0.001 * oracle.noise(batch.x)).clamp(batch.x - 16 / 255, batch.x + 16 / 255).clamp(0, 1)
    robust = mtard.divergence(taught["robust"](x_adv), twin(x_adv))
    standard = mtard.divergence(taught["standard"](batch.x), twin(batch.x))
    assert objective.weight != 0.5
    ((1 - objective.weight) * robust + objective.weight * standard).backward()
    for name, gradient in oracle.gradients(student).items():
        torch.testing.assert_close(gradient, oracle.gradients(twin)[name], rtol=1e-4, atol=1e-8)


def test_under_awp_a_step_moves_weights_and_temperatures_once() -> None:
    found, temperatures = [], []
    for awp in (None, {"gamma": 1e-9}):
        objective = mtard.create(options(version="B-MTARD"), teachers=teachers())
        weights(objective, 0.0)
        student = tiny.convolutional(1).train()
        batch: Batch = Perturbation([student], tiny.setup(awp=awp)).add(objective, tiny.batch(seed=1))
        [*objective.losses([student], batch)]
        found.append(objective.weight)
        temperatures.append(objective.temperatures)
    assert found[0] != 0.5
    assert temperatures[0] == temperatures[1] != (1.0, 1.0)
    assert found[1] == pytest.approx(found[0], rel=1e-6)


def test_a_new_objective_goes_on_with_the_state_of_the_old() -> None:
    """As JSON keeps it; without that state the weights would begin anew."""
    chosen = options(rate=0.3, version="B-MTARD")
    whole = mtard.create(chosen, teachers=teachers())
    expected = weights(whole, *[0.0] * 4)
    first, second, fresh = (mtard.create(chosen, teachers=teachers()) for _ in range(3))
    assert isinstance(first, Stateful)
    weights(first, 0.0, 0.0)
    second.restore(json.loads(json.dumps(first.state())))
    for objective in (second, fresh):
        for place in (2, 3):
            [*objective.losses([tiny.dense(place).train()], tiny.batch(seed=place))]
    assert second.weight == expected[-1]
    assert second.state() == whole.state()
    assert fresh.weight != expected[-1]


# ---- B-MTARD: temperatures


def test_a_certainty_is_the_scripts() -> None:
    z = oracle.logits(1, scale=4.0)
    p = oracle.softmax(z)
    assert mtard.certainty(z) == pytest.approx(float(np.mean(p * np.log(p + 1e-5))), rel=1e-12)
    assert mtard.certainty(oracle.logits(1, scale=9.0)) > mtard.certainty(z) > mtard.certainty(z / 3)


def test_the_more_certain_teacher_gets_warmer_and_the_other_colder_between_one_and_ten() -> None:
    certain, unsure = -0.02, -0.2  # means of p log p
    assert mtard.warmed(3.0, certain, unsure, rate=0.001) == pytest.approx(3.001, abs=1e-12)
    assert mtard.warmed(3.0, unsure, certain, rate=0.001) == pytest.approx(2.999, abs=1e-12)
    assert mtard.warmed(3.0, unsure, unsure, rate=0.001) == 3.0
    assert mtard.warmed(1.0, unsure, certain, rate=0.001) == 1.0
    assert mtard.warmed(9.9995, certain, unsure, rate=0.001) == 10.0
    assert mtard.warmed(3.0, unsure, 0.0, rate=0.001) == pytest.approx(3.001)  # ratio of minus infinity


def test_temperatures_divide_the_teachers_logits_alone_and_no_square_of_them_scales_the_loss() -> None:
    student, batch, taught = tiny.dense().train(), tiny.batch(), teachers()
    objective = mtard.create(options(version="B-MTARD", steps=0), teachers=taught)
    objective.temperatures = (2.0, 5.0)
    with oracle.forwards(student) as seen:
        (loss,) = objective.losses([student], batch)
    x_adv = seen[0][0]
    values = []
    for role, x, temperature in (("robust", x_adv, 2.0), ("standard", batch.x, 5.0)):
        p = oracle.softmax(
            np.log(np.mean([oracle.softmax(m(x).detach()) for m in taught[role].members], 0)), temperature
        )
        q = oracle.softmax(tiny.dense().train()(x).detach())
        values.append(float(np.mean(p * np.log(p + 1e-5) - p * np.log(q))))
    assert loss.item() == pytest.approx(0.5 * sum(values), rel=1e-4)


def test_the_certain_teacher_is_heated_step_by_step_ever_slower() -> None:
    taught = teachers()
    for member in taught["standard"].members:
        member[2].weight.data *= 5  # the natural teacher is the more certain one
    objective = mtard.create(options(version="B-MTARD"), teachers=taught)
    weights(objective, 0.0, 0.0)
    assert objective.temperatures == pytest.approx((1.0, 1.002), abs=1e-12)
    weights(objective, 0.9)  # behind 215/300 and 260/300
    assert objective.temperatures == pytest.approx((1.0, 1.00201), abs=1e-12)
    plain = mtard.create(options(), teachers=taught)
    weights(plain, 0.0, 0.0)
    assert plain.temperatures == (1.0, 1.0)


@pytest.mark.parametrize("version", ["MTARD", "B-MTARD"])
def test_the_first_step_of_both_versions_is_the_same(version: str) -> None:
    (loss,) = mtard.create(options(version=version), teachers=teachers()).losses([tiny.dense().train()], tiny.batch())
    (other,) = mtard.create(options(), teachers=teachers()).losses([tiny.dense().train()], tiny.batch())
    assert loss == other


def test_it_trains_and_leaves_the_teachers_alone() -> None:
    taught = teachers()
    oracle.assert_trains_and_leaves_alone(mtard.create(options(steps=1), teachers=taught), *taught.values())
