"""A network under an attack: which test images does it still get right?"""

import inspect
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from ataka import attacks, streams
from ataka.attacks import attack_mode
from ataka.data import Split, to_unit
from ataka.progress import Progress
from ataka.settings import number

BATCH = 128
"""Images attacked at once; the results do not depend on it (AutoAttack has its own, canonical chunks)."""
_AMOUNTS = ("eps", "step_size")


@dataclass(frozen=True)
class Verdicts:
    """One bit an image, (N,) bool: still classified correctly. ``constant``: the same class predicted for all."""

    correct: Tensor
    constant: bool
    seconds: float

    @property
    def accuracy(self) -> float:
        """Per cent."""
        return 100 * self.correct.float().mean().item()


def evaluate(
    network: nn.Module,
    attack: Mapping[str, Any],
    split: Split,
    *,
    seed: int,
    progress: Progress | None = None,
) -> Verdicts:
    """Attack ``split`` (on the network's device) under the settings ``attack`` (ataka.study.Attack as a dict).

    Random starts are drawn for the whole split first, on the CPU, from the stream of ``seed`` and the attack's kind, so
    that the verdicts depend neither on BATCH nor on the device. The network is left exactly as it was found.
    """
    began = time.monotonic()
    progress = progress or Progress.silent()
    options: dict[str, Any] = {name: number(value) if name in _AMOUNTS else value for name, value in attack.items()}
    kind, count = options.pop("kind"), options.pop("images", None)
    split = split.first(count)
    size = BATCH
    if kind == "aa":
        size = options.pop("chunk")
        options = _autoattack(options)
    module = attacks.find(kind)
    start = None
    if hasattr(module, "draw"):
        source = streams.generator(seed, "evaluate", kind)
        named = {name: options[name] for name in inspect.signature(module.draw).parameters if name in options}
        start = module.draw(split.pixels(), generator=source, **named)
    correct, predicted = [], []
    progress.start(1, len(split))
    for index, offset in enumerate(range(0, len(split), size)):
        piece = slice(offset, offset + size)
        x, y = to_unit(split.images[piece]), split.labels[piece]
        if kind == "aa":
            x_adv = module.attack_chunk(network, x, y, seed=seed, index=index, **options)
        else:
            given = {} if start is None else {"start": start[piece]}
            x_adv = attacks.perturb(module, network, x, y, **options, **given)
        with torch.no_grad(), attack_mode(network):
            prediction = network(x_adv).argmax(1)
        predicted.append(prediction)
        correct.append(prediction == y)
        progress.step(len(x))
    predictions = torch.cat(predicted)
    return Verdicts(
        correct=torch.cat(correct).cpu(),
        constant=bool((predictions == predictions[0]).all()),
        seconds=time.monotonic() - began,
    )


def _autoattack(options: dict[str, Any]) -> dict[str, Any]:
    version = options.pop("version")
    cuts = {name: value for name, value in options.items() if name != "eps" and value is not None}
    return {"eps": options["eps"], "version": version, "options": cuts or None}
