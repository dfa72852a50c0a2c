"""RSLAD: its loss, its inner maximisation, and the paper's amalgamations in the average's place."""

import math
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor
from torch.nn import functional

from ataka import amalgamation
from ataka.study.fields import readings_of
from baselines import rslad
from tests import tiny
from tests.baselines import oracle

TEACHER, ADVERSARIAL, NATURAL = (oracle.logits(seed) for seed in (1, 2, 3))
AMALGAMATIONS = ("naive", "linear", "soft", "pareto")


def options(**changes: object) -> rslad.Options:
    return rslad.Options(**{"eps": "16/255", "step_size": "4/255", "steps": 3} | changes)


def step(monkeypatch: pytest.MonkeyPatch, teacher: Any = None, **changes: object) -> dict[str, Any]:
    """One step of a small student: its loss, x', the soft label of the attack and that of the loss."""
    found: dict[str, Any] = {"student": tiny.dense().train(), "batch": tiny.batch()}
    attack_loss, outer_loss = rslad.divergence_from, rslad.loss
    teacher = teacher or oracle.ensemble()
    with monkeypatch.context() as patch:
        patch.setattr(rslad, "divergence_from", lambda z: found.update(inner=z) or attack_loss(z))
        patch.setattr(rslad, "loss", lambda z, *rest, **more: found.update(outer=z) or outer_loss(z, *rest, **more))
        with oracle.forwards(found["student"]) as found["seen"]:
            objective = rslad.create(options(**changes), teachers={"robust": teacher})
            (found["loss"],) = objective.losses([found["student"]], found["batch"])
    found["x_adv"] = found["seen"][-2][0]
    return found


def test_the_authors_settings_are_the_default() -> None:
    o = options()
    assert (o.natural_weight, o.scale, o.amalgamation) == ("1/6", 1.0, None)
    assert {*readings_of(o)} == {
        ("kl", "E3", "mean"),
        ("batchnorm", "A12", "eval"),
    }
    amalgamated = {*readings_of(options(amalgamation="soft"))} - {*readings_of(o)}
    assert amalgamated == {("amalgamate_on", "H2", "clean"), ("psi.beta", "H6", 1.0)}
    assert rslad.teachers(o) == ("robust",)


@pytest.mark.parametrize("weight", [0.0, 1 / 6, 1.0])
def test_the_loss_is_the_papers_and_the_codes_a_class_count_less(weight: float) -> None:
    adversarial, natural = (np.mean(oracle.kl(TEACHER, z)) for z in (ADVERSARIAL, NATURAL))
    expected = (1 - weight) * adversarial + weight * natural
    for kl, divisor in (("sum", 1), ("mean", tiny.CLASSES)):
        found = rslad.loss(TEACHER, ADVERSARIAL, NATURAL, natural_weight=weight, kl=kl).item()
        assert found == pytest.approx(expected / divisor, rel=1e-9)


def test_without_being_told_the_natural_images_weigh_a_sixth() -> None:
    expected = (5 * np.mean(oracle.kl(TEACHER, ADVERSARIAL)) + np.mean(oracle.kl(TEACHER, NATURAL))) / 30
    assert rslad.loss(TEACHER, ADVERSARIAL, NATURAL).item() == pytest.approx(expected, rel=1e-9)
    assert rslad.loss(TEACHER, ADVERSARIAL, NATURAL, scale=10.0).item() == pytest.approx(10 * expected, rel=1e-9)


def test_the_gradient_is_that_of_the_authors_k() -> None:
    """Their T log T has a constant 1e-5 inside: another value, the same gradient; and both are difference quotients."""

    def authors(adversarial: Tensor, natural: Tensor) -> Tensor:
        p = TEACHER.softmax(1)
        terms = [(p * (p + 1e-5).log() - p * z.log_softmax(1)).mean() for z in (adversarial, natural)]
        return 5 / 6 * terms[0] + 1 / 6 * terms[1]

    difference = rslad.loss(TEACHER, ADVERSARIAL, NATURAL) - authors(ADVERSARIAL, NATURAL)
    assert 0 < abs(difference.item()) < 1e-4
    for place, z in enumerate((ADVERSARIAL, NATURAL)):
        pair = [ADVERSARIAL, NATURAL]

        def ours(z: Tensor, place: int = place, pair: list[Tensor] = pair) -> Tensor:
            return rslad.loss(TEACHER, *pair[:place], z, *pair[place + 1 :])

        def theirs(z: Tensor, place: int = place, pair: list[Tensor] = pair) -> Tensor:
            return authors(*pair[:place], z, *pair[place + 1 :])

        torch.testing.assert_close(oracle.gradient(ours, z), oracle.gradient(theirs, z))
        torch.testing.assert_close(oracle.gradient(ours, z), oracle.quotients(ours, z))


