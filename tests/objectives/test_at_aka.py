"""AT-AKA's losses against their mathematics in float64, and where their gradients may flow."""

import math
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from typing import Any

import numpy
import pytest
import torch
from scipy.special import log_softmax, rel_entr, softmax
from torch import Tensor

from ataka import amalgamation, streams, training
from ataka.objectives import at_aka
from ataka.objectives.at_aka import Options, Student, pareto_student_loss, student_loss
from ataka.objectives.teachers import Teachers, generate
from ataka.training import Batch
from tests import tiny

ALPHAS = [0.0, 0.02, 0.5, 1.0]
PSI = ("naive", "linear", "soft", "pareto")
B, C, N = 6, 5, 3


def draw(*shape: int, seed: int = 0, scale: float = 3.0) -> Tensor:
    return scale * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


@pytest.fixture
def z() -> Tensor:
    return draw(B, C).requires_grad_()


@pytest.fixture
def target() -> Tensor:
    return draw(B, C, seed=1)


@pytest.fixture
def y() -> Tensor:
    return torch.tensor([0, 4, 2, 2, 1, 3])


def onehot(y: Tensor) -> numpy.ndarray:
    return numpy.eye(C)[y.numpy()]


def cross_entropy(z: Tensor, y: Tensor) -> float:
    return float(-(onehot(y) * log_softmax(z.detach().numpy(), 1)).sum() / B)


# ---- eq. 3


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("mse", "divisor"), [("sum", 1), ("mean", C)])
def test_eq_3(z: Tensor, target: Tensor, y: Tensor, alpha: float, mse: Any, divisor: int) -> None:
    distance = ((z.detach() - target).numpy() ** 2).sum() / B / divisor
    loss = student_loss(z, target, y, alpha=alpha, mse=mse)
    assert loss.item() == pytest.approx((1 - alpha) * cross_entropy(z, y) + alpha * distance, rel=1e-12)


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize(("mse", "divisor"), [("sum", 1), ("mean", C)])
def test_eq_3s_gradient(z: Tensor, target: Tensor, y: Tensor, alpha: float, mse: Any, divisor: int) -> None:
    """(1 - alpha) (p - y) / B + 2 alpha (z^S - z^T) / B."""
    (gradient,) = torch.autograd.grad(student_loss(z, target, y, alpha=alpha, mse=mse), z)
    pull = 2 * alpha * (z.detach() - target).numpy() / divisor
    expected = ((1 - alpha) * (softmax(z.detach().numpy(), 1) - onehot(y)) + pull) / B
    numpy.testing.assert_allclose(gradient.numpy(), expected, atol=1e-12)


def test_the_sum_is_the_papers_and_the_default(z: Tensor, target: Tensor, y: Tensor) -> None:
    assert student_loss(z, target, y, alpha=1.0).item() == student_loss(z, target, y, alpha=1.0, mse="sum").item()
    mean = student_loss(z, target, y, alpha=1.0, mse="mean")
    assert student_loss(z, target, y, alpha=1.0).item() == pytest.approx(C * mean.item())


# ---- eq. 8


@pytest.mark.parametrize("alpha", ALPHAS)
@pytest.mark.parametrize("kl", ["teacher_to_student", "student_to_teacher"])
def test_eq_8(z: Tensor, target: Tensor, y: Tensor, alpha: float, kl: Any) -> None:
    p, student = target.softmax(1), softmax(z.detach().numpy(), 1)
    pair = (p.numpy(), student) if kl == "teacher_to_student" else (student, p.numpy())
    divergence = rel_entr(*pair).sum() / B
    loss = pareto_student_loss(z, p, y, alpha=alpha, kl=kl)
    assert loss.item() == pytest.approx((1 - alpha) * cross_entropy(z, y) + alpha * divergence, rel=1e-10)


