"""The settings of a generator put to work: where its particles start, and where eq. 2 takes them.

``generator`` holds the fields of ataka.study.Generator; n particles, B images.
"""

import math
from collections.abc import Iterable, MutableMapping, Sequence
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka import streams
from ataka.attacks import pgd, svgd
from ataka.attacks.gradient import input_gradient
from ataka.attacks.linf import gaussian_start
from ataka.attacks.mode import attack_mode, networks_of
from ataka.settings import number

DIAGNOSED = 64
"""Images that a generator is diagnosed on."""
DEVIATION = 0.001
"""Of the Gaussian start, in units of [0,1], as TRADES has it (B3)."""


def draw(generator: Any, x: Tensor, sources: Sequence[torch.Generator]) -> Tensor:
    """The starts (n,B,C,H,W) of the images x (B,C,H,W), not clamped yet; particle i is ``sources[i]``'s."""
    if generator.start == "gaussian":
        return torch.stack([gaussian_start(x, deviation=DEVIATION, generator=source) for source in sources])
    return svgd.draw(x, len(sources), eps=number(generator.eps), generators=sources)


def particles(
    generator: Any,
    networks: Sequence[nn.Module] | nn.Module,
    x: Tensor,
    y: Tensor,
    start: Tensor,
    report: MutableMapping[str, Tensor] | None = None,
) -> Tensor:
    """The particles (n,B,C,H,W) of images x (B,C,H,W) with labels y (B,), from ``start`` (n,B,C,H,W), clamped (A11).

    ``networks``: n, particle i being network i's, or one for all (Table 1). Of kind "svgd" they move by eq. 2, and
    ``report`` receives what svgd.attack says of the kernel; of kind "pgd" each is a PGD of its own, from the same start
    by the same steps (B3), and there is no kernel to report of.
    """
    eps, step_size = number(generator.eps), number(generator.step_size)
    if generator.kind == "svgd":
        return svgd.attack(
            networks,
            x,
            y,
            eps=eps,
            step_size=step_size,
            steps=generator.steps,
            bandwidth=generator.bandwidth,
            gamma=generator.gamma,
            one_over_n=generator.one_over_n,
            start=start,
            update=generator.update,
            gradient_of=generator.gradient_of,
            batchnorm=generator.batchnorm,
            report=report,
        )
    models = networks_of(networks)
    if len(models) == 1:
        models = models * len(start)
    runs = [
        pgd.attack(
            network,
            x,
            y,
            eps=eps,
            step_size=step_size,
            steps=generator.steps,
            start=begun,
            clamp_start=True,
            batchnorm=generator.batchnorm,
        )
        for network, begun in zip(models, start, strict=True)
    ]
    return torch.stack(runs)


def diagnose(generator: Any, networks: Sequence[nn.Module], x: Tensor, y: Tensor, *, seed: int) -> dict[str, float]:
    """What a generator does to trained networks, on images x (B,C,H,W) with labels y (B,): is it an attack at all?

    kernel_offdiagonal_mean  over steps, pairs and images; 0 where particles never felt each other
    generator_gain           the rise of the mean cross-entropy from x to the particles, over PGD's from the same starts
                             by the same steps
    gradient_norm            the median l_2 norm of an image's gradient at x
    """
    sources = [streams.generator(seed, "diagnose", index) for index in range(len(networks))]
    start = draw(generator, x.cpu(), sources).to(x.device)
    report: dict[str, Tensor] = {}
    found = particles(generator, deepcopy(networks), x, y, start, report)  # of which batch statistics may move
    with attack_mode(*networks):
        norms = torch.stack([input_gradient(network, x, y).flatten(1).norm(dim=1) for network in networks])
        by_pgd = torch.stack(
            [
                pgd.attack(
                    network,
                    x,
                    y,
                    eps=number(generator.eps),
                    step_size=number(generator.step_size),
                    steps=generator.steps,
                    start=begun,
                    clamp_start=True,
                )
                for network, begun in zip(networks, start, strict=True)
            ]
        )
        clean, gained, most = (_cross_entropy(networks, images, y) for images in ([x] * len(networks), found, by_pgd))
    return {
        "kernel_offdiagonal_mean": report["kernel_offdiagonal_mean"].item() if report else 0.0,
        "generator_gain": (gained - clean) / (most - clean) if most != clean else math.nan,
        "gradient_norm": norms.median().item(),
    }


@torch.no_grad()
def _cross_entropy(networks: Sequence[nn.Module], images: Iterable[Tensor], y: Tensor) -> float:
    pairs = zip(networks, images, strict=True)
    return torch.stack([functional.cross_entropy(network(x), y) for network, x in pairs]).double().mean().item()
