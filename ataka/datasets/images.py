"""A split's images and labels, as they are stored and as networks see them."""

import hashlib
from dataclasses import dataclass

import torch
from torch import Tensor

from ataka.errors import UserError


@dataclass(frozen=True)
class Split:
    """Images (N, channels, H, W) uint8 with labels (N,) int64, and the SHA-256 of both."""

    images: Tensor
    labels: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def digest(self) -> str:
        """SHA-256 of the images' shape, the images and the labels."""
        content = hashlib.sha256(str(tuple(self.images.shape)).encode())
        content.update(self.images.cpu().numpy().tobytes())
        content.update(self.labels.cpu().numpy().tobytes())
        return content.hexdigest()

    def first(self, count: int | None) -> "Split":
        """The first ``count`` images; all of them for None."""
        if count is not None and count > len(self):
            raise UserError(f"{count} images are asked for, but the split has {len(self)}")
        return Split(self.images[:count], self.labels[:count])

    def joined(self, other: "Split") -> "Split":
        """These images and then the ``other`` ones."""
        return Split(torch.cat((self.images, other.images)), torch.cat((self.labels, other.labels)))

    def to(self, device: torch.device) -> "Split":
        """The same images and labels on another device."""
        return Split(self.images.to(device), self.labels.to(device))

    def pixels(self) -> Tensor:
        """The images as float32 in [0, 1]."""
        return to_unit(self.images)


def to_unit(images: Tensor) -> Tensor:
    """uint8 images of any shape, such as (B,C,H,W), as float32 in [0, 1] of the same shape."""
    return images.to(torch.float32).div_(255)
