"""Table 1's rows against numpy, and the two kinds of a generator where they must agree."""

import itertools
from typing import Any

import numpy
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka import generation, particles, streams
from ataka.attacks.finite import NotFinite
from ataka.attacks.linf import project
from ataka.machine import memory
from ataka.study import Generator
from tests import tiny

COUNT = 4
COLUMNS = {"image", "l1", "l2", "linf", "ce_mean", "ce_std", "ce_max", "ce_min", "fooled", "ce_clean"}
COLUMNS |= {"kernel_offdiagonal_mean", "kernel_offdiagonal_max"}
COUPLED: dict[str, Any] = {"bandwidth": "median", "steps": 4}


def network() -> nn.Module:
    """With running statistics of its own, in evaluation mode."""
    built = tiny.convolutional().train()
    for seed in range(20):
        built(tiny.split(14, seed).pixels())
    return built.eval()


def close(rows: list[dict[str, float]], others: list[dict[str, float]]) -> bool:
    """To 1e-5: a network's own sums are rounded otherwise in a batch of another size."""
    return len(rows) == len(others) and all(
        row == pytest.approx(other, rel=1e-5, abs=1e-7) for row, other in zip(rows, others, strict=True)
    )


# ---- the measurement


def test_rows_are_what_numpy_says() -> None:
    net, split = network(), tiny.split(6)
    x, y = split.pixels(), split.labels
    x_adv = (x + 0.1 * torch.randn(COUNT, *x.shape, generator=torch.Generator().manual_seed(1))).clamp(0, 1)
    with torch.no_grad():
        logits = torch.stack([net(one) for one in x_adv]).double().numpy()
        clean = net(x).double().numpy()
    rows = list(particles.rows(net, x, y, x_adv, bandwidth=0.5))
    assert len(rows) == 6
    for image, row in enumerate(rows):
        flat = x_adv[:, image].flatten(1).double().numpy()
        gaps = [a - b for a, b in itertools.combinations(flat, 2)]
        kernel = [numpy.exp(-numpy.sum(gap**2) / (2 * 0.5**2)) for gap in gaps]
        label = int(y[image])
        entropies = [numpy.log(numpy.exp(own).sum()) - own[label] for own in logits[:, image]]
        deviations = sum((entropy - sum(entropies) / COUNT) ** 2 for entropy in entropies)
        expected = {
            "l1": numpy.mean([numpy.abs(gap).sum() for gap in gaps]),
            "l2": numpy.mean([numpy.sqrt((gap**2).sum()) for gap in gaps]),
            "linf": numpy.mean([numpy.abs(gap).max() for gap in gaps]),
            "ce_mean": sum(entropies) / COUNT,
            "ce_std": (deviations / (COUNT - 1)) ** 0.5,
            "ce_max": max(entropies),
            "ce_min": min(entropies),
            "fooled": sum(int(own.argmax()) != label for own in logits[:, image]),
            "ce_clean": numpy.log(numpy.exp(clean[image]).sum()) - clean[image, label],
            "kernel_offdiagonal_mean": numpy.mean(kernel),
            "kernel_offdiagonal_max": max(kernel),
        }
        assert row == pytest.approx(expected, rel=1e-9)


def test_distances_of_opposite_corners_are_the_balls_own() -> None:
    """What there is room for (B1): 2 eps in l_inf, 2 eps D in l_1, 2 eps sqrt(D) in l_2."""
    corner = torch.full((1, 3, 32, 32), 8 / 255, dtype=torch.float64)
    found = particles.distances(torch.stack([0.5 + corner, 0.5 - corner]))
    assert {name: value.item() for name, value in found.items()} == pytest.approx(
        {"l1": 192.7529, "l2": 3.4777, "linf": 16 / 255}, rel=1e-4
    )


