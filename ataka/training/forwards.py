"""Streams for the numbers that a training draws from global generators, as dropout and stochastic depth do."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager

from torch import nn

from ataka import streams


@contextmanager
def drawing(networks: Sequence[nn.Module], teachers: int, *, seed: int) -> Iterator[Callable[[int], None]]:
    """A context for a training; the function that it gives is called with the number of each epoch that begins.

    In that epoch the forwards of each network draw from a stream of its own: teacher i of the first ``teachers``
    networks as teacher i, whether a student trains beside it or not, and the others in their order. Everything else,
    as an objective that draws from a global generator, draws from another stream. All of them start anew with each
    epoch, so that a resumed training draws what an uninterrupted one does. In the end the global generators are as they
    were.
    """
    names = [("teacher", i) if i < teachers else ("network", i - teachers) for i in range(len(networks))]
    owners = [streams.OwnStream(network) for network in networks]

    def begin(epoch: int) -> None:
        streams.seed_globally(seed, "global", "epoch", epoch)
        for owner, name in zip(owners, names, strict=True):
            owner.begin(seed, "forward", *name, "epoch", epoch)

    try:
        with streams.undisturbed():
            yield begin
    finally:
        for owner in owners:
            owner.end()