def test_eq_8s_gradients(z: Tensor, target: Tensor, y: Tensor) -> None:
    """KL(p^T||p^S): p^S - p^T.  KL(p^S||p^T): p^S (log p^S/p^T - KL)."""
    p, student = target.softmax(1).numpy(), softmax(z.detach().numpy(), 1)
    (gradient,) = torch.autograd.grad(pareto_student_loss(z, target.softmax(1), y, alpha=1.0), z)
    numpy.testing.assert_allclose(gradient.numpy(), (student - p) / B, atol=1e-12)
    other = pareto_student_loss(z, target.softmax(1), y, alpha=1.0, kl="student_to_teacher")
    (gradient,) = torch.autograd.grad(other, z)
    ratio = numpy.log(student / p)
    expected = student * (ratio - (student * ratio).sum(1, keepdims=True)) / B
    numpy.testing.assert_allclose(gradient.numpy(), expected, atol=1e-10)


@pytest.mark.parametrize("kl", ["teacher_to_student", "student_to_teacher"])
def test_a_certain_teacher_gives_a_finite_loss(y: Tensor, kl: Any) -> None:
    z = draw(B, C).float().requires_grad_()
    loss = pareto_student_loss(z, torch.eye(C)[y], y, alpha=0.5, kl=kl)
    (gradient,) = torch.autograd.grad(loss, z)
    assert math.isfinite(loss.item())
    assert gradient.isfinite().all()


@pytest.mark.parametrize("kl", ["teacher_to_student", "student_to_teacher"])
def test_a_student_that_agrees_has_nothing_to_learn(target: Tensor, y: Tensor, kl: Any) -> None:
    z = target.clone().requires_grad_()
    loss = pareto_student_loss(z, target.softmax(1), y, alpha=1.0, kl=kl)
    (gradient,) = torch.autograd.grad(loss, z)
    assert abs(loss.item()) < 1e-12
    assert gradient.abs().max() < 1e-12


LOSSES: dict[str, Callable[..., Tensor]] = {"eq. 3": student_loss, "eq. 8": pareto_student_loss}


@pytest.mark.parametrize("name", LOSSES)
def test_alpha_0_is_cross_entropy_whatever_the_teachers_say(z: Tensor, y: Tensor, name: str) -> None:
    losses = [LOSSES[name](z, draw(B, C, seed=seed).softmax(1), y, alpha=0.0) for seed in (1, 2)]
    gradients = [torch.autograd.grad(loss, z)[0] for loss in losses]
    assert losses[0].item() == losses[1].item() == pytest.approx(cross_entropy(z, y), rel=1e-12)
    assert torch.equal(*gradients)


@pytest.mark.parametrize("name", LOSSES)
def test_alpha_1_never_looks_at_labels(z: Tensor, target: Tensor, y: Tensor, name: str) -> None:
    p = target.softmax(1)
    losses = [LOSSES[name](z, p, labels, alpha=1.0).item() for labels in (y, y.flip(0))]
    assert losses[0] == losses[1]


# ---- the objective


def said(n: int = N, seed: int = 2) -> Tensor:
    return draw(n, B, tiny.CLASSES, seed=seed).float()


def student_and_batch(amalgamation: str, alpha: float = 0.4, **readings: Any) -> tuple[Student, Any]:
    recorded = {"train_adv": said(), "eval_adv": said(seed=3)}
    return Student(Options(amalgamation=amalgamation, **readings), alpha=alpha), tiny.batch(B, recorded=recorded)


@pytest.mark.parametrize("psi", PSI)
def test_a_students_gradient_is_its_finite_difference_with_the_target_held(psi: str) -> None:
    """Nothing flows through lambda: the target is amalgamated once, and held while z^S moves."""
    student, batch = student_and_batch(psi)
    z = draw(B, tiny.CLASSES).requires_grad_()
    (gradient,) = torch.autograd.grad(student.loss(z, batch), z)
    logits, held = batch.recorded["train_adv"], z.detach()
    if psi == "pareto":
        mixture, _ = amalgamation.pareto(logits.softmax(-1), held.softmax(-1))
        mixture = mixture.double()

        def loss(moved: Tensor) -> float:
            return pareto_student_loss(moved, mixture, batch.y, alpha=0.4).item()
    else:
        mixture = getattr(amalgamation, psi)(logits, batch.y).double()

        def loss(moved: Tensor) -> float:
            return student_loss(moved, mixture, batch.y, alpha=0.4).item()

    for place in [(0, 0), (2, 3), (5, 4)]:
        nudge = torch.zeros_like(held)
        nudge[place] = 1e-5
        slope = (loss(held + nudge) - loss(held - nudge)) / 2e-5
        assert gradient[place].item() == pytest.approx(slope, rel=1e-4, abs=1e-7)


