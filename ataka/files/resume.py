"""Safe points of a long job: all that it needs to go on, bit for bit, after it was interrupted.

A job keeps its last two states in a folder `.resume` beside its outputs, which no rule declares and Snakemake so
leaves alone. A state is replaced as a whole, carries a checksum and what it was made under (settings, code, inputs),
and is removed with the folder when the job has finished.
"""

import hashlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any

import torch
from torch import Tensor

from ataka.errors import UserError
from ataka.files.claim import claim, release
from ataka.files.disk import sweep
from ataka.files.tensors import load_about, load_tensors, save_tensors
from ataka.machine.progress import Progress

FORMAT = 1


def pause(cost: float) -> float:
    """Seconds between two states when the last one took ``cost``: a minute, and at most 5 % of all time."""
    return max(60.0, 20 * cost)


@dataclass(frozen=True)
class State:
    """A safe point: ``where`` it lies ("epoch 12 of 200"), tensors, and what JSON can hold."""

    where: str
    tensors: Mapping[str, Tensor]
    facts: Mapping[str, Any]


class States:
    """The states of one job, and its claim on ``folder``: enter it, ``restore``, and ``keep`` now and then.

    ``identity`` is what a state must have been made under to be used; ``environment`` may change on the way, and bits
    with it. Leaving it well removes the states; an interrupt is told after which state the next start goes on. Raises
    UserError on entry if another process holds the folder.
    """

    def __init__(
        self, folder: Path, identity: Mapping[str, Any], environment: Mapping[str, Any], progress: Progress
    ) -> None:
        self.folder, self.identity, self.environment = folder, dict(identity), dict(environment)
        self.resumed: list[dict[str, Any]] = []
        """Each interruption: after which state the job went on, and the environment of the work before it."""
        self.latest: str | None = None
        """Where the latest good state lies."""
        self._say = progress.say
        self._number, self._spent, self._failed = 0, 0.0, False
        self._began = time.monotonic()
        self._due = self._began + pause(0)
        self._lock: IO[str] | None = None

    @property
    def seconds(self) -> float:
        """What the job has taken so far, with the work before its interruptions."""
        return self._spent + time.monotonic() - self._began

    @property
    def outlook(self) -> str:
        """What the next start will do."""
        return f"the next start goes on after {self.latest}" if self.latest else "the next start begins anew"

    @property
    def last(self) -> str:
        """The last good state and where it lies."""
        path = self._paths()[self._number % 2]
        return f"the last good state is that of {self.latest}, {path}" if self.latest else "no good state was kept"

    # ---- its claim on the folder

    def __enter__(self) -> "States":
        self._lock = claim(self.folder)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(error, KeyboardInterrupt):
            error.args = (self.outlook,)
        if kind is None:
            for path in self._paths():
                path.unlink(missing_ok=True)
            sweep(self.folder)
        release(self.folder, self._lock)

    # ---- to go on

    def restore(self, take: Callable[[State], None]) -> bool:
        """Hand the newest good state to ``take``, which refuses one by a UserError; False if there is none."""
        for number, content, state in self._found():
            try:
                take(state)
            except UserError as error:
                self._say(f"can't go on after {state.where}: {error}")
                continue
            self._number, self._spent, self.latest = number, content["seconds"], state.where
            self.resumed = [*content["resumed"], {"after": state.where, **content["environment"]}]
            self._say(f"goes on after {state.where}")
            if content["environment"] != self.environment:
                self._say(f"what was done before was done under {content['environment']}: bits may differ")
            return True
        if any(path.exists() for path in self._paths()):
            self._say("begins anew")
        return False

    def _found(self) -> Iterator[tuple[int, dict[str, Any], State]]:
        """The states that are whole and were made under the same settings, code and inputs; the newest first."""
        found = []
        for path in self._paths():
            if not path.exists():
                continue
            try:
                content, tensors = _read(path)
            except (UserError, ValueError, KeyError) as error:
                self._say(
                    f"WARNING: {path} is damaged and not used ({str(error).removesuffix('; delete it and run again')})"
                )
                continue
            if content["format"] != FORMAT or content["identity"] != self.identity:
                theirs = content["identity"] if content["format"] == FORMAT else {"format": content["format"]}
                other = ", ".join(name for name, value in theirs.items() if self.identity.get(name) != value)
                self._say(f"{path} is not used: it was made under other {other or 'inputs'}")
                continue
            state = State(content["where"], tensors, content["facts"])
            found.append((content["number"], content, state))
        return iter(sorted(found, key=lambda entry: entry[0], reverse=True))

    def _paths(self) -> tuple[Path, Path]:
        return self.folder / "0.safetensors", self.folder / "1.safetensors"

    # ---- to keep

    def keep(self, where: str, make: Callable[[], tuple[Mapping[str, Tensor], Mapping[str, Any]]]) -> None:
        """Keep the tensors and facts that ``make`` returns, if it is time to; a disk that is full stops nothing."""
        began = time.monotonic()
        if began < self._due:
            return
        tensors, facts = make()
        content = {
            "format": FORMAT,
            "number": self._number + 1,
            "where": where,
            "identity": self.identity,
            "environment": self.environment,
            "seconds": self.seconds,
            "resumed": self.resumed,
            "facts": facts,
        }
        try:
            _write(self._paths()[(self._number + 1) % 2], content, tensors)
        except UserError as error:
            if not self._failed:
                self._say(
                    f"WARNING: {where} can't be kept: {error}; the work goes on, but if interrupted, {self.outlook}"
                )
            self._failed = True
        else:
            self._number, self.latest, self._failed = self._number + 1, where, False
        self._due = time.monotonic() + pause(time.monotonic() - began)


def _write(path: Path, content: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
    held = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(content)  # by itself: the order of a history's columns is part of it
    save_tensors(path, held, {"content": text, "sha256": _digest(text, held)})


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Tensor]]:
    """Content and tensors; UserError, ValueError or KeyError if they are not what was written."""
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
