"""Checkpoints of a long job, from which an interrupted job resumes bit for bit.

A job keeps its last two checkpoints (``State``) in a folder `.resume` beside its outputs. No rule declares the folder,
so Snakemake leaves it alone. A checkpoint is replaced as a whole. It carries a checksum, and the digests of the
settings, code and inputs of its job. When the job has finished, the folder is removed. A job that ends otherwise, by
Ctrl-C or by SIGTERM, first writes the checkpoint that it holds in memory.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Protocol, runtime_checkable

import torch
from torch import Tensor

from ataka.errors import Unusable, UserError
from ataka.files.claim import claim, release
from ataka.files.disk import sweep
from ataka.files.tensors import load_about, load_tensors, save_tensors
from ataka.machine.meter import Meter, Usage
from ataka.machine.progress import Progress

FORMAT = 2


def pause(cost: float, least: float = 60.0) -> float:
    """Seconds between two checkpoints when the last took ``cost`` seconds: ``least``, and at most 5 % of all time."""
    return max(least, 20 * cost)


@dataclass(frozen=True)
class State:
    """A checkpoint: its place ``where`` in the job ("epoch 12 of 200"), tensors, and JSON ``facts``."""

    where: str
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


@runtime_checkable
class Stateful(Protocol):
    """An object of a job with a state of its own, as an objective whose weights follow the training."""

    def state(self) -> Mapping[str, Any]:
        """The state as JSON can hold it."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Take up what ``state`` gave in the job that was interrupted."""


@dataclass(frozen=True)
class _Held:
    """A checkpoint in memory: its place in the job, tensors of its own, and all else as JSON."""

    where: str
    tensors: Mapping[str, Tensor]
    content: str


