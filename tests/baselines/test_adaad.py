"""AdaAD: an attack through both networks, a loss on its images, and the same for IAD's loss."""

import numpy as np
import pytest
import torch
from torch import Tensor

from ataka import training
from ataka.models.mixture import Mixture
from ataka.study.fields import readings_of
from ataka.training import Batch
from baselines import adaad
from tests import tiny
from tests.baselines import oracle

LABELS = torch.tensor([0, 3, 3, 1])
EPS, SIZE = 16 / 255, 4 / 255


def options(**changes: object) -> adaad.Options:
    return adaad.Options(**{"eps": "16/255", "step_size": "4/255", "steps": 3} | changes)


def create(**changes: object) -> adaad.AdaAD:
    return adaad.create(options(**changes), teachers={"robust": oracle.ensemble()})


def test_the_authors_settings_are_the_default() -> None:
    given, second = options(), options(version="AdaIAD")
    assert (given.weight, second.temperature, second.beta, second.begin) == (1.0, 30.0, 0.1, "60/200")
    shared = {("batchnorm", "A12", "eval"), ("eps", "E3", "16/255")}
    assert {*readings_of(given)} == shared | {("kl", "E3", "mean")}
    assert {*readings_of(second)} == shared | {("temperature", "E3", 30.0)}
    assert adaad.teachers(given) == ("robust",)


@pytest.mark.parametrize("weight", [0.0, 0.25, 1.0])
def test_the_loss_is_the_papers_and_that_of_the_code_on_ten_classes_a_class_count_less(weight: float) -> None:
    t_adv, s_adv, t_clean, s_clean = (oracle.logits(seed) for seed in range(4))
    value = weight * np.mean(oracle.kl(t_adv, s_adv)) + (1 - weight) * np.mean(oracle.kl(t_clean, s_clean))
    for kl, divisor in (("sum", 1), ("mean", tiny.CLASSES)):
        found = adaad.loss(t_adv, s_adv, t_clean, s_clean, weight=weight, kl=kl).item()
        assert found == pytest.approx(value / divisor, rel=1e-9)


def divergence(x: Tensor, student: torch.nn.Module, teacher: Mixture) -> Tensor:
    """sum KL(T(x) || S(x)), written out."""
    p = torch.stack([member(x).softmax(1) for member in teacher.members]).mean(0)
    return (p * (p.log() - student(x).softmax(1).log())).sum()


def climbed(start: Tensor, x: Tensor, *, teacher_moves: bool) -> Tensor:
    """The authors' attack in float64, on twins; or with a teacher whose target stays that of the images."""
    student, teacher = tiny.dense().double().eval(), oracle.ensemble().double()
    fixed = torch.stack([member(x.double()).softmax(1) for member in teacher.members]).mean(0)

    def distance(images: Tensor) -> Tensor:
        if teacher_moves:
            return divergence(images, student, teacher)
        return -(fixed * student(images).softmax(1).log()).sum()

    return oracle.ascend(distance, start.double(), x.double(), eps=EPS, size=SIZE, steps=3)


def test_the_attack_is_the_authors_with_a_gradient_through_the_teacher() -> None:
    student, batch = tiny.dense().train(), tiny.batch()
    start = batch.x + 0.001 * oracle.noise(batch.x)
    with oracle.forwards(student) as seen:
        [*create().losses([student], batch)]
    assert torch.equal(seen[0][0], start)
    assert [train for _, train in seen] == [False] * 3 + [True] * 2
    assert torch.equal(seen[3][0], batch.x)
    expected = climbed(start, batch.x, teacher_moves=True).float()
    torch.testing.assert_close(seen[4][0], expected, rtol=0, atol=1e-6)
    other = climbed(start, batch.x, teacher_moves=False).float()
    assert (seen[4][0] - other).abs().max() > SIZE


def test_a_step_is_the_sign_of_the_difference_quotients_with_both_networks_moving() -> None:
    x, y = tiny.batch().x[:2].double(), tiny.batch().y[:2]
    student, teacher = tiny.dense().double().eval(), oracle.ensemble().double()
    inside = x.clamp(0.3, 0.7)
    moved = adaad.ascend((student, teacher), inside, y, eps=0.1, step_size=0.01, steps=1, start=inside)
    slopes = oracle.quotients(lambda images: divergence(images, student, teacher), inside)
    clear = slopes.abs() > 1e-6
    assert clear.float().mean() > 0.9
    torch.testing.assert_close((moved - inside)[clear], 0.01 * slopes.sign()[clear], rtol=0, atol=1e-9)


def test_the_images_are_where_the_networks_differ_more_than_for_a_target_that_stays() -> None:
    student, teacher, batch = tiny.dense().train(), oracle.ensemble(), tiny.batch()
    with oracle.forwards(student) as seen:
        [*create().losses([student], batch)]
    x_adv = seen[-1][0]
    assert (x_adv - batch.x).abs().max() <= EPS + 1e-6
    other = climbed(batch.x + 0.001 * oracle.noise(batch.x), batch.x, teacher_moves=False).float()
    found, stays, clean = (divergence(x, tiny.dense().eval(), teacher).item() for x in (x_adv, other, batch.x))
    assert found > stays
    assert found > 1.2 * clean


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_the_mode_of_the_attack_is_the_students_alone(mode: str) -> None:
    student, batch, objective = tiny.convolutional().train(), tiny.batch(), create(batchnorm=mode)
    before = tiny.state(objective.teacher)
    with oracle.forwards(student) as seen, oracle.forwards(objective.teacher) as taught:
        [*objective.losses([student], batch)]
    assert [train for _, train in seen] == [mode == "train"] * 3 + [True] * 2
    assert not any(train for _, train in taught)
    assert tiny.same(tiny.state(objective.teacher), before)
    assert student[0][1].num_batches_tracked.item() == (5 if mode == "train" else 2)