@pytest.mark.parametrize("kind", ["svgd", "pgd"])
def test_measure_leaves_the_network_alone_and_repeats_itself(kind: str) -> None:
    net, split = network(), tiny.split(7)
    before = tiny.state(net)
    net.train()
    generator = tiny.generator(kind=kind, **COUPLED)
    rows = particles.measure(net, split, generator, count=COUNT, seed=3)
    assert tiny.same(before, tiny.state(net))
    assert net.training
    assert [row["image"] for row in rows] == list(range(7))
    assert all(set(row) == COLUMNS for row in rows)
    assert rows == particles.measure(net.eval(), split, generator, count=COUNT, seed=3)
    assert rows != particles.measure(net, split, generator, count=COUNT, seed=4)
    assert all(row["ce_min"] <= row["ce_mean"] <= row["ce_max"] for row in rows)
    assert sum(row["ce_min"] for row in rows) > sum(row["ce_clean"] for row in rows)


@pytest.mark.parametrize("kind", ["svgd", "pgd"])
@pytest.mark.parametrize("size", [1, 3])
def test_rows_do_not_depend_on_the_cut(kind: str, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each image alone, or in threes, as all of them at once."""
    net, split, generator = network(), tiny.split(7), tiny.generator(kind=kind, **COUPLED)
    whole = particles.measure(net, split, generator, count=COUNT, seed=3)
    monkeypatch.setattr(memory, "BATCH", size)
    assert close(particles.measure(net, split, generator, count=COUNT, seed=3), whole)


@pytest.mark.parametrize("start", ["uniform", "gaussian"])
def test_both_kinds_start_from_the_same_points(start: str) -> None:
    net, split = network(), tiny.split(7)
    rows = [
        particles.measure(net, split, tiny.generator(kind=kind, start=start, steps=0), count=COUNT, seed=3)
        for kind in ("svgd", "pgd")
    ]
    assert rows[0] == rows[1]
    x = split.pixels()
    sources = [streams.generator(3, "particles", index) for index in range(COUNT)]
    if start == "uniform":
        noise = [(2 * torch.rand(x.shape, generator=source) - 1) * (16 / 255) for source in sources]
    else:
        noise = [torch.randn(x.shape, generator=source, dtype=torch.float64).float() * 0.001 for source in sources]
    begun = torch.stack([project(x + one, x, 16 / 255) for one in noise])
    assert [row["l1"] for row in rows[0]] == particles.distances(begun)["l1"].tolist()


def test_what_cannot_be_measured_is_refused() -> None:
    with pytest.raises(ValueError, match="too few"):
        particles.measure(network(), tiny.split(3), tiny.generator(), count=1, seed=0)
    for name, value in (("batchnorm", "train"), ("loss", "mean"), ("interact", "batch")):
        with pytest.raises(ValueError, match=name):
            particles.measure(network(), tiny.split(3), tiny.generator(**{name: value}), count=2, seed=0)


# ---- a generator's two kinds


def begin(generator: Generator, n: int) -> tuple[Tensor, Tensor, Tensor]:
    """x, y and n starts."""
    split = tiny.split(6)
    sources = [torch.Generator().manual_seed(seed) for seed in range(n)]
    return split.pixels(), split.labels, generation.draw(generator, split.pixels(), sources)


def both(networks: nn.Module | list[nn.Module], n: int, **settings: Any) -> tuple[Tensor, Tensor]:
    found = []
    for kind in ("svgd", "pgd"):
        generator = tiny.generator(kind=kind, steps=5, **settings)
        found.append(generation.particles(generator, networks, *begin(generator, n)))
    return found[0], found[1]


@pytest.mark.parametrize("readings", [{}, {"clamp_start": False}, {"loss": "mean"}, {"interact": "batch"}])
@pytest.mark.parametrize("shared", [True, False])
def test_at_the_papers_sigma_svgd_is_pgd_bit_for_bit(shared: bool, readings: dict[str, Any]) -> None:
    """From uniform starts. (Gaussian ones of 64 pixels are so near that the kernel is not 0; of CIFAR's 3072 it is.)"""
    networks = tiny.convolutional() if shared else [tiny.convolutional(seed) for seed in range(3)]
    svgd, pgd = both(networks, 3, bandwidth=1e-3, **readings)
    assert torch.equal(svgd, pgd)
    assert not torch.equal(pgd[0], pgd[1])


@pytest.mark.parametrize("bandwidth", [1e-3, 0.5, 1e6, "median"])
@pytest.mark.parametrize("gamma", [0.0, 1.0, 100.0])
def test_one_particle_is_pgd_bit_for_bit(bandwidth: Any, gamma: float) -> None:
    assert torch.equal(*both(tiny.convolutional(), 1, bandwidth=bandwidth, gamma=gamma))


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("start", "gaussian"),
        ("clamp_start", False),
        ("update", "raw"),
        ("bandwidth", 0.5),
        ("gamma", 10.0),
        ("one_over_n", "both"),
        ("repulsion", "towards"),
        ("loss", "mean"),
        ("interact", "batch"),
        ("gradient_of", "particle"),
        ("batchnorm", "train"),
    ],
)
def test_every_reading_of_a_generator_reaches_it(name: str, value: Any) -> None:
    networks = [tiny.convolutional(seed) for seed in range(3)]
    default, other = (
        generation.particles(one, networks, *begin(one, 3))
        for one in (tiny.generator(**COUPLED), tiny.generator(**COUPLED | {name: value}))
    )
    assert not torch.equal(default, other)


