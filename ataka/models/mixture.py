"""The averaged ensemble as one network: the network of the paper's "en-" methods, also under attack.

The paper doesn't name the quantity that is averaged (ambiguities.md, E1). By the default reading the ensemble
predicts the mean of its members' probabilities; by the other reading, the mean of their logits.
"""

import math
from collections.abc import Iterable
from typing import Literal

import torch
from torch import Tensor, nn

Average = Literal["probabilities", "logits"]


class Mixture(nn.Module):
    """Images to logits (B, C): the log of the members' mean probabilities, or the mean of their logits.

    Log-probabilities are logits whose softmax is the ensemble's prediction, so cross-entropy and attacks use
    them unchanged. Gradients flow through all the members. An image for which a member's logits are not finite
    gets NaN: an average of probabilities would hide a member's minus infinity.
    """

    def __init__(self, members: Iterable[nn.Module], average: Average = "probabilities") -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.average = average
        if not self.members:
            raise ValueError("a mixture needs at least one member")
        if average not in ("probabilities", "logits"):
            raise ValueError(f"a mixture averages 'probabilities' or 'logits', not '{average}'")

    def each(self, x: Tensor) -> Tensor:
        """The members' own logits (n, B, C)."""
        return torch.stack([member(x) for member in self.members])

    def forward(self, x: Tensor) -> Tensor:
        logits = self.each(x)
        return self._averaged(logits).where(logits.isfinite().all(dim=-1).all(dim=0).unsqueeze(-1), torch.nan)

    def _averaged(self, logits: Tensor) -> Tensor:
        if self.average == "logits":
            return logits.mean(dim=0)
        # log(1/n sum softmax), in the form that can't underflow
        return logits.log_softmax(dim=-1).logsumexp(dim=0) - math.log(len(self.members))
