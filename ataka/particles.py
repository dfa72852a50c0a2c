"""Table 1: how far apart a generator's particles lie, and how strong they are, image by image.

The paper shows one image, "l_inf distances" of 17.1 and 78.4 that no l_inf ball of 8/255 has room for, and an unnamed
network. So every image has a row of its own, and distances are given in l_1, l_2 and l_inf (B1). SVGD and PGD start
from the same points (B3): equal seeds give equal starts.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka import streams
from ataka.attacks import svgd
from ataka.attacks.finite import finite
from ataka.attacks.mode import attack_mode
from ataka.datasets.images import Split, to_unit
from ataka.generation import draw, particles
from ataka.machine.memory import in_pieces
from ataka.machine.progress import Progress
from ataka.study import Generator


def measure(
    network: nn.Module,
    split: Split,
    generator: Generator,
    *,
    count: int,
    seed: int,
    progress: Progress | None = None,
) -> list[dict[str, float]]:
    """``count`` particles for each image of ``split`` (on the network's device): a row an image, as ``rows`` has it.

    ``network`` serves all particles and is left as it was. Starts are drawn for the whole split first, on the CPU,
    particle i's from the stream ("particles", i) of ``seed``, whatever the kind.

    Raises ValueError for fewer than two particles, which have no distance, and for readings under which an image's
    particles depend on its batch: here they would depend on how the split is cut. Raises NotFinite where logits or
    gradients are not finite.
    """
    if count < 2:
        raise ValueError(f"particles: {count} are too few for a distance")
    for name, alone in (("batchnorm", "eval"), ("loss", "sum"), ("interact", "image")):
        if (value := getattr(generator, name)) != alone:
            raise ValueError(f"particles: {name} must be {alone!r} to measure images, not {value!r}")
    progress = progress or Progress.silent()
    sources = [streams.generator(seed, "particles", index) for index in range(count)]
    start = draw(generator, split.pixels(), sources)
    done: list[dict[str, float]] = []
    progress.start(1, len(split))

    def measured(piece: slice) -> list[dict[str, float]]:
        x, y = to_unit(split.images[piece]), split.labels[piece]
        with streams.global_stream(seed, "particles", "forward", piece.start):  # of a network that draws
            x_adv = particles(generator, network, x, y, start[:, piece])
            return list(rows(network, x, y, x_adv, bandwidth=generator.bandwidth))

    for several in in_pieces(measured, len(split), say=progress.say):
        done += [{"image": len(done) + place, **row} for place, row in enumerate(several)]
        progress.step(len(several))
    return done


def rows(
    network: nn.Module, x: Tensor, y: Tensor, x_adv: Tensor, *, bandwidth: svgd.Bandwidth
) -> Iterator[dict[str, float]]:
    """A row for each image x (B,C,H,W) with label y (B,) and particles x_adv (n,B,C,H,W).

    l1, l2, linf          mean distance of two particles, in units of [0,1], l_1 and l_2 over all pixels and channels
    ce_mean, ce_std,      cross-entropy (nats) over particles; the deviation is the sample's, with n - 1 (B4)
    ce_max, ce_min
    fooled                number of particles that are misclassified
    ce_clean              cross-entropy of the image itself
    kernel_offdiagonal_*  mean and maximum of svgd.kernel of two particles, at their last positions (PGD has no kernel
                          and is measured with the same ``bandwidth``)
    """
    with torch.no_grad(), attack_mode(network), finite("particles", network):
        logits = torch.stack([network(particle) for particle in x_adv]).double()
        clean = functional.cross_entropy(network(x).double(), y, reduction="none")
    entropies = torch.stack([functional.cross_entropy(one, y, reduction="none") for one in logits])
    k, _ = svgd.kernel(x_adv, bandwidth)
    i, j = torch.triu_indices(len(x_adv), len(x_adv), 1, device=x_adv.device)
    columns = {
        **distances(x_adv),
        "ce_mean": entropies.mean(0),
        "ce_std": entropies.std(0, correction=1),
        "ce_max": entropies.amax(0),
        "ce_min": entropies.amin(0),
        "fooled": (logits.argmax(2) != y).sum(0),
        "ce_clean": clean,
        "kernel_offdiagonal_mean": k[i, j].mean(0),
        "kernel_offdiagonal_max": k[i, j].amax(0),
    }
    for values in zip(*(column.tolist() for column in columns.values()), strict=True):
        yield dict(zip(columns, values, strict=True))


def distances(particles: Tensor) -> dict[str, Tensor]:
    """Mean distance of two of each image's particles (n,B,...), n at least 2: l1, l2 and linf, (B,) in float64."""
    flat = particles.flatten(2).double()
    gaps = ((flat[i] - flat[i + 1 :]).abs() for i in range(len(flat) - 1))
    norms = [torch.stack([gap.sum(-1), gap.square().sum(-1).sqrt(), gap.amax(-1)]) for gap in gaps]
    l1, l2, linf = torch.cat(norms, 1).mean(1)
    return {"l1": l1, "l2": l2, "linf": linf}