def test_a_coupled_kernel_is_another_attack() -> None:
    assert not torch.equal(*both(tiny.convolutional(), 3, bandwidth="median"))


@pytest.mark.parametrize("shared", [True, False])
def test_an_infinite_sigma_follows_the_mean_gradients_sign(shared: bool) -> None:
    """Remark 1's limit (A13): one direction for all particles of a network, that of its gradients' mean over them."""
    networks = [tiny.dense(0 if shared else seed).eval() for seed in range(3)]
    generator = tiny.generator(bandwidth=1e6, gamma=0.0, steps=1, step_size="2/255")
    x, y, start = begin(generator, 3)
    moved = generation.particles(generator, networks[0] if shared else networks, x, y, start)
    begun = project(start, x, 16 / 255)
    for index, network in enumerate(networks):
        mean = torch.zeros_like(x, dtype=torch.float64)
        for particle in begun:
            leaf = particle.clone().requires_grad_()
            functional.cross_entropy(network(leaf), y, reduction="sum").backward()
            mean += leaf.grad.double() / 3
        clear = mean.abs() > 1e-6
        assert clear.float().mean() > 0.5
        expected = project(begun[index] + 2 / 255 * mean.sign(), x, 16 / 255)
        torch.testing.assert_close(moved[index][clear], expected[clear].float())


def test_pgd_has_no_kernel_to_report_of() -> None:
    for kind, names in (("svgd", {"kernel_offdiagonal_max", "kernel_offdiagonal_mean"}), ("pgd", set())):
        generator = tiny.generator(kind=kind)
        report: dict[str, Tensor] = {}
        generation.particles(generator, tiny.convolutional(), *begin(generator, 2), report)
        assert set(report) == names


@pytest.mark.parametrize("networks", [2, 4])
def test_networks_and_starts_must_fit(networks: int) -> None:
    generator = tiny.generator(kind="pgd")
    with pytest.raises(ValueError, match="zip"):
        generation.particles(generator, [tiny.linear(seed) for seed in range(networks)], *begin(generator, 3))


# ---- numbers that are not finite


class Spoilt(nn.Module):
    """A network with NaN in one class's logits, or with its own logits and NaN gradients."""

    def __init__(self, *, logits: bool) -> None:
        super().__init__()
        self.network, self.logits = network(), logits

    def forward(self, x: Tensor) -> Tensor:
        given = self.network(x)
        if self.logits:
            return given.index_fill(1, torch.tensor([2]), torch.nan)
        return given + (x * 0).sqrt().sum((1, 2, 3)).unsqueeze(1)


@pytest.mark.parametrize("kind", ["svgd", "pgd"])
@pytest.mark.parametrize(("logits", "message"), [(True, "logits .* for 6 of 6"), (False, "gradients .* at 6 of 6")])
def test_numbers_that_are_not_finite_end_it_by_name(kind: str, logits: bool, message: str) -> None:
    generator = tiny.generator(kind=kind)
    with pytest.raises(NotFinite, match=f"^{kind}: .*{message} images"):
        particles.measure(Spoilt(logits=logits), tiny.split(6), generator, count=2, seed=0)


def test_without_a_step_the_measured_logits_themselves_are_refused() -> None:
    with pytest.raises(NotFinite, match=r"^particles: .*logits"):
        particles.measure(Spoilt(logits=True), tiny.split(6), tiny.generator(steps=0), count=2, seed=0)
