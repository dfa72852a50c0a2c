"""CAT-AKA against eq. 9 in float64, with its target held and with it live, and where its gradients flow."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import numpy
import pytest
import torch
from pydantic import ValidationError
from scipy.special import log_softmax, softmax
from torch import Tensor, nn
from torch.nn import functional

from ataka import amalgamation, streams, training
from ataka.objectives.cat_aka import Options, Students, create
from ataka.objectives.teachers import Teachers, generate
from ataka.training import Batch
from tests import tiny

PSI = ["naive", "linear", "soft"]
ALPHA = 0.3
B, C, N = 6, tiny.CLASSES, 3
Y = torch.tensor([0, 4, 2, 2, 1, 3])


def draw(*shape: int, seed: int = 0) -> Tensor:
    return 3 * torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


class Says(nn.Module):
    """A network whose logits, whatever it sees, are its parameters (B, C)."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__()
        self.logits = nn.Parameter(logits.clone())

    def forward(self, _x: Tensor) -> Tensor:
        return self.logits


def students(psi: str, alpha: float = ALPHA, **changes: Any) -> Students:
    steps, beta = changes.pop("steps", 2), changes.pop("beta", 1.0)
    readings = changes.pop("readings", {"beta": beta} if psi == "soft" else {})
    options = Options(amalgamation=psi, psi=readings, **changes)
    return create(options, alpha=alpha, generator=tiny.generator(steps=steps))


def descend(objective: Any, networks: Sequence[nn.Module], batch: Batch) -> list[float]:
    """The losses, each back-propagated as training.train does it."""
    losses = []
    for network, loss in zip(networks, objective.losses(networks, batch), strict=True):
        network.zero_grad()
        loss.backward()
        losses.append(loss.item())
    return losses


def gradients(psi: str, logits: Tensor, **changes: Any) -> Tensor:
    """What the students (logits (n,B,C)) descend by, (n,B,C)."""
    networks = [Says(own) for own in logits]
    descend(students(psi, input="clean", **changes), networks, replace(tiny.batch(B), y=Y))
    return torch.stack([network.logits.grad for network in networks])


# ---- eq. 9


def weights(z: numpy.ndarray, psi: str, beta: float) -> numpy.ndarray:
    """lambda (n,B) of eqs. 4 to 6, in numpy."""
    losses = -numpy.take_along_axis(log_softmax(z, -1), Y.numpy()[None, :, None], -1)[..., 0]
    if psi == "naive":
        return (losses == losses.max(0)).astype(float)
    return losses / losses.sum(0) if psi == "linear" else softmax(beta * losses, 0)


def terms(z: Tensor, psi: str, *, alpha: float = ALPHA, beta: float = 1.0, held: Tensor | None = None) -> numpy.ndarray:
    """Eq. 9, student by student (n,), in numpy; ``held`` are the logits that z^S is made of, else z itself."""
    logits = z.numpy()
    source = logits if held is None else held.numpy()
    target = (weights(source, psi, beta)[..., None] * source).sum(0)
    entropy = -numpy.take_along_axis(log_softmax(logits, -1), Y.numpy()[None, :, None], -1)[..., 0]
    return ((1 - alpha) * entropy + alpha * ((logits - target) ** 2).sum(-1)).mean(1)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("beta", [1.0, 0.4])
@pytest.mark.parametrize("psi", PSI)
def test_eq_9(psi: str, beta: float, alpha: float) -> None:
    """Detached, each student's own term; live, the common sum."""
    z = draw(N, B, C)
    expected = terms(z, psi, alpha=alpha, beta=beta)
    batch = replace(tiny.batch(B), y=Y)
    networks = [Says(own) for own in z]
    options = {"alpha": alpha, "beta": beta, "input": "clean"}
    assert descend(students(psi, **options), networks, batch) == pytest.approx(expected, rel=1e-12)
    live = descend(students(psi, target="live", **options), networks, batch)
    assert live == pytest.approx([expected.sum()] * N, rel=1e-12)


def test_the_squared_distance_is_summed_over_classes_or_averaged() -> None:
    z, batch = draw(N, B, C), replace(tiny.batch(B), y=Y)
    total, mean = (
        descend(students("soft", alpha=1.0, mse=mse, input="clean"), [Says(own) for own in z], batch)
        for mse in ("sum", "mean")
    )
    assert total == pytest.approx([C * loss for loss in mean], rel=1e-12)


