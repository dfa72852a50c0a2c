"""The verdicts of an attack on a set of images."""

from collections import Counter
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Verdicts:
    """One bit an image, (N,) bool: still classified correctly. ``constant``: the same class predicted for all.

    ``counts``: what an attack counted at the last point of each chunk, added up.
    """

    correct: Tensor
    constant: bool
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def accuracy(self) -> float:
        """Per cent."""
        return 100 * self.correct.float().mean().item()