def test_a_student_that_says_what_the_teacher_says_has_no_loss() -> None:
    assert rslad.loss(TEACHER.log_softmax(1), TEACHER, TEACHER).item() == pytest.approx(0, abs=1e-15)


def test_the_attack_leaves_the_teachers_label_in_evaluation_mode(monkeypatch: pytest.MonkeyPatch) -> None:
    found, teacher, twin = step(monkeypatch), oracle.ensemble(), tiny.dense().eval()
    x = found["batch"].x
    label = torch.stack([member(x).softmax(1) for member in teacher.members]).mean(0)

    def divergence(x_adv: Tensor) -> Tensor:
        return functional.kl_div(torch.log_softmax(twin(x_adv), 1), label, reduction="sum")

    start = x + 0.001 * oracle.noise(x)
    expected = oracle.ascend(divergence, start, x, eps=16 / 255, size=4 / 255, steps=3)
    assert torch.equal(found["seen"][0][0], start)
    torch.testing.assert_close(found["x_adv"], expected, rtol=0, atol=1e-6)
    assert divergence(found["x_adv"]) > 1.1 * divergence(start)
    assert [train for _, train in found["seen"]] == [False] * 3 + [True] * 2
    assert torch.equal(found["seen"][-1][0], x)
    student = [tiny.dense().train()(images).detach() for images in (found["x_adv"], x)]
    means = [np.mean(oracle.kl(label.log(), z)) / tiny.CLASSES for z in student]
    assert found["loss"].item() == pytest.approx((5 * means[0] + means[1]) / 6, rel=1e-4)


@pytest.mark.parametrize("kind", [None, *AMALGAMATIONS])
@pytest.mark.parametrize("on", ["clean", "adversarial"])
@pytest.mark.parametrize(("mode", "count"), [("eval", 2), ("train", 5)])
def test_batch_statistics_move_as_the_reading_says(kind: str | None, on: str, mode: str, count: int) -> None:
    """pareto's look at the student moves none."""
    student = tiny.convolutional().train()
    chosen = options(amalgamation=kind, amalgamate_on=on, batchnorm=mode)
    [*rslad.create(chosen, teachers={"robust": oracle.ensemble()}).losses([student], tiny.batch())]
    assert student[0][1].num_batches_tracked.item() == count
    assert all(module.training for module in student.modules())
    assert all(parameter.requires_grad for parameter in student.parameters())


@pytest.mark.parametrize("kind", [None, *AMALGAMATIONS])
@pytest.mark.parametrize("on", ["clean", "adversarial"])
def test_the_teachers_compute_as_often_as_the_plan_counts(kind: str | None, on: str) -> None:
    chosen, teacher = options(amalgamation=kind, amalgamate_on=on), oracle.ensemble()
    with oracle.forwards(teacher.members[0]) as shown:
        [*rslad.create(chosen, teachers={"robust": teacher}).losses([tiny.dense().train()], tiny.batch())]
    assert rslad.forwards(chosen) == {"robust": len(shown)}