def test_targets_are_constants_and_the_step_is_the_loss_of_these_networks_on_these_images() -> None:
    student, batch, objective = tiny.dense().train(), tiny.batch(), create(weight=0.7, kl="sum")
    with oracle.forwards(student) as seen:
        (found,) = objective.losses([student], batch)
    x_adv = seen[-1][0]
    clean, adversarial = (tiny.dense().train()(x).detach() for x in (batch.x, x_adv))
    p_adv, p_clean = (np.log(averaged(objective.teacher, x)) for x in (x_adv, batch.x))
    value = 0.7 * np.mean(oracle.kl(p_adv, adversarial)) + 0.3 * np.mean(oracle.kl(p_clean, clean))
    assert found.item() == pytest.approx(value, rel=1e-4)
    found.backward()
    assert all(parameter.grad is None for parameter in objective.teacher.parameters())


def averaged(teacher: Mixture, x: Tensor) -> np.ndarray:
    return np.mean([oracle.softmax(member(x).detach()) for member in teacher.members], axis=0)


def test_at_the_codes_weight_the_clean_images_move_batch_statistics_alone() -> None:
    student, twin = tiny.convolutional().train(), tiny.convolutional().train()
    batch, objective = tiny.batch(), create()
    with oracle.forwards(student) as seen:
        (loss,) = objective.losses([student], batch)
    loss.backward()
    twin(batch.x)
    adaad.mean_kl(objective.teacher(seen[-1][0]), twin(seen[-1][0]), over_classes="mean").backward()
    for name, gradient in oracle.gradients(student).items():
        torch.testing.assert_close(gradient, oracle.gradients(twin)[name])
    assert tiny.same(tiny.state(student), tiny.state(twin))


# ---- AdaIAD


def at(progress: float) -> Batch:
    return tiny.batch(progress=progress)


@pytest.mark.parametrize(
    ("progress", "extra", "wanted"),
    [(59 / 200, True, "xax"), (60 / 200, True, "xaxx"), (59 / 200, False, "a"), (60 / 200, False, "ax")],
)
def test_what_is_forwarded_after_the_attack(progress: float, extra: bool, wanted: str) -> None:
    """a: adversarial, x: clean; all in train mode, after three steps in evaluation mode."""
    student, batch = tiny.convolutional().train(), at(progress)
    with oracle.forwards(student) as seen:
        [*create(version="AdaIAD", extra_forwards=extra).losses([student], batch)]
    assert "".join("x" if torch.equal(x, batch.x) else "a" for x, _ in seen[3:]) == wanted
    assert [train for _, train in seen] == [False] * 3 + [True] * len(wanted)


@pytest.mark.parametrize("progress", [0.0, 0.5])
@pytest.mark.parametrize("temperature", [1.0, 30.0])
def test_its_step_is_iads_loss_with_the_teacher_on_the_adversarial_images(progress: float, temperature: float) -> None:
    student, batch = tiny.dense().train(), at(progress)
    objective = create(version="AdaIAD", temperature=temperature, beta=0.7)
    with oracle.forwards(student) as seen:
        (found,) = objective.losses([student], batch)
    x_adv = seen[4][0]
    clean, adversarial = (tiny.dense().train()(x).detach() for x in (batch.x, x_adv))
    p = averaged(objective.teacher, x_adv)
    guidance = temperature**2 * np.array(oracle.kl(np.log(p), adversarial, temperature))
    trust = p[np.arange(6), batch.y] ** (0.7 if progress else 0.0)
    value = np.mean(guidance + (1 - trust) * oracle.kl(clean, adversarial))
    assert found.item() == pytest.approx(value, rel=2e-3 if temperature > 1 else 1e-4)


def test_its_images_are_adaads() -> None:
    found = []
    for version in ("AdaAD", "AdaIAD"):
        student = tiny.dense().train()
        with oracle.forwards(student) as seen:
            [*create(version=version).losses([student], at(0.5))]
        found.append(seen[4][0])
    assert torch.equal(*found)


@pytest.mark.parametrize("version", ["AdaAD", "AdaIAD"])
def test_it_trains_and_leaves_the_teacher_alone(version: str) -> None:
    objective = create(version=version, steps=1, begin="1/2")
    student, before = tiny.convolutional(), tiny.state(objective.teacher)
    initial = tiny.state(student)
    rows = training.train([student], objective, tiny.split(), tiny.FACTS, tiny.setup(), seed=0)
    assert all(np.isfinite(row["loss"]) for row in rows)
    assert all(not torch.equal(parameter, initial[name]) for name, parameter in student.named_parameters())
    assert tiny.same(tiny.state(objective.teacher), before)
    assert not any(module.training for module in objective.teacher.modules())
    assert not any(one.requires_grad or one.grad is not None for one in objective.teacher.parameters())
