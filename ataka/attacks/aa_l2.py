"""AutoAttack within an l_2 ball: the package's own ``norm="L2"``, in canonical chunks (``aa_parts``).

The components are those of l_inf, APGD-CE, targeted APGD-DLR, FAB and Square, each in its l_2 version.
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any, Literal, Unpack

from pydantic import Field
from torch import Tensor, nn

from ataka.attacks import aa_parts
from ataka.attacks.aa import CHECKS, DIAGNOSIS, Point, chunk_forwards, forwards
from ataka.attacks.check import checked
from ataka.errors import UserError
from ataka.study.fields import Factor

__all__ = ["CHECKS", "DIAGNOSIS", "Options", "Point", "attack", "attack_chunk", "caveat", "chunk_forwards", "forwards"]

LABEL = "AA ℓ₂"
BEATS = ("pgd_l2", "clean")

Version = Literal["standard", "shortened"]
SMALLEST = 5
"""Rows and columns: Square's first tiles in l_2 are a fifth as large."""


class Options(aa_parts.CutOptions):
    """AutoAttack within an l_2 ball; ``shortened`` runs the same four components cut down, for smoke runs."""

    radius: Factor = Field(description="how far in l_2 an image may go, as 0.5 or 128/255")
    version: Version = Field("standard", description="APGD-CE, APGD-T, FAB-T, Square; or the same cut short")


def sentence(options: Options) -> str:
    """The sentence below a table; empty for a shortened version, of which the caption warns."""
    return "{heading}: AutoAttack, standard version, within {radius} in ℓ₂." if options.version == "standard" else ""


def caveat(options: Options) -> str:
    """The caption's warning of a shortened version; empty for the standard version."""
    return aa_parts.caveat(options.version, "AutoAttack in ℓ₂")


@checked(linf=False)
def attack(model: nn.Module, x: Tensor, y: Tensor, *, radius: float, seed: int, chunk: int, **options: Any) -> Tensor:
    """``attack_chunk`` on ``chunk`` images a time, for x (B,C,H,W) with labels y (B,)."""
    return aa_parts.in_chunks(attack_chunk, model, x, y, chunk=chunk, radius=radius, seed=seed, **options)


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
    point: Point | None = None,
    keep: Callable[[Point], None] = aa_parts.ignore,
    **cuts: Unpack[aa_parts.Cuts],
) -> Tensor:
    """AutoAttack's images (B,C,H,W) within ``radius`` of x (B,C,H,W), with labels y (B,), for chunk ``index``.

    ``radius`` is an l_2 distance over all pixels in [0,1]; ``point`` and ``keep`` are as in ``aa``.

    Raises UserError when no AutoAttack is installed, for fewer than 4 classes, for images of fewer than 5 rows or
    columns, and for a setting that the version does not have; ValueError for a radius that is not above 0.
    """
    settings, own_seed = aa_parts.settings_of(version, cuts), aa_parts.chunk_seed(seed, index)
    if not 0 < radius < math.inf:
        raise ValueError(f"aa_l2: radius must be finite and above 0, not {radius}")
    if min(x.shape[2:]) < SMALLEST:
        raise UserError(f"AutoAttack's Square in l_2 needs images of {SMALLEST} x {SMALLEST} pixels or more")
    with aa_parts.attacked(model, x, norm="L2", eps=radius, seed=own_seed, settings=settings) as adversary:
        component = partial(aa_parts.component, adversary, seed=own_seed)
        return aa_parts.run("aa_l2", model, x, y, component=component, made=Point, point=point, keep=keep)
