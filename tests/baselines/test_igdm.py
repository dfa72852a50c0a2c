"""IGDM: the divergence of differences, on the images of the distillation below, with a weight that rises."""

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError
from torch import Tensor, nn

from ataka.errors import UserError
from ataka.models.mixture import Mixture
from ataka.study.fields import readings_of
from ataka.training import Batch
from ataka.training.awp import Perturbation
from baselines import igdm
from tests import tiny
from tests.baselines import oracle

ATTACK = {"eps": "16/255", "step_size": "4/255", "steps": 3}
DISTILLATIONS: dict[str, dict[str, Any]] = {
    "baselines.adaad": {"kl": "sum"},
    "baselines.rslad": {},
    "baselines.ard": {"temperature": 2.0},
    "baselines.iad": {},
}
every_distillation = pytest.mark.parametrize("name", DISTILLATIONS)


def options(name: str = "baselines.adaad", **changes: Any) -> igdm.Options:
    return igdm.Options(
        **{**ATTACK, "distillation": name, "options": DISTILLATIONS[name], "alpha": 5.0, "batchnorm": "eval"} | changes
    )


def create(name: str = "baselines.adaad", **changes: Any) -> igdm.IGDM:
    return igdm.create(options(name, **changes), teachers={"robust": oracle.ensemble()})


def at(progress: float) -> Batch:
    return tiny.batch(progress=progress)


def test_the_papers_settings_are_the_default() -> None:
    given = igdm.Options(**ATTACK, alpha=5.0)
    assert (given.distillation, given.full) == ("baselines.adaad", "1")
    own = {reading for reading in readings_of(given) if not reading[0].startswith("options.")}
    assert own == {("batchnorm", "A12", "eval"), ("eps", "E3", "16/255"), ("full", "E3", "1")}
    assert igdm.teachers(given) == ("robust",)


def test_the_loss_is_the_divergence_of_differences() -> None:
    t_plus, t_minus, s_plus, s_minus = (oracle.logits(seed) for seed in range(4))
    found = igdm.loss(t_plus, t_minus, s_plus, s_minus).item()
    assert found == pytest.approx(np.mean(oracle.kl(t_plus - t_minus, s_plus - s_minus)), rel=1e-12)
    shifted = igdm.loss(t_plus + 3, t_minus, s_plus, s_minus - oracle.logits(9).mean(1, keepdim=True)).item()
    assert shifted == pytest.approx(found, rel=1e-12)
    assert igdm.loss(t_plus, t_minus, t_plus, t_minus).item() == pytest.approx(0, abs=1e-12)


def test_a_linear_student_that_has_the_teachers_gradients_has_no_loss_whatever_it_says() -> None:
    """Eq. 7's approximation is exact there: f(x + d) - f(x - d) = 2 W d."""
    teacher, student = tiny.linear(1).double(), tiny.linear(2).double()
    x, d = tiny.batch().x.double(), 0.05 * torch.randn(6, 1, 8, 8, generator=torch.Generator().manual_seed(3)).double()
    student[1].weight.data.copy_(teacher[1].weight.data)
    assert (student(x) - teacher(x)).abs().max() > 0.01
    assert igdm.loss(teacher(x + d), teacher(x - d), student(x + d), student(x - d)).item() < 1e-12
    found = oracle.kl((2 * d.flatten(1) @ teacher[1].weight.T).detach(), torch.zeros(6, tiny.CLASSES))
    flat = torch.zeros(6, tiny.CLASSES).double()
    assert igdm.loss(teacher(x + d), teacher(x - d), flat, flat).item() == pytest.approx(np.mean(found), rel=1e-9)


def parts(name: str, progress: float, **changes: Any) -> tuple[Tensor, list[Tensor], nn.Module, igdm.IGDM]:
    """A step's loss, the images of the two forwards that IGDM adds, the student and the objective."""
    student, objective = tiny.dense().train(), create(name, **changes)
    with oracle.forwards(student) as seen:
        (loss,) = objective.losses([student], at(progress))
    assert all(train for _, train in seen[-2:])
    return loss, [x for x, _ in seen[-2:]], student, objective


def averaged(teacher: Mixture, x: Tensor) -> np.ndarray:
    return np.log(np.mean([oracle.softmax(member(x).detach()) for member in teacher.members], axis=0))


@every_distillation
def test_the_step_is_the_distillations_and_the_weighted_divergence_on_its_images(name: str) -> None:
    loss, (plus, minus), _, objective = parts(name, 0.5)
    below = import_module(name)
    alone = below.create(options(name).whole, teachers={"robust": oracle.ensemble()})
    student = tiny.dense().train()
    with oracle.forwards(student) as seen:
        (distilled,) = alone.losses([student], at(0.5))
    assert any(torch.equal(plus, x) for x, _ in seen)
    x = tiny.batch().x
    torch.testing.assert_close(plus - x, x - minus)
    assert 8 / 255 < (plus - x).abs().max() <= 16 / 255 + 1e-6
    assert minus.min() < 0  # not clamped
    twin = tiny.dense().train()
    differences = averaged(objective.teacher, plus) - averaged(objective.teacher, minus)
    said = (twin(plus) - twin(minus)).detach()
    value = distilled.item() + 5.0 * 0.5 * np.mean(oracle.kl(differences, said))
    assert loss.item() == pytest.approx(value, rel=1e-4)
    assert value != pytest.approx(distilled.item(), rel=1e-2)


