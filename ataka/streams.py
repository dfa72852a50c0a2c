"""Named random streams: every random number comes from one root seed and the name of its purpose.

A stream is named by purpose and index ("start", teacher 2, epoch 17), never by the number of teachers, the method
or the order in which others draw. So adding a teacher, a method or a job changes no other's numbers, and any epoch
can be re-drawn without the ones before it.
"""

import hashlib
from collections.abc import Iterator
from contextlib import contextmanager

import torch


def seed_of(seed: int, *name: str | int) -> int:
    """A 63-bit seed for the stream ``name`` under the root ``seed``."""
    text = "/".join(map(str, (seed, *name)))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1


def generator(seed: int, *name: str | int, device: torch.device | str = "cpu") -> torch.Generator:
    """A fresh generator at the start of the stream ``name``."""
    return torch.Generator(device).manual_seed(seed_of(seed, *name))


@contextmanager
def global_stream(seed: int, *name: str | int) -> Iterator[None]:
    """Code inside that draws from torch's global CPU generator (weight initialisation) draws from ``name``."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed_of(seed, *name))
        yield
