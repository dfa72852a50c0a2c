"""A network under an attack: which test images does it still get right?"""

import inspect
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from ataka import attacks, streams
from ataka.attacks import attack_mode
from ataka.datasets.images import Split, to_unit
from ataka.errors import UserError
from ataka.files.resume import State, States
from ataka.machine import memory
from ataka.machine.progress import Progress
from ataka.study.fields import number

_AMOUNTS = ("eps", "step_size")


@dataclass(frozen=True)
class Verdicts:
    """One bit an image, (N,) bool: still classified correctly. ``constant``: the same class predicted for all.

    ``before_square``: how many images AutoAttack's three other components had left; 0 for other attacks.
    """

    correct: Tensor
    constant: bool
    seconds: float
    before_square: int = 0

    @property
    def accuracy(self) -> float:
        """Per cent."""
        return 100 * self.correct.float().mean().item()


def evaluate(
    network: nn.Module,
    attack: Mapping[str, Any],
    split: Split,
    *,
    seed: int,
    progress: Progress | None = None,
    states: States | None = None,
    attacked: nn.Module | None = None,
) -> Verdicts:
    """Attack ``split`` (on the network's device) under the settings ``attack`` (ataka.study.Attack as a dict).

    Random starts are drawn for the whole split first, on the CPU, from the stream of ``seed`` and the attack's kind, so
    that the verdicts depend neither on the cut nor on the device. The network is left exactly as it was found. With
    ``states`` an interrupted evaluation goes on after the last batch, or AutoAttack's last component, that was kept.
    The attack sees ``attacked``, where it is given, in place of the network (E1).
    """
    attacked = attacked or network
    began = time.monotonic()
    progress = progress or Progress.silent()
    options: dict[str, Any] = {name: number(value) if name in _AMOUNTS else value for name, value in attack.items()}
    kind, count = options.pop("kind"), options.pop("images", None)
    split = split.first(count)
    size = options.pop("chunk") if kind == "aa" else memory.BATCH
    if kind == "aa":
        options = _autoattack(options)
    module = attacks.find(kind)
    start = None
    if hasattr(module, "draw"):
        source = streams.generator(seed, "evaluate", kind)
        named = {name: options[name] for name in inspect.signature(module.draw).parameters if name in options}
        start = module.draw(split.pixels(), generator=source, **named)
    done = Done(module, split.labels[:0])
    if states:
        states.restore(done.take)
    keep = partial(done.keep, states, progress, len(split))

    def predict(piece: slice) -> Tensor:
        x, y = to_unit(split.images[piece]), split.labels[piece]
        if kind == "aa":
            with _chunk_in_memory(size):
                chunk: dict[str, Any] = {"seed": seed, "index": piece.start // size, "point": done.point, "keep": keep}
                x_adv = module.attack_chunk(attacked, x, y, **options, **chunk)
        else:
            given = {} if start is None else {"start": start[piece]}
            x_adv = attacks.perturb(module, attacked, x, y, **options, **given)
        with torch.no_grad(), attack_mode(network):
            predicted: Tensor = network(x_adv).argmax(1)
            return predicted

    progress.start(1, len(split), done=len(done.predicted))
    alive = attacked.register_forward_hook(lambda *_: progress.alive())  # an attack may take minutes for a batch
    try:
        for predicted in memory.in_pieces(predict, len(split), start=len(done.predicted), size=size, say=progress.say):
            done.predicted = torch.cat([done.predicted, predicted])
            keep(None)
            progress.step(len(predicted))
    finally:
        alive.remove()
    return Verdicts(
        correct=(done.predicted == split.labels).cpu(),
        constant=bool((done.predicted == done.predicted[0]).all()),
        seconds=states.seconds if states else time.monotonic() - began,
        before_square=done.before_square,
    )


@contextmanager
def _chunk_in_memory(size: int) -> Iterator[None]:
    """AutoAttack's verdicts depend on its chunk, so where memory runs out the user is asked, and nothing is cut."""
    try:
        yield
    except RuntimeError as error:
        if not memory.out_of_memory(error):
            raise
        raise UserError(
            f"AutoAttack's chunk of {size} images doesn't fit into memory. Set attacks.*.chunk lower; its verdicts "
            "depend on the chunk, so it is not cut by itself"
        ) from None


@dataclass
class Done:
    """How far an evaluation has come: the classes predicted so far, and where AutoAttack stands in the next chunk."""

    module: ModuleType
    predicted: Tensor
    point: Any = None
    """An ``aa.Point``; none between two batches."""
    before_square: int = 0
    """Images of the finished chunks that Square, AutoAttack's last component, found standing."""
    _of_this_chunk: int = 0

    def take(self, state: State) -> None:
        """Go on from ``state``."""
        device = self.predicted.device
        held = {name: tensor.to(device) for name, tensor in state.tensors.items()}
        self.predicted, self.before_square = held["predicted"], state.facts["before_square"]
        if "x_adv" in held:
            self.point = self.module.Point(held["x_adv"], held["standing"], state.facts["components"])

    def keep(self, states: States | None, progress: Progress, count: int, point: Any) -> None:
        """Note where AutoAttack is, or None when a batch has ended, and keep it."""
        self.point, progress.doing = point, point.next if point else ""
        if point is None:
            self.before_square, self._of_this_chunk = self.before_square + self._of_this_chunk, 0
        elif point.next.startswith("square"):
            self._of_this_chunk = int(point.standing.sum())
        if states:
            where = f"image {len(self.predicted)} of {count}" + (f", before {point.next}" if point else "")
            states.keep(where, self._state)

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        facts: dict[str, Any] = {"before_square": self.before_square}
        if self.point is None:
            return {"predicted": self.predicted}, facts
        chunk = {"x_adv": self.point.x_adv, "standing": self.point.standing}
        return {"predicted": self.predicted, **chunk}, facts | {"components": self.point.done}


def _autoattack(options: dict[str, Any]) -> dict[str, Any]:
    version = options.pop("version")
    cuts = {name: value for name, value in options.items() if name != "eps" and value is not None}
    return {"eps": options["eps"], "version": version, "options": cuts or None}
