"""What AutoAttack itself warns of, while it attacks and from its own checks of a network, for a cell's health."""

import logging
import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from ataka.attacks import aa
from ataka.attacks.mode import attack_mode
from ataka.attacks.verdicts import Verdicts
from ataka.datasets.images import Split, to_unit

LOGGER = logging.getLogger("auto-attack")


def diagnose(
    run: Callable[[], Verdicts], network: nn.Module, attack: Mapping[str, Any], split: Split, *, seed: int
) -> tuple[Verdicts, dict[str, object]]:
    """The verdicts of AutoAttack under the settings ``attack``, and what the network's cell says of them.

    before_square  images that Square, the last component and the only one without gradients, found standing
    square_gain    per cent of the images that Square alone fooled
    warned         how many different warnings there were
    warnings       AutoAttack's own words
    """
    with heard() as warnings:
        verdicts = run()
        check(network, to_unit(split.images[: attack["chunk"]]))
    before = verdicts.counts["before_square"]
    return verdicts, {
        "before_square": before,
        "square_gain": 100 * (before - int(verdicts.correct.sum())) / len(verdicts.correct),
        "warned": len(warnings),
        "warnings": "; ".join(warnings),
    }


class _Heard(logging.Handler):
    """Collects messages; those that differ only in their numbers once, and how often."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.messages: dict[str, tuple[str, int]] = {}

    def emit(self, record: logging.LogRecord) -> None:
        text = re.sub(r" See \S+ for details\.", "", record.getMessage()).replace(";", ",")
        kind = re.sub(r"\d+", "0", text)
        first, count = self.messages.get(kind, (text, 0))
        self.messages[kind] = first, count + 1


def check(network: nn.Module, x: Tensor) -> None:
    """AutoAttack's own checks, on images x (B,C,H,W): they warn of outputs that are random, or probabilities."""
    checks = import_module(f"{aa._package().__name__}.checks")
    with torch.no_grad(), attack_mode(network):
        checks.check_randomized(network, x, network(x).argmax(1), bs=len(x), logger=LOGGER)
        checks.check_range_output(network, x, logger=LOGGER)


@contextmanager
def heard() -> Iterator[list[str]]:
    """What AutoAttack itself warns of inside, once the block has ended."""
    handler = _Heard()
    LOGGER.addHandler(handler)
    found: list[str] = []
    try:
        yield found
    finally:
        LOGGER.removeHandler(handler)
        found += [text + (f" ({count} times)" if count > 1 else "") for text, count in handler.messages.values()]
