"""SVGD against eq. 2 written out in loops, its two limits, and what it costs."""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from ataka.attacks import pgd, svgd
from ataka.attacks.linf import project
from ataka.models.mixture import Mixture

F64 = torch.float64
STEPS: dict[str, Any] = {"eps": 0.1, "step_size": 0.03, "steps": 4}
LITERAL: dict[str, Any] = {"bandwidth": 1e-3, "gamma": 1.0}
COUPLED: dict[str, Any] = {"bandwidth": "median", "gamma": 1.0}


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed), dtype=F64)


def loop_phi(particles: Tensor, gradients: Tensor, sigma: float, gamma: float) -> Tensor:
    """Eq. 2 as it is printed: particle by particle, pixel by pixel; gradients (n,n,B,D)."""
    n, images, pixels = particles.shape
    result = torch.zeros_like(particles)
    for image in range(images):
        for i in range(n):
            for j in range(n):
                a, b = particles[j, image].tolist(), particles[i, image].tolist()
                k = math.exp(-sum((p - q) ** 2 for p, q in zip(a, b, strict=True)) / (2 * sigma**2))
                for d in range(pixels):
                    towards = -k * (a[d] - b[d]) / sigma**2  # the derivative of k(a, b) by a[d]
                    result[i, image, d] += k * gradients[i, j, image, d] + gamma / n * towards
    return result


@pytest.mark.parametrize("n", [1, 2, 3, 4])
def test_phi_is_equation_2(n: int) -> None:
    particles, gradients = normal(n, 3, 5), normal(n, n, 3, 5, seed=1)
    result = svgd.phi(particles, gradients, bandwidth=1.3, gamma=0.7)
    torch.testing.assert_close(result, loop_phi(particles, gradients, 1.3, 0.7), rtol=1e-12, atol=1e-12)


def test_one_gradient_a_particle_stands_for_that_of_every_network() -> None:
    particles, gradients = normal(3, 2, 1, 2, 2), normal(3, 2, 1, 2, 2, seed=1)
    options = {"bandwidth": 1.0, "gamma": 1.0}
    spread = gradients.unsqueeze(0).expand(3, *gradients.shape)
    assert torch.equal(svgd.phi(particles, gradients, **options), svgd.phi(particles, spread, **options))


def test_repulsion_is_the_derivative_of_the_kernel() -> None:
    particles = normal(3, 2, 4)
    repulsion = svgd.phi(particles, torch.zeros_like(particles), bandwidth=0.8, gamma=3.0)
    for i in range(3):
        others = particles.clone().requires_grad_()
        squared_distances = (others - particles[i]).square().sum(-1)
        torch.exp(-squared_distances / (2 * 0.8**2)).sum().backward()
        torch.testing.assert_close(repulsion[i], others.grad.sum(0), rtol=1e-12, atol=1e-12)


def test_one_over_n_on_both_terms_is_liu_and_wangs_balance() -> None:
    particles, gradients = normal(3, 2, 4), normal(3, 2, 4, seed=1)
    literal = svgd.phi(particles, gradients, bandwidth=1.0, gamma=6.0)
    both = svgd.phi(particles, gradients, bandwidth=1.0, gamma=2.0, one_over_n="both")
    torch.testing.assert_close(literal, 3 * both)


def test_particles_repel_each_other_or_attract() -> None:
    particles = normal(2, 4, 6)
    before = (particles[0] - particles[1]).norm(dim=1)
    flat = torch.zeros_like(particles)
    for repulsion, apart in (("away", True), ("towards", False)):
        moved = particles + 0.1 * svgd.phi(particles, flat, bandwidth=2.0, gamma=1.0, repulsion=repulsion)
        assert (((moved[0] - moved[1]).norm(dim=1) > before) == apart).all()


@pytest.mark.parametrize("interact", ["image", "batch"])
@pytest.mark.parametrize("one_over_n", ["repulsion", "both"])
def test_attraction_is_a_negative_repulsion(interact: str, one_over_n: str) -> None:
    options = {"bandwidth": 2.0, "interact": interact, "one_over_n": one_over_n}
    particles, gradients = normal(3, 2, 4), normal(3, 3, 2, 4, seed=1)
    attracted = svgd.phi(particles, gradients, gamma=0.7, repulsion="towards", **options)
    assert torch.equal(attracted, svgd.phi(particles, gradients, gamma=-0.7, **options))


