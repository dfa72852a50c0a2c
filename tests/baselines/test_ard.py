"""ARD: temperature, reduction, whose logits on which images, and a teacher that nothing happens to."""

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ataka import streams
from ataka.study.fields import readings_of
from baselines import ard
from tests import tiny
from tests.baselines import oracle

LABELS = torch.tensor([0, 3, 3, 1])


def options(**changes: object) -> ard.Options:
    return ard.Options(**{"eps": "16/255", "step_size": "4/255", "steps": 3} | changes)


def loss(teacher: Tensor, adversarial: Tensor, natural: Tensor, **more: object) -> Tensor:
    return ard.loss(teacher, adversarial, natural, LABELS, **{"temperature": 30.0, "alpha": 0.7} | more)


def test_the_authors_settings_are_the_default() -> None:
    assert (options().temperature, options().alpha) == (30.0, 1.0)
    assert {("kl", "E3", "mean"), ("batchnorm", "A12", "train")} == {*readings_of(options())}
    assert ard.teachers(options()) == ("robust",)


@pytest.mark.parametrize("temperature", [1.0, 5.0, 30.0])
@pytest.mark.parametrize("alpha", [0.0, 0.7, 1.0])
def test_the_loss_is_the_papers_and_the_codes_a_class_count_less(alpha: float, temperature: float) -> None:
    teacher, adversarial, natural = oracle.logits(1), oracle.logits(2), oracle.logits(3)
    distance = alpha * temperature**2 * np.mean(oracle.kl(teacher, adversarial, temperature))
    labels = (1 - alpha) * oracle.cross_entropy(natural, LABELS)
    for kl, divisor in (("sum", 1), ("mean", tiny.CLASSES)):
        found = loss(teacher, adversarial, natural, temperature=temperature, alpha=alpha, kl=kl).item()
        assert found == pytest.approx(distance / divisor + labels, rel=1e-9)


def test_without_being_told_the_loss_is_that_of_torchs_criterion() -> None:
    teacher, adversarial, natural = oracle.logits(1), oracle.logits(2), oracle.logits(3)
    with pytest.warns(UserWarning, match="batchmean"):
        criterion = torch.nn.KLDivLoss()(torch.log_softmax(adversarial / 30, 1), torch.softmax(teacher / 30, 1))
    expected = 0.7 * 900 * criterion + 0.3 * functional.cross_entropy(natural, LABELS)
    torch.testing.assert_close(loss(teacher, adversarial, natural), expected)


def test_in_the_limit_of_high_temperature_it_is_the_squared_distance_of_centred_logits() -> None:
    """Hinton et al.: t^2 KL tends to |(z_T - mean) - (z_S - mean)|^2 / 2C; the factor t^2 keeps it from vanishing."""
    teacher, adversarial = oracle.logits(1), oracle.logits(2)
    difference = (teacher - adversarial).numpy()
    centred = difference - difference.mean(axis=1, keepdims=True)
    expected = (centred**2).sum(axis=1).mean() / (2 * tiny.CLASSES)
    found = loss(teacher, adversarial, adversarial, temperature=1e4, alpha=1.0, kl="sum").item()
    assert found == pytest.approx(expected, rel=1e-3)


def test_log_probabilities_of_an_ensemble_are_as_good_as_logits() -> None:
    teacher, adversarial, natural = oracle.logits(1), oracle.logits(2), oracle.logits(3)
    torch.testing.assert_close(
        loss(teacher.log_softmax(1), adversarial, natural), loss(teacher, adversarial, natural), rtol=1e-9, atol=0
    )


def test_the_students_gradients_are_difference_quotients() -> None:
    teacher, adversarial, natural = oracle.logits(1), oracle.logits(2), oracle.logits(3)

    def of_adversarial(z: Tensor) -> Tensor:
        return loss(teacher, z, natural)

    def of_natural(z: Tensor) -> Tensor:
        return loss(teacher, adversarial, z)

    torch.testing.assert_close(
        oracle.gradient(of_adversarial, adversarial), oracle.quotients(of_adversarial, adversarial)
    )
    torch.testing.assert_close(oracle.gradient(of_natural, natural), oracle.quotients(of_natural, natural))


def test_at_the_authors_alpha_the_labels_are_not_in_the_loss() -> None:
    teacher, adversarial, natural = oracle.logits(1), oracle.logits(2), oracle.logits(3)
    assert oracle.gradient(lambda z: loss(teacher, adversarial, z, alpha=1.0), natural).abs().max() == 0
    assert loss(teacher, teacher, natural, alpha=1.0).item() == pytest.approx(0, abs=1e-12)


def test_the_attack_is_the_authors_on_the_label_in_train_mode() -> None:
    """From a start that isn't clamped; the teacher sees nothing but the images themselves."""
    student, batch, teacher = tiny.dense().train(), tiny.batch(), oracle.ensemble()
    twin = tiny.dense().train()
    noise = 2 * torch.rand(batch.x.shape, generator=streams.generator(0, "start", 0)) - 1
    start = batch.x + 16 / 255 * noise
    expected = oracle.ascend(
        lambda x: functional.cross_entropy(twin(x), batch.y, reduction="sum"),
        start,
        batch.x,
        eps=16 / 255,
        size=4 / 255,
        steps=3,
    )
    with oracle.forwards(student) as seen, oracle.forwards(teacher) as taught:
        (found,) = ard.create(options(), teachers={"robust": teacher}).losses([student], batch)
    assert seen[0][0].min() < 0
    torch.testing.assert_close(seen[0][0], start, rtol=0, atol=1e-6)
    torch.testing.assert_close(seen[3][0], expected, rtol=0, atol=1e-6)
    assert [train for _, train in seen] == [True] * 5
    assert torch.equal(seen[4][0], batch.x)
    assert [(torch.equal(x, batch.x), train) for x, train in taught] == [(True, False)]
    probabilities = np.mean([oracle.softmax(member(batch.x)) for member in teacher.members], axis=0)
    student_logits = tiny.dense().train()(seen[3][0]).detach()
    value = 900 * np.mean(oracle.kl(np.log(probabilities), student_logits, 30.0)) / tiny.CLASSES
    assert found.item() == pytest.approx(value, rel=1e-3)


@pytest.mark.parametrize(("mode", "count"), [("train", 5), ("eval", 2)])
def test_batch_statistics_move_as_the_reading_says(mode: str, count: int) -> None:
    student = tiny.convolutional().train()
    [*ard.create(options(batchnorm=mode), teachers={"robust": oracle.ensemble()}).losses([student], tiny.batch())]
    assert student[0][1].num_batches_tracked.item() == count
    assert student.training


def test_the_settings_reach_the_loss() -> None:
    def step(**changes: object) -> float:
        objective = ard.create(options(**changes), teachers={"robust": oracle.ensemble()})
        (loss_,) = objective.losses([tiny.dense().train()], tiny.batch())
        return loss_.item()

    assert step(kl="sum") == pytest.approx(tiny.CLASSES * step(), rel=1e-6)
    assert step(temperature=1.0) != pytest.approx(step(), rel=1e-2)
    labels = functional.cross_entropy(tiny.dense().train()(tiny.batch().x), tiny.batch().y).item()
    assert step(alpha=0.0) == pytest.approx(labels, rel=1e-6)
    assert step(alpha=0.75) == pytest.approx(0.75 * step() + 0.25 * labels, rel=1e-5)


def test_it_trains_and_leaves_the_teacher_alone() -> None:
    teacher = oracle.ensemble()
    oracle.assert_trains_and_leaves_alone(
        ard.create(options(steps=1, alpha=0.9), teachers={"robust": teacher}), teacher
    )
