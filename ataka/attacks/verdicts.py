"""The verdicts of an attack on a set of images."""

from collections import Counter
from dataclasses import dataclass, field

from torch import Tensor


@dataclass(frozen=True)
class Verdicts:
    """Verdicts on N images. ``correct`` (N,) bool: an image is still classified correctly under the attack.

    ``constant``: the same class was predicted for all images. ``counts``: sums of the chunks' last counts.
    """

    correct: Tensor
    constant: bool
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def accuracy(self) -> float:
        """Per cent."""
        return 100 * self.correct.float().mean().item()
