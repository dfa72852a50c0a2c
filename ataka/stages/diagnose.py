"""Diagnosis of a generator on the teachers that it trained: a note beside a tape, on which no result depends.

The module lies among the stages, which are not hashed, so an edit of the diagnosis records no tape again.
"""

import math
from collections.abc import Iterable, Sequence
from copy import deepcopy

import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka import streams
from ataka.attacks import ascent
from ataka.attacks.gradient import input_gradient
from ataka.attacks.mode import attack_mode
from ataka.datasets.images import Split
from ataka.generation import draw, particles
from ataka.study import Generator
from ataka.study.fields import number

DIAGNOSED = 64
"""Images that a generator is diagnosed on."""


def diagnosed(generator: Generator, teachers: Sequence[nn.Module], images: Split, seed: int) -> dict[str, float]:
    """``diagnose`` on the first DIAGNOSED of ``images``."""
    few = images.first(min(DIAGNOSED, len(images)))
    with streams.global_stream(seed, "diagnose", "forward"):
        return diagnose(generator, teachers, few.pixels(), few.labels, seed=seed)


def diagnose(
    generator: Generator, networks: Sequence[nn.Module], x: Tensor, y: Tensor, *, seed: int
) -> dict[str, float]:
    """Signs that a generator attacks trained networks at all, on images x (B,C,H,W) with labels y (B,). Returns:

    kernel_offdiagonal_mean  over steps, pairs and images; 0 where particles never depended on each other
    generator_gain           the rise of the mean cross-entropy from x to the particles, over PGD's from the same starts
                             by the same steps
    gradient_norm            the median l_2 norm of an image's gradient at x
    """
    sources = [streams.generator(seed, "diagnose", index) for index in range(len(networks))]
    start = draw(generator, x.cpu(), sources).to(x.device)
    report: dict[str, Tensor] = {}
    x_adv = particles(generator, deepcopy(networks), x, y, start, report)  # copies: batch statistics may move
    with attack_mode(*networks):
        norms = torch.stack([input_gradient(network, x, y).flatten(1).norm(dim=1) for network in networks])
        by_pgd = torch.stack(
            [
                ascent.ascend(
                    network,
                    x,
                    y,
                    eps=number(generator.eps),
                    step_size=number(generator.step_size),
                    steps=generator.steps,
                    start=begun,
                    clamp_start=generator.clamp_start,
                )
                for network, begun in zip(networks, start, strict=True)
            ]
        )
        clean, gained, most = (_cross_entropy(networks, images, y) for images in ([x] * len(networks), x_adv, by_pgd))
    return {
        "kernel_offdiagonal_mean": report["kernel_offdiagonal_mean"].item() if report else 0.0,
        "generator_gain": (gained - clean) / (most - clean) if most != clean else math.nan,
        "gradient_norm": norms.median().item(),
    }


@torch.no_grad()
def _cross_entropy(networks: Sequence[nn.Module], images: Iterable[Tensor], y: Tensor) -> float:
    pairs = zip(networks, images, strict=True)
    return torch.stack([functional.cross_entropy(network(x), y) for network, x in pairs]).double().mean().item()
