"""A network under an attack: which test images does it still get right?"""

import inspect
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from functools import partial
from types import ModuleType
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ataka import draws, streams
from ataka.attacks import acceleration
from ataka.attacks.check import ensure_checked
from ataka.attacks.finite import finite
from ataka.attacks.mode import attack_mode
from ataka.attacks.verdicts import Verdicts
from ataka.datasets.images import Split, to_unit
from ataka.errors import UserError
from ataka.files.resume import State, States
from ataka.machine import memory
from ataka.machine.progress import Progress
from ataka.study.attacks import find
from ataka.study.fields import arguments


class Point(Protocol):
    """A point within a chunk where an attack can be interrupted: a dataclass of tensors and numbers."""

    @property
    def message(self) -> str:
        """The step that comes next, for a person to read."""

    @property
    def counts(self) -> Mapping[str, int]:
        """Numbers of this chunk. An evaluation adds up the numbers of each chunk's last point."""


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
    """Attack ``split`` (on the network's device) under the settings ``attack`` (``AttackEntry.settings``).

    Random starts are drawn for the whole split first, on the CPU, from the stream of ``seed`` and the attack's kind, so
    that they depend neither on the cut nor on the device. Verdicts depend on the cut by rounding alone: a network's
    logits of an image may differ in their last bits with the size of the image's batch. An attack in chunks
    (``attack_chunk``) gets each chunk whole. A network that draws random numbers in evaluation mode draws from streams
    of each piece. The network is left exactly as it was found. With ``states`` an interrupted evaluation resumes after
    the last batch or chunk, or the last point within a chunk, that was kept.

    The attack sees ``attacked``, where it is given, in place of the network (E1). Raises NotFinite where logits or
    gradients are not finite.
    """
    attacked = attacked or network
    progress = progress or Progress.silent()
    module = find(attack["kind"])
    options = arguments(module.Options.model_validate({name: attack[name] for name in attack if name != "kind"}))
    split = split.first(options.pop("images"))
    chunked = hasattr(module, "attack_chunk")
    size = options.pop("chunk") if chunked else memory.BATCH
    start = _starts(module, options, split, streams.generator(seed, "evaluate", attack["kind"]))
    done = Done(module, split.labels[:0])
    if states:
        states.restore(done.take)
    keep = partial(done.keep, states, progress, len(split))

    def attack_piece(piece: slice) -> Tensor:
        x, y = to_unit(split.images[piece]), split.labels[piece]
        given = {} if start is None else {"start": start[piece]}
        if chunked:
            place = {"seed": seed, "index": piece.start // size, "point": done.point, "keep": keep}
            given |= _named(module.attack_chunk, place)
            return ensure_checked(module.attack_chunk)(attacked, x, y, **options, **given)
        return ensure_checked(module.attack)(attacked, x, y, **options, **given)

    def predict(piece: slice) -> Tensor:
        of_piece = streams.global_stream(seed, "evaluate", attack["kind"], "forward", piece.start)
        with of_piece, _chunk_in_memory(size) if chunked else nullcontext():
            x_adv = attack_piece(piece)
            with torch.no_grad(), attack_mode(network), finite(attack["kind"], network):
                predicted: Tensor = network(x_adv).argmax(1)
                return predicted

    apart, norms = acceleration.left_alone(attacked, to_unit(split.images[:2]))
    if apart:
        progress.say(f"{apart} of {norms} batch normalisations can't be folded into convolutions, and stay as they are")
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
        counts=done.counts,
    )


def _starts(module: ModuleType, options: Mapping[str, Any], split: Split, source: torch.Generator) -> Tensor | None:
    """The random starts for a whole split, alike on every CPU; None for an attack that has none."""
    if not hasattr(module, "draw"):
        return None
    with draws.Alike():
        starts: Tensor = module.draw(split.pixels(), generator=source, **_named(module.draw, options))
    return starts


def _named(function: Callable[..., Tensor], values: Mapping[str, Any]) -> dict[str, Any]:
    """The items of ``values`` that ``function`` takes by name."""
    parameters = inspect.signature(function).parameters
    takes_all = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters.values())
    return {name: value for name, value in values.items() if takes_all or name in parameters}


@contextmanager
def _chunk_in_memory(size: int) -> Iterator[None]:
    """UserError where memory runs out: verdicts may depend on the chunk, so that it must not be cut."""
    try:
        yield
    except RuntimeError as error:
        if not memory.out_of_memory(error):
            raise
        raise UserError(
            f"the attack's chunk of {size} images doesn't fit into memory. Set attacks.*.chunk lower; the verdicts "
            "may depend on the chunk, so it is not cut by itself"
        ) from None


@dataclass
class Done:
    """The progress of an evaluation: the classes predicted so far, and the attack's point in the next chunk."""

    module: ModuleType
    predicted: Tensor
    point: Point | None = None
    """None between two pieces of the test set."""
    counts: Counter[str] = field(default_factory=Counter)
    """Sums of the counts of finished chunks."""
    _of_this_chunk: Counter[str] = field(default_factory=Counter)

    def take(self, state: State) -> None:
        """Resume from ``state``."""
        held = {name: tensor.to(self.predicted.device) for name, tensor in state.tensors.items()}
        self.predicted, self.counts = held.pop("predicted"), Counter(state.facts["counts"])
        if held:
            self.point = self.module.Point(**held, **state.facts["point"])

    def keep(self, states: States | None, progress: Progress, count: int, point: Point | None) -> None:
        """Note the point where the attack stands, or None when a piece is finished, and keep it in ``states``."""
        self.point, progress.doing = point, point.message if point else ""
        if point is None:
            self.counts.update(self._of_this_chunk)
        self._of_this_chunk = Counter(point.counts if point else {})
        if states:
            states.keep(self.message(count), self._state)

    def message(self, count: int) -> str:
        """The image, of ``count``, that the evaluation attacks next, for a person to read."""
        return f"image {len(self.predicted)} of {count}" + (f", before {self.point.message}" if self.point else "")

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        stands = vars(self.point) if self.point else {}
        tensors = {name: value for name, value in stands.items() if isinstance(value, Tensor)}
        numbers = {name: value for name, value in stands.items() if name not in tensors}
        return {"predicted": self.predicted, **tensors}, {"counts": dict(self.counts), "point": numbers}
