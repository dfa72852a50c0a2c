"""IAD: both versions an image at a time, what carries a gradient, when trust begins, and what is forwarded."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor
from torch.nn import functional

from ataka import streams
from ataka.study.fields import readings_of
from ataka.training import Batch
from baselines import ard, iad
from tests import tiny
from tests.baselines import oracle

LABELS = torch.tensor([0, 3, 3, 1])
T_CLEAN, T_ADV, N_ADV, S_CLEAN, S_ADV = (oracle.logits(seed) for seed in range(1, 6))


def options(**changes: object) -> iad.Options:
    return iad.Options(**{"eps": "16/255", "step_size": "4/255", "steps": 3} | changes)


def teachers() -> dict[str, object]:
    return {"robust": oracle.ensemble(11, 12, 13), "standard": oracle.ensemble(21, 22)}


def at(progress: float) -> Batch:
    return replace(tiny.batch(), progress=progress)


def trust(beta: float) -> list[float]:
    return [float(p[y]) ** beta for p, y in zip(oracle.softmax(T_ADV), LABELS.tolist(), strict=True)]


def first(clean: Tensor = S_CLEAN, adversarial: Tensor = S_ADV, **more: object) -> Tensor:
    settings = {"beta": 0.5, "temperature": 3.0, "alpha": 0.8} | more
    return iad.loss(T_CLEAN, T_ADV, clean, adversarial, LABELS, **settings)


def second(clean: Tensor = S_CLEAN, adversarial: Tensor = S_ADV, **more: object) -> Tensor:
    settings = {"beta": 0.5, "temperature": 3.0, "alpha_robust": 0.4, "alpha_standard": 0.25} | more
    return iad.loss_ii(T_ADV, N_ADV, clean, adversarial, LABELS, **settings)


def test_the_authors_settings_are_the_default() -> None:
    o = options()
    assert (o.beta, o.begin, o.temperature, o.alpha, o.extra_forwards) == (0.1, "60/200", 1.0, 1.0, True)
    assert (o.alpha_robust, o.alpha_standard) == (0.5, 0.25)
    assert {*readings_of(o)} == {
        ("version", "E3", "I"),
        ("teacher_term", "E3", "whole"),
        ("introspection", "E3", "live"),
        ("batchnorm", "A12", "train"),
    }


def test_the_second_version_wants_a_standard_teacher() -> None:
    assert iad.teachers(options()) == ("robust",)
    assert iad.teachers(options(version="II")) == ("robust", "standard")


@pytest.mark.parametrize("term", ["whole", "trusted"])
@pytest.mark.parametrize("beta", [0.0, 0.1, 0.5])
def test_the_first_versions_loss(term: str, beta: float) -> None:
    total = 0.0
    guidance, own = oracle.kl(T_CLEAN, S_ADV, 3.0), oracle.kl(S_CLEAN, S_ADV)
    for a, g, o in zip(trust(beta), guidance, own, strict=True):
        total += 0.8 * ((a if term == "trusted" else 1) * 9 * g + (1 - a) * o) / 4
    total += 0.2 * oracle.cross_entropy(S_CLEAN, LABELS)
    assert first(beta=beta, teacher_term=term).item() == pytest.approx(total, rel=1e-9)


@pytest.mark.parametrize("beta", [0.0, 0.1, 0.5])
def test_the_second_versions_loss(beta: float) -> None:
    total = 0.35 * oracle.cross_entropy(S_ADV, LABELS)
    robust, standard, own = oracle.kl(T_ADV, S_ADV, 3.0), oracle.kl(N_ADV, S_ADV, 3.0), oracle.kl(S_CLEAN, S_ADV)
    for a, r, s, o in zip(trust(beta), robust, standard, own, strict=True):
        total += 9 * (0.4 * (a * r + (1 - a) * o) + 0.25 * s) / 4
    assert second(beta=beta).item() == pytest.approx(total, rel=1e-9)


def test_with_full_trust_the_first_version_is_ard_summed_over_classes() -> None:
    expected = ard.loss(T_CLEAN, S_ADV, S_CLEAN, LABELS, temperature=3.0, alpha=0.8, kl="sum")
    torch.testing.assert_close(first(beta=0.0), expected)


@pytest.mark.parametrize("loss", [first, second])
def test_the_students_answer_to_the_clean_image_is_a_live_target(loss: object) -> None:
    def of_adversarial(z: Tensor) -> Tensor:
        return loss(adversarial=z)

    def of_clean(z: Tensor) -> Tensor:
        return loss(clean=z)

    torch.testing.assert_close(oracle.gradient(of_adversarial, S_ADV), oracle.quotients(of_adversarial, S_ADV))
    torch.testing.assert_close(oracle.gradient(of_clean, S_CLEAN), oracle.quotients(of_clean, S_CLEAN))


@pytest.mark.parametrize(("loss", "labels"), [(first, 0.2), (second, 0.0)])
def test_detached_it_stays_a_target_but_is_not_pulled(loss: object, labels: float) -> None:
    """Same value, same pull on S(x'); what is left on S(x) is the cross-entropy of version I."""
    assert torch.equal(loss(introspection="detached"), loss())
    pulls = [oracle.gradient(lambda z, i=i: loss(adversarial=z, introspection=i), S_ADV) for i in ("live", "detached")]
    torch.testing.assert_close(*pulls)
    left = oracle.gradient(lambda z: loss(clean=z, introspection="detached"), S_CLEAN)
    torch.testing.assert_close(left, labels * oracle.gradient(lambda z: functional.cross_entropy(z, LABELS), S_CLEAN))
    assert (oracle.gradient(lambda z: loss(clean=z), S_CLEAN) - left).abs().max() > 1e-3


def test_trust_carries_no_gradient() -> None:
    logits = T_ADV.clone().requires_grad_()
    found = iad.trust(logits, LABELS, beta=0.1)
    assert not found.requires_grad
    assert found.tolist() == pytest.approx(trust(0.1), rel=1e-12)


@pytest.mark.parametrize(("version", "begin"), [("I", "60/200"), ("II", "40/200")])
def test_trust_is_full_until_it_begins(version: str, begin: str) -> None:
    def value(progress: float, **more: object) -> float:
        objective = iad.create(options(**{"version": version, "begin": begin} | more), teachers=teachers())
        (loss,) = objective.losses([tiny.dense().train()], at(progress))
        return loss.item()

    last, due = (59 / 200, 60 / 200) if version == "I" else (39 / 200, 40 / 200)
    assert value(0.0) == value(last) == value(due, beta=0.0)
    assert value(due) == value(0.99)
    assert value(due) != value(last)
    assert value(0.0, begin="0") == value(due)


@pytest.mark.parametrize(
    ("version", "progress", "extra", "wanted"),
    [
        ("I", 0.0, True, "aax"),
        ("I", 0.5, True, "aaxx"),
        ("I", 0.0, False, "ax"),
        ("I", 0.5, False, "ax"),
        ("II", 0.0, True, "a"),
        ("II", 0.5, True, "ax"),
    ],
)
def test_what_is_forwarded_after_the_attack(version: str, progress: float, extra: bool, wanted: str) -> None:
    """a: adversarial, x: clean; all in train mode, after three steps in train mode."""
    student, batch = tiny.convolutional().train(), at(progress)
    objective = iad.create(options(version=version, extra_forwards=extra), teachers=teachers())
    with oracle.forwards(student) as seen:
        [*objective.losses([student], batch)]
    assert "".join("x" if torch.equal(x, batch.x) else "a" for x, _ in seen) == "aaa" + wanted
    assert all(train for _, train in seen)
    assert all(torch.equal(seen[3][0], x) for x, _ in seen[3:] if not torch.equal(x, batch.x))
    assert student[0][1].num_batches_tracked.item() == 3 + len(wanted)


def test_the_extra_forwards_move_the_running_statistics_and_no_gradient() -> None:
    students = {}
    for extra in (False, True):
        students[extra] = tiny.convolutional().train()
        objective = iad.create(options(extra_forwards=extra), teachers=teachers())
        (loss,) = objective.losses([students[extra]], at(0.5))
        loss.backward()
    assert tiny.same(oracle.gradients(students[False]), oracle.gradients(students[True]))
    assert not tiny.same(tiny.state(students[False]), tiny.state(students[True]))


@pytest.mark.parametrize("mode", ["train", "eval"])
def test_the_attack_is_ards_in_the_mode_asked_for(mode: str) -> None:
    student, batch = tiny.dense().train(), at(0.5)
    twin = tiny.dense().train(mode == "train")
    start = batch.x + 16 / 255 * (2 * torch.rand(batch.x.shape, generator=streams.generator(0, "start", 0)) - 1)
    expected = oracle.ascend(
        lambda x: functional.cross_entropy(twin(x), batch.y), start, batch.x, eps=16 / 255, size=4 / 255, steps=3
    )
    objective = iad.create(options(batchnorm=mode), teachers=teachers())
    with oracle.forwards(student) as seen:
        [*objective.losses([student], batch)]
    torch.testing.assert_close(seen[0][0], start, rtol=0, atol=1e-6)
    torch.testing.assert_close(seen[3][0], expected, rtol=0, atol=1e-6)
    assert [train for _, train in seen] == [mode == "train"] * 3 + [True] * 4


@pytest.mark.parametrize("version", ["I", "II"])
def test_the_step_is_the_loss_of_these_networks_on_these_images(version: str) -> None:
    student, batch, taught = tiny.dense().train(), at(0.5), teachers()
    chosen = options(version=version, beta=0.7, temperature=2.0, alpha=0.6, alpha_robust=0.3, alpha_standard=0.6)
    objective = iad.create(chosen, teachers=taught)
    with oracle.forwards(student) as seen:
        (found,) = objective.losses([student], batch)
    x, x_adv = batch.x, seen[3][0]
    s_clean, s_adv = (tiny.dense().train()(images).detach() for images in (x, x_adv))

    def average(role: str, images: Tensor) -> np.ndarray:
        return np.log(np.mean([oracle.softmax(member(images)) for member in taught[role].members], axis=0))

    p = np.exp(average("robust", x_adv))[np.arange(6), batch.y]
    own = np.array(oracle.kl(s_clean, s_adv))
    if version == "I":
        guidance = 4 * np.array(oracle.kl(average("robust", x), s_adv, 2.0))
        value = 0.6 * np.mean(guidance + (1 - p**0.7) * own) + 0.4 * oracle.cross_entropy(s_clean, batch.y)
    else:
        robust = p**0.7 * oracle.kl(average("robust", x_adv), s_adv, 2.0) + (1 - p**0.7) * own
        standard = np.array(oracle.kl(average("standard", x_adv), s_adv, 2.0))
        value = 4 * np.mean(0.3 * robust + 0.6 * standard) + 0.1 * oracle.cross_entropy(s_adv, batch.y)
    assert found.item() == pytest.approx(value, rel=1e-4)


@pytest.mark.parametrize("version", ["I", "II"])
def test_the_readings_reach_the_loss(version: str) -> None:
    def step(**changes: object) -> tuple[float, dict[str, Tensor]]:
        student = tiny.dense().train()
        objective = iad.create(options(version=version, beta=1.0, **changes), teachers=teachers())
        (loss,) = objective.losses([student], at(0.5))
        loss.backward()
        return loss.item(), oracle.gradients(student)

    live, detached = step(), step(introspection="detached")
    assert detached[0] == live[0]
    assert not tiny.same(detached[1], live[1])
    if version == "I":
        assert step(teacher_term="trusted")[0] < live[0]


@pytest.mark.parametrize("version", ["I", "II"])
def test_it_trains_and_leaves_the_teachers_alone(version: str) -> None:
    taught = teachers()
    objective = iad.create(options(version=version, steps=1, alpha=0.9, begin="1/2"), teachers=taught)
    oracle.assert_trains_and_leaves_alone(objective, *taught.values())
