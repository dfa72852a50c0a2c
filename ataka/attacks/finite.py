"""Refuses numbers that are not finite: NaN in a logit or a gradient would count as robustness.

The largest of several logits is the first that is NaN, so that an image keeps its verdict whatever its pixels are. The
sign of a NaN gradient is 0, so that an attack stands still.
"""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

import torch
from torch import Tensor, nn

from ataka.attacks.mode import never_alone
from ataka.errors import UserError


class NotFinite(UserError):
    """A network's logits, or gradients through it, are NaN or infinite at finite images.

    ``of_logits`` says which of the two; where both are, it is the logits.
    """

    def __init__(self, text: str, *, of_logits: bool) -> None:
        super().__init__(text)
        self.of_logits = of_logits

    def within(self, place: str) -> "NotFinite":
        """The same, with the place where it happened before its message."""
        return NotFinite(f"{place}: {self}", of_logits=self.of_logits)


@contextmanager
def finite(name: str, *networks: nn.Module) -> Iterator[None]:
    """Raise NotFinite, in the name of the attack or measurement ``name``, unless all that the networks gave was finite.

    Images are counted at each forward and backward, on their own device; the counts are read as the block ends, so that
    no step waits for the device. Images that are not finite themselves are not held against a network.
    """
    counts = _Counts()
    with never_alone(*networks), ExitStack() as hooks:
        for network in dict.fromkeys(networks):
            hooks.callback(network.register_forward_hook(counts.see).remove)
        yield
    counts.require_none(name)


class _Counts:
    """The most images of one batch whose logits, or gradients, were not finite."""

    def __init__(self) -> None:
        self._most: dict[str, Tensor] = {}
        """0-d, on the network's device."""
        self._images = 0
        """The number of images in the largest batch."""

    def see(self, _network: nn.Module, given: tuple[Any, ...], logits: Tensor) -> None:
        """A forward hook. ``given`` may hold a single image twice, of which ``logits`` hold one (``never_alone``)."""
        if not given:
            raise ValueError("a network that is attacked gets its images as its first argument, not by name")
        images, count = given[0], len(logits)
        sound = _finite(images)[:count]
        self._images = max(self._images, count)
        self._add("logits", sound & ~_finite(logits))
        if images.requires_grad:

            def see_gradient(gradient: Tensor) -> None:  # knows no image, which would keep it in memory
                self._add("gradients", sound & ~_finite(gradient).reshape(-1, count).all(0))

            images.register_hook(see_gradient)

    def _add(self, name: str, spoilt: Tensor) -> None:
        count = spoilt.sum()
        self._most[name] = torch.maximum(self._most[name], count) if name in self._most else count

    def require_none(self, name: str) -> None:
        """One transfer from the device."""
        if not self._most:
            return
        most = dict(zip(self._most, torch.stack([*self._most.values()]).tolist(), strict=True))
        if most["logits"]:
            raise NotFinite(
                f"{name}: the network's logits are NaN or infinite for {most['logits']} of {self._images} images, so "
                "that it has no accuracy there. Look for a weight that is not finite, an overflow or a division by 0",
                of_logits=True,
            )
        if most.get("gradients"):
            raise NotFinite(
                f"{name}: gradients through the network are NaN or infinite at {most['gradients']} of {self._images} "
                "images, so that no attack can follow them. Look for the square root or the norm of 0, a division by 0 "
                "or an overflow",
                of_logits=False,
            )


def _finite(values: Tensor) -> Tensor:
    """Whether all numbers of an image are finite, (B,...) to (B,)."""
    return values.detach().isfinite().flatten(1).all(1)
