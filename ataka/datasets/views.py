"""The *view* of an epoch: the order and the augmentation of the training images.

A view is a pure function of (seed, epoch), drawn on the CPU so that every device gets the same view.
"""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from ataka import streams


@dataclass(frozen=True)
class View:
    """An epoch's changes to the training images: order (N,), shifts (N, 2) in [0, 2 * shift], flips (N,)."""

    order: Tensor
    shifts: Tensor
    flips: Tensor
    reach: int

    def digest(self) -> str:
        """SHA-256 of the order, the shifts and the flips: equal views have equal digests."""
        content = hashlib.sha256(f"{self.reach}".encode())
        for part in (self.order, self.shifts, self.flips):
            content.update(part.numpy().tobytes())
        return content.hexdigest()

    def apply(self, images: Tensor) -> Tensor:
        """The whole epoch's images (N, channels, H, W) uint8, augmented and in the epoch's order, on their device."""
        device = images.device
        images = images[self.order.to(device)]
        if self.reach:
            images = _crop(images, self.shifts.to(device), self.reach)
        flips = self.flips.to(device)[:, None, None, None]
        return torch.where(flips, images.flip(-1), images) if self.flips.any() else images


def view(seed: int, epoch: int, count: int, *, shift: int, flip: bool) -> View:
    """The view of ``count`` images in ``epoch``: a pure function of its arguments, the same on every device."""
    source = streams.generator(seed, "view", epoch)
    order = torch.randperm(count, generator=source)
    shifts = torch.randint(0, 2 * shift + 1, (count, 2), generator=source)
    flips = torch.rand(count, generator=source) < (0.5 if flip else 0.0)
    return View(order, shifts, flips, shift)


def _crop(images: Tensor, shifts: Tensor, reach: int) -> Tensor:
    """Pad with zeros by ``reach`` and cut each image at its own shift."""
    height, width = images.shape[-2:]
    padded = torch.nn.functional.pad(images, (reach,) * 4)
    windows = padded.unfold(2, height, 1).unfold(3, width, 1)
    return windows[torch.arange(len(images), device=images.device), :, shifts[:, 0], shifts[:, 1]]
