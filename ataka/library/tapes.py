"""A recorded tape, opened to look at its logits."""

from pathlib import Path

import torch
from torch import Tensor

from ataka.errors import UserError, nearest
from ataka.files.records import read_json
from ataka.files.tape import Reader


class Tape:
    """The logits that an ensemble's teachers gave in training, epoch by epoch."""

    def __init__(self, reader: Reader) -> None:
        self._reader = reader
        self.channels: tuple[str, ...] = tuple(reader.manifest["channels"])
        """The names of what was recorded; ``train_adv``: the logits of each update, on the teachers' own particles."""

    def __len__(self) -> int:
        """The number of epochs."""
        return len(self._reader.manifest["epochs"])

    def logits(self, epoch: int, channel: str = "train_adv") -> Tensor:
        """The logits (n, N, C) of n teachers for N training images in ``epoch``, from 0; -1 is the last epoch.

        The logits of image i of the training split stand in row i; NaN for an image that the epoch left out. UserError
        for an epoch or a channel that was not recorded, and for a damaged file.
        """
        if channel not in self.channels:
            raise UserError(f"{self._reader.path} has no channel '{channel}'{nearest(channel, self.channels)}")
        if not -len(self) <= epoch < len(self):
            raise UserError(f"{self._reader.path} has {len(self)} epochs, 0 to {len(self) - 1}, and no epoch {epoch}")
        return self._reader.logits(epoch % len(self), torch.device("cpu"))[channel]


def tape(path: str | Path) -> Tape:
    """The tape in the folder ``path``, or of the manifest ``path``; UserError if there is none."""
    folder = Path(path)
    manifest = folder if folder.name == "manifest.json" else folder / "manifest.json"
    content = read_json(manifest, "settings_sha256", "data_sha256", "epochs", "channels")
    digests = {name: content[name] for name in ("settings_sha256", "data_sha256")}
    return Tape(Reader(manifest, **digests))
