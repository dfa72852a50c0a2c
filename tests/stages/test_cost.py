"""Is a forward timed as it is, and without a trace?"""

import time

import pytest
import torch

from ataka import datasets
from ataka.stages import cost
from ataka.study import Speed

FACTS = datasets.find("digits").specification


def test_a_forward_is_timed_and_leaves_no_trace(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "PATIENCE", 0.02)
    threads, before = torch.get_num_threads(), torch.random.get_rng_state()
    seconds = cost.forward_seconds("resnet10-w8", FACTS, speed=Speed(), threads=2, asked_for="cpu")
    assert set(seconds) == {"attack", "update"}
    assert all(0 <= call < 1 and 0 <= image < 0.1 and call + image > 0 for call, image in seconds.values())
    assert torch.get_num_threads() == threads
    assert torch.equal(torch.random.get_rng_state(), before)


def line(call: float, image: float) -> tuple[set[int], tuple[float, float]]:
    """The numbers of images that were timed, and the line, of a step that takes as long as it is told."""
    counts = set()

    def work(count: int, steps: int) -> None:
        counts.add(count)
        began = time.process_time()
        while time.process_time() - began < steps * (call + count * image):
            pass

    return counts, cost._line(work, 2, torch.device("cpu"))


def test_a_call_and_an_image_are_told_apart(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cost, "PATIENCE", 0.2)
    counts, found = line(0.01, 0.001)
    assert counts == {2, cost.FEW, cost.MANY}
    assert found == pytest.approx((0.01, 0.001), rel=0.3)


def test_a_slow_network_is_timed_on_few_images_alone() -> None:
    counts, found = line(0.0, 0.02)
    assert counts == {2, cost.FEW}
    assert found == pytest.approx((0.0, 0.02), rel=0.3)
