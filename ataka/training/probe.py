"""Catastrophic overfitting, seen by a short PGD on validation images as each epoch ends.

Adversarial training may lose, within an epoch or two, the robustness that the network had, while its clean accuracy
stays: it has learnt to fool its own attack (Wong, Rice and Kolter, "Fast is better than free", 2020, section 5.4).
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import exp, lgamma, log
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ataka import streams
from ataka.attacks import pgd
from ataka.attacks.mode import attack_mode
from ataka.datasets.images import Split, to_unit
from ataka.machine.memory import in_pieces
from ataka.study.fields import number

LEVEL = 1e-5
"""Of both tests of ``lost``. Were verdicts pure noise, drawn anew in each epoch, at most one training of 300 epochs in
300 would be stopped (tests/test_probe.py); real ones are of the same images and starts, and vary less."""
RECENT = 5
"""Epochs back that robustness may have been seen in: what fades over more of them was no sudden loss."""


@dataclass(frozen=True)
class Probe:
    """Images, and starts around them that are the same in every epoch and on every device."""

    images: Split
    starts: Tensor
    eps: float
    steps: int

    @classmethod
    def draw(cls, images: Split, *, eps: float, steps: int, seed: int) -> "Probe":
        """A stream of its own: no training's numbers change."""
        source = streams.generator(seed, "probe")
        return cls(images, pgd.draw(images.pixels(), eps=eps, generator=source), eps, steps)

    def look(self, network: nn.Module) -> tuple[int, int]:
        """How many images the network, left as it was, gets right: as they are, and after PGD with steps of eps / 4."""

        def right(piece: slice) -> tuple[int, int]:
            x, y = to_unit(self.images.images[piece]), self.images.labels[piece]
            step_size = self.eps / 4
            start = self.starts[piece]
            x_adv = pgd.attack(network, x, y, eps=self.eps, step_size=step_size, steps=self.steps, start=start)
            with torch.no_grad(), attack_mode(network):
                return int((network(x).argmax(1) == y).sum()), int((network(x_adv).argmax(1) == y).sum())

        clean, robust = (sum(found) for found in zip(*in_pieces(right, len(self.images)), strict=True))
        return clean, robust


def lost(past: Sequence[int], robust: int, clean: int, count: int, classes: int) -> int | None:
    """How many epochs ago the robustness was there that is lost now; None if none was lost.

    ``past``: how many of ``count`` images withstood PGD as each earlier epoch ended; ``robust`` do now, ``clean`` are
    right without it. Lost is what, in one of the RECENT epochs, was significantly above chance (binomial), of which at
    most a tenth is left, significantly less (McNemar, as if no image had withstood in both epochs: the most cautious
    that the counts allow), while as many images as withstood then are still right without an attack: a network that
    knows nothing any more has collapsed, and that is told by other means.
    """
    recent = past[-RECENT:]
    before = max(recent, default=0)
    if not 10 * robust <= before <= clean or before == 0:
        return None
    had = _tail(before, count, 1 / classes) <= LEVEL
    fell = _tail(before, before + robust, 1 / 2) <= LEVEL
    return 1 + recent[::-1].index(before) if had and fell else None


def _tail(least: int, count: int, chance: float) -> float:
    """P(X >= least), X binomial: scipy's sf(least - 1), whose import would cost every job a second."""
    ways = (lgamma(count + 1) - lgamma(hits + 1) - lgamma(count - hits + 1) for hits in range(least, count + 1))
    odds = (hits * log(chance) + (count - hits) * log(1 - chance) for hits in range(least, count + 1))
    return sum(map(exp, map(sum, zip(ways, odds, strict=True))))


class Settings(Protocol):
    """ataka.study.Probe."""

    @property
    def images(self) -> int: ...
    @property
    def steps(self) -> int: ...
    @property
    def overfitted(self) -> str: ...


class Probes:
    """A probe for each network of a training that has one of ``budgets``: the eps that it is trained within, or 0.

    With ``otherwise``, an eps, the networks that are trained within none are looked at too, and lose nothing.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        budgets: Sequence[float],
        images: Split | None,
        settings: Settings | None,
        *,
        seed: int,
        classes: int,
        otherwise: float = 0.0,
    ) -> None:
        self._classes = classes
        self._of: dict[str, tuple[nn.Module, Probe]] = {}
        self._robust: list[str] = []
        if images is None or settings is None:
            return
        few = images.first(min(settings.images, len(images)))
        for position, (network, eps) in enumerate(zip(networks, budgets, strict=True)):
            name = str(position) if len(networks) > 1 else ""
            if eps or otherwise:
                self._of[name] = network, Probe.draw(few, eps=eps or otherwise, steps=settings.steps, seed=seed)
            if eps:
                self._robust.append(name)

    def __bool__(self) -> bool:
        return bool(self._of)

    def columns(self) -> dict[str, float]:
        """For the history: per cent of the images that withstand PGD (``probe``) and that are right without it."""
        found: dict[str, float] = {}
        for name, (network, probe) in self._of.items():
            clean, robust = probe.look(network)
            found |= {f"probe{name}": 100 * robust / len(probe.images)}
            found |= {f"probe_clean{name}": 100 * clean / len(probe.images)}
        return found

    def robust(self, row: Mapping[str, float]) -> float:
        """The mean over the networks, in per cent, of an epoch's ``columns``."""
        return sum(row[f"probe{name}"] for name in self._of) / len(self._of)

    def overfitted(self, history: Sequence[Mapping[str, float]]) -> str | None:
        """What has been lost in the last epoch of ``history``, if it was catastrophic overfitting."""
        for name in self._robust:
            _, probe = self._of[name]
            count = len(probe.images)
            *past, robust = (round(row[f"probe{name}"] * count / 100) for row in history)
            clean = round(history[-1][f"probe_clean{name}"] * count / 100)
            ago = lost(past, robust, clean, count, self._classes)
            if ago is not None:
                which = f"network {name}" if name else "the network"
                return (
                    f"{which} has overfitted catastrophically: {past[-ago]} of {count} validation images withstood "
                    f"PGD-{probe.steps} within {probe.eps * 255:g}/255 in epoch {len(history) - ago}, {robust} do now, "
                    f"though {clean} are right without it"
                )
        return None


def budget(attack: Any) -> float:
    """The eps that an inner attack (``eps``, ``steps``), or a generator, attacks within; 0 where it takes no step.

    And where a generator's steps are not signed: whether those reach anywhere at all is the question of that reading.
    """
    signed = getattr(attack, "kind", "pgd") == "pgd" or attack.update == "sign"
    return number(attack.eps) if attack.steps and signed else 0.0
