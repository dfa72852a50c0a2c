"""The tape: the teachers' logits for every training image in every epoch.

One safetensors file an epoch, a tensor (n, N, C) float32 for each named channel, image i of the training split in row i
(NaN for an image that its epoch left out); and a manifest with a checksum and a view digest for each epoch and
everything else that the tape depends on. A student that replays it reads the logits that the teachers' own updates
computed, so the student trains exactly as if beside the teachers.
"""

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ataka.datasets.views import View
from ataka.errors import Unusable, UserError
from ataka.files import formats
from ataka.files.disk import sha256
from ataka.files.records import read_json, write_json
from ataka.files.tensors import load_tensors, save_tensors

_DIGITS = 12


def part_of(digest: str) -> str:
    """The subfolder of a tape whose settings, code and images have the SHA-256 ``digest``."""
    return digest[:_DIGITS]


def epoch_file(folder: Path, epoch: int) -> Path:
    """Path of the file that holds the logits of an epoch, which is counted from 0."""
    return folder / f"epoch{epoch:04d}.safetensors"


def size(channels: int, teachers: int, images: int, classes: int) -> int:
    """Bytes of an epoch's logits."""
    return 4 * channels * teachers * images * classes


class Writer:
    """Collects one epoch's logits at a time and writes it out when the epoch ends, below ``part`` of the folder.

    A tape that lies in the folder under another part stays whole until this one is.
    """

    def __init__(self, folder: Path, channels: Sequence[str], *, count: int, part: str = "") -> None:
        self.folder, self.channels, self.count, self.part = folder, tuple(channels), count, part
        self.place = folder / part
        self.epochs: list[dict[str, str]] = []
        self.teachers: list[dict[str, str]] = []
        self._logits: dict[str, Tensor] = {}

    def record(self, index: Tensor, channel: str, logits: Tensor) -> None:
        """Keep ``logits`` (n, B, C) of the images ``index`` (B,), if the tape has that ``channel``."""
        if channel not in self.channels:
            return
        if channel not in self._logits:
            networks, _, classes = logits.shape
            self._logits[channel] = logits.new_full((networks, self.count, classes), torch.nan)
        self._logits[channel][:, index] = logits

    def end_epoch(self, epoch: int, view: View) -> None:
        """Write the logits of an epoch to the epoch's file. Raises RuntimeError if a channel was not recorded."""
        missing = set(self.channels) - set(self._logits)
        if missing:
            raise RuntimeError(f"the teachers recorded nothing for {sorted(missing)}")
        path = epoch_file(self.place, epoch)
        save_tensors(path, self._logits)
        self.epochs.append({**_entry(path, self.folder), "view_sha256": view.digest()})
        self._logits = {}

    def keep(self, teachers: Sequence[nn.Module]) -> None:
        """Write the teachers' weights beside the epochs."""
        self.teachers = []
        for index, teacher in enumerate(teachers):
            path = self.place / f"teacher{index}.safetensors"
            save_tensors(path, teacher.state_dict())
            self.teachers.append(_entry(path, self.folder))

    def go_on(self, epochs: Sequence[Mapping[str, str]]) -> None:
        """Take the ``epochs`` that an interrupted recording wrote; UserError if a file is missing or damaged."""
        for entry in epochs:
            path = self.folder / entry["file"]
            if not path.exists() or sha256(path) != entry["sha256"]:
                raise UserError(f"{path} is {'damaged' if path.exists() else 'missing'}")
        self.epochs = [dict(entry) for entry in epochs]

    def finish(self, content: Mapping[str, Any]) -> None:
        """Write the manifest, which makes this the folder's tape, and remove the other parts."""
        manifest = {
            "format": formats.TAPE,
            "count": self.count,
            "channels": list(self.channels),
            "epochs": self.epochs,
            "teachers": self.teachers,
        }
        write_json(self.folder / "manifest.json", manifest | dict(content))
        _clear(self.folder, self.part)