@pytest.mark.parametrize("psi", PSI)
def test_nothing_flows_to_the_teachers(psi: str) -> None:
    student, batch = student_and_batch(psi)
    for logits in batch.recorded.values():
        logits.requires_grad_()
    (loss,) = student.losses([tiny.dense()], batch)
    loss.backward()
    assert all(logits.grad is None for logits in batch.recorded.values())


@pytest.mark.parametrize("psi", PSI)
def test_with_one_teacher_naive_linear_and_soft_are_one(psi: str) -> None:
    student, _ = student_and_batch(psi)
    batch = tiny.batch(B, recorded={"train_adv": said(1)})
    z = draw(B, tiny.CLASSES).float()
    alone = batch.recorded["train_adv"][0]
    if psi == "pareto":
        expected = pareto_student_loss(z, alone.softmax(-1), batch.y, alpha=0.4)
    else:
        expected = student_loss(z, alone, batch.y, alpha=0.4)
    assert student.loss(z, batch).item() == pytest.approx(expected.item(), rel=1e-6)


@pytest.mark.parametrize(
    ("psi", "reading", "value"),
    [
        ("soft", "psi", {"beta": 5.0}),
        ("soft", "mse", "mean"),
        ("naive", "mse", "mean"),
        ("linear", "logits", "eval_adv"),
        ("pareto", "kl", "student_to_teacher"),
        ("pareto", "logits", "eval_adv"),
        ("pareto", "psi", {"ridge": 10.0}),
        ("naive", "psi", {"follow": "easiest"}),
        ("linear", "psi", {"floor": 100.0}),
        ("pareto", "psi", {"weights_per": "batch"}),
    ],
)
def test_every_reading_is_heeded(psi: str, reading: str, value: Any) -> None:
    z = draw(B, tiny.CLASSES).float()
    default, batch = student_and_batch(psi)
    changed, _ = student_and_batch(psi, **{reading: value})
    assert default.loss(z, batch).item() != pytest.approx(changed.loss(z, batch).item(), rel=1e-5)


def test_the_student_sees_clean_images_or_every_particle() -> None:
    recorded = {"train_adv": said(), "particles": torch.rand(N, B, 1, 8, 8)}
    batch, network = tiny.batch(B, recorded=recorded), tiny.linear()
    clean, adversarial = (
        Student(Options(amalgamation="soft", input=kind), alpha=0.4) for kind in ("clean", "adversarial")
    )
    (loss,) = clean.losses([network], batch)
    assert loss.item() == clean.loss(network(batch.x), batch).item()
    (loss,) = adversarial.losses([network], batch)
    each = [clean.loss(network(x), batch).item() for x in recorded["particles"]]
    assert loss.item() == pytest.approx(sum(each) / N, rel=1e-6)


# ---- the teachers


def teach(networks: list[Any], **generator: Any) -> tuple[dict[str, Tensor], list[Tensor], dict[str, Tensor]]:
    """(what was recorded, the losses, what was logged), and the losses are back-propagated."""
    recorded: dict[str, Tensor] = {}
    logged: dict[str, Tensor] = {}
    batch = tiny.batch(B, record=recorded.__setitem__, log=logged.__setitem__)
    losses = []
    for loss in Teachers(tiny.generator(**generator)).losses(networks, batch):
        loss.backward()
        losses.append(loss.detach())
    return recorded, losses, logged


def test_each_teacher_learns_from_its_own_particle_and_is_recorded() -> None:
    networks = [tiny.linear(seed) for seed in range(N)]
    recorded, losses, logged = teach(networks, steps=3)
    batch = tiny.batch(B)
    assert set(recorded) == {"particles", "train_adv"}
    assert recorded["particles"].shape == (N, B, 1, 8, 8)
    distance = (recorded["particles"] - batch.x).abs().amax((1, 2, 3, 4))
    assert torch.all(distance <= 16 / 255 + 1e-6)
    assert torch.all(distance > 8 / 255)
    for index, network in enumerate(networks):
        logits = network(recorded["particles"][index])
        assert torch.equal(recorded["train_adv"][index], logits)
        assert losses[index].item() == torch.nn.functional.cross_entropy(logits, batch.y).item()
    assert not recorded["train_adv"].requires_grad
    assert float(logged["kernel_offdiagonal_max"]) == 0.0


