"""Adversarial images of an evaluation, kept as its network judges them."""

import sys
from collections.abc import Callable
from typing import Any

from torch import Tensor, nn

from ataka.machine.progress import Progress


class Judge(nn.Module):
    """A network that hands each batch of images which it judges to ``keep``, with the place of the first.

    An evaluation shows its adversarial images to the judge once, in order, and lets the attack see the network itself.
    """

    def __init__(self, network: nn.Module, keep: Callable[[int, Tensor], None]) -> None:
        super().__init__()
        self.network, self.place = network, 0
        self._keep = keep
        self.register_forward_pre_hook(self._before)  # the first hook: it sees a single image once (never_alone)
        self._shown: Tensor | None = None

    def forward(self, x: Tensor) -> Any:
        logits = self.network(x)
        if self._shown is not None:  # judged, and not given up for want of memory
            self._keep(self.place, self._shown)
            self.place, self._shown = self.place + len(self._shown), None
        return logits

    def _before(self, _network: nn.Module, given: tuple[Tensor, ...]) -> None:
        self._shown = given[0].detach()


class Following(Progress):
    """The progress of an evaluation, which tells its ``judge`` the image from which an interrupted one resumes.

    ``begin`` is called with the number of images that were judged before; without a ``job`` nothing is printed.
    """

    def __init__(self, job: str, judge: Judge | None, begin: Callable[[int], None] = lambda _: None) -> None:
        super().__init__(job, sys.stderr if job else None)
        self._judge, self._begin = judge, begin

    def start(self, epochs: int, images: int, done: int = 0) -> None:
        """Begin with the image ``done``, where an interrupted evaluation is resumed."""
        if self._judge:
            self._begin(done)
            self._judge.place = done
        super().start(epochs, images, done)
