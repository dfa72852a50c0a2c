"""The l_2 ball around the clean images, cut by [0,1]: where attacks start, step and are brought back.

Distances are of pixels in [0,1], summed over all channels.
"""

import torch
from torch import Tensor

from ataka import draws, streams


def norms(values: Tensor) -> Tensor:
    """The l_2 norm of each image, (B,...) to (B,1,...), against which images can be divided."""
    norms: Tensor = torch.linalg.vector_norm(values, dim=tuple(range(1, values.ndim)), keepdim=True)
    return norms


def unit(gradient: Tensor) -> Tensor:
    """Each image's gradient (B,...) divided by its norm, whatever its size; a gradient of 0 stays 0.

    Squares of a small gradient would be 0 in float32, and a constant that is added to the norm, as others add 1e-12 or
    1e-10, would shorten the steps of a network whose logits are large.
    """
    largest = gradient.abs().amax(tuple(range(1, gradient.ndim)), keepdim=True)
    scaled = gradient / torch.where(largest > 0, largest, 1.0)
    return scaled / norms(scaled).clamp(min=1.0)  # 1 or more, but for a gradient of 0


def project(x_adv: Tensor, x: Tensor, radius: float) -> Tensor:
    """A point within ``radius`` of x (B,C,H,W) and within [0,1]: drawn towards x into the ball, then clamped to [0,1].

    As x lies in [0,1], the clamp leads no image out of the ball. Of all such points it is the nearest where the clamp
    changes nothing; elsewhere the nearest has a search of its own, and the attacks of others take this point, too.
    """
    change = x_adv - x
    return (x + change * (radius / norms(change).clamp(min=radius))).clamp(0.0, 1.0) if radius else x.clone()


def ball_start(x: Tensor, *, radius: float, generator: torch.Generator) -> Tensor:
    """A point drawn uniformly from the ball of ``radius`` around each image of x (B,C,H,W), not clamped to [0,1].

    In float64, rounded once; drawn on the generator's device and moved to that of ``x``. The distances come from a
    stream of the generator's seed, so that an image's point doesn't depend on the images after it.
    """
    direction = draws.normal(x.shape, generator=generator, dtype=torch.float64)
    of_lengths = streams.generator(generator.initial_seed(), "length", device=generator.device)
    share = torch.rand(len(x), dtype=torch.float64, generator=of_lengths, device=generator.device)
    length = radius * share.pow(x.shape[0] / x.numel()).reshape(-1, *[1] * (x.ndim - 1))
    return x + (direction / norms(direction) * length).to(x)
