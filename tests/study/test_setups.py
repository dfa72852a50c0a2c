"""Does the paper's scale train as the authors' scripts do, written out here from the scripts themselves?"""

from collections.abc import Callable

import pytest

from ataka.study import config
from ataka.training.schedule import learning_rate

Schedule = Callable[[int], float]
"""From an epoch, counted from 1, to the rate that it trains with."""


def trades(epoch: int) -> float:
    """train_trades_cifar10.py, adjust_learning_rate."""
    return 0.1 * 10 ** -sum(epoch >= drop for drop in (75, 90, 100))


def mart(rate: float) -> Schedule:
    """train_resnet.py and train_wideresnet.py, adjust_learning_rate."""
    return lambda epoch: rate * (0.001 if epoch >= 100 else 0.01 if epoch >= 90 else 0.1 if epoch >= 75 else 1)


def ard(epoch: int) -> float:
    """main.py, with epochs from 0: the second drop is from the rate at the start again, as in IAD's scripts."""
    rate = 0.1
    for passed in range(epoch):
        if passed in (100, 150):
            rate = 0.1 * 0.1
    return rate


def rslad(epoch: int) -> float:
    """resnet18_rslad_cifar10.py: the drop stands below the loop over an epoch's batches."""
    return 0.1 * 10 ** -sum(epoch > drop for drop in (215, 260, 285))


@pytest.mark.parametrize(
    ("setup", "arch", "epochs", "rate"),
    [
        ("trades", "wrn34-10", 76, trades),
        ("mart", "resnet18", 120, mart(0.01)),
        ("mart", "wrn34-10", 90, mart(0.1)),
        ("table4", "resnet18", 120, mart(0.01)),
        ("table4", "wrn34-10", 120, mart(0.1)),
        ("ard", "resnet18", 200, ard),
        ("iad", "resnet18", 200, ard),
        ("rslad", "resnet18", 300, rslad),
    ],
)
def test_each_epoch_has_the_rate_of_the_authors_script(setup: str, arch: str, epochs: int, rate: Schedule) -> None:
    settings = config.load().setup(setup, "cifar10", arch)
    assert settings.epochs == epochs
    for epoch in range(1, epochs + 1):
        assert learning_rate(settings, epoch - 1, 0, 1) == pytest.approx(rate(epoch)), epoch
