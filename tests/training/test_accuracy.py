"""Does the history hold the accuracies that the networks have as each epoch ends, and does measuring change nothing?"""

import copy
from collections.abc import Iterator, Sequence

import pytest
import torch
from torch import Tensor, nn

from ataka import training
from ataka.datasets.images import Split
from ataka.machine import memory
from ataka.training import Batch, watchers
from baselines import sat
from baselines.natural import Natural
from tests import tiny

TRAIN, VALIDATION = tiny.split(30), tiny.split(50, seed=5)


class Keeps:
    """Trains networks on noisy images, and keeps copies of them as each step begins."""

    def __init__(self) -> None:
        self.copies: list[list[nn.Module]] = []

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        self.copies.append([copy.deepcopy(network) for network in networks])
        x = batch.x + 0.1 * torch.randn(batch.x.shape, generator=batch.stream("noise"))
        for network in networks:
            yield nn.functional.cross_entropy(network(x), batch.y)


def train(
    networks: list[nn.Module], objective: object, validation: Split | None, **setup: object
) -> list[dict[str, float]]:
    """Four epochs of a step."""
    given = tiny.setup(batch_size=len(TRAIN), milestones=(), epochs=4, **setup)
    return training.train(networks, objective, TRAIN, tiny.FACTS, given, seed=0, validation=validation)  # type: ignore[arg-type]


def accuracy(network: nn.Module, split: Split) -> float:
    """By hand, an image at a time."""
    network = copy.deepcopy(network).eval()
    guesses = [int(network(image[None].float() / 255).argmax()) for image in split.images]
    return 100 * sum(guess == label for guess, label in zip(guesses, split.labels.tolist(), strict=True)) / len(split)


@pytest.mark.parametrize("count", [1, 2])
def test_a_row_has_the_accuracies_of_the_networks_as_the_epoch_ends(count: int) -> None:
    """The next epoch's only step begins with the networks that this one ended with."""
    networks, objective = [tiny.convolutional(seed) for seed in range(count)], Keeps()
    history = train(networks, objective, VALIDATION, learning_rate=0.5)
    for row, ended in zip(history, [*objective.copies[1:], networks], strict=True):
        for position, network in enumerate(ended):
            suffix = str(position) if count > 1 else ""
            assert row[f"train_accuracy{suffix}"] == pytest.approx(accuracy(network, TRAIN))
            assert row[f"validation_accuracy{suffix}"] == pytest.approx(accuracy(network, VALIDATION))
    assert len({row[f"train_accuracy{suffix}"] for row in history}) > 1


def test_only_the_first_images_of_a_large_split_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(watchers, "IMAGES", 11)
    network = tiny.convolutional()
    last = train([network], Natural(), VALIDATION)[-1]
    assert last["train_accuracy"] == pytest.approx(accuracy(network, TRAIN.first(11)))
    assert last["validation_accuracy"] == pytest.approx(accuracy(network, VALIDATION.first(11)))


def test_where_nothing_is_held_out_there_is_no_validation() -> None:
    row = train([tiny.dense()], Natural(), None)[0]
    assert "train_accuracy" in row
    assert not any(name.startswith("validation") for name in row)


def test_pieces_change_no_accuracy(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = train([tiny.convolutional()], Natural(), VALIDATION)
    monkeypatch.setattr(memory, "BATCH", 7)
    assert train([tiny.convolutional()], Natural(), VALIDATION) == whole


@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_measuring_disturbs_no_bit(monkeypatch: pytest.MonkeyPatch, dropout: float) -> None:
    """Neither weights, nor batch statistics, nor torch's own random stream, which dropout draws from."""
    states = []
    for measures in (True, False):
        if not measures:
            monkeypatch.setattr(watchers.Accuracy, "end_epoch", lambda self, history: None)
        torch.manual_seed(1)
        body, *head = tiny.convolutional()
        network = nn.Sequential(body, nn.Dropout(dropout), *head)
        attack = sat.Options(eps="8/255", step_size="4/255", steps=2, batchnorm="train")
        history = train([network], sat.SAT(attack), VALIDATION)
        assert ("train_accuracy" in history[0]) == measures
        states.append(tiny.state(network))
    assert tiny.same(*states)
