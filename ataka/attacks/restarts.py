"""Several attempts at an image: it counts as robust if it withstands each of them."""

from collections.abc import Callable, Iterable

import torch
from torch import Tensor, nn

from ataka import streams
from ataka.attacks.mode import attack_mode

Attempt = Callable[[Tensor], Tensor]
"""Indices of images, (M,) int64, to their adversarial images (M,C,H,W)."""

SHARE = 0.6
"""The share of the images that attempts after the first are taken to attack, for estimates of the work."""


def forwards(steps: int, attempts: int) -> float:
    """Forwards for an image: an attempt of ``steps`` gradients and its verdict, and the later ones for a SHARE."""
    return (2 * steps + 1) * (1 + SHARE * (attempts - 1)) + 1


def generators(first: torch.Generator, restarts: int) -> list[torch.Generator]:
    """A generator for the starts of each restart: the ``first``, and then those of streams of its seed.

    So an image's starts depend neither on the number of restarts nor on the images after it.
    """
    seed = first.initial_seed()
    later = (streams.generator(seed, "restart", index, device=first.device) for index in range(1, restarts))
    return [first, *later]


def starts(
    name: str,
    x: Tensor,
    start: Tensor | None,
    *,
    restarts: int,
    generator: torch.Generator | None,
    draw: Callable[..., Tensor],
) -> Tensor:
    """``start``, (B,restarts,C,H,W) for x (B,C,H,W), or else what ``draw`` draws from ``generator``.

    Raises ValueError for neither, and for a start of another shape; ``name`` is the attack's.
    """
    if start is None:
        if generator is None:
            raise ValueError(f"{name} starts at random: give it a generator, or a start")
        start = draw(generator=generator)
    if start.shape != (len(x), restarts, *x.shape[1:]):
        raise ValueError(
            f"{name}: start is of shape {tuple(start.shape)}, x of {tuple(x.shape)}, restarts are {restarts}"
        )
    return start


def first_success(model: nn.Module, x: Tensor, y: Tensor, attempts: Iterable[Attempt]) -> Tensor:
    """For each image of x (B,C,H,W) the result of the first attempt that changes its class from y (B,), or of the last.

    An attempt gets the images that withstood all attempts before it. The verdicts are those of the plain ``model``, in
    evaluation mode.
    """
    x_adv, left = x.detach().clone(), torch.arange(len(x), device=x.device)
    for attempt in attempts:
        images = attempt(left)
        x_adv[left] = images
        with torch.no_grad(), attack_mode(model):
            left = left[model(images).argmax(1) == y[left]]
        if not len(left):
            break
    return x_adv
