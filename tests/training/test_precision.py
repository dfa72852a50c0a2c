"""Precision and memory format in a training: which computations they reach, and which never."""

import pytest
import torch
from torch import Tensor, nn

from ataka import models, training
from ataka.attacks import acceleration
from ataka.attacks.acceleration import Switches, switched
from ataka.attacks.mode import attack_mode
from ataka.objectives.teachers import Teachers
from ataka.study.setups import Precision
from ataka.training.precision import generating, updating
from baselines.natural import Natural
from tests import tiny


def network() -> nn.Module:
    torch.manual_seed(0)
    return models.build("resnet10-w8", classes=tiny.CLASSES, channels=1)


def trained(switches: Switches, **precision: str) -> tuple[dict[str, Tensor], nn.Module]:
    student = network()
    with switched(switches):
        setup = tiny.setup(precision=Precision(**precision))
        training.train([student], Natural(), tiny.split(24), tiny.FACTS, setup, seed=0)
    return student.state_dict(), student


def test_an_update_in_half_precision_is_near_the_other() -> None:
    x = torch.rand(4, 1, 8, 8)
    student = network().train()
    wanted = torch.autograd.grad(student(x).square().sum(), list(student.parameters()))
    with updating([student], Precision(update="bfloat16")):
        logits = student(x)
        got = torch.autograd.grad(logits.square().sum(), list(student.parameters()))
    assert logits.dtype == torch.float32
    assert not torch.equal(got[0], wanted[0])
    assert torch.cosine_similarity(got[-1].flatten(), wanted[-1].flatten(), 0) > 0.99
    assert all(gradient.dtype == torch.float32 for gradient in got)


def test_a_network_that_is_measured_computes_in_float32() -> None:
    """The probe and the watchers have it in evaluation mode."""
    student, x = network().train(), torch.rand(4, 1, 8, 8)
    with attack_mode(student):
        wanted = student(x)
    with updating([student], Precision(update="bfloat16")), attack_mode(student):
        assert torch.equal(student(x), wanted)
    assert "forward" not in vars(student)


def test_attacks_of_a_training_alone_are_generated_in_half_precision() -> None:
    with switched(Switches(fold=True)), generating(Precision(generate="bfloat16")):
        assert acceleration.in_force() == Switches(fold=True, bfloat16=True)
    assert acceleration.in_force() == acceleration.OFF


@pytest.mark.parametrize("switches", [acceleration.OFF, Switches(fold=True, channels_last=True)])
def test_images_and_updates_in_half_precision_at_once(switches: Switches) -> None:
    """An attack inside a step has its own precision, whatever the update has; the loss before the first update."""
    histories = []
    for half in (Precision(), Precision(generate="bfloat16", update="bfloat16")):
        with switched(switches):
            teachers, setup = [network(), network()], tiny.setup(precision=half, epochs=1, batch_size=24, milestones=())
            objective = Teachers(tiny.generator())
            histories.append(training.train(teachers, objective, tiny.split(24), tiny.FACTS, setup, seed=0))
    float32, bfloat16 = (history[0]["loss0"] for history in histories)
    assert bfloat16 == pytest.approx(float32, rel=0.05)
    assert bfloat16 != float32


def test_float32_is_the_training_that_it_was() -> None:
    plain, _ = trained(acceleration.OFF)
    spelt_out, _ = trained(acceleration.OFF, generate="float32", update="float32")
    half, _ = trained(acceleration.OFF, update="bfloat16")
    assert all(torch.equal(plain[name], spelt_out[name]) for name in plain)
    assert not all(torch.equal(plain[name], half[name]) for name in plain)


def test_a_training_lays_weights_out_as_the_switch_says() -> None:
    for switches in (acceleration.OFF, Switches(channels_last=True)):
        _, student = trained(switches)
        convolutions = [module for module in student.modules() if isinstance(module, nn.Conv2d)]
        weight = max((module.weight for module in convolutions), key=torch.numel)
        assert weight.is_contiguous(memory_format=torch.channels_last) == switches.channels_last


@pytest.mark.parametrize("arch", ["resnet10-w8", "mobilenetv2-x0.25", "wrn10-1", "wrn10-1-silu"])
def test_a_step_in_another_layout_is_the_same_in_exact_arithmetic(arch: str) -> None:
    """In float64, in training mode: gradients to the weights agree to 1e-11 of the largest of all."""
    torch.manual_seed(0)
    student = models.build(arch, classes=5).double().train()
    x = torch.rand(4, 3, 16, 16, dtype=torch.float64)
    wanted = torch.autograd.grad(student(x).square().sum(), list(student.parameters()))
    with switched(Switches(channels_last=True)):
        acceleration.arrange(student, x.float())
    got = torch.autograd.grad(student(x).square().sum(), list(student.parameters()))
    largest = max(float(gradient.abs().max()) for gradient in wanted)
    for one, other in zip(got, wanted, strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-11 * largest)
