"""AutoAttack's own warnings, from its attacks and from its checks of a network, for a cell's health."""

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch
from torch import Tensor, nn

from ataka import streams
from ataka.attacks import aa_log, aa_parts
from ataka.attacks.finite import finite
from ataka.attacks.mode import attack_mode
from ataka.attacks.verdicts import Verdicts
from ataka.datasets.images import Split, to_unit


def diagnose(
    run: Callable[[], Verdicts], network: nn.Module, attack: Mapping[str, Any], split: Split, *, seed: int
) -> tuple[Verdicts, dict[str, object]]:
    """The verdicts of AutoAttack under the settings ``attack``, and what the network's cell says of them.

    before_square  images that Square, the only component without gradients, found standing, where it is one
    square_gain    per cent of the images that Square fooled of these
    warned         how many different warnings there were, also before an interruption
    warnings       AutoAttack's own words
    """
    verdicts = run()
    warnings = aa_parts.warnings_in(verdicts.counts)
    with aa_log.heard(warnings), streams.global_stream(seed, "diagnostics", "forward"):
        check(network, to_unit(split.images[: attack["chunk"]]))
    warnings, columns = aa_log.merged(warnings), dict[str, object]()
    if "before_square" in verdicts.counts:
        before, after = (verdicts.counts[name] for name in ("before_square", "after_square"))
        columns = {"before_square": before, "square_gain": 100 * (before - after) / len(verdicts.correct)}
    texts = (text + (f" ({count} times)" if count > 1 else "") for text, count in warnings.items())
    return verdicts, columns | {"warned": len(warnings), "warnings": "; ".join(texts)}


def check(network: nn.Module, x: Tensor) -> None:
    """AutoAttack's own checks, on images x (B,C,H,W): they warn of outputs that are random, or probabilities."""
    checks = import_module(f"{aa_parts.package().__name__}.checks")
    with torch.no_grad(), attack_mode(network), finite("diagnostics", network):
        checks.check_randomized(network, x, network(x).argmax(1), bs=len(x), logger=aa_log.LOGGER)
        checks.check_range_output(network, x, logger=aa_log.LOGGER)