@pytest.mark.parametrize("kind", AMALGAMATIONS)
@pytest.mark.parametrize("on", ["clean", "adversarial"])
def test_teachers_that_agree_give_the_same_result_however_amalgamated(
    kind: str, on: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    agreed = oracle.ensemble(11, 11, 11)
    mean, other = (step(monkeypatch, agreed, amalgamation=name, amalgamate_on=on) for name in (None, kind))
    assert other["loss"].item() == pytest.approx(mean["loss"].item(), rel=1e-5)
    torch.testing.assert_close(other["inner"], mean["inner"])


@pytest.mark.parametrize("kind", [None, *AMALGAMATIONS])
def test_the_label_is_the_amalgamation_of_what_the_teachers_say_of_the_images(
    kind: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    readings = {"psi": {"beta": 2.0}} if kind == "soft" else {}
    found, teacher = step(monkeypatch, amalgamation=kind, **readings), oracle.ensemble()
    x, y = found["batch"].x, found["batch"].y
    logits = teacher.each(x)
    student = tiny.dense().eval()(x).softmax(1)
    label = {
        None: lambda: logits.softmax(-1).mean(0),
        "naive": lambda: amalgamation.naive(logits, y).softmax(1),
        "linear": lambda: amalgamation.linear(logits, y).softmax(1),
        "soft": lambda: amalgamation.soft(logits, y, beta=2.0).softmax(1),
        "pareto": lambda: amalgamation.pareto(logits.softmax(-1), student)[0],
    }[kind]()
    torch.testing.assert_close(found["outer"].softmax(1), label, rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found["inner"].exp(), label, rtol=1e-4, atol=1e-6)
    assert not found["outer"].requires_grad


@pytest.mark.parametrize("on", ["clean", "adversarial"])
def test_the_readings_of_the_amalgamations_are_heeded(on: str, monkeypatch: pytest.MonkeyPatch) -> None:
    teacher, student = oracle.ensemble(), tiny.dense().eval()

    def label(kind: str, **readings: Any) -> tuple[Tensor, Tensor, Tensor]:
        """What the loss is given, and the teachers' logits on x and where the weights come from."""
        found = step(monkeypatch, amalgamation=kind, amalgamate_on=on, psi=readings)
        x = found["batch"].x
        at = x if on == "clean" else found["x_adv"]
        return found["outer"], teacher.each(x), at

    y = tiny.batch().y
    found, said, at = label("naive", follow="easiest")
    easiest = teacher.each(at).log_softmax(-1)[:, range(6), y].argmax(0)
    assert torch.equal(found, said[easiest, range(6)])
    found, said, _ = label("linear", floor=1e6)
    torch.testing.assert_close(found, said.mean(0))
    found, said, at = label("pareto", weights_per="batch")
    mean = teacher.each(at).softmax(-1).mean(1, keepdim=True), student(at).softmax(1).mean(0, keepdim=True)
    weights = amalgamation.pareto(*mean)[1].T.unsqueeze(-1)
    torch.testing.assert_close(found.exp(), (weights * said.softmax(-1)).sum(0), rtol=1e-4, atol=1e-5)


def test_the_amalgamations_differ_where_teachers_do(monkeypatch: pytest.MonkeyPatch) -> None:
    losses = [step(monkeypatch, amalgamation=kind)["loss"].item() for kind in (None, *AMALGAMATIONS)]
    assert len({round(loss, 7) for loss in losses}) == 5


@pytest.mark.parametrize("kind", AMALGAMATIONS)
def test_weights_from_the_adversarial_images_weigh_what_is_said_of_the_clean_ones(
    kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    clean, found = (step(monkeypatch, amalgamation=kind, amalgamate_on=on) for on in ("clean", "adversarial"))
    assert torch.equal(found["x_adv"], clean["x_adv"])
    teacher, x, x_adv, y = oracle.ensemble(), found["batch"].x, found["x_adv"], found["batch"].y
    there = teacher.each(x_adv)
    losses = np.array([[-math.log(oracle.softmax(z)[i, y[i]]) for i in range(6)] for z in there])
    if kind == "naive":
        weights = np.eye(3)[losses.argmax(0)].T
    elif kind == "linear":
        weights = losses / losses.sum(0)
    elif kind == "soft":
        weights = np.exp(losses) / np.exp(losses).sum(0)
    else:
        student = tiny.dense().eval()(x_adv).softmax(1)
        weights = amalgamation.pareto(there.softmax(-1), student)[1].T.detach().numpy()
    said = teacher.each(x)
    outputs = said.softmax(-1) if kind == "pareto" else said
    mixed = torch.tensor(weights[:, :, None] * outputs.numpy()).sum(0)
    expected = mixed if kind == "pareto" else mixed.softmax(1)
    torch.testing.assert_close(found["outer"].softmax(1).double(), expected.double(), rtol=1e-4, atol=1e-6)
    torch.testing.assert_close(found["inner"], clean["inner"], rtol=0, atol=0)
    if kind != "naive":
        assert not torch.equal(found["outer"], clean["outer"])


def test_the_settings_reach_the_loss(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = step(monkeypatch)["loss"].item()
    assert step(monkeypatch, scale=10.0)["loss"].item() == pytest.approx(10 * plain, rel=1e-6)
    assert step(monkeypatch, kl="sum")["loss"].item() == pytest.approx(tiny.CLASSES * plain, rel=1e-6)
    parts = [step(monkeypatch, natural_weight=weight)["loss"].item() for weight in ("0", "1")]
    assert plain == pytest.approx((5 * parts[0] + parts[1]) / 6, rel=1e-5)
    ridges = [step(monkeypatch, amalgamation="pareto", psi={"ridge": ridge})["loss"].item() for ridge in (1e-8, 1e6)]
    assert ridges[1] == pytest.approx(plain, rel=1e-4)
    assert ridges[0] < ridges[1]


@pytest.mark.parametrize("kind", [None, *AMALGAMATIONS])
def test_it_trains_and_leaves_the_teachers_alone(kind: str | None) -> None:
    teacher = oracle.ensemble()
    objective = rslad.create(options(steps=1, amalgamation=kind), teachers={"robust": teacher})
    oracle.assert_trains_and_leaves_alone(objective, teacher)


def test_a_psi_without_weights_amalgamates_what_is_said_of_the_clean_images(monkeypatch: pytest.MonkeyPatch) -> None:
    """And has no weights that could come from elsewhere (H2)."""
    expected = step(monkeypatch, amalgamation="soft")
    monkeypatch.delattr("ataka.psi.soft.weights")
    found = step(monkeypatch, amalgamation="soft")
    torch.testing.assert_close(found["outer"], expected["outer"])
    with pytest.raises(ValidationError, match="amalgamate_on: adversarial needs weights, and psi 'soft' has none"):
        options(amalgamation="soft", amalgamate_on="adversarial")
