"""AutoAttack plus (Croce and Hein, 2020): six components with restarts, from the package that ``aa`` uses.

APGD-CE and APGD-DLR with 5 restarts each, untargeted FAB with 5, Square with 5,000 queries, targeted APGD-DLR and FAB
(9 targets, or all there are), in this order, each on the images that still stand. ``aa`` says how the chunk is part of
the result and how an interrupted chunk resumes; each chunk has the seed that ``aa`` gives it, so that the images are
those of an AutoAttack object of the package's own that is made for the chunk. (The package's FAB-T leaves its object
with one restart, so that a second evaluation by the same object has an untargeted FAB of one restart.)

Square comes before the targeted components here. AutoAttack's own check of its gain, against the least that another
component leaves, sees nothing then; the check here compares the images that stand before and after Square.
``version="shortened"`` cuts the six components down, one restart each, for tests.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, Unpack

from pydantic import Field
from torch import Tensor, nn

from ataka.attacks import aa_parts
from ataka.attacks.aa import CHECKS, DIAGNOSIS
from ataka.attacks.check import checked
from ataka.study.fields import Budget

__all__ = ["CHECKS", "DIAGNOSIS", "Options", "Point", "attack", "attack_chunk", "caveat", "chunk_forwards", "forwards"]

LABEL = "AA+"
BEATS = ("aa", "apgd", "pgd_restarts", "pgd", "fgsm", "clean")

Version = Literal["plus", "shortened"]
RESTARTS = 5
"""Of APGD-CE, APGD-DLR and untargeted FAB."""


class Options(aa_parts.CutOptions):
    """AutoAttack plus in canonical chunks; ``shortened`` runs the same six components cut down, for smoke runs."""

    eps: Budget
    version: Version = Field("plus", description="the package's plus; or the same six components cut short")


def sentence(options: Options) -> str:
    """The sentence below a table; empty for a shortened version, of which the caption warns."""
    return "{heading}: AutoAttack, version plus." if options.version == "plus" else ""


def caveat(options: Options) -> str:
    """The caption's warning of a shortened version; empty for the version plus."""
    return aa_parts.caveat(options.version, "AutoAttack plus")


def forwards(options: Options) -> float:
    """Forwards for an image, if it stands (40% are taken to) or falls.

    It stands 1,000 gradients of APGD, 500 of FAB for each of 10 classes, 5,000 queries, and 900 of each targeted one.
    """
    return 0.4 * 20_000 + 0.6 * 150 if options.version == "plus" else 200.0


def chunk_forwards(options: Options) -> float:
    """Forwards of a chunk, some of few images: the components go on for as long as one stands."""
    return 20_000.0 if options.version == "plus" else forwards(options)


@dataclass(frozen=True)
class Point(aa_parts.Point):
    """The state of a chunk after ``done`` of the six components."""

    COMPONENTS: ClassVar[tuple[str, ...]] = ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t")


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
    version: Version = "plus",
    point: Point | None = None,
    keep: Callable[[Point], None] = aa_parts.ignore,
    **cuts: Unpack[aa_parts.Cuts],
) -> Tensor:
    """The images (B,C,H,W) of AutoAttack plus for x (B,C,H,W) with labels y (B,), for chunk ``index``.

    ``eps`` is in pixel units of [0,1]; ``point`` and ``keep`` are as in ``aa``.

    Raises UserError when no AutoAttack is installed, for fewer than 4 classes, and for a setting that the version does
    not have.
    """
    settings, own_seed = aa_parts.settings_of(version, cuts, whole="plus"), aa_parts.chunk_seed(seed, index)
    if eps == 0:  # Square would look for ever for a change that shows
        return x.detach()
    restarts = 1 if settings else RESTARTS
    with aa_parts.attacked(
        model, x, norm="Linf", eps=eps, seed=own_seed, version="plus", settings=settings
    ) as adversary:
        component = partial(aa_parts.component, adversary, seed=own_seed, restarts=restarts)
        return aa_parts.run("aa_plus", model, x, y, component=component, made=Point, point=point, keep=keep)