@pytest.mark.parametrize("interact", ["image", "batch"])
def test_a_mean_loss_divides_the_driving_term_by_the_batch(interact: str) -> None:
    particles, gradients = normal(3, 5, 4), normal(3, 3, 5, 4, seed=1)
    options = {"bandwidth": 2.0, "gamma": 0.7, "one_over_n": "both", "interact": interact}
    mean = svgd.phi(particles, gradients, loss="mean", **options)
    torch.testing.assert_close(mean, svgd.phi(particles, gradients / 5, **options), rtol=1e-13, atol=1e-15)


def test_kernel_is_symmetric_with_a_diagonal_of_exactly_one() -> None:
    particles = torch.rand(4, 7, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    for bandwidth in (1e-3, 0.5, 20.0, 1e-200, math.inf, "median"):
        k, sigma_squared = svgd.kernel(particles, bandwidth)
        assert k.dtype == sigma_squared.dtype == F64
        assert k.shape == (4, 4, 7)
        assert torch.equal(k, k.transpose(0, 1))
        assert (k.diagonal() == 1).all()
        assert ((k >= 0) & (k <= 1)).all()


def test_the_papers_sigma_is_exactly_the_identity() -> None:
    """A1: in float64, at CIFAR's size, between two starts in the 8/255 ball."""
    x = torch.rand(16, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    start = svgd.draw(x, 3, eps=8 / 255, generators=[torch.Generator().manual_seed(i) for i in range(3)])
    k, _ = svgd.kernel(start, 1e-3)
    assert torch.equal(k, torch.eye(3, dtype=F64).unsqueeze(-1).expand(3, 3, 16))


@pytest.mark.parametrize("n", [2, 3, 4, 5])
def test_median_bandwidth(n: int) -> None:
    particles = normal(n, 3, 6)
    k, sigma_squared = svgd.kernel(particles, "median")
    for image in range(3):
        pairs = [
            (particles[i, image] - particles[j, image]).square().sum().item() for i in range(n) for j in range(i + 1, n)
        ]
        assert sigma_squared[image].item() == pytest.approx(0.5 * np.median(pairs) / math.log(n + 1))
    offdiagonal = k[~torch.eye(n, dtype=torch.bool)]
    assert 0.05 < offdiagonal.mean() < 0.95


@pytest.mark.parametrize("coinciding", [1, 2, 9, 10])
def test_coinciding_particles_give_no_nan(coinciding: int) -> None:
    particles, gradients = normal(10, 2, 4), normal(10, 2, 4, seed=1)
    particles[:coinciding] = particles[0].clone()
    k, _ = svgd.kernel(particles, "median")
    assert (k[:coinciding, :coinciding] == 1).all()
    assert torch.isfinite(svgd.phi(particles, gradients, bandwidth="median", gamma=1e6)).all()
    if coinciding == 10:
        sums = gradients.sum(0).expand_as(gradients)
        torch.testing.assert_close(svgd.phi(particles, gradients, bandwidth="median", gamma=1e6), sums)


@pytest.mark.parametrize("bandwidth", [0.0, -1.0, math.nan])
def test_a_senseless_bandwidth_is_refused(bandwidth: float) -> None:
    with pytest.raises(ValueError, match="bandwidth"):
        svgd.kernel(normal(2, 2, 2), bandwidth)


def draw(x: Tensor, n: int, seed: int = 0) -> Tensor:
    streams = [torch.Generator().manual_seed(100 * seed + particle) for particle in range(n)]
    return svgd.draw(x, n, eps=STEPS["eps"], generators=streams)


def test_a_particles_start_does_not_depend_on_their_number(x: Tensor) -> None:
    three = draw(x, 3)
    assert torch.equal(draw(x, 1), three[:1])
    assert torch.equal(draw(x, 2), three[:2])
    assert torch.equal(three[0], pgd.draw(x, eps=0.1, generator=torch.Generator().manual_seed(0)))
    with pytest.raises(ValueError, match="4 particles need 4 generators"):
        svgd.draw(x, 4, eps=0.1, generators=[torch.Generator()] * 3)


@pytest.mark.parametrize("generators", ["one", "a list"])
def test_attack_draws_the_starts_itself(generators: str, networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    stream = torch.Generator().manual_seed(0)
    given = stream if generators == "one" else [torch.Generator().manual_seed(i) for i in range(3)]
    particles = svgd.attack(networks, x, y, generator=given, **STEPS, **LITERAL)
    stream = torch.Generator().manual_seed(0)
    start = draw(x, 3)
    if generators == "one":
        start = torch.stack([pgd.draw(x, eps=0.1, generator=stream) for _ in range(3)])
    assert torch.equal(particles, svgd.attack(networks, x, y, start=start, **STEPS, **LITERAL))


@pytest.mark.parametrize("gradient_of", ["own", "particle"])
@pytest.mark.parametrize("one_over_n", ["repulsion", "both"])
def test_a_vanishing_kernel_is_independent_pgd_bit_for_bit(
    gradient_of: str, one_over_n: str, networks: list[nn.Module], x: Tensor, y: Tensor
) -> None:
    start = draw(x, 3)
    options = {"gradient_of": gradient_of, "one_over_n": one_over_n, **STEPS, **LITERAL}
    particles = svgd.attack(networks, x, y, start=start, **options)
    for network, begun, particle in zip(networks, start, particles, strict=True):
        expected = pgd.attack(network, x, y, start=begun, clamp_start=True, **STEPS)
        assert torch.equal(particle, expected)


@pytest.mark.parametrize("bandwidth", [1e-3, 0.5, math.inf, "median"])
@pytest.mark.parametrize("gradient_of", ["own", "particle", "ensemble"])
def test_one_particle_is_pgd_bit_for_bit(
    bandwidth: svgd.Bandwidth, gradient_of: str, network: nn.Module, x: Tensor, y: Tensor
) -> None:
    """A15: with n = 1 the kernel is 1 and does not push, whatever its width."""
    start = draw(x, 1)
    options = {"bandwidth": bandwidth, "gamma": 1.0, "gradient_of": gradient_of, **STEPS}
    (particle,) = svgd.attack([network], x, y, start=start, **options)
    assert torch.equal(particle, pgd.attack(network, x, y, start=start[0], clamp_start=True, **STEPS))


def test_table_1_one_network_serves_every_particle(network: nn.Module, x: Tensor, y: Tensor) -> None:
    start = draw(x, 5)
    particles = svgd.attack([network], x, y, start=start, **STEPS, **LITERAL)
    expected = [pgd.attack(network, x, y, start=begun, clamp_start=True, **STEPS) for begun in start]
    assert torch.equal(particles, torch.stack(expected))
    assert torch.equal(particles, svgd.attack(network, x, y, start=start, **STEPS, **LITERAL))
    assert torch.equal(particles, svgd.attack(nn.ModuleList([network] * 5), x, y, start=start, **STEPS, **LITERAL))


def test_an_infinite_kernel_follows_the_mean_gradient(networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    """A13: not PGD, but one direction for all particles. Away from borders they stay parallel."""
    x = 0.2 + 0.6 * x
    start = x + 0.01 * (draw(x, 3) - x)
    options = {"bandwidth": math.inf, "gamma": 1.0, "gradient_of": "particle", "update": "raw"}
    moved = svgd.attack(networks, x, y, start=start, eps=0.1, step_size=1e-3, steps=1, **options) - start
    gradients = []
    for network, begun in zip(networks, start, strict=True):
        leaf = begun.clone().requires_grad_()
        F.cross_entropy(network(leaf), y, reduction="sum").backward()
        gradients.append(leaf.grad)
    for particle in moved:
        torch.testing.assert_close(particle, 1e-3 * sum(gradients), rtol=0, atol=2e-7)


def batch_phi(
    networks: list[nn.Module], particles: Tensor, y: Tensor, sigma: float, gamma: float, gradient_of: str
) -> Tensor:
    """Eq. 2 with the sum over all particles of the batch, term by term, every derivative by autograd in float64."""
    n, images = particles.shape[:2]
    rows = [(i, b) for i in range(n) for b in range(images)]
    result = torch.zeros_like(particles)
    for i, b in rows:
        for j, other in rows:
            leaf = particles[j, other].clone().requires_grad_()
            network = networks[i if gradient_of == "own" else j]
            (gradient,) = torch.autograd.grad(F.cross_entropy(network(leaf[None]), y[other][None]), leaf)
            k = torch.exp(-(leaf - particles[i, b]).square().sum() / (2 * sigma**2))
            (push,) = torch.autograd.grad(k, leaf)
            result[i, b] += k.detach() * gradient + gamma / len(rows) * push
    return result


@pytest.mark.parametrize("gradient_of", ["own", "particle"])
@pytest.mark.parametrize("bandwidth", [0.7, "median"])
def test_a_batch_interacts_as_in_equation_2(
    gradient_of: str, bandwidth: svgd.Bandwidth, networks: list[nn.Module], x: Tensor, y: Tensor
) -> None:
    """A10: a step against a double loop over all 3 x 4 particles."""
    networks, x, y = [network.double() for network in networks], 0.2 + 0.6 * x[:4].double(), y[:4]
    start = x + 0.1 * (normal(3, *x.shape).clamp(-1, 1))
    sigma = bandwidth
    if sigma == "median":
        flat = start.flatten(0, 1).flatten(1).numpy()
        squares = [((a - b) ** 2).sum() for at, a in enumerate(flat) for b in flat[at + 1 :]]
        sigma = math.sqrt(np.median(squares) / (2 * math.log(12 + 1)))
    options = {"bandwidth": bandwidth, "gamma": 2.0, "gradient_of": gradient_of, "update": "raw", "interact": "batch"}
    moved = svgd.attack(networks, x, y, start=start, eps=0.2, step_size=1e-2, steps=1, **options)
    expected = 1e-2 * batch_phi(networks, start, y, sigma, 2.0, gradient_of)
    assert 0 < expected.abs().max() < 0.1  # so that no pixel meets a border
    torch.testing.assert_close(moved - start, expected, rtol=1e-9, atol=1e-13)


def ald_particles(network: nn.Module, x: Tensor, y: Tensor, start: Tensor, **options: Any) -> Tensor:
    """ALD-Regularization's generator (ald_pgd.py, rbf.py) in float64: all rows of the batch under one kernel."""
    n, images = start.shape[:2]
    x_all, y_all, rows = x.repeat(n, 1, 1, 1), y.repeat(n), start.flatten(0, 1)
    for _ in range(options["steps"]):
        flat = rows.reshape(n * images, -1).clone().requires_grad_()
        loss = F.cross_entropy(network(flat.reshape(rows.shape)), y_all, reduction="sum")
        (score,) = torch.autograd.grad(loss, flat)
        products = flat @ flat.detach().T
        norms, fixed = flat @ flat.T, flat.detach().square().sum(1)
        squared = norms.diagonal().unsqueeze(1) + fixed.unsqueeze(0) - 2 * products
        k = torch.exp(-squared / (1e-8 + 2 * options["sigma"] ** 2))
        (gradient_of_k,) = torch.autograd.grad(k.sum(), flat)
        phi = (k.detach() @ score - gradient_of_k) / (n * images)
        rows = (flat.detach() + options["step_size"] * phi.sign()).reshape(rows.shape)
        rows = rows.clamp(x_all - options["eps"], x_all + options["eps"]).clamp(0, 1)
    return rows.reshape(start.shape)


def test_both_in_a_batch_are_alds_particles(networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    """A6, A10: (K g + grad K) / N, whose terms weigh alike; 1/N on the repulsion alone goes elsewhere."""
    network, x = networks[0].double(), x.double()
    start, sigma = draw(x, 3), 0.7
    expected = ald_particles(network, x, y, start, sigma=sigma, **STEPS)
    options = {"bandwidth": sigma, "gamma": 1.0, "interact": "batch", "clamp_start": False, **STEPS}
    particles = svgd.attack(network, x, y, start=start, one_over_n="both", **options)
    torch.testing.assert_close(particles, expected, rtol=0, atol=1e-12)
    printed = svgd.attack(network, x, y, start=start, one_over_n="repulsion", **options)
    assert (printed != expected).double().mean() > 0.05


def test_images_out_of_reach_share_their_weight_and_nothing_else() -> None:
    """At kernels of 1e-13 and less, where the 1 on the diagonal must leave no trace."""
    particles = normal(2, 3, 6) + 1000 * torch.arange(3).unsqueeze(1)
    gradients = normal(2, 3, 6, seed=1)
    sigma = 0.125 * (particles[0] - particles[1]).norm(dim=1).min().item()
    options = {"bandwidth": sigma, "gamma": 1e6}
    flat = torch.zeros_like(gradients)
    alone, batch = (svgd.phi(particles, flat, interact=interact, **options) for interact in ("image", "batch"))
    assert (alone != 0).any()
    torch.testing.assert_close(3 * batch, alone, rtol=1e-8, atol=0)
    both = {"bandwidth": sigma, "gamma": 0.0, "one_over_n": "both"}
    alone, batch = (svgd.phi(particles, gradients, interact=interact, **both) for interact in ("image", "batch"))
    torch.testing.assert_close(3 * batch, alone)


@pytest.mark.parametrize("gradient_of", ["own", "particle", "ensemble"])
def test_a_batch_of_one_image_is_that_image(gradient_of: str, networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    networks, x, y = [network.double() for network in networks], x[:1].double(), y[:1]
    options = {"gradient_of": gradient_of, "update": "raw", **STEPS, **COUPLED}
    alone, batch = (
        svgd.attack(networks, x, y, start=draw(x, 3), interact=interact, **options) for interact in ("image", "batch")
    )
    torch.testing.assert_close(batch, alone, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("loss", ["sum", "mean"])
@pytest.mark.parametrize("gradient_of", ["own", "particle", "ensemble"])
def test_where_no_particle_is_felt_the_batch_changes_no_bit(
    gradient_of: str, loss: str, networks: list[nn.Module], x: Tensor, y: Tensor
) -> None:
    for update in ("sign", "raw"):
        options = {"gradient_of": gradient_of, "update": update, "loss": loss, **STEPS, **LITERAL}
        alone, batch = (
            svgd.attack(networks, x, y, start=draw(x, 3), interact=interact, **options)
            for interact in ("image", "batch")
        )
        assert torch.equal(alone, batch)


def test_a_batchs_order_does_not_matter_but_its_images_do(networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    networks, x = [network.double() for network in networks], x.double()
    start, options = draw(x, 3), {"interact": "batch", "update": "raw", **STEPS, **COUPLED}
    particles = svgd.attack(networks, x, y, start=start, **options)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    shuffled = svgd.attack(networks, x[order], y[order], start=start[:, order], **options)
    torch.testing.assert_close(shuffled, particles[:, order], rtol=1e-11, atol=1e-13)
    fewer = svgd.attack(networks, x[:6], y[:6], start=start[:, :6], **options)
    assert (fewer - particles[:, :6]).abs().amax((0, 2, 3, 4)).min() > 1e-4


def test_a_batch_evaluates_only_what_is_felt(networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    """Particle 1 of image 2 lies beside particle 0 of image 5: each network sees the other's, twice, and no more."""
    start = draw(x, 3)
    x, y = x.clone(), y.clone()
    x[2], y[2] = x[5], y[5]
    start[:, 2] = draw(x, 3, seed=1)[:, 2]
    start[1, 2] = start[0, 5] + 1e-4
    options = {"start": start, "interact": "batch", "eps": 0.1, "step_size": 1e-4, "steps": 1, **LITERAL}
    assert batches_seen(networks, lambda: svgd.attack(networks, x, y, **options)) == [[12, 2], [12, 2], [12]]


def test_a_batch_of_the_papers_size_fits_into_memory() -> None:
    """3 x 128 particles of 3 x 32 x 32: their differences alone would be 3.6 GB."""
    particles = torch.rand(3, 128, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    result = svgd.phi(particles, particles.flip(0), bandwidth="median", gamma=1.0, interact="batch")
    assert result.shape == particles.shape
    assert torch.isfinite(result).all()
    same = torch.zeros_like(particles) + particles[0, 0]
    assert (svgd.phi(same, torch.zeros_like(same), bandwidth="median", gamma=1e6, interact="batch") == 0).all()


def test_images_do_not_feel_each_other(networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    """A10: neither the order of the batch nor what else is in it changes an image's particles."""
    start = draw(x, 3)
    particles = svgd.attack(networks, x, y, start=start, **STEPS, **COUPLED)
    order = torch.randperm(len(x), generator=torch.Generator().manual_seed(0))
    shuffled = svgd.attack(networks, x[order], y[order], start=start[:, order], **STEPS, **COUPLED)
    assert torch.equal(shuffled, particles[:, order])
    others = torch.cat([x[:1], 1 - x[1:]]), torch.cat([start[:, :1], 1 - start[:, 1:]], 1)
    assert torch.equal(svgd.attack(networks, others[0], y, start=others[1], **STEPS, **COUPLED)[:, 0], particles[:, 0])


def batches_seen(networks: list[nn.Module], run: Callable[[], object]) -> list[list[int]]:
    """For each network, how many images each of its forwards had during ``run()``."""
    seen: list[list[int]] = [[] for _ in networks]
    handles = [
        network.register_forward_hook(lambda _module, inputs, _output, log=log: log.append(len(inputs[0])))
        for network, log in zip(networks, seen, strict=True)
    ]
    run()
    for handle in handles:
        handle.remove()
    return seen


@pytest.mark.parametrize(
    ("options", "gradients"),
    [
        (LITERAL, 1),
        (COUPLED, 3),
        (COUPLED | {"gradient_of": "particle"}, 1),
        (COUPLED | {"gradient_of": "ensemble"}, 3),
    ],
)
def test_gradients_a_network_and_step(
    options: dict[str, Any], gradients: int, networks: list[nn.Module], x: Tensor, y: Tensor
) -> None:
    """n^2 gradients in all for a coupled kernel and the literal reading, n without either."""
    start = draw(x, 3)
    seen = batches_seen(networks, lambda: svgd.attack(networks, x, y, start=start, **STEPS, **options))
    assert seen == [[len(x)] * gradients * STEPS["steps"]] * 3


def test_one_network_for_all_costs_n_gradients(network: nn.Module, x: Tensor, y: Tensor) -> None:
    start = draw(x, 3)
    (seen,) = batches_seen([network], lambda: svgd.attack([network], x, y, start=start, **STEPS, **COUPLED))
    assert len(seen) == 3 * STEPS["steps"]


def test_only_coupled_images_are_evaluated_and_nothing_is_lost(networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    """Particles 0 and 1 of images 2 and 5 are close, all others far: two terms of two images beside n."""
    start = draw(x, 3)
    start[1, [2, 5]] = start[0, [2, 5]] + 1e-4
    one_step = {"eps": 0.1, "step_size": 1e-4, "steps": 1, "update": "raw", **LITERAL}
    results: list[Tensor] = []
    seen = batches_seen(networks, lambda: results.append(svgd.attack(networks, x, y, start=start, **one_step)))
    assert seen == [[12, 2], [12, 2], [12]]

    begun = start.clamp(x - 0.1, x + 0.1).clamp(0, 1)
    gradients = torch.stack(
        [torch.stack([_gradient(network, particle, y) for particle in begun]) for network in networks]
    )
    expected = begun + 1e-4 * svgd.phi(begun, gradients, **LITERAL)
    expected = expected.clamp(x - 0.1, x + 0.1).clamp(0, 1)
    torch.testing.assert_close(results[0], expected, rtol=0, atol=1e-6)


def _gradient(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    leaf = x.clone().requires_grad_()
    return torch.autograd.grad(F.cross_entropy(network(leaf), y, reduction="sum"), leaf)[0]


def test_own_and_particle_part_ways_when_coupled(networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    start = draw(x, 3)
    own = svgd.attack(networks, x, y, start=start, gradient_of="own", **STEPS, **COUPLED)
    particle = svgd.attack(networks, x, y, start=start, gradient_of="particle", **STEPS, **COUPLED)
    assert not torch.equal(own, particle)


def test_ensemble_ascends_the_averaged_probabilities(networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    start = draw(x, 3)
    particles = svgd.attack(networks, x, y, start=start, gradient_of="ensemble", **STEPS, **LITERAL)
    mixture = Mixture(networks)
    for begun, particle in zip(start, particles, strict=True):
        expected = pgd.attack(mixture, x, y, start=begun, clamp_start=True, **STEPS)
        assert (particle == expected).float().mean() > 0.999


def test_raw_update_moves_by_phi(networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    start = draw(x, 3).clamp(0, 1)
    gradients = torch.stack([_gradient(network, begun, y) for network, begun in zip(networks, start, strict=True)])
    options = {"gradient_of": "particle", "eps": 0.1, "step_size": 0.01, "steps": 1, **COUPLED}
    particles = svgd.attack(networks, x, y, start=start, update="raw", **options)
    expected = start + 0.01 * svgd.phi(start, gradients, **COUPLED)
    torch.testing.assert_close(particles, expected.clamp(x - 0.1, x + 0.1).clamp(0, 1), rtol=0, atol=1e-6)


class Recorded(nn.Module):
    """What a network sees."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.seen = network, []

    def forward(self, x: Tensor) -> Tensor:
        self.seen.append(x.detach().clone())
        return self.network(x)


@pytest.mark.parametrize("attack", ["svgd", "pgd"])
def test_the_network_sees_the_start_clamped_or_as_it_is(attack: str, network: nn.Module, x: Tensor, y: Tensor) -> None:
    """A11: unclamped, the projection comes after the first step; without a step, at once."""
    start, options = draw(x, 1), {"eps": 0.1, "step_size": 0.03}
    assert start.min() < 0
    assert start.max() > 1

    def run(steps: int, **clamp: bool) -> tuple[Tensor, list[Tensor]]:
        recorded = Recorded(network)
        if attack == "pgd":
            return pgd.attack(recorded, x, y, start=start[0], steps=steps, **options, **clamp), recorded.seen
        found = svgd.attack(recorded, x, y, start=start, steps=steps, **options, **clamp, **LITERAL)
        return found[0], recorded.seen

    clamped = project(start[0], x, 0.1)
    for clamp, first in ((True, clamped), (False, start[0])):
        found, seen = run(2, clamp_start=clamp)
        assert torch.equal(seen[0], first)
        assert torch.equal(seen[1], project(first + 0.03 * _gradient(network, first, y).sign(), x, 0.1))
        assert len(seen) == 2
        assert torch.equal(run(0, clamp_start=clamp)[0], clamped)
        assert torch.equal(run(2)[0], found) == (clamp == (attack == "svgd"))


def test_reports_how_far_the_kernel_is_from_the_identity(networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    report: dict[str, Tensor] = {}
    start = draw(x, 3)
    svgd.attack(networks, x, y, start=start, report=report, **STEPS, **LITERAL)
    assert report == {"kernel_offdiagonal_max": 0, "kernel_offdiagonal_mean": 0}
    svgd.attack(networks, x, y, start=start, report=report, **STEPS, **COUPLED)
    assert 0.05 < report["kernel_offdiagonal_mean"] < 0.95
    assert report["kernel_offdiagonal_mean"] < report["kernel_offdiagonal_max"] < 1
    assert report["kernel_offdiagonal_max"].dtype == F64
    svgd.attack(networks[:1], x, y, start=start[:1], report=report, **STEPS, **COUPLED)
    assert report == {"kernel_offdiagonal_max": 0, "kernel_offdiagonal_mean": 0}


def test_batchnorm_train_sees_whole_batches(networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    before = [network[1].running_mean.clone() for network in networks]
    start = draw(x, 3)
    start[1, [2, 5]] = start[0, [2, 5]] + 1e-4
    options = {"start": start, "batchnorm": "train", "eps": 0.1, "step_size": 0.0, "steps": 1, **LITERAL}
    seen = batches_seen(networks, lambda: svgd.attack(networks, x, y, **options))
    assert seen == [[12, 12], [12, 12], [12]]
    for network, mean in zip(networks, before, strict=True):
        assert not torch.equal(network[1].running_mean, mean)


@pytest.mark.parametrize(
    ("option", "value"),
    [
        ("update", "step"),
        ("gradient_of", "teacher"),
        ("one_over_n", "none"),
        ("repulsion", "back"),
        ("loss", "max"),
        ("interact", "set"),
    ],
)
def test_unknown_readings_are_refused(option: str, value: str, networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    with pytest.raises(ValueError, match=f"{option} is one of"):
        svgd.attack(networks, x, y, start=draw(x, 3), **STEPS, **COUPLED, **{option: value})


def test_models_and_starts_must_fit(networks: list[nn.Module], x: Tensor, y: Tensor) -> None:
    for start in (draw(x, 2), draw(x, 3)[:, :5], x):
        with pytest.raises(ValueError, match="do not fit"):
            svgd.attack(networks, x, y, start=start, **STEPS, **COUPLED)
