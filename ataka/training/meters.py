"""Measurements of each step that don't wait for the device: scalars for the history, and whether losses are finite."""

import math
from collections.abc import Sequence

import torch
from torch import Tensor, nn

from ataka.training.failures import Diverged, History

CHECK = 50
"""Steps between two looks at the losses: a look waits for the device."""


def suffixes(count: int) -> list[str]:
    """The endings of the history's columns for ``count`` networks: a network's number where there are several."""
    return [str(position) for position in range(count)] if count > 1 else [""]


class Meter:
    """An epoch's scalars, kept on the device until the epoch ends."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._sizes: dict[str, int] = {}
        self.latest_loss: Tensor | None = None

    def add(self, size: int, name: str, value: Tensor) -> None:
        """Add the ``value`` of a step over ``size`` images."""
        if name.endswith("_max"):
            self._sums[name] = torch.maximum(self._sums[name], value) if name in self._sums else value
            return
        if name.startswith("loss"):
            self.latest_loss = value
        self._sums[name] = self._sums[name] + value * size if name in self._sums else value * size
        self._sizes[name] = self._sizes.get(name, 0) + size

    def row(self) -> dict[str, float]:
        """The mean of each loss over the images so far, by name."""
        return {name: float(total) / self._sizes.get(name, 1) for name, total in self._sums.items()}


class Watch:
    """Finds divergence: in a loss within CHECK steps, in a mean loss or a weight as the epoch ends."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self.networks = networks
        self.steps = 0
        """Steps of this epoch that have ended."""
        self._step: list[Tensor] = []
        self._waiting: list[Tensor] = []

    def see(self, loss: Tensor) -> None:
        """Keep a loss of the step that is under way."""
        self._step.append(loss)

    def end_step(self) -> int | None:
        """After the last loss of a step: the result of ``look``, if it is time to look."""
        self._waiting.append(torch.stack(self._step).isfinite().all())
        self._step = []
        self.steps += 1
        return self.look() if len(self._waiting) == CHECK else None

    def look(self) -> int | None:
        """The first step, from 1, with a loss that is not finite, among those since the last look."""
        finite = torch.stack(self._waiting).tolist() if self._waiting else []
        self._waiting = []
        return self.steps - len(finite) + finite.index(False) + 1 if False in finite else None

    def sound(self) -> bool:
        """Whether each weight and buffer is finite."""
        states = (network.state_dict() for network in self.networks)
        return all(bool(tensor.isfinite().all()) for state in states for tensor in state.values())

    def end_epoch(self, history: History) -> None:
        """Raise Diverged if a loss or a weight of the epoch is not finite."""
        losses = (value for name, value in history[-1].items() if name.startswith("loss"))
        step, self.steps = self.look(), 0
        if step or not all(map(math.isfinite, losses)) or not self.sound():
            raise Diverged(len(history), history, step)