@pytest.mark.parametrize("target", ["detached", "live"])
def test_the_readings_of_the_amalgamation_are_heeded(target: Any) -> None:
    """C7: the student of the lowest loss; C6: under a high floor all weigh the same."""
    z, batch = draw(N, B, C), replace(tiny.batch(B), y=Y)
    losses = -log_softmax(z.numpy(), -1)[:, numpy.arange(B), Y]
    for psi, reading, share in [
        ("naive", {"follow": "easiest"}, (losses == losses.min(0)).astype(float)),
        ("linear", {"floor": 100.0}, numpy.full((N, B), 1 / N)),
    ]:
        away = z.numpy() - (share[..., None] * z.numpy()).sum(0)
        expected = (away**2).sum(-1).mean(1)
        networks = [Says(own) for own in z]
        found = descend(students(psi, alpha=1.0, target=target, input="clean", readings=reading), networks, batch)
        assert found == pytest.approx([expected.sum()] * N if target == "live" else expected, rel=1e-12)


def test_a_live_target_of_students_that_are_certain_is_their_mean() -> None:
    z = torch.stack([200.0 * torch.eye(C)[Y], 300.0 * torch.eye(C)[Y]]).requires_grad_()
    target = students("linear").target(z, Y)
    torch.testing.assert_close(target, z.mean(0))
    target.sum().backward()
    assert z.grad.isfinite().all()


# ---- D2: what is differentiated


def slopes(function: Callable[[Tensor], float], z: Tensor) -> Tensor:
    """Central differences of ``function`` at every entry of z (n,B,C)."""
    found = torch.zeros_like(z)
    for place in numpy.ndindex(*z.shape):
        nudge = torch.zeros_like(z)
        nudge[place] = 1e-5
        found[place] = (function(z + nudge) - function(z - nudge)) / 2e-5
    return found


@pytest.mark.parametrize("psi", PSI)
@pytest.mark.parametrize("target", ["detached", "live"])
def test_gradients_are_the_finite_differences_of_eq_9(psi: str, target: Any) -> None:
    """Of the whole sum; where the target is detached, with z^S held at what it was."""
    z = draw(N, B, C)
    held = z if target == "detached" else None
    expected = slopes(lambda moved: terms(moved, psi, held=held).sum(), z)
    torch.testing.assert_close(gradients(psi, z, target=target), expected, rtol=1e-6, atol=1e-8)


@pytest.mark.parametrize(("psi", "beta"), [("naive", 1.0), ("soft", 0.0)])
def test_without_detach_the_pull_shrinks_and_the_others_push(psi: str, beta: float) -> None:
    """With d_i = z_i - z^S and lambda constant: 2 d_i against 2 (1 - lambda_i) d_i - 2 lambda_i sum_{j != i} d_j."""
    z = draw(N, B, C)
    share = torch.from_numpy(weights(z.numpy(), psi, beta)).unsqueeze(-1)
    away = z - (share * z).sum(0)
    others = away.sum(0) - away
    held, live = (gradients(psi, z, alpha=1.0, beta=beta, target=target) for target in ("detached", "live"))
    torch.testing.assert_close(held, 2 * away / B)
    torch.testing.assert_close(live, (2 * (1 - share) * away - 2 * share * others) / B)


@pytest.mark.parametrize("psi", PSI)
def test_a_live_loss_gives_each_network_the_gradient_of_the_sum(psi: str) -> None:
    """One at a time, as the training loop asks for them, or all at once: the students share no weights."""
    networks, batch = [tiny.linear(seed).double() for seed in range(N)], tiny.batch(B)
    batch = replace(batch, x=batch.x.double())
    objective = students(psi, target="live", input="clean")
    descend(objective, networks, batch)
    parameters = [list(network.parameters()) for network in networks]
    logits = torch.stack([network(batch.x) for network in networks])
    at_once = torch.autograd.grad(objective.total(logits, batch), [one for own in parameters for one in own])
    one_by_one = [parameter.grad for own in parameters for parameter in own]
    for found, expected in zip(one_by_one, at_once, strict=True):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("target", ["detached", "live"])
def test_a_loss_reaches_its_own_student_alone(target: Any) -> None:
    networks = [tiny.linear(seed) for seed in range(N)]
    moved = []
    for loss in students("soft", target=target).losses(networks, tiny.batch(B)):
        loss.backward()
        moved.append([all(p.grad is not None for p in network.parameters()) for network in networks])
        assert moved[-1] == [any(p.grad is not None for p in network.parameters()) for network in networks]
    assert moved == [[True, False, False], [True, True, False], [True, True, True]]


# ---- the objective


def test_each_student_learns_from_its_own_particle() -> None:
    networks, batch = [tiny.linear(seed) for seed in range(N)], tiny.batch(B)
    particles = generate(tiny.generator(steps=2), networks, batch)
    logits = torch.stack([network(x) for network, x in zip(networks, particles, strict=True)]).detach()
    target = amalgamation.soft(logits, batch.y)
    for index, loss in enumerate(descend(students("soft"), networks, batch)):
        entropy = functional.cross_entropy(logits[index], batch.y)
        distance = (logits[index] - target).square().sum(1).mean()
        assert loss == pytest.approx(((1 - ALPHA) * entropy + ALPHA * distance).item(), rel=1e-6)