class States:
    """The checkpoints of one job, and its claim on ``folder``: enter the context, ``restore``, and ``keep`` repeatedly.

    A checkpoint is used only if its ``identity`` is this one. A changed ``environment`` is reported, since bits may
    then differ. A normal exit removes the checkpoints; an exception leaves the last, and a KeyboardInterrupt gets
    ``outlook`` as its message. Raises UserError on entry if another process holds the folder.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], environment: Mapping[str, Any], progress: Progress
    ) -> None:
        self.folder, self.identity, self.environment = folder, dict(identity), dict(environment)
        self.resumed: list[dict[str, Any]] = []
        """Each interruption: the checkpoint from which the job resumed, and the environment of the work before."""
        self.latest: str | None = None
        """The place of the latest good checkpoint on disk in the job."""
        self._say = progress.say
        self._number, self._failed = 0, False
        self._carried: Stateful | None = None
        self._meter, self._before = Meter(), Usage(0.0, 0.0, None, None)
        self._held: _Held | None = None
        """The checkpoint that is not on disk yet."""
        self._next, self._due = 0.0, time.monotonic() + pause(0)
        self._lock: IO[str] | None = None

    @property
    def usage(self) -> Usage:
        """Time and memory so far, those before interruptions included."""
        return self._before.followed_by(self._meter.read())

    @property
    def outlook(self) -> str:
        """A message: from where the next start resumes."""
        return f"the next start goes on after {self.latest}" if self.latest else "the next start begins anew"

    @property
    def last(self) -> str:
        """A message: the last good checkpoint and its path, on which it lies once the job has failed."""
        where = self._held.where if self._held else self.latest
        path = self._paths()[(self._number + (self._held is not None)) % 2]
        return f"the last good state is that of {where}, {path}" if where else "no good state was kept"

    # ---- the claim on the folder

    def __enter__(self) -> "States":
        self._lock = claim(self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                for path in self._paths():
                    path.unlink(missing_ok=True)
                sweep(self.folder)
            else:
                self._write("")
        except KeyboardInterrupt as impatient:  # a second one: what was on disk before stays
            impatient.args = (self.outlook,)
            raise
        finally:
            if isinstance(error, KeyboardInterrupt):
                error.args = (self.outlook,)
            release(self.folder, self._lock)

    # ---- restore

    def carry(self, thing: object) -> None:
        """Keep the state of ``thing`` in each checkpoint, and restore it, if it is Stateful."""
        self._carried = thing if isinstance(thing, Stateful) else None

    def restore(self, take: Callable[[State], None]) -> bool:
        """Hand the newest good checkpoint to ``take``, which refuses by a UserError; False if none is left."""
        for number, content, state in self._usable():
            try:
                take(state)
            except UserError as error:
                self._say(f"can't go on after {state.where}: {error}")
                continue
            if self._carried:
                self._carried.restore(content["carried"])
            self._number, self._before, self.latest = number, Usage(**content["usage"]), state.where
            self.resumed = [*content["resumed"], {"after": state.where, **content["environment"]}]
            self._say(f"goes on after {state.where}")
            if content["environment"] != self.environment:
                self._say(f"what was done before was done under {content['environment']}: bits may differ")
            return True
        if any(path.exists() for path in self._paths()):
            self._say("begins anew")
        return False

    def _usable(self) -> Iterator[tuple[int, dict[str, Any], State]]:
        """The whole checkpoints of the same settings, code and inputs, the newest first."""
        usable = []
        for path in self._paths():
            if not path.exists():
                continue
            try:
                content, tensors = read(path)
            except (Unusable, ValueError, KeyError) as error:
                self._say(f"WARNING: {path} is damaged and not used ({getattr(error, 'problem', error)})")
                continue
            if content["format"] != FORMAT or content["identity"] != self.identity:
                theirs = content["identity"] if content["format"] == FORMAT else {"format": content["format"]}
                other = ", ".join(name for name, value in theirs.items() if self.identity.get(name) != value)
                self._say(f"{path} is not used: it was made under other {other or 'inputs'}")
                continue
            state = State(content["where"], tensors, content["facts"])
            usable.append((content["number"], content, state))
        return iter(sorted(usable, key=lambda entry: entry[0], reverse=True))

    def _paths(self) -> tuple[Path, Path]:
        return self.folder / "0.safetensors", self.folder / "1.safetensors"

    # ---- keep

    def keep(self, where: str, make: Callable[[], tuple[Mapping[str, Tensor], Mapping[str, Any]]]) -> None:
        """Hold a copy of the tensors and facts that ``make`` returns, and write it once ``pause`` is over.

        A full disk costs a warning.
        """
        began = time.monotonic()
        if began < self._next:
            return
        self._held = self._copy(where, *make())
        self._next = time.monotonic() + pause(time.monotonic() - began, least=0.0)
        if began >= self._due:
            self._write(f"; the work goes on, but if interrupted, {self.outlook}")
            self._due = time.monotonic() + pause(time.monotonic() - began)

    def write(self, path: Path, state: State) -> None:
        """Write ``state``, in which the job ends, as its output ``path``; UserError if the disk can't take it."""
        _save(path, self._copy(state.where, state.tensors, state.facts))

    def _copy(self, where: str, tensors: Mapping[str, Tensor], facts: Mapping[str, Any]) -> _Held:
        """A checkpoint that stays as it is while the job works on."""
        content = {
            "format": FORMAT,
            "number": self._number + 1,
            "where": where,
            "identity": self.identity,
            "environment": self.environment,
            "usage": asdict(self.usage),
            "resumed": self.resumed,
            "facts": facts,
            **({"carried": self._carried.state()} if self._carried else {}),
        }
        copies = {name: _copied(tensor) for name, tensor in tensors.items()}
        return _Held(where, copies, json.dumps(content))  # by itself: the order of a history's columns is part of it

    def _write(self, otherwise: str) -> None:
        """Write the checkpoint that is held, if any; the first warning of a full disk ends with ``otherwise``."""
        held = self._held
        if held is None:
            return
        path = self._paths()[(self._number + 1) % 2]
        try:
            _save(path, held)
        except UserError as error:
            if not self._failed:
                self._say(f"WARNING: {held.where} can't be kept: {error}{otherwise}")
            self._failed = True
        else:
            self._number, self.latest, self._failed, self._held = self._number + 1, held.where, False, None


def _copied(tensor: Tensor) -> Tensor:
    return tensor.detach().to("cpu", copy=True, memory_format=torch.contiguous_format)


def _save(path: Path, held: _Held) -> None:
    save_tensors(path, held.tensors, {"content": held.content, "sha256": _digest(held.content, held.tensors)})


def read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Content and tensors; Unusable, ValueError or KeyError if the file differs from the written file."""
    tensors, about = load_tensors(path), load_about(path)
    if about["sha256"] != _digest(about["content"], tensors):
        raise ValueError("its checksum differs")
    content: dict[str, Any] = json.loads(about["content"])
    return content, tensors


def _digest(text: str, tensors: Mapping[str, Tensor]) -> str:
    digest = hashlib.sha256(text.encode())
    for name, tensor in sorted(tensors.items()):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy().data)
    return digest.hexdigest()
