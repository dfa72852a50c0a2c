"""An evaluation by a function call: the loop, the attacks and the settings are those of a table's cell."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from ataka import datasets, networks, streams
from ataka.attacks.mode import attack_mode
from ataka.datasets.images import Split, to_unit
from ataka.errors import UserError
from ataka.evaluation import evaluate as run_attack
from ataka.files.cells import wilson
from ataka.library.images import Following, Judge
from ataka.study import Study, config
from ataka.study.config import DEFAULT_SCALE

Images = tuple[Tensor, Tensor]
"""Images (N,C,H,W), uint8 or float in [0,1], and labels (N,) int64."""
UNNAMED = {"network": {"label": "a network of others"}}
"""The methods of a study that trains nothing: no module of a method is loaded for them."""


@dataclass(frozen=True)
class Evaluation:
    """The outcome of an attack on N images, on the CPU."""

    attack: Mapping[str, Any]
    """The attack's kind, and every option."""
    x: Tensor
    """The images, (N,C,H,W) in [0,1]."""
    y: Tensor
    """Their labels, (N,)."""
    x_adv: Tensor
    """The adversarial images, (N,C,H,W) in [0,1]."""
    correct: Tensor
    """Whether an image is still classified correctly, (N,) bool."""

    @property
    def accuracy(self) -> float:
        """The share of the images that are classified correctly under the attack, in per cent."""
        return 100 * self.correct.float().mean().item()

    @property
    def interval(self) -> tuple[float, float]:
        """The 95 % Wilson interval of the accuracy, in per cent."""
        return wilson(int(self.correct.sum()), len(self.correct))

    def __str__(self) -> str:
        low, high = self.interval
        return f"{self.attack['kind']}: {self.accuracy:.2f} % [{low:.2f}, {high:.2f}] of {len(self.correct)} images"


def evaluate(
    network: nn.Module,
    attack: str = "pgd",
    data: str | Images = "cifar10",
    *,
    images: int | None = None,
    seed: int = 0,
    scale: str = DEFAULT_SCALE,
    eps: str | None = None,
    **options: Any,
) -> Evaluation:
    """Attack ``network`` on test images: the verdicts that the cell of a table has, and the adversarial images.

    ``network`` takes images (B,C,H,W) in [0,1] and gives float32 logits; it is left as it was. ``attack`` is a column
    of the tables, as ``clean``, ``fgsm``, ``pgd``, ``aa``, ``cw`` or ``fog``, under the settings of ``scale`` in
    config/: ``paper`` has the paper's protocol. ``eps``, as "8/255", and ``options``, as ``steps=40``, change these
    settings. ``data`` is a data set's name, or images and labels of yours; the first ``images`` of them are attacked.

    Raises UserError for an unknown name or setting, for data that is not there, for a number of images that the data
    doesn't have, for a network that gives no float32 logits of the data set's classes, and for one without a gradient
    to its images, unless these stay clean; NotFinite where logits or gradients are not finite.
    """
    if not isinstance(network, nn.Module):
        raise UserError(
            f"network: an object of type {type(network).__name__}; give an nn.Module, as ataka.load returns"
        )
    study = _study(scale, attack, eps, options)
    device = next((parameter.device for parameter in network.parameters()), torch.device("cpu"))
    if isinstance(data, str):
        facts = study.dataset(data).specification
        networks.require_logits(network, type(network).__name__, facts, device=device)
        entry, split = study.attack_on(attack, data), test_split(study, data)
    else:
        entry, split = study.attack(attack), _split(*data)
    if images is not None:
        _require_images(images, split)
        entry = replace(entry, options={**entry.options, "images": images})
    split = split.first(entry.images)
    if entry.climbs:
        require_gradient(network, type(network).__name__, split.to(device))
    kept: dict[int, Tensor] = {}
    judge = Judge(network, lambda place, x_adv: kept.update({place: x_adv.cpu()}))
    verdicts = run_attack(
        judge,
        entry.settings,
        split.to(device),
        seed=seed,
        progress=Following("", judge),
        attacked=network,
    )
    x_adv = torch.cat([kept[place] for place in sorted(kept)])
    return Evaluation(entry.settings, to_unit(split.images), split.labels, x_adv, verdicts.correct)


def test_split(study: Study, dataset: str) -> Split:
    """The test images of ``dataset``, as a study's cells see them; UserError if files are missing or damaged."""
    _, (images, labels) = study.dataset(dataset).load(datasets.archive_folder(study.data.folder))
    return Split(images, labels).first(study.data.test)


def require_gradient(network: nn.Module, name: str, split: Split) -> None:
    """UserError unless autograd can follow from the logits of ``network`` to images of ``split``, as attacks do."""
    images = to_unit(split.images[:2]).requires_grad_()
    with streams.undisturbed(), attack_mode(network), torch.enable_grad():
        followed = network(images).requires_grad
    if not followed:
        raise UserError(
            f"{name}: no gradient leads from its logits to its images, and attacks need one: does it compute under "
            "torch.no_grad() or torch.inference_mode(), or detach a tensor?"
        )


def _require_images(images: int, split: Split) -> None:
    """UserError unless the first ``images`` of ``split`` can be attacked."""
    if not 1 <= images <= len(split):
        raise UserError(f"images: {images} are asked for, but there are {len(split)}; give a number from 1 on, or none")


def _study(scale: str, attack: str, eps: str | None, options: Mapping[str, Any]) -> Study:
    known = config.load(scale, methods=UNNAMED)
    known.attack(attack)  # refuses an unknown name, and says the nearest
    changes: dict[str, Any] = {"attacks": {attack: options}}
    return config.load(scale, changes | ({"eps": eps} if eps else {}), methods=UNNAMED)


def _split(images: Tensor, labels: Tensor) -> Split:
    """Images as a study stores them, in 256 levels; UserError for others, since attacks start from such images."""
    if images.dtype != torch.uint8:
        levels = images.mul(255).round()
        if not (levels / 255).sub(images).abs().max() < 1e-6 or levels.min() < 0 or levels.max() > 255:
            raise UserError("images: give them as uint8, or as whole multiples of 1/255 in [0, 1]")
        images = levels.to(torch.uint8)
    return Split(images.cpu(), labels.cpu())
