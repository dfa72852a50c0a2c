"""Work on images in pieces; the pieces get smaller when memory runs out."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, TypeVar

import torch

T = TypeVar("T")
BATCH = 128
"""Images at once where nothing else is said. No result depends on it by more than rounding."""


class Finished(Protocol):
    """The results of finished pieces, which outlive an interruption."""

    results: list[Any]
    count: int
    """The first image that is in none of these pieces."""
    size: int | None
    """Images in the next piece; None before the first one."""

    def add(self, result: Any, count: int, size: int) -> None:
        """Take the next result in, after which ``count`` and ``size`` are these."""


_finished: list[Finished] = []


@contextmanager
def resuming(finished: Finished) -> Iterator[None]:
    """A context whose first ``in_pieces`` goes on after the ``finished`` pieces, and adds those that it finishes."""
    _finished.append(finished)
    try:
        yield
    finally:
        _finished.clear()


def in_pieces(
    work: Callable[[slice], T],
    count: int,
    *,
    start: int = 0,
    size: int | None = None,
    say: Callable[[str], None] | None = None,
) -> Iterator[T]:
    """``work`` on ``size`` (BATCH) images at a time, from ``start`` up to ``count``; half as many once memory runs out.

    The result of ``work`` must not depend on the cut by more than rounding: on a CPU the last bits of an image's logits
    may depend on the size of its batch, so that nearly all verdicts stay (docs/reproducibility.md). The error is
    raised where memory is too small for one image, which a network in evaluation mode gets twice
    (``ataka.attacks.mode``).
    """
    size = size or BATCH
    finished = _finished.pop() if _finished else None  # a piece's own pieces are none of these
    if finished:
        start, size = finished.count or start, finished.size or size
        yield from finished.results[:]
    while start < count:
        piece = slice(start, min(start + size, count))
        try:
            result = work(piece)
        except RuntimeError as error:
            if not out_of_memory(error) or size == 1:
                raise
            size //= 2
            if torch.cuda.is_available():
                torch.cuda.empty_cache()
            if say:
                say(f"out of memory: {size} images at a time from here on; results differ by rounding alone")
            continue
        start = piece.stop
        if finished:
            finished.add(result, start, size)
        yield result


def out_of_memory(error: BaseException) -> bool:
    """Whether torch, on a GPU or a CPU, had no memory left."""
    return isinstance(error, torch.OutOfMemoryError) or "DefaultCPUAllocator" in str(error)
