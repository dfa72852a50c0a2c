"""The one training loop, and what it asks of a method."""

from ataka.training.loop import Adversarial, Batch, Collapsed, Diverged, Failed, Objective, Overfitted, train

__all__ = ["Adversarial", "Batch", "Collapsed", "Diverged", "Failed", "Objective", "Overfitted", "train"]