def test_clean_input_is_the_image_itself_and_needs_no_generator() -> None:
    networks, batch = [tiny.linear(seed) for seed in range(N)], tiny.batch(B)
    objective = create(Options(amalgamation="soft", input="clean"), alpha=0.0, generator=None)
    losses = descend(objective, networks, batch)
    assert losses == [functional.cross_entropy(network(batch.x), batch.y).item() for network in networks]


@pytest.mark.parametrize("psi", PSI)
@pytest.mark.parametrize("target", ["detached", "live"])
def test_alpha_0_is_independent_adversarial_trainings(psi: str, target: Any) -> None:
    """The very ones of AT-AKA's teachers; a live target sums equals, so its gradients agree to rounding alone."""
    together, apart = ([tiny.convolutional(seed) for seed in range(N)] for _ in range(2))
    data, setup = tiny.split(14), tiny.setup()
    training.train(together, students(psi, alpha=0.0, target=target), data, tiny.FACTS, setup, seed=0)
    training.train(apart, Teachers(tiny.generator(steps=2)), data, tiny.FACTS, setup, seed=0)
    for one, other in zip(together, apart, strict=True):
        for name, tensor in tiny.state(one).items():
            torch.testing.assert_close(tensor, tiny.state(other)[name], rtol=0, atol=1e-6)


@pytest.mark.parametrize("psi", PSI)
@pytest.mark.parametrize("target", ["detached", "live"])
def test_students_may_change_places(psi: str, target: Any) -> None:
    """Each with its own starts, their losses and gradients go along, but for the rounding of sums over students."""
    order = [2, 0, 1]

    def permuted(*name: str | int) -> torch.Generator:
        purpose, index = name
        return streams.generator(0, purpose, order[int(index)])

    batch = tiny.batch(B)
    networks, twins = ([tiny.linear(seed) for seed in range(N)] for _ in range(2))
    losses = descend(students(psi, target=target), networks, batch)
    moved = descend(students(psi, target=target), [twins[i] for i in order], replace(batch, stream=permuted))
    assert moved == pytest.approx([losses[i] for i in order], rel=1e-5)
    for network, twin in zip(networks, twins, strict=True):
        for one, other in zip(network.parameters(), twin.parameters(), strict=True):
            torch.testing.assert_close(one.grad, other.grad, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("target", ["detached", "live"])
def test_batch_statistics_are_moved_by_the_updates_forward_alone(target: Any) -> None:
    networks, twins = ([tiny.convolutional(seed).train() for seed in range(N)] for _ in range(2))
    batch = tiny.batch(B)
    particles = generate(tiny.generator(steps=4), twins, batch)
    descend(students("soft", steps=4, target=target), networks, batch)
    for network, twin, x in zip(networks, twins, particles, strict=True):
        twin(x)
        assert network[0][1].num_batches_tracked.item() == 1
        assert tiny.same(tiny.state(network), tiny.state(twin))
        assert network.training


@pytest.mark.parametrize("psi", PSI)
@pytest.mark.parametrize("target", ["detached", "live"])
def test_a_student_alone_has_nobody_to_follow(psi: str, target: Any) -> None:
    """n = 1: z^S = z^{S_1}, exactly, and what is left is (1 - alpha) CE."""
    z = draw(1, B, C)
    entropy = terms(z, psi, alpha=0.0)
    batch = replace(tiny.batch(B), y=Y)
    losses = descend(students(psi, target=target, input="clean"), [Says(z[0])], batch)
    assert losses == pytest.approx((1 - ALPHA) * entropy, rel=1e-12)
    assert gradients(psi, z, alpha=1.0, target=target).abs().max() == 0


def test_training_lowers_every_students_loss() -> None:
    history = training.train(
        [tiny.convolutional(seed) for seed in range(N)],
        students("soft"),
        tiny.split(14),
        tiny.FACTS,
        tiny.setup(epochs=8, milestones=()),
        seed=0,
    )
    for name in ("loss0", "loss1", "loss2"):
        assert history[-1][name] < history[0][name]
    assert history[0]["kernel_offdiagonal_max"] == 0.0


def test_pareto_is_undefined_here() -> None:
    with pytest.raises(ValidationError, match="psi 'pareto' needs the student's own probabilities"):
        Options(amalgamation="pareto")


def test_eq_9_takes_logits(monkeypatch: pytest.MonkeyPatch) -> None:
    """A psi of probabilities, though it needs no student."""
    monkeypatch.setattr("ataka.psi.pareto.NEEDS_STUDENT", False)
    with pytest.raises(ValidationError, match=r"psi 'pareto' gives probabilities, but eq\. 9 pulls logits"):
        Options(amalgamation="pareto")