def test_particles_raise_the_loss() -> None:
    network = tiny.linear()
    _, losses, _ = teach([network], steps=5)
    clean = torch.nn.functional.cross_entropy(network(tiny.batch(B).x), tiny.batch(B).y)
    assert losses[0] > clean


def test_starts_are_drawn_for_each_teacher_whatever_their_number() -> None:
    particles = [teach([tiny.linear(seed) for seed in range(n)], steps=0)[0]["particles"] for n in (1, 3)]
    assert torch.equal(particles[0][0], particles[1][0])
    assert not torch.equal(particles[1][0], particles[1][1])
    start = tiny.batch(B).x + (16 / 255) * (2 * torch.rand(B, 1, 8, 8, generator=streams.generator(0, "start", 0)) - 1)
    assert torch.allclose(particles[0][0], start.clamp(0, 1), atol=1e-6)


def test_particles_may_be_dealt_out_anew_in_each_step() -> None:
    """G10: the very particles of a fixed assignment, in an order of their own stream; logits stay teacher i's."""
    networks, orders = [tiny.linear(seed) for seed in range(N)], set()
    for seed in range(12):
        batch = tiny.batch(B, seed)
        fixed, shuffled, again = (
            generate(tiny.generator(assignment=how), networks, replace(batch, stream=partial(streams.generator, seed)))
            for how in ("fixed", "shuffled", "shuffled")
        )
        assert torch.equal(shuffled, again)
        order = [next(j for j in range(N) if torch.equal(fixed[j], one)) for one in shuffled]
        assert sorted(order) == [*range(N)]
        orders.add(tuple(order))
    assert len(orders) > 3
    twins = [tiny.linear(seed) for seed in range(N)]
    recorded, losses, _ = teach(networks, assignment="shuffled")
    for index, (x_adv, twin) in enumerate(zip(recorded["particles"], twins, strict=True)):
        logits = twin(x_adv)
        assert torch.equal(recorded["train_adv"][index], logits)
        assert losses[index].item() == torch.nn.functional.cross_entropy(logits, tiny.batch(B).y).item()


def test_one_particle_has_nowhere_else_to_go() -> None:
    fixed, shuffled = (teach([tiny.linear()], assignment=how)[0]["particles"] for how in ("fixed", "shuffled"))
    assert torch.equal(fixed, shuffled)


def test_generation_leaves_batch_statistics_alone_and_the_update_moves_them_once() -> None:
    network = tiny.convolutional().train()
    recorded, _, _ = teach([network], channels=("train_adv", "eval_adv"), steps=4)
    assert network[0][1].num_batches_tracked.item() == 1
    twin = tiny.convolutional().train()
    twin(recorded["particles"][0])
    assert tiny.same(tiny.state(twin), tiny.state(network))
    fresh = tiny.convolutional().eval()
    assert torch.equal(recorded["eval_adv"][0], fresh(recorded["particles"][0]))
    assert not torch.equal(recorded["eval_adv"][0], recorded["train_adv"][0])
    assert network.training


# ---- create


def test_create_makes_a_student_or_a_joint_training() -> None:
    options = Options(amalgamation="soft")
    assert isinstance(at_aka.create(options, alpha=0.1), Student)
    online = at_aka.create(options, alpha=0.1, generator=tiny.generator(), online=True)
    assert isinstance(online, at_aka.Online)
    assert online.student.alpha == 0.1


# ---- C5: the student's loss reaches the teachers


