"""Are draws the same on every CPU, and of the distribution that they are named after?"""

import json
import math
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from ataka import draws, models
from ataka.attacks import aa
from ataka.streams import generator
from tests import drawn, tiny


def test_a_cpu_without_avx2_draws_the_same_starts_and_initial_weights() -> None:
    """Torch's own switch; on a CPU that has no AVX2 both sides are the same anyway."""
    answer = subprocess.run(
        [sys.executable, "-m", "tests.drawn"],
        env=os.environ | {"ATEN_CPU_CAPABILITY": "default"},
        cwd=Path(__file__).parents[1],
        capture_output=True,
        text=True,
        check=True,
    )
    there, here = json.loads(answer.stdout), drawn.digests()
    assert there.keys() == here.keys()
    assert len(here) > 30
    assert [name for name in here if here[name] != there[name]] == []


@pytest.mark.parametrize(("low", "high"), [(-8 / 255, 8 / 255), (-0.123, 0.765), (0.0, 1.0), (2.0, 2.0)])
def test_uniform_numbers_are_torchs_rand_moved_in_float64(low: float, high: float) -> None:
    moved = low + (high - low) * torch.rand(9999, generator=generator(0, "u")).double()
    ours = draws.uniform((9999,), low, high, generator=generator(0, "u"))
    assert ours.dtype == torch.float32
    assert (ours.double() - moved).abs().max() <= 2**-23 * max(abs(low), abs(high))
    assert ours.min() >= torch.tensor(low)
    assert ours.max() <= torch.tensor(high)


@pytest.mark.parametrize("count", [1, 15, 16, 9999])
def test_normal_numbers_are_float64_rounded_once(count: int) -> None:
    expected = torch.randn(count, generator=generator(0, "n"), dtype=torch.float64)
    assert torch.equal(draws.normal((count,), generator=generator(0, "n")), expected.float())
    with draws.Alike():
        filled = torch.empty(count).normal_(0.3, 0.7, generator=generator(0, "n"))
    assert torch.equal(filled, (expected * 0.7 + 0.3).float())


FILLS: dict[str, Callable[[], Tensor]] = {
    "uniform": lambda: nn.init.uniform_(torch.empty(50, 40), -0.1, 0.3),
    "normal": lambda: nn.init.normal_(torch.empty(50, 40), 0.2, 0.5),
    "trunc_normal": lambda: nn.init.trunc_normal_(torch.empty(50, 40), 0.0, 1.0, -1.5, 2.0),
    "kaiming": lambda: nn.Linear(50, 40).weight.detach(),
    "randn": lambda: torch.randn(50, 40),
    "randn_like": lambda: torch.randn_like(torch.empty(50, 40)),
    "normal of numbers": lambda: torch.normal(0.1, 0.2, (50, 40)),
    "normal of tensors": lambda: torch.normal(torch.full((50, 40), 0.1), torch.full((40,), 0.2)),
    "normal, half precision": lambda: torch.empty(50, 40, dtype=torch.bfloat16).normal_(),
    "uniform, float64": lambda: torch.empty(50, 40, dtype=torch.float64).uniform_(-0.1, 0.3),
    "rand": lambda: torch.rand(50, 40),
    "a view": lambda: torch.zeros(40, 50).t().normal_(),
}


@pytest.mark.parametrize("fill", FILLS.values(), ids=FILLS)
def test_in_the_context_torchs_draws_have_their_own_distribution(fill: Callable[[], Tensor]) -> None:
    """Shape, type and, by Kolmogorov and Smirnov's distance of two samples at 1e-6, the distribution."""
    torch.manual_seed(0)
    theirs = fill()
    with draws.Alike():
        torch.manual_seed(1)
        ours = fill()
        torch.manual_seed(1)
        again = fill()
    assert torch.equal(ours, again)
    assert (ours.shape, ours.dtype, ours.is_contiguous()) == (theirs.shape, theirs.dtype, theirs.is_contiguous())
    ordered = torch.cat([ours.flatten(), theirs.flatten()]).sort().values
    shares = [
        torch.searchsorted(one.flatten().sort().values, ordered, right=True) / one.numel() for one in (ours, theirs)
    ]
    limit = math.sqrt(-math.log(1e-6 / 2) / 2 * 2 / theirs.numel())
    assert (shares[0] - shares[1]).abs().max() <= limit


def test_networks_on_the_meta_device_draw_nothing() -> None:
    with torch.device("meta"):
        assert all(parameter.is_meta for parameter in models.build("wrn10-1", classes=10).parameters())


class Drawn(TorchDispatchMode):
    """Lists the operations that draw random numbers."""

    def __init__(self) -> None:
        super().__init__()
        self.names: set[str] = set()

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if torch.Tag.nondeterministic_seeded in function.tags:
            self.names.add(function.overloadpacket.__name__)
        return function(*args, **kwargs or {})


def test_autoattacks_own_draws_are_alike_too() -> None:
    """What docs/reproducibility.md says of them: it draws by operations that no CPU changes."""
    images, network = tiny.split(12), tiny.convolutional()
    with Drawn() as inside:
        aa.attack(network, images.pixels(), images.labels, eps=0.01, seed=0, chunk=12, version="shortened")
    assert inside.names == {"rand"}


def test_networks_are_built_without_torchs_compiler() -> None:
    """Loading it would cost every job more than a second."""
    script = (
        "import sys, torch\n"
        "from ataka import models\n"
        "from ataka.models import folding\n"
        "network = models.build('resnet10-w8', classes=10).eval()\n"
        "assert folding.pairs(network, torch.rand(2, 3, 8, 8))\n"
        "assert 'torch._dynamo' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", script], check=True)
