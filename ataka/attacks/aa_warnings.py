"""AutoAttack's own warnings, from its attacks and from its checks of a network, for a cell's health."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from ataka import streams
from ataka.attacks import aa, aa_log
from ataka.attacks.finite import finite
from ataka.attacks.mode import attack_mode
from ataka.attacks.verdicts import Verdicts
from ataka.datasets.images import Split, to_unit


def diagnose(
    run: Callable[[], Verdicts], network: nn.Module, attack: Mapping[str, Any], split: Split, *, seed: int
) -> tuple[Verdicts, dict[str, object]]:
    """The verdicts of AutoAttack under the settings ``attack``, and what the network's cell says of them.

    before_square  images that Square, the last component and the only one without gradients, found standing
    square_gain    per cent of the images that Square alone fooled
    warned         how many different warnings there were, also before an interruption
    warnings       AutoAttack's own words
    """
    verdicts = run()
    warnings = aa.warnings_in(verdicts.counts)
    with aa_log.heard(warnings), streams.global_stream(seed, "diagnostics", "forward"):
        check(network, to_unit(split.images[: attack["chunk"]]))
    before, warnings = verdicts.counts["before_square"], aa_log.merged(warnings)
    return verdicts, {
        "before_square": before,
        "square_gain": 100 * (before - int(verdicts.correct.sum())) / len(verdicts.correct),
        "warned": len(warnings),
        "warnings": "; ".join(text + (f" ({count} times)" if count > 1 else "") for text, count in warnings.items()),
    }


def check(network: nn.Module, x: Tensor) -> None:
    """AutoAttack's own checks, on images x (B,C,H,W): they warn of outputs that are random, or probabilities."""
    checks = import_module(f"{aa._package().__name__}.checks")
    with torch.no_grad(), attack_mode(network), finite("diagnostics", network):
        checks.check_randomized(network, x, network(x).argmax(1), bs=len(x), logger=aa_log.LOGGER)
        checks.check_range_output(network, x, logger=aa_log.LOGGER)