def share(source: Path, folder: Path, count: int, content: Mapping[str, Any]) -> bool:
    """Write the manifest of a tape of the first ``count`` teachers of the tape at ``source``, and copy nothing.

    This holds only where that tape's kernel was exactly the identity in every step, so that no teacher depended on
    another (A1). Elsewhere nothing is written, and the result is False.
    """
    theirs = read_json(source)
    if theirs.get("kernel_offdiagonal_max") != 0:
        return False
    back = Path(os.path.relpath(source.parent, folder))
    epochs = [entry | {"file": (back / entry["file"]).as_posix()} for entry in theirs["epochs"]]
    teachers = [entry | {"file": (back / entry["file"]).as_posix()} for entry in theirs["teachers"][:count]]
    origin = {"of": (back / source.name).as_posix(), "sha256": sha256(source), "first": count}
    shared = {"epochs": epochs, "teachers": teachers, "shared": origin}
    write_json(folder / "manifest.json", theirs | shared | dict(content))
    _clear(folder)
    return True


def _entry(path: Path, folder: Path) -> dict[str, str]:
    """The entry of a file in a manifest in ``folder``."""
    return {"file": path.relative_to(folder).as_posix(), "sha256": sha256(path)}


def _clear(folder: Path, part: str = "") -> None:
    """Remove all tapes in ``folder`` but the tape in the subfolder ``part``."""
    for other in folder.iterdir():
        if re.fullmatch(rf"[0-9a-f]{{{_DIGITS}}}", other.name) and other.name != part:
            shutil.rmtree(other, ignore_errors=True)


class Reader:
    """A finished tape. Refuses a replay on other data, other views or other teachers than the recording's.

    ``remedy`` ends the message of a tape that has to be recorded once more.
    """

    def __init__(
        self, manifest: Path, *, settings_sha256: str, data_sha256: str, remedy: str = "record it again"
    ) -> None:
        self.path, self.folder, self.remedy = manifest, manifest.parent, remedy
        self.manifest = read_json(manifest)
        if self.manifest.get("format") != formats.TAPE:
            raise Unusable(f"{manifest} is no tape of format {formats.TAPE}", remedy)
        if not isinstance(self.manifest.get("epochs"), list):
            raise Unusable(f"{manifest} lists no epochs", remedy)
        self._expect("settings_sha256", settings_sha256, "its teachers were trained under other settings")
        self._expect("data_sha256", data_sha256, "it was recorded on other training images")

    def _expect(self, key: str, value: str, meaning: str) -> None:
        if self.manifest.get(key) != value:
            stated = self.manifest.get(key)
            raise Unusable(f"{self.path} can't be replayed: {meaning} ({key} is {stated}, not {value})", self.remedy)

    def epoch(self, epoch: int, view: View, device: torch.device) -> dict[str, Tensor]:
        """The channels of ``epoch``, each (n, N, C) float32; UserError if the file is damaged or the view differs."""
        logits, entry = self.logits(epoch, device), self.manifest["epochs"][epoch]
        if view.digest() != entry["view_sha256"]:
            raise UserError(
                f"{self.folder / entry['file']} was recorded under another view of the images (order and augmentation) "
                f"than the student's: its seed and its teachers' differ"
            )
        return logits

    def logits(self, epoch: int, device: torch.device) -> dict[str, Tensor]:
        """The channels of ``epoch``, each (n, N, C) float32, under whatever view; UserError if the file is damaged."""
        if epoch >= len(self.manifest["epochs"]):
            raise UserError(f"{self.path} has {len(self.manifest['epochs'])} epochs; the student wants one more")
        entry = self.manifest["epochs"][epoch]
        path = self.folder / entry["file"]
        if not path.exists():
            raise Unusable(f"{path} is missing", self.remedy)
        if sha256(path) != entry["sha256"]:
            raise Unusable(f"{path} is damaged: its SHA-256 is not the manifest's", self.remedy)
        first = self.manifest.get("shared", {}).get("first")
        return {name: logits[:first].to(device) for name, logits in load_tensors(path).items()}
