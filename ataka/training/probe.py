"""A short PGD on validation images as each epoch ends: robustness for the history, and catastrophic overfitting.

Under ``images: all`` the training sees these images too. Catastrophic overfitting shows on them all the same: it loses
robustness on the training's own images as well.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from ataka import streams
from ataka.attacks import ascent
from ataka.attacks.finite import finite
from ataka.attacks.mode import attack_mode
from ataka.datasets.images import Split, to_unit
from ataka.machine.memory import in_pieces
from ataka.study import Probe as Settings
from ataka.training.failures import History, Overfitted
from ataka.training.meters import suffixes
from ataka.training.overfitting import lost


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
        return cls(images, ascent.draw(images.pixels(), eps=eps, generator=source), eps, steps)

    def look(self, network: nn.Module) -> tuple[int, int]:
        """The numbers of images right, clean and after PGD with steps of eps / 4; leaves the network as it was."""

        def right(piece: slice) -> tuple[int, int]:
            x, y = to_unit(self.images.images[piece]), self.images.labels[piece]
            step_size = self.eps / 4
            start = self.starts[piece]
            x_adv = ascent.ascend(network, x, y, eps=self.eps, step_size=step_size, steps=self.steps, start=start)
            with torch.no_grad(), attack_mode(network), finite("probe", network):
                return int((network(x).argmax(1) == y).sum()), int((network(x_adv).argmax(1) == y).sum())

        clean, robust = (sum(found) for found in zip(*in_pieces(right, len(self.images)), strict=True))
        return clean, robust


class Probes:
    """A probe for each network of a training that has one of ``budgets``: the eps that it is trained within, or 0.

    With ``otherwise``, an eps, the networks that are trained within none are looked at too, and lose nothing.
    """

    def __init__(
        self,
        networks: Sequence[nn.Module],
        budgets: Sequence[float],
        images: Split,
        settings: Settings,
        *,
        seed: int,
        classes: int,
        otherwise: float,
        last_step: int,
        say: Callable[[str], None],
    ) -> None:
        self._classes, self._last_step, self._say = classes, last_step, say
        self._stops = settings.overfitted == "stop"
        self._of: dict[str, tuple[nn.Module, Probe]] = {}
        self._robust: list[str] = []
        few = images.first(min(settings.images, len(images)))
        for name, network, eps in zip(suffixes(len(networks)), networks, budgets, strict=True):
            if eps or otherwise:
                self._of[name] = network, Probe.draw(few, eps=eps or otherwise, steps=settings.steps, seed=seed)
            if eps:
                self._robust.append(name)

    def end_epoch(self, history: History) -> None:
        """Add per cent of the images that withstand PGD (``probe``) and that are right without it (``probe_clean``).

        Raises Overfitted, or says it where the settings want it recorded; NotFinite where outputs overflow.
        """
        epoch, row = len(history), history[-1]
        for name, (network, probe) in self._of.items():
            clean, robust = probe.look(network)
            row[f"probe{name}"] = 100 * robust / len(probe.images)
            row[f"probe_clean{name}"] = 100 * clean / len(probe.images)
        if text := self.overfitted(history):
            overfitted = Overfitted(text, epoch, history, self._last_step)
            if self._stops:
                raise overfitted
            self._say(f"WARNING: {overfitted}; this is recorded, and the training goes on")

    def robust(self, row: Mapping[str, float]) -> float:
        """The mean over the networks, in per cent, of an epoch's row."""
        return sum(row[f"probe{name}"] for name in self._of) / len(self._of)

    def overfitted(self, history: Sequence[Mapping[str, float]]) -> str | None:
        """A message on catastrophic overfitting in the last epoch of ``history``; None where there is none."""
        for name in self._robust:
            _, probe = self._of[name]
            count = len(probe.images)
            *past, robust = (round(row[f"probe{name}"] * count / 100) for row in history)
            clean = round(history[-1][f"probe_clean{name}"] * count / 100)
            ago = lost(past, robust, clean, count, self._classes)
            if ago is not None:
                return _message(name, probe, past[-ago], len(history) - ago, robust, clean)
        return None


def _message(name: str, probe: Probe, before: int, epoch: int, robust: int, clean: int) -> str:
    """The message on the network ``name``: ``before`` images withstood the probe in ``epoch``, ``robust`` do now."""
    return (
        f"{f'network {name}' if name else 'the network'} has overfitted catastrophically: {before} of "
        f"the probe's {len(probe.images)} images withstood PGD-{probe.steps} within {probe.eps * 255:g}/255 in epoch "
        f"{epoch}, {robust} do now, though {clean} are right without it"
    )