def whole_sum(networks: list[Any], particles: Tensor, batch: Batch, psi: str, kind: str, **readings: Any) -> Tensor:
    """All cross-entropies and the student's loss at alpha = 0.4, from the equations as they are printed."""
    *teachers, student = networks
    z = torch.stack([teacher(x) for teacher, x in zip(teachers, particles, strict=True)])
    rows = range(B)
    losses = -z.log_softmax(-1)[:, rows, batch.y]
    total = losses.mean(1).sum()
    inputs = [batch.x] if kind == "clean" else [*particles]
    for x in inputs:
        own = student(x)
        entropy = -own.log_softmax(-1)[rows, batch.y].mean()
        if psi == "pareto":
            p, log_own = z.softmax(-1), own.log_softmax(-1)
            mixed, _ = amalgamation.pareto(p, own.detach().softmax(-1), **readings)
            pull = (mixed * (mixed.log() - log_own)).sum(-1).mean()
        else:
            if psi == "naive":
                share = torch.nn.functional.one_hot(losses.argmax(0), N).T.double()
            elif psi == "linear":
                share = losses / losses.sum(0)
            else:
                share = losses.exp() / losses.exp().sum(0)
            pull = ((own - sum(share[i, :, None] * z[i] for i in range(N))) ** 2).sum(-1).mean()
        total = total + (0.6 * entropy + 0.4 * pull) / len(inputs)
    return total


def live(psi: str, readings: dict[str, Any], *, alpha: float = 0.4, **changes: Any) -> Any:
    options = Options(amalgamation=psi, psi=readings, target="live", **changes)
    return at_aka.create(options, alpha=alpha, generator=tiny.generator(), online=True)


@pytest.mark.parametrize("kind", ["clean", "adversarial"])
@pytest.mark.parametrize(("psi", "readings"), [*((psi, {}) for psi in PSI), ("pareto", {"weights_per": "batch"})])
def test_a_live_target_gives_every_network_the_gradient_of_the_whole_sum(psi: str, readings: Any, kind: Any) -> None:
    """One at a time, as the training loop asks for them, or all at once by autograd."""
    networks = [network.double() for network in (*map(tiny.linear, range(N)), tiny.dense(7))]
    batch = replace(tiny.batch(B), x=tiny.batch(B).x.double())
    with torch.no_grad():
        particles = generate(tiny.generator(), networks[:-1], batch)
    parameters = [parameter for network in networks for parameter in network.parameters()]
    expected = torch.autograd.grad(whole_sum(networks, particles, batch, psi, kind, **readings), parameters)
    moved = []
    for loss in live(psi, readings, input=kind).losses(networks, batch):
        loss.backward()
        moved.append([any(p.grad is not None for p in network.parameters()) for network in networks])
    assert moved == [[place >= index for index in range(N + 1)] for place in range(N + 1)]
    for parameter, gradient in zip(parameters, expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("psi", PSI)
def test_a_live_target_changes_the_teachers_unless_alpha_is_0(psi: str) -> None:
    """Through the real loop; of the student's own gradient a step alone changes nothing."""
    for alpha in (0.0, 0.4):
        trained = []
        for target in ("detached", "live"):
            networks = [*map(tiny.convolutional, range(N)), tiny.dense(7)]
            options = Options(amalgamation=psi, target=target)
            objective = at_aka.create(options, alpha=alpha, generator=tiny.generator(), online=True)
            setup = tiny.setup(epochs=1, batch_size=14, milestones=())
            training.train(networks, objective, tiny.split(14), tiny.FACTS, setup, seed=0)
            trained.append([tiny.state(network) for network in networks])
        (*before, student), (*after, same) = trained
        assert tiny.same(student, same)
        for one, other in zip(before, after, strict=True):
            assert all(torch.allclose(one[name], other[name], rtol=0, atol=1e-7) for name in one) == (alpha == 0)


def test_joint_training_yields_a_loss_a_network_and_the_student_last() -> None:
    networks = [tiny.linear(0), tiny.linear(1), tiny.dense(2)]
    options = Options(amalgamation="soft")
    online = at_aka.create(options, alpha=0.4, generator=tiny.generator(), online=True)
    moved = []
    losses: Iterator[Tensor] = online.losses(networks, tiny.batch(B))
    for loss in losses:
        loss.backward()
        moved.append([any(p.grad is not None for p in network.parameters()) for network in networks])
    assert moved == [[True, False, False], [True, True, False], [True, True, True]]
