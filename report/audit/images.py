"""The adversarial images of a cell: written batch by batch, so that an interrupted audit keeps them, then one file."""

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from ataka.errors import UserError

if TYPE_CHECKING:
    from torch import Tensor

# What needs torch is imported by the function that needs it.


class Images:
    """The file ``path`` of a cell's adversarial images; ``identity`` names their network and settings."""

    def __init__(self, path: Path, identity: Mapping[str, str]) -> None:
        self.path, self.identity = path, dict(identity)
        self._parts = path.with_suffix(".parts")

    @property
    def current(self) -> bool:
        """Whether the file is there, and of this identity."""
        from ataka.files.tensors import load_about

        try:
            return bool(self.path.exists() and load_about(self.path) == self.identity)
        except UserError:
            return False

    def begin(self, done: int) -> None:
        """Start behind the first ``done`` images; UserError unless an interrupted audit has written these."""
        for place, part in self._files():
            if place >= done:
                part.unlink()
        if sum(len(images) for images in self._written()) < done:
            raise UserError(
                f"the first {done} images were attacked without --save-images by an audit that was interrupted: give "
                "the command without it once, to finish that audit, or delete the folder of the audit"
            )

    def keep(self, place: int, x_adv: "Tensor") -> None:
        """Write a batch, the first of which is image ``place``."""
        from ataka.files.tensors import save_tensors

        save_tensors(self._parts / f"{place:08d}.safetensors", {"x_adv": x_adv}, self.identity)

    def finish(self, labels: "Tensor") -> None:
        """Write all batches into the file: ``x_adv`` (N,C,H,W) float32 in [0,1], and ``y`` (N,) of ``labels``."""
        import torch

        from ataka.files.tensors import save_tensors

        x_adv = torch.cat([*self._written()])
        save_tensors(self.path, {"x_adv": x_adv, "y": labels[: len(x_adv)]}, self.identity)
        shutil.rmtree(self._parts)

    def remove(self, *, parts: bool) -> None:
        """Remove the file, whose cell is measured anew, and the ``parts`` that an interrupted audit has left."""
        self.path.unlink(missing_ok=True)
        if parts:
            shutil.rmtree(self._parts, ignore_errors=True)

    def _files(self) -> list[tuple[int, Path]]:
        return [(int(part.stem), part) for part in sorted(self._parts.glob("[0-9]*.safetensors"))]

    def _written(self) -> "Iterator[Tensor]":
        """The batches of this identity, up to the first gap."""
        from ataka.files.tensors import load_about, load_tensors

        count = 0
        for place, part in self._files():
            if place != count or load_about(part) != self.identity:
                return
            yield (images := load_tensors(part)["x_adv"])
            count += len(images)
