"""The one training loop. A method is an objective; epochs, optimisers, devices and files are the loop's.

Four shapes of training are the same loop: independent networks (natural, SAT, TRADES, MART), distillation from frozen
teachers (ARD, IAD, RSLAD), a student that replays a tape (AT-AKA), and networks trained jointly (AT-AKA's
teachers, CAT-AKA).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn

from ataka import streams, tape
from ataka.data import Specification, Split, to_unit, view
from ataka.progress import Progress


@dataclass(frozen=True)
class Batch:
    """What an objective sees of a step: x (B, channels, H, W) in [0, 1], y (B,), the images' index (B,)."""

    x: Tensor
    y: Tensor
    index: Tensor
    stream: Callable[..., torch.Generator]
    """``stream("start", 2)``: this epoch's generator of that purpose and index, on the batch's device."""
    recorded: Mapping[str, Tensor] = field(default_factory=dict)
    """The tape's channels for these images, each (n, B, C)."""
    record: Callable[[str, Tensor], None] = lambda channel, logits: None
    """``record(channel, logits (n, B, C))`` offers logits to the tape."""
    log: Callable[[str, Tensor], None] = lambda name, value: None
    """``log(name, scalar)`` adds to the history: its mean over the epoch, its maximum if the name ends in ``_max``."""


class Objective(Protocol):
    """What a method computes in a step.

    ``losses`` yields one scalar for each network to train, in order. Each is back-propagated as it is yielded, so that
    only one network's graph is alive at a time; the updates follow after the last.
    """

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]: ...


class Setup(Protocol):
    """The part of a set-up that the loop reads (ataka.config.Setup)."""

    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def milestones(self) -> Sequence[int]: ...
    @property
    def decay(self) -> float: ...
    @property
    def momentum(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...


def learning_rate(setup: Setup, epoch: int) -> float:
    """The rate in force when ``epoch`` epochs have been completed (G1)."""
    return setup.learning_rate * setup.decay ** sum(milestone <= epoch for milestone in setup.milestones)


class Diverged(RuntimeError):
    """A loss is no longer finite; ``epoch`` counts from 1."""

    def __init__(self, epoch: int, history: list[dict[str, float]]) -> None:
        super().__init__(f"the loss is no longer finite in epoch {epoch}")
        self.epoch, self.history = epoch, history


def train(
    networks: Sequence[nn.Module],
    objective: Objective,
    data: Split,
    specification: Specification,
    setup: Setup,
    *,
    seed: int,
    reader: tape.Reader | None = None,
    writer: tape.Writer | None = None,
    progress: Progress | None = None,
) -> list[dict[str, float]]:
    """Train ``networks`` in place on ``data`` (on their device); returns the history, a row an epoch.

    Raises Diverged at the end of the epoch in which a loss was not finite.
    """
    progress = progress or Progress.silent()
    device = data.images.device
    optimisers = [
        torch.optim.SGD(
            network.parameters(),
            lr=setup.learning_rate,
            momentum=setup.momentum,
            weight_decay=setup.weight_decay,
        )
        for network in networks
    ]
    history = []
    progress.start(setup.epochs, len(data))
    for epoch in range(setup.epochs):
        for optimiser in optimisers:
            optimiser.param_groups[0]["lr"] = learning_rate(setup, epoch)
        epoch_view = view(seed, epoch, len(data), shift=specification.shift, flip=specification.flip)
        recorded = reader.epoch(epoch, epoch_view, device) if reader else {}
        meter = Meter()
        stream = _streams(seed, epoch, device)
        images, order = epoch_view.apply(data.images), epoch_view.order.to(device)
        for network in networks:
            network.train()
        for start, stop in batches(len(data), setup.batch_size):
            index = order[start:stop]
            batch = Batch(
                x=to_unit(images[start:stop]),
                y=data.labels[index],
                index=index,
                stream=stream,
                recorded={name: logits[:, index] for name, logits in recorded.items()},
                record=lambda channel, logits, index=index: writer and writer.record(channel, index, logits),
                log=lambda name, value, size=stop - start: meter.add(name, value, size),
            )
            for position, loss in enumerate(objective.losses(networks, batch)):
                optimisers[position].zero_grad()
                loss.backward()
                batch.log(f"loss{position}" if len(networks) > 1 else "loss", loss.detach())
            for optimiser in optimisers:
                optimiser.step()
            progress.step(stop - start, meter.latest_loss)
        row = {"epoch": epoch + 1, "learning_rate": learning_rate(setup, epoch), **meter.row()}
        history.append(row)
        progress.end_epoch(epoch + 1, row)
        if not all(math.isfinite(value) for name, value in row.items() if name.startswith("loss")):
            raise Diverged(epoch + 1, history)
        if writer:
            writer.end_epoch(epoch, epoch_view)
    return history


def batches(count: int, size: int) -> Iterator[tuple[int, int]]:
    """The (start, stop) of an epoch's batches. A last batch of one image is left out: it has no batch statistics."""
    for start in range(0, count, size):
        stop = min(start + size, count)
        if stop - start > 1:
            yield start, stop


def _streams(seed: int, epoch: int, device: torch.device) -> Callable[..., torch.Generator]:
    open_streams: dict[tuple[str | int, ...], torch.Generator] = {}

    def stream(*name: str | int) -> torch.Generator:
        if name not in open_streams:
            open_streams[name] = streams.generator(seed, *name, "epoch", epoch, device=device)
        return open_streams[name]

    return stream


class Meter:
    """An epoch's scalars, kept on the device until the epoch ends."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._sizes: dict[str, int] = {}
        self.latest_loss: Tensor | None = None

    def add(self, name: str, value: Tensor, size: int) -> None:
        """Add the ``value`` of a step over ``size`` images."""
        if name.endswith("_max"):
            self._sums[name] = torch.maximum(self._sums[name], value) if name in self._sums else value
            return
        if name.startswith("loss"):
            self.latest_loss = value
        self._sums[name] = self._sums[name] + value * size if name in self._sums else value * size
        self._sizes[name] = self._sizes.get(name, 0) + size

    def row(self) -> dict[str, float]:
        return {name: float(total) / self._sizes.get(name, 1) for name, total in self._sums.items()}
