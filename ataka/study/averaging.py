"""Averages of a network's weights over its training, either of which is evaluated in the network's place."""

from typing import Literal

from pydantic import Field

from ataka.study.fields import Settings, Share


class EMA(Settings):
    """An exponential moving average, moved after each step (Gowal et al., 2020)."""

    decay: float = Field(
        default=0.995,
        ge=0,
        lt=1,
        description="weight of the average before; d steps after the begin it is at most (1 + d) / (10 + d)",
    )
    begin: Share = Field(
        default="1/40", description="share of the training before which the average is the network itself"
    )
    batchnorm: Literal["averaged", "copied"] = Field(
        default="averaged",
        description="whether the network's running statistics are averaged as its weights are, or copied",
    )

    @property
    def words(self) -> str:
        """The averaging in words, for notes below a table."""
        return f"weights averaged exponentially (EMA, decay {self.decay:g})"


class SWA(Settings):
    """The mean of the weights after each epoch (Izmailov et al., 2018)."""

    begin: Share = Field(description="share of the training after which the epochs begin that count")

    @property
    def words(self) -> str:
        """The averaging in words, for notes below a table."""
        return f"weights averaged over the epochs from {self.begin} of the training on (SWA)"
