"""Signs that an evaluation can't be believed: masked gradients, or a PGD that stopped too early.

The signs follow Athalye et al. (2018) and Carlini et al. (2019); see docs/health.md. They are measured with an attack,
on the same network; no verdict depends on them. With 20 steps and 10,000 images they add a ninth to PGD's own cost.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka import streams
from ataka.attacks import pgd
from ataka.attacks.finite import finite
from ataka.attacks.gradient import input_gradient
from ataka.attacks.mode import attack_mode
from ataka.attacks.verdicts import Verdicts
from ataka.datasets.images import Split, to_unit
from ataka.machine.memory import in_pieces
from ataka.study.fields import number

SOME = 512
"""Images whose loss is followed to PGD's last step."""
FEW = 64
"""Images that are attacked without a bound, and that a network is shown twice."""
SHIFT = 1e-4
"""Between two forwards of one image, the limit of AutoAttack's own check of randomised defences."""
VANISHED = 1e-12
"""A gradient whose largest entry is no larger has no direction."""
INWARDS = 1e-4
"""How far images are drawn into [0,1] to see whether a pixel lacks its gradient at the bound alone."""
UNBOUNDED = {"eps": 1.0, "step_size": 0.1, "steps": 20}
"""Every image lies within eps = 1 of every other."""


def diagnose(
    run: Callable[[], Verdicts], network: nn.Module, attack: Mapping[str, Any], split: Split, *, seed: int
) -> tuple[Verdicts, dict[str, float]]:
    """The verdicts of PGD, and ``of_pgd``."""
    return run(), of_pgd(network, attack, split, seed=seed)


def of_pgd(network: nn.Module, attack: Mapping[str, Any], split: Split, *, seed: int) -> dict[str, float]:
    """The measurements that show masked gradients, for a cell of PGD under the settings ``attack`` on ``split``.

    random_share         share of the first FEW images for which a logit changes by more than SHIFT from one forward to
                         the next
    zero_gradient_share  share of the images whose gradient of the cross-entropy is 0 (at most VANISHED in any pixel)
    clamped_share        share of the pixels at exactly 0 or 1 whose gradient is exactly 0, and is not once the image is
                         drawn in by INWARDS: so it is where a network clamps its images. Over those of the first SOME
                         images that have a gradient elsewhere
    loss_rise            the gain of the mean cross-entropy in the last tenth of the steps, as a share of its gain from
                         the clean images to the last step: 0.1 for a loss that grows evenly; measured on the first
                         SOME images, from the evaluation's own starts
    accuracy_at_eps_1    per cent of the first FEW images that an attack without a bound leaves right
    classes              of the network
    chance               100 / classes, in per cent
    """
    split = split.first(attack["images"])
    of_forwards = streams.global_stream(seed, "diagnostics", "forward")
    with of_forwards, attack_mode(network), finite("diagnostics", network):
        with torch.no_grad():
            classes = network(to_unit(split.images[:1])).shape[1]
        return {
            "random_share": _random(network, split.first(min(FEW, len(split)))),
            "zero_gradient_share": _zero_gradients(network, split) / len(split),
            "clamped_share": _clamped(network, split.first(min(SOME, len(split)))),
            "loss_rise": _loss_rise(network, attack, split.first(min(SOME, len(split))), seed),
            "accuracy_at_eps_1": _unbounded(network, split.first(min(FEW, len(split))), seed),
            "classes": classes,
            "chance": 100 / classes,
        }


def _random(network: nn.Module, split: Split) -> float:
    def moved(piece: slice) -> int:
        x = to_unit(split.images[piece])
        with torch.no_grad():
            return int(((network(x) - network(x)).abs().amax(1) > SHIFT).sum())

    return sum(in_pieces(moved, len(split))) / len(split)


def _zero_gradients(network: nn.Module, split: Split) -> int:
    def vanished(piece: slice) -> int:
        gradient = input_gradient(network, to_unit(split.images[piece]), split.labels[piece])
        return int((~(gradient.abs().flatten(1).amax(1) > VANISHED)).sum())  # written so that NaN has vanished, too

    return sum(in_pieces(vanished, len(split)))


def _clamped(network: nn.Module, split: Split) -> float:
    def counted(piece: slice) -> tuple[int, int]:
        x, y = to_unit(split.images[piece]), split.labels[piece]
        bound = (x == 0) | (x == 1)
        alive = input_gradient(network, x, y) != 0
        bound &= (alive & ~bound).flatten(1).any(1).reshape(-1, 1, 1, 1)
        inside = input_gradient(network, x.clamp(INWARDS, 1 - INWARDS), y) != 0
        return int((bound & ~alive & inside).sum()), int(bound.sum())

    still, pixels = map(sum, zip(*in_pieces(counted, len(split)), strict=True))
    return still / pixels if pixels else 0.0


def _loss_rise(network: nn.Module, attack: Mapping[str, Any], split: Split, seed: int) -> float:
    eps, step_size, steps = number(attack["eps"]), number(attack["step_size"]), attack["steps"]
    last = min(steps, max(1, steps // 10))
    starts = pgd.draw(split.pixels(), eps=eps, generator=streams.generator(seed, "evaluate", "pgd"))

    def losses(piece: slice) -> tuple[float, float, float]:
        x, y = to_unit(split.images[piece]), split.labels[piece]
        go_on = partial(pgd.attack, network, x, y, eps=eps, step_size=step_size)
        before = go_on(steps=steps - last, start=starts[piece], clamp_start=attack["clamp_start"])
        end = go_on(steps=last, start=before)
        return _loss(network, x, y), _loss(network, before, y), _loss(network, end, y)

    clean, before, end = map(sum, zip(*in_pieces(losses, len(split)), strict=True))
    return (end - before) / (end - clean) if end > clean else 0.0


def _loss(network: nn.Module, x: Tensor, y: Tensor) -> float:
    """Cross-entropy summed over the images."""
    with torch.no_grad():
        return functional.cross_entropy(network(x).double(), y, reduction="sum").item()


def _unbounded(network: nn.Module, split: Split, seed: int) -> float:
    source = streams.generator(seed, "diagnostics", "pgd")
    starts = pgd.draw(split.pixels(), eps=UNBOUNDED["eps"], generator=source)

    def withstand(piece: slice) -> int:
        x, y = to_unit(split.images[piece]), split.labels[piece]
        x_adv = pgd.attack(network, x, y, **UNBOUNDED, start=starts[piece], clamp_start=True)  # type: ignore[arg-type]
        with torch.no_grad():
            return int((network(x_adv).argmax(1) == y).sum())

    return 100 * sum(in_pieces(withstand, len(split))) / len(split)
