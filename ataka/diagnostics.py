"""Whether an evaluation can be believed: what masked gradients, or a PGD that stopped too early, would show.

After Athalye et al. (2018) and Carlini et al. (2019), as docs/health.md says. Measured beside an attack, on the network
that was attacked; no verdict depends on it. With 20 steps and 10,000 images it adds a ninth to PGD's own cost.
"""

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka import streams
from ataka.attacks import attack_mode, pgd
from ataka.attacks.gradient import input_gradient
from ataka.data import Split, to_unit
from ataka.settings import number

BATCH = 128
SOME = 512
"""Images whose loss is followed to PGD's last step."""
FEW = 64
"""Images that are attacked without a bound."""
VANISHED = 1e-12
"""A gradient whose largest entry is no larger has no direction."""
UNBOUNDED = {"eps": 1.0, "step_size": 0.1, "steps": 20}
"""Every image lies within eps = 1 of every other."""


def of_pgd(network: nn.Module, attack: Mapping[str, Any], split: Split, *, seed: int) -> dict[str, float]:
    """What is to be said of PGD under the settings ``attack`` (ataka.study.PGD as a dict) on ``split``.

    zero_gradient_share  share of the images whose gradient of the cross-entropy is 0 (at most VANISHED in any pixel)
    loss_rise            what the last tenth of the steps brings, as a share of all that the mean cross-entropy gains
                         from the clean images to the last step: 0.1 where it grows evenly; the first SOME images, from
                         the evaluation's own starts
    accuracy_at_eps_1    per cent of the first FEW images that an attack without a bound leaves right
    classes              of the network: 100 / classes is chance
    """
    split = split.first(attack["images"])
    with torch.no_grad(), attack_mode(network):
        classes = network(to_unit(split.images[:1])).shape[1]
    return {
        "zero_gradient_share": _zero_gradients(network, split) / len(split),
        "loss_rise": _loss_rise(network, attack, split.first(min(SOME, len(split))), seed),
        "accuracy_at_eps_1": _unbounded(network, split.first(min(FEW, len(split))), seed),
        "classes": classes,
    }


def _zero_gradients(network: nn.Module, split: Split) -> int:
    vanished = 0
    with attack_mode(network):
        for piece in _pieces(split):
            gradient = input_gradient(network, to_unit(split.images[piece]), split.labels[piece])
            vanished += int((gradient.abs().flatten(1).amax(1) <= VANISHED).sum())
    return vanished


def _loss_rise(network: nn.Module, attack: Mapping[str, Any], split: Split, seed: int) -> float:
    eps, step_size, steps = number(attack["eps"]), number(attack["step_size"]), attack["steps"]
    last = min(steps, max(1, steps // 10))
    starts = pgd.draw(split.pixels(), eps=eps, generator=streams.generator(seed, "evaluate", "pgd"))
    clean = before = end = 0.0
    for piece in _pieces(split):
        x, y = to_unit(split.images[piece]), split.labels[piece]
        clean += _loss(network, x, y)
        go_on = partial(pgd.attack, network, x, y, eps=eps, step_size=step_size)
        x_adv = go_on(steps=steps - last, start=starts[piece], clamp_start=attack["clamp_start"])
        before += _loss(network, x_adv, y)
        x_adv = go_on(steps=last, start=x_adv)
        end += _loss(network, x_adv, y)
    return (end - before) / (end - clean) if end > clean else 0.0


def _loss(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Cross-entropy summed over the images."""
    with torch.no_grad(), attack_mode(network):
        return functional.cross_entropy(network(x).double(), y, reduction="sum").item()


def _unbounded(network: nn.Module, split: Split, seed: int) -> float:
    x, y = to_unit(split.images), split.labels
    source = streams.generator(seed, "diagnostics", "pgd")
    x_adv = pgd.attack(network, x, y, **UNBOUNDED, generator=source, clamp_start=True)  # type: ignore[arg-type]
    with torch.no_grad(), attack_mode(network):
        return 100 * int((network(x_adv).argmax(1) == y).sum()) / len(y)


def _pieces(split: Split) -> Iterator[slice]:
    return (slice(offset, offset + BATCH) for offset in range(0, len(split), BATCH))
