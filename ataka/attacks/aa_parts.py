"""Parts that other kinds of AutoAttack share with ``aa``: options that cut it short, chunks, the loop over a chunk."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ataka.attacks import aa, aa_log
from ataka.attacks.acceleration import accelerated
from ataka.attacks.finite import finite
from ataka.attacks.mode import attack_mode
from ataka.errors import UserError
from ataka.streams import undisturbed
from ataka.study.attacks import AttackOptions


class CutOptions(AttackOptions):
    """Chunks, and the three numbers that the version "shortened" needs and no other has; for Options with a version."""

    chunk: int = Field(128, ge=1, description="images a chunk; part of the result, see docs/reproducibility.md")
    iterations: int | None = Field(None, ge=1, description="shortened only: steps of APGD and FAB")
    target_classes: int | None = Field(None, ge=1, description="shortened only: targets of APGD-T and FAB-T")
    queries: int | None = Field(None, ge=1, description="shortened only: queries of Square")

    @model_validator(mode="after")
    def _shortened_says_how(self) -> "CutOptions":
        version: str = self.version  # type: ignore[attr-defined]
        given = [name for name in aa.SHORTENED if getattr(self, name) is not None]
        if version != "shortened" and given:
            raise ValueError(f"{given[0]} is for version: shortened; the {version} version has no such setting")
        if version == "shortened" and len(given) < len(aa.SHORTENED):
            raise ValueError("version: shortened needs iterations, target_classes and queries")
        return self


def caveat(version: str, name: str) -> str:
    """The caption's warning of a version of the attack ``name`` that is cut short; "" for another version."""
    cuts = "{iterations} iterations, {target_classes} target classes, {queries} queries"
    return "{heading}: " + name + " cut short (" + cuts + "), weaker than it is." if version == "shortened" else ""


def in_chunks(
    attack_chunk: Callable[..., Tensor], model: nn.Module, x: Tensor, y: Tensor, *, chunk: int, **options: Any
) -> Tensor:
    """``attack_chunk`` on chunk after chunk of x (B,C,H,W), y (B,); ValueError for a chunk without images."""
    if chunk < 1:
        raise ValueError(f"AutoAttack: a chunk has at least one image, not {chunk}")
    pieces = zip(torch.split(x, chunk), torch.split(y, chunk), strict=True)
    return torch.cat(
        [attack_chunk(model, images, labels, index=index, **options) for index, (images, labels) in enumerate(pieces)]
    )


@contextmanager
def attacked(model: nn.Module, x: Tensor, *, least: int = 2) -> Iterator[int]:
    """A context in which the package attacks ``model``: in ``attack_mode``, the global generators left as they were.

    Its value is the number of classes; UserError where there are fewer than the ``least`` that a loss needs.
    """
    with attack_mode(model), undisturbed():
        with torch.no_grad():
            classes: int = model(x[:1]).shape[1]
        if classes < least:
            raise UserError(f"AutoAttack's DLR loss needs {least} classes or more here, the network has {classes}")
        yield classes


@dataclass(frozen=True)
class Point(aa.Point):
    """``aa.Point`` after ``done`` of the COMPONENTS."""

    COMPONENTS: ClassVar[tuple[str, ...]]
    after_square: int = 0
    """Images that Square leaves standing."""

    @property
    def message(self) -> str:
        """The component that runs next, for a person to read."""
        if self.done == len(self.COMPONENTS):
            return "the verdicts"
        return f"{self.COMPONENTS[self.done]} on {int(self.standing.sum())} of {len(self.standing)} images"

    @property
    def counts(self) -> dict[str, int]:
        """``aa.Point.counts``, and ``after_square``."""
        return super().counts | {"after_square": self.after_square}


P = TypeVar("P", bound=Point)


def run(
    kind: str,
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    component: Callable[[str], Any],
    made: type[P],
    point: P | None,
    keep: Callable[[P], None],
) -> Tensor:
    """The loop of run_standard_evaluation over a chunk as one batch, from ``point`` on, as ``aa`` has it.

    ``component`` gives the package's object for each name in ``made.COMPONENTS``, set up and seeded. Images that
    withstand all, or were misclassified to begin with, come back clean.
    """
    with torch.no_grad():
        if point is None:
            with finite(kind, model):
                point = made(x.clone(), model(x).max(1)[1] == y, 0)
        while point.done < len(made.COMPONENTS) and point.standing.any():
            keep(point)
            point = _after_the_next(kind, model, x, y, point, component)
        keep(point)
    return point.x_adv


def _after_the_next(kind: str, model: nn.Module, x: Tensor, y: Tensor, point: P, component: Callable[[str], Any]) -> P:
    """The point after one more component."""
    name, warned = point.COMPONENTS[point.done], Counter(point.warned)
    left = point.standing.nonzero().squeeze(1)
    with finite(f"{kind} ({name})", model), aa_log.heard(warned):
        with accelerated(model, images=x):
            images = component(name).perturb(x[left], y[left])
        fooled = model(images).max(1)[1] != y[left]
    x_adv, standing = point.x_adv.clone(), point.standing.clone()
    x_adv[left[fooled]] = images[fooled].detach()
    standing[left[fooled]] = False
    before, after = point.before_square, point.after_square
    if name == "square":
        before, after = len(left), int(standing.sum())
    return type(point)(x_adv, standing, point.done + 1, before, dict(warned), after)
