"""Does every stream depend on its name and root seed, and on nothing else?"""

import hashlib

import torch
from hypothesis import given
from hypothesis import strategies as st

from ataka import streams

NAMES = st.lists(st.one_of(st.text("abc", min_size=1), st.integers(0, 99)), min_size=1, max_size=3).map(tuple)


def test_published_seeds_never_change() -> None:
    """A change here re-trains every study: sha256("0/start/2/epoch/17"), its first 63 bits."""
    expected = int(hashlib.sha256(b"0/start/2/epoch/17").hexdigest()[:16], 16) >> 1
    assert streams.seed_of(0, "start", 2, "epoch", 17) == expected


@given(st.integers(0, 10), NAMES, st.integers(0, 10), NAMES)
def test_other_names_have_other_seeds(seed: int, name: tuple, other_seed: int, other: tuple) -> None:
    same = (seed, *map(str, name)) == (other_seed, *map(str, other))
    assert (streams.seed_of(seed, *name) == streams.seed_of(other_seed, *other)) == same
    assert 0 <= streams.seed_of(seed, *name) < 2**63


def test_a_generator_starts_afresh() -> None:
    first, second = (torch.rand(5, generator=streams.generator(3, "start", 1)) for _ in range(2))
    assert torch.equal(first, second)
    assert not torch.equal(first, torch.rand(5, generator=streams.generator(3, "start", 2)))


def test_the_global_stream_is_put_back() -> None:
    torch.manual_seed(1)
    expected = torch.rand(3)
    torch.manual_seed(1)
    with streams.global_stream(0, "initial", "teacher", 0):
        inside = torch.rand(3)
    assert torch.equal(torch.rand(3), expected)
    with streams.global_stream(0, "initial", "teacher", 0):
        assert torch.equal(torch.rand(3), inside)
    with streams.global_stream(0, "initial", "teacher", 1):
        assert not torch.equal(torch.rand(3), inside)
