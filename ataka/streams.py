"""Named random streams: every random number comes from one root seed and the name of its purpose.

A stream is named by purpose and index ("start", teacher 2, epoch 17), never by the number of teachers, the method
or the order in which others draw. So adding a teacher, a method or a job changes no other's numbers, and any epoch
can be re-drawn without the ones before it.
"""

import hashlib
import random
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy
import torch
from torch import Tensor, nn


def seed_of(seed: int, *name: str | int) -> int:
    """A 63-bit seed for the stream ``name`` under the root ``seed``."""
    text = "/".join(map(str, (seed, *name)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *name: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator at the start of the stream ``name``."""
    return torch.Generator(device).manual_seed(seed_of(seed, *name))


@contextmanager
def undisturbed() -> Iterator[None]:
    """Put back the global generators as they were: torch's, of the CPU and of GPUs in use, numpy's and Python's."""
    of_torch, of_python = torch_state(), random.getstate()
    of_numpy = numpy.random.get_state()  # noqa: NPY002 - others' code draws from it
    try:
        yield
    finally:
        set_torch_state(of_torch)
        numpy.random.set_state(of_numpy)  # noqa: NPY002
        random.setstate(of_python)


def seed_globally(seed: int, *name: str | int) -> None:
    """Seed the global generators with the stream ``name``; for use within ``undisturbed``."""
    number = seed_of(seed, *name)
    torch.manual_seed(number)
    numpy.random.seed(number % 2**32)  # noqa: NPY002
    random.seed(number)


@contextmanager
def global_stream(seed: int, *name: str | int) -> Iterator[None]:
    """Code inside that draws from the global generators (weight initialisation) draws from ``name``."""
    with undisturbed():
        seed_globally(seed, *name)
        yield


def torch_state() -> list[Tensor]:
    """The state of torch's global generators: the CPU's and, once torch uses a GPU, each GPU's."""
    used = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    return [torch.get_rng_state(), *(torch.cuda.get_rng_state_all() if used else ())]


def set_torch_state(state: list[Tensor]) -> None:
    """Restore the states of torch's global generators, of the CPU and of each GPU, from ``torch_state``."""
    of_cpu, *of_gpus = state
    torch.set_rng_state(of_cpu)
    if of_gpus:
        torch.cuda.set_rng_state_all(of_gpus)


class OwnStream:
    """A network's forwards draw from torch's global generators as from a stream of the network's own.

    Each forward draws on from where the one before ended, and leaves the global generators as they were. So what a
    network draws (dropout, stochastic depth) depends on its own forwards alone, and no one else's draws on it.
    """

    def __init__(self, network: nn.Module) -> None:
        self._inside = self._outside = torch_state()
        self._handles = [
            network.register_forward_pre_hook(self._enter),
            network.register_forward_hook(self._leave, always_call=True),
        ]

    def begin(self, seed: int, *name: str | int) -> None:
        """The next forward draws from the start of the stream ``name``."""
        with undisturbed():
            torch.manual_seed(seed_of(seed, *name))
            self._inside = torch_state()

    def end(self) -> None:
        """The network draws from the global generators again, as others do."""
        for handle in self._handles:
            handle.remove()

    def _enter(self, *_: Any) -> None:
        self._outside = torch_state()
        set_torch_state(self._inside)

    def _leave(self, *_: Any) -> None:
        self._inside = torch_state()
        set_torch_state(self._outside)
