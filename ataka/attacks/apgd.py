"""APGD (Croce and Hein, 2020), AutoAttack's projected gradient descent without a step size, by itself.

From the package that ``aa`` uses, on the cross-entropy (``loss="ce"``), the difference of logits ratio (``"dlr"``), or
its targeted version (``"targeted"``), which is AutoAttack's APGD-T: up to ``target_classes`` other classes, the
likeliest first. In chunks and with the seeds of ``aa``: with one restart and 100 iterations, "ce" has the images of
AutoAttack's first component. An image that has fallen is not attacked again.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from ataka.attacks import aa, aa_parts, restarts
from ataka.attacks.check import checked
from ataka.study.attacks import AttackOptions
from ataka.study.fields import Budget

LABEL = "APGD"
BEATS = ("fgsm", "clean")
CHECKS = tuple(check for check in aa.CHECKS if check.name in ("subset", "warning"))
DIAGNOSIS = aa.DIAGNOSIS

Objective = Literal["ce", "dlr", "targeted"]
CLASSES = {"ce": 2, "dlr": 3, "targeted": 4}
"""The fewest classes that a loss needs."""


class Options(AttackOptions):
    """AutoAttack's APGD alone, on the cross-entropy, the DLR loss, or the targeted DLR loss."""

    eps: Budget
    loss: Objective = Field("ce", description="ce: cross-entropy; dlr: DLR; targeted: targeted DLR, class by class")
    iterations: int = Field(100, ge=1, description="gradients after the first, of each restart and target")
    restarts: int = Field(1, ge=1, description="random starts of an image, for each target")
    target_classes: int = Field(9, ge=1, description="targeted only: classes; all others, if there are fewer")
    chunk: int = Field(128, ge=1, description="images a chunk; part of the result, see docs/reproducibility.md")


def sentence(options: Options) -> str:
    """The sentence below a table: the loss, the iterations, and the restarts if there are several."""
    losses = {"ce": "the cross-entropy", "dlr": "the DLR loss", "targeted": "the DLR loss of {target_classes} targets"}
    starts = ", {restarts} random starts" if options.restarts > 1 else ""
    return "{heading}: APGD on " + losses[options.loss] + ", {iterations} iterations" + starts + "."


def forwards(options: Options) -> float:
    """Forwards of the network for an image, over all restarts and targets, with the forward that judges the image."""
    return restarts.forwards(options.iterations + 1, options.restarts * _targets(options)) + 1


def _targets(options: Options) -> int:
    return options.target_classes if options.loss == "targeted" else 1


@dataclass(frozen=True)
class Point(aa_parts.Point):
    """Whether APGD has run on the chunk, and what it warned of."""

    COMPONENTS: ClassVar[tuple[str, ...]] = ("apgd",)


@checked()
def attack(model: nn.Module, x: Tensor, y: Tensor, *, eps: float, seed: int, chunk: int, **options: Any) -> Tensor:
    """``attack_chunk`` on ``chunk`` images a time, for x (B,C,H,W) with labels y (B,)."""
    return aa_parts.in_chunks(attack_chunk, model, x, y, chunk=chunk, eps=eps, seed=seed, **options)


@checked()
def attack_chunk(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    seed: int,
    index: int,
    loss: Objective = "ce",
    iterations: int = 100,
    restarts: int = 1,
    target_classes: int = 9,
    point: Point | None = None,
    keep: Callable[[Point], None] = aa_parts.ignore,
) -> Tensor:
    """APGD's images (B,C,H,W) for x (B,C,H,W) with labels y (B,), for chunk ``index``.

    ``eps`` is in pixel units of [0,1]; ``point`` and ``keep`` are as in ``aa``.

    Images that it doesn't fool, or that were misclassified to begin with, come back clean. Raises UserError when no
    AutoAttack is installed and for fewer classes than the loss needs, ValueError for an unknown loss.
    """
    if loss not in CLASSES:
        raise ValueError(f"apgd: loss is one of {', '.join(CLASSES)}, not {loss!r}")
    if eps == 0:
        return x.detach()
    own_seed = aa_parts.chunk_seed(seed, index)
    settings = aa_parts.SHORTENED | {"iterations": iterations, "target_classes": target_classes}
    with aa_parts.attacked(
        model, x, norm="Linf", eps=eps, seed=own_seed, settings=settings, least=CLASSES[loss]
    ) as adversary:

        def component(_name: str) -> Any:
            apgd = aa_parts.component(adversary, "apgd-t" if loss == "targeted" else f"apgd-{loss}", seed=own_seed)
            apgd.n_restarts = restarts
            return apgd

        return aa_parts.run("apgd", model, x, y, component=component, made=Point, point=point, keep=keep)
