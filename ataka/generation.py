"""The settings of a generator put to work: where its particles start, and where eq. 2 takes them.

Shapes: n particles, B images.
"""

from collections.abc import MutableMapping, Sequence

import torch
from torch import Tensor, nn

from ataka.attacks import ascent, svgd
from ataka.attacks.linf import gaussian_start
from ataka.attacks.mode import networks_of
from ataka.study import Generator
from ataka.study.fields import number

DEVIATION = 0.001
"""The standard deviation of the Gaussian start, in units of [0,1], as in TRADES (B3)."""


def draw(generator: Generator, x: Tensor, sources: Sequence[torch.Generator]) -> Tensor:
    """The starts (n,B,C,H,W) of the images x (B,C,H,W), not clamped yet; particle i is ``sources[i]``'s."""
    if generator.start == "gaussian":
        return torch.stack([gaussian_start(x, deviation=DEVIATION, generator=source) for source in sources])
    return svgd.draw(x, len(sources), eps=number(generator.eps), generators=sources)


def particles(
    generator: Generator,
    networks: Sequence[nn.Module] | nn.Module,
    x: Tensor,
    y: Tensor,
    start: Tensor,
    report: MutableMapping[str, Tensor] | None = None,
) -> Tensor:
    """The particles (n,B,C,H,W) of images x (B,C,H,W) with labels y (B,), from ``start`` (n,B,C,H,W).

    ``networks``: n, particle i being network i's, or one for all (Table 1). Of kind "svgd" they move by eq. 2, and
    ``report`` receives what svgd.attack says of the kernel; of kind "pgd" each is a PGD of its own, from the same start
    by the same steps (B3), and there is no kernel to report of; a mean loss has the same signs as a sum.
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
            repulsion=generator.repulsion,
            loss=generator.loss,
            interact=generator.interact,
            clamp_start=generator.clamp_start,
            batchnorm=generator.batchnorm,
            report=report,
        )
    models = networks_of(networks)
    if len(models) == 1:
        models = models * len(start)
    runs = [
        ascent.ascend(
            network,
            x,
            y,
            eps=eps,
            step_size=step_size,
            steps=generator.steps,
            start=begun,
            clamp_start=generator.clamp_start,
            batchnorm=generator.batchnorm,
        )
        for network, begun in zip(models, start, strict=True)
    ]
    return torch.stack(runs)
