"""The one training loop, and what it asks of a method."""

from ataka.training.failures import Collapsed, Diverged, Failed, History, Overfitted
from ataka.training.loop import train
from ataka.training.objective import Adversarial, Batch, Objective, budget

__all__ = [
    "Adversarial",
    "Batch",
    "Collapsed",
    "Diverged",
    "Failed",
    "History",
    "Objective",
    "Overfitted",
    "budget",
    "train",
]
