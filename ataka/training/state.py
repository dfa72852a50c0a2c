"""The state of a training at an epoch's end: all that the next epoch depends on, beside its number.

Streams and views are functions of the epoch's number (and of the seed), so they need no state.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from torch import Tensor, nn

from ataka.files import tape
from ataka.files.resume import State
from ataka.study import Setup
from ataka.training.averaging import Averages
from ataka.training.awp import Perturbation
from ataka.training.epoch import Epoch
from ataka.training.failures import History
from ataka.training.sgd import SGD
from ataka.training.watchers import Best


class Training:
    """Networks with their optimisers and weight averages, the history so far, the best epoch's weights, and the tape
    that is being written.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        setup: Setup,
        averages: Averages,
        best: Best | None = None,
        writer: tape.Writer | None = None,
    ) -> None:
        self.networks, self.averages, self.best, self.writer = networks, averages, best, writer
        self.perturbation = Perturbation(networks, setup)
        self.optimisers = [SGD(network, setup) for network in networks]
        self.history: History = []
        self._waiting: list[int] = []

    def descend(self, position: int, loss: Tensor) -> None:
        """Back-propagate the loss of the network at ``position``, whose update then waits for ``update``."""
        self.optimisers[position].zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        self._waiting.append(position)

    def update(self, learning_rate: float) -> None:
        """Update the networks whose losses have been back-propagated since the last update."""
        while self._waiting:
            position = self._waiting.pop(0)
            self.optimisers[position].step(learning_rate)
            self.perturbation.remove(position)

    def end_epoch(self, epoch: Epoch) -> None:
        """Add the epoch's row to the history, and let the averages count the epoch."""
        self.history.append(epoch.row())
        self.averages.end_epoch(epoch)

    def finish(self) -> None:
        """Give the networks the weights that are evaluated: those of the best epoch, of their averages."""
        if self.best:
            self.best.put_back()
        self.averages.put_back()

    def state_dict(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        """Tensors, and facts that JSON can hold: the parts of a resume.State."""
        tensors: dict[str, Tensor] = {}
        for index, (network, optimiser) in enumerate(zip(self.networks, self.optimisers, strict=True)):
            tensors |= _above(f"network{index}.", network.state_dict())
            tensors |= _above(f"momentum{index}.", optimiser.state_dict())
        for index, average in enumerate(self.averages.networks if self.averages else ()):
            tensors |= _above(f"average{index}.", average.state_dict())
        for index, weights in enumerate(self.best.weights if self.best else ()):
            tensors |= _above(f"best{index}.", weights)
        return tensors, {
            "history": self.history,
            "tape": self.writer.epochs if self.writer else [],
            "best": self.best.score if self.best else None,
        }

    def load_state_dict(self, state: State) -> None:
        """Resume at ``state``; UserError, with nothing changed, if the tape's epochs are no longer whole."""
        if self.writer:
            self.writer.go_on(state.facts["tape"])
        for index, (network, optimiser) in enumerate(zip(self.networks, self.optimisers, strict=True)):
            network.load_state_dict(_below(f"network{index}.", state.tensors))
            optimiser.load_state_dict(_below(f"momentum{index}.", state.tensors))
            if self.best:
                self.best.weights[index] = _below(f"best{index}.", state.tensors)
        if self.best:
            self.best.score = state.facts["best"]
        if self.averages:
            weights = [_below(f"average{index}.", state.tensors) for index in range(len(self.networks))]
            self.averages.load_state_dicts(weights, len(state.facts["history"]))
        self.history[:] = state.facts["history"]


def _above(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {f"{prefix}{name}": tensor for name, tensor in tensors.items()}


def _below(prefix: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
