"""Watchers look at the networks as each epoch ends: for accuracy, collapse, the best epoch.

A watcher leaves the networks as they were and draws from no stream of the training, so that no bit of the training
depends on it. Divergence has its watcher in meters.py, catastrophic overfitting in probe.py.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from ataka.attacks.finite import finite
from ataka.attacks.mode import attack_mode
from ataka.datasets.images import Split, to_unit
from ataka.machine.memory import in_pieces
from ataka.training.averaging import Averages
from ataka.training.failures import Collapsed, History
from ataka.training.meters import suffixes

IMAGES = 1000
"""Images of each split on which accuracy is measured, or all where there are fewer. An accuracy is then within 3 points
(two standard errors); a change from one epoch to another is closer, since the images stay the same."""


class Watcher(Protocol):
    """Looks at the networks as each epoch ends."""

    def end_epoch(self, history: History) -> None:
        """The epoch of the last row has ended: adds columns to that row, or raises a Failed."""


def predicted(network: nn.Module, images: Split) -> Tensor:
    """The classes (N,) that the network, which is left as it was, predicts for images in evaluation mode.

    Raises NotFinite for logits without a largest one.
    """

    def classes(piece: slice) -> Tensor:
        with torch.no_grad(), attack_mode(network), finite("accuracy", network):
            return torch.as_tensor(network(to_unit(images.images[piece])).argmax(1))

    return torch.cat(list(in_pieces(classes, len(images))))


class Accuracy:
    """Per cent of images that each network gets right as an epoch ends: ``train_accuracy``, ``validation_accuracy``.

    Both are measured alike, in evaluation mode, on images without augmentation or attack: on the first IMAGES of the
    training images, and on as many that are held out. So their gap is one of generalisation, of any method, and nothing
    else: not of augmentation, of batch statistics, or of weights that move within an epoch.
    """

    def __init__(self, networks: Sequence[nn.Module], train: Split, validation: Split | None) -> None:
        self.networks = networks
        splits = {"train_accuracy": train, "validation_accuracy": validation}
        self.splits = {name: split.first(min(IMAGES, len(split))) for name, split in splits.items() if split}

    def end_epoch(self, history: History) -> None:
        for name, images in self.splits.items():
            for suffix, network in zip(suffixes(len(self.networks)), self.networks, strict=True):
                right = predicted(network, images) == images.labels
                history[-1][f"{name}{suffix}"] = 100 * int(right.sum()) / len(images)


def patience(epochs: int) -> int:
    """Epochs in a row that end with a constant prediction before a training of ``epochs`` has collapsed.

    A young network may predict one class, and a lower rate may wake one: a tenth of the training, three at least.
    """
    return max(3, math.ceil(epochs / 10))


class Collapse:
    """Counts the ``classes`` that a network predicts for validation images, the fewest of any network.

    A young weight average may predict one class while the trained network is sound, whose column is then
    ``classes_trained``: the average has collapsed only if it is constant in the end.
    """

    def __init__(self, averages: Averages, images: Split, epochs: int) -> None:
        self.images, self.epochs = images, epochs
        self.columns = {"classes": averages.networks}
        if averages:
            self.columns = {"classes_trained": averages.trained} | self.columns

    def end_epoch(self, history: History) -> None:
        for name, networks in self.columns.items():
            history[-1][name] = min(len(set(predicted(each, self.images).tolist())) for each in networks)
        for name in self.columns if len(history) == self.epochs else [*self.columns][:1]:
            dead = next((age for age, row in enumerate(reversed(history)) if row.get(name) != 1), len(history))
            if dead >= patience(self.epochs):
                raise Collapsed(len(history) + 1 - dead, len(history), history)


class Best:
    """Keeps the networks as they were after the epoch that was the most ``robust``, the first of equals (G5)."""

    def __init__(self, networks: Sequence[nn.Module], robust: Callable[[Mapping[str, float]], float]) -> None:
        self.networks, self.robust, self.score = networks, robust, -1.0
        self.weights: list[dict[str, Tensor]] = [{} for _ in networks]

    def end_epoch(self, history: History) -> None:
        score = self.robust(history[-1])
        if score > self.score:
            self.score = score
            for weights, network in zip(self.weights, self.networks, strict=True):
                weights |= {name: tensor.clone() for name, tensor in network.state_dict().items()}

    def put_back(self) -> None:
        """Give the networks the weights of their best epoch."""
        for weights, network in zip(self.weights, self.networks, strict=True):
            network.load_state_dict(weights)
