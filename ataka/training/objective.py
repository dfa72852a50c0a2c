"""The interface of a method to the loop: the losses of a batch and, for adversarial training, the budgets."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol, TypeVar, runtime_checkable

import torch
from torch import Tensor, nn

from ataka.errors import UserError
from ataka.study.fields import number

T = TypeVar("T")


def ignore(name: str, value: Tensor) -> None:
    """A ``record`` or ``log`` that drops its arguments: nothing is recorded or logged."""


def afresh(name: str, make: Callable[[], T]) -> T:
    """A ``once`` that remembers nothing: the result of ``make``."""
    return make()


def stay() -> None:
    """An ``update`` without effect: no loop updates any network."""


@dataclass(frozen=True)
class Batch:
    """A step as an objective sees it: x (B, channels, H, W) in [0, 1], y (B,), the images' index (B,)."""

    x: Tensor
    y: Tensor
    index: Tensor
    stream: Callable[..., torch.Generator]
    """``stream("start", 2)``: this epoch's generator of that purpose and index, on the batch's device."""
    recorded: Mapping[str, Tensor] = field(default_factory=dict)
    """The tape's channels for these images, each (n, B, C)."""
    record: Callable[[str, Tensor], None] = ignore
    """``record(channel, logits (n, B, C))`` offers logits to the tape."""
    log: Callable[[str, Tensor], None] = ignore
    """``log(name, scalar)`` adds to the history: its mean over the epoch, its maximum if the name ends in ``_max``."""
    update: Callable[[], None] = stay
    """``update()`` updates at once the networks whose losses have been yielded, instead of after the last (C11)."""
    once: "Making" = afresh
    """``once("x_adv", make)``: the result of ``make``, made now or when the step's losses were first asked for. Under
    AWP losses are asked for twice. An objective that makes adversarial images or the like so, from the weights before
    AWP moves them, names ``awp`` in its module's function ``heeds``."""
    smoothing: float = 0.0
    """The share of each label that all classes get alike in a cross-entropy, as torch's ``label_smoothing``. An
    objective that heeds this names ``smoothing`` in its module's function ``heeds``."""
    progress: float = 0.0
    """The share of all epochs that were completed before this one, for losses with a schedule of their own (IAD)."""


class Making(Protocol):
    """Calls ``make``, unless something of that ``name`` is there."""

    def __call__(self, name: str, make: Callable[[], T], /) -> T: ...


class Objective(Protocol):
    """The computation of a method in a step.

    ``losses`` yields one scalar for each network to train, in order. Each is back-propagated as it is yielded, so that
    only one network's graph is alive at a time. The networks are updated after the last scalar, or when the objective
    calls ``batch.update``.
    An interrupted training resumes with a new objective. One that keeps anything from a step to the next has the two
    functions of ``files.resume.Stateful``, which a checkpoint then holds.
    """

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]: ...


@runtime_checkable
class Adversarial(Objective, Protocol):
    """An objective that trains networks on adversarial images of themselves, and says so: these are probed.

    ``budgets`` gives, for each of ``count`` networks, the l_inf budget of its images; 0 for one that is not trained so,
    as a student that sees clean images: whether that is robust is the question, not a condition.
    """

    def budgets(self, count: int) -> Sequence[float]: ...


def budgets_of(objective: Objective, count: int) -> Sequence[float]:
    """The budgets of an Adversarial objective; 0 for each of the ``count`` networks of any other."""
    return objective.budgets(count) if isinstance(objective, Adversarial) else [0.0] * count


def losses_of(objective: Objective, networks: Sequence[nn.Module], batch: Batch) -> Iterable[Tensor]:
    """The losses of ``objective``; UserError where it returns one in place of yielding it."""
    losses: Any = objective.losses(networks, batch)
    if not isinstance(losses, Iterable) or isinstance(losses, Tensor):
        raise UserError(
            f"{type(objective).__module__}: losses returns an object of type {type(losses).__name__}, where it should "
            "yield a loss for each network: write yield in place of return"
        )
    return losses


class Steps(Protocol):
    """The options of an inner attack: a budget as text, such as ``8/255``, and a number of steps."""

    @property
    def eps(self) -> str: ...
    @property
    def steps(self) -> int: ...


def budget(attack: Steps) -> float:
    """The eps that an inner attack stays within; 0 where it takes no step."""
    return number(attack.eps) if attack.steps else 0.0