def test_the_weight_rises_with_the_share_that_is_over_up_to_alpha_or_as_the_code_has_it() -> None:
    start = parts("baselines.adaad", 0.0)[0].item()
    assert start == parts("baselines.adaad", 0.9, alpha=0.0)[0].item()
    half, whole = (parts("baselines.adaad", progress)[0].item() - start for progress in (0.5, 1.0))
    assert half == pytest.approx(0.5 * whole, rel=1e-5)
    of_300 = parts("baselines.adaad", 0.5, full="200/300")[0].item() - start
    assert of_300 == pytest.approx(1.5 * half, rel=1e-5)


def test_the_teachers_side_is_constant_and_the_students_isnt() -> None:
    loss, (plus, minus), student, objective = parts("baselines.rslad", 0.5)
    loss.backward()
    assert all(parameter.grad is None for parameter in objective.teacher.parameters())
    twin = tiny.dense().train()
    alone = objective.distillation
    (distilled,) = alone.losses([twin], at(0.5))
    p = (objective.teacher(plus) - objective.teacher(minus)).softmax(1)
    q = (twin(plus) - twin(minus)).log_softmax(1)
    (distilled + 2.5 * (p * (p.log() - q)).sum(1).mean()).backward()
    for key, gradient in oracle.gradients(student).items():
        torch.testing.assert_close(gradient, oracle.gradients(twin)[key], rtol=1e-4, atol=1e-7)


@every_distillation
@pytest.mark.parametrize("mode", ["eval", "train"])
def test_running_statistics_see_two_more_batches_and_the_attack_is_in_the_mode_asked_for(name: str, mode: str) -> None:
    counts = []
    below = import_module(name).create(options(name, batchnorm=mode).whole, teachers={"robust": oracle.ensemble()})
    for objective in (below, create(name, batchnorm=mode)):
        student = tiny.convolutional().train()
        [*objective.losses([student], at(0.5))]
        counts.append(int(student[0][1].num_batches_tracked))
    assert counts[1] == counts[0] + 2


@every_distillation
def test_under_awp_the_perturbed_student_sees_the_images_of_the_unperturbed(name: str) -> None:
    seen, counts = [], []
    for awp in (None, {"gamma": 0.01}):
        student, objective = tiny.convolutional().train(), create(name)
        batch = Perturbation([student], tiny.setup(awp=awp)).add(objective, at(0.5))
        with oracle.forwards(student) as forwards:
            [*objective.losses([student], batch)]
        seen.append([x for x, _ in forwards[-2:]])
        counts.append(int(student[0][1].num_batches_tracked))
    assert all(map(torch.equal, *seen))
    assert counts[0] == counts[1]


@every_distillation
def test_it_takes_the_options_of_the_distillation_and_says_what_is_none(name: str) -> None:
    module = import_module(name)
    assert options(name).whole == module.Options(**ATTACK, batchnorm="eval", **DISTILLATIONS[name])
    assert options(name).sources == (name,)
    assert igdm.heeds(options(name)) == module.heeds(options(name).whole)
    assert igdm.create(options(name), teachers={"robust": oracle.ensemble()}).budgets(1) == [16 / 255]
    with pytest.raises(ValidationError, match="steps: of the attack; give them beside the distillation"):
        options(name, options={"steps": 3})
    with pytest.raises(ValidationError, match="kk"):
        options(name, options={"kk": 3})
    with pytest.raises(ValidationError, match="by name, are none: True"):
        options(name, options=True)


@pytest.mark.parametrize(
    ("name", "said"), [("baselines.none", "there is no such module"), ("baselines.sat", "is no distillation")]
)
def test_a_module_that_is_no_distillation_is_refused(name: str, said: str) -> None:
    with pytest.raises(ValidationError, match=said):
        igdm.Options(**ATTACK, alpha=1.0, distillation=name)


def test_it_trains_and_leaves_the_teacher_alone() -> None:
    objective = create("baselines.rslad", steps=1)
    oracle.assert_trains_and_leaves_alone(objective, objective.teacher)


def test_a_distillation_that_makes_no_images_is_refused_by_name() -> None:
    class Lazy:
        def losses(self, networks: list[nn.Module], batch: Batch) -> list[Tensor]:
            return [networks[0](batch.x).sum()]

    objective = create()
    objective.distillation = Lazy()
    with pytest.raises(UserError, match="igdm: the distillation Lazy makes no x_adv"):
        list(objective.losses([tiny.dense()], at(0.5)))
