"""Networks, images and settings that a test of the core needs, in milliseconds."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ataka import datasets, streams
from ataka.datasets import splits
from ataka.datasets.images import Split
from ataka.study import Generator, Setup
from ataka.training import Batch

CLASSES = 5
FACTS = replace(datasets.find("digits").specification, flip=True)
"""8 x 8 grey images, shifted by up to one pixel and flipped."""


def convolutional(seed: int = 0) -> nn.Sequential:
    with streams.global_stream(seed, "test"):
        body = nn.Sequential(nn.Conv2d(1, 3, 3, padding=1), nn.BatchNorm2d(3), nn.ReLU(), nn.AvgPool2d(2))
        return nn.Sequential(body, nn.Flatten(), nn.Linear(48, CLASSES))


def dense(seed: int = 0) -> nn.Sequential:
    with streams.global_stream(seed, "test"):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, 6), nn.BatchNorm1d(6), nn.ReLU(), nn.Linear(6, CLASSES))


def linear(seed: int = 0) -> nn.Sequential:
    with streams.global_stream(seed, "test"):
        return nn.Sequential(nn.Flatten(), nn.Linear(64, CLASSES))


def cut(dataset: str, folder: str | Path = "nowhere", **sizes: Any) -> dict[str, Split]:
    """The splits of a data set whose files lie in ``folder``."""
    sizes = {"train": None, "validation": 10, "test": None, "split_seed": 0} | sizes
    return splits.cut(dataset, datasets.find(dataset).load(datasets.archive_folder(folder)), **sizes)


ARCHITECTURES = {"convolutional": convolutional, "dense": dense}


def split(count: int = 14, seed: int = 0) -> Split:
    source = torch.Generator().manual_seed(seed)
    images = torch.randint(0, 256, (count, 1, 8, 8), generator=source, dtype=torch.uint8)
    return Split(images, torch.arange(count) % CLASSES)


def setup(**changes: Any) -> Setup:
    standard: dict[str, Any] = {"epochs": 2, "batch_size": 4, "learning_rate": 0.05, "momentum": 0.9}
    milestones = (1,) if changes.get("epochs", 2) > 1 else ()
    return Setup(**standard | {"weight_decay": 5e-4, "milestones": milestones} | changes)


def generator(**changes: Any) -> Generator:
    return Generator(**{"eps": "16/255", "step_size": "6/255", "steps": 2} | changes)


def batch(count: int = 6, seed: int = 0, **more: Any) -> Batch:
    images = split(count, seed)
    return Batch(
        x=images.pixels(),
        y=images.labels,
        index=torch.arange(count),
        stream=lambda *name: streams.generator(seed, *name),
        **more,
    )


def state(network: nn.Module) -> dict[str, Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


def same(first: dict[str, Tensor], second: dict[str, Tensor]) -> bool:
    """Bit for bit."""
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
