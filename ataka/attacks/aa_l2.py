"""AutoAttack within an l_2 ball: the package's own ``norm="L2"``, in chunks as ``aa``.

The components are those of l_inf, APGD-CE, targeted APGD-DLR, FAB and Square, each in its l_2 version. ``aa`` says how
the chunk is part of the result and how an interrupted chunk resumes; each chunk has the seed that ``aa`` gives it.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from ataka.attacks import aa, aa_parts
from ataka.attacks.aa import CHECKS as CHECKS
from ataka.attacks.check import checked
from ataka.errors import UserError
from ataka.study.fields import Factor

__all__ = ["BEATS", "CHECKS", "DIAGNOSIS", "LABEL", "Options", "Point", "attack", "attack_chunk", "caveat", "sentence"]

LABEL = "AA ℓ₂"
BEATS = ("pgd_l2", "clean")
DIAGNOSIS = aa.DIAGNOSIS

Version = Literal["standard", "shortened"]
SMALLEST = 5
"""Rows and columns: Square's first tiles in l_2 are a fifth as large."""


class Options(aa_parts.CutOptions):
    """AutoAttack within an l_2 ball; ``shortened`` runs the same four components cut down, for smoke runs."""

    radius: Factor = Field(description="how far in l_2 an image may go, as 0.5 or 128/255")
    version: Version = Field("standard", description="APGD-CE, APGD-T, FAB-T, Square; or the same cut short")


def sentence(options: Options) -> str:
    return "{heading}: AutoAttack, standard version, within {radius} in ℓ₂." if options.version == "standard" else ""


def caveat(options: Options) -> str:
    return aa_parts.caveat(options.version, "AutoAttack in ℓ₂")


def forwards(options: Options) -> float:
    """As ``aa``."""
    return 0.4 * 10_000 + 0.6 * 150 if options.version == "standard" else 100.0


def chunk_forwards(options: Options) -> float:
    """As ``aa``."""
    return 10_000.0 if options.version == "standard" else forwards(options)


@dataclass(frozen=True)
class Point(aa_parts.Point):
    """``aa.Point`` after ``done`` of the four components."""

    COMPONENTS: ClassVar[tuple[str, ...]] = aa.COMPONENTS


@checked(linf=False)
def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    radius: float,
    seed: int,
    chunk: int,
    version: Version = "standard",
    iterations: int | None = None,
    target_classes: int | None = None,
    queries: int | None = None,
) -> Tensor:
    """``attack_chunk`` on ``chunk`` images a time, for x (B,C,H,W) with labels y (B,)."""
    cuts = {"iterations": iterations, "target_classes": target_classes, "queries": queries}
    return aa_parts.in_chunks(attack_chunk, model, x, y, chunk=chunk, radius=radius, seed=seed, version=version, **cuts)


@checked(linf=False)
def attack_chunk(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    radius: float,
    seed: int,
    index: int,
    version: Version = "standard",
    iterations: int | None = None,
    target_classes: int | None = None,
    queries: int | None = None,
    point: Point | None = None,
    keep: Callable[[Point], None] = aa._ignore,
) -> Tensor:
    """AutoAttack's images within ``radius`` of x, chunk ``index``; ``point`` and ``keep`` as in ``aa``.

    Raises UserError when no AutoAttack is installed, for fewer than 4 classes, for images of fewer than 5 rows or
    columns, and for a setting that the version does not have; ValueError for a radius that is not above 0.
    """
    settings = aa._settings(version, {"iterations": iterations, "target_classes": target_classes, "queries": queries})
    chunks_seed = aa.chunk_seed(seed, index)
    if not 0 < radius < math.inf:
        raise ValueError(f"aa_l2: radius must be finite and above 0, not {radius}")
    if min(x.shape[2:]) < SMALLEST:
        raise UserError(f"AutoAttack's Square in l_2 needs images of {SMALLEST} x {SMALLEST} pixels or more")
    with aa_parts.attacked(model, x, least=4) as classes:
        arguments = {"norm": "L2", "eps": radius, "seed": chunks_seed, "device": x.device}
        adversary = aa._adversary(aa._package(), model, version, arguments)
        aa._adjust(adversary, classes, settings)
        component = partial(aa._component, adversary, seed=chunks_seed)
        return aa_parts.run("aa_l2", model, x.contiguous(), y, component=component, made=Point, point=point, keep=keep)
