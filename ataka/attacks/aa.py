"""AutoAttack (Croce and Hein, 2020) within an l_inf ball, in canonical chunks (``aa_parts``).

``version="standard"`` is AutoAttack's own: APGD-CE, targeted APGD-DLR and FAB (9 targets, or all there are),
Square with 5,000 queries. ``version="shortened"`` runs the same four with less patience, for tests: its
numbers are not AutoAttack's.
"""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any, ClassVar, Literal, Unpack

from torch import Tensor, nn

from ataka.attacks import aa_parts
from ataka.attacks.check import checked
from ataka.study.attacks import Check
from ataka.study.fields import Budget, reading

LABEL = "AA"
BEATS = ("pgd", "fgsm", "clean")
CHECKS = (
    Check(
        "subset",
        "counts as robust an image that is misclassified without any attack",
        "images",
        above=0,
        against="clean",
    ),
    Check(
        "square",
        "Square takes more than 0.2 points from what the white-box components leave",
        "square_gain",
        above=0.2,  # where AutoAttack itself warns
    ),
    Check("warning", "AutoAttack warns", "warned", above=0),
)
DIAGNOSIS = "ataka.attacks.aa_warnings"

Version = Literal["standard", "shortened"]


class Options(aa_parts.CutOptions):
    """AutoAttack in canonical chunks; ``shortened`` runs the same four components cut down, for smoke runs."""

    eps: Budget
    version: Version = reading(
        "standard",
        id="F3",
        sentence="AutoAttack (AA)",
        values={
            "standard": "APGD-CE, APGD-T, FAB-T, Square",
            "shortened": "the same components cut short, for smoke runs",
        },
    )


def sentence(options: Options) -> str:
    """The sentence below a table; empty for a shortened version, of which the caption warns."""
    return "{heading}: AutoAttack, standard version." if options.version == "standard" else ""


def caveat(options: Options) -> str:
    """The caption's warning of a shortened version; empty for the standard version."""
    return aa_parts.caveat(options.version, "AutoAttack")


def forwards(options: Options) -> float:
    """Forwards for an image: 10,000 in the standard version if the image stands (40% are taken to), 150 if it falls."""
    return 0.4 * 10_000 + 0.6 * 150 if options.version == "standard" else 100.0


def chunk_forwards(options: Options) -> float:
    """Forwards of a chunk, some of few images: the components go on for as long as one stands."""
    return 10_000.0 if options.version == "standard" else forwards(options)


@dataclass(frozen=True)
class Point(aa_parts.Point):
    """The state of a chunk after ``done`` of the four components."""

    COMPONENTS: ClassVar[tuple[str, ...]] = ("apgd-ce", "apgd-t", "fab-t", "square")


@checked()
def attack(model: nn.Module, x: Tensor, y: Tensor, *, eps: float, seed: int, chunk: int, **options: Any) -> Tensor:
    """``attack_chunk`` on ``chunk`` images a time: a function of (seed, chunk) alone."""
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
    version: Version = "standard",
    point: Point | None = None,
    keep: Callable[[Point], None] = aa_parts.ignore,
    **cuts: Unpack[aa_parts.Cuts],
) -> Tensor:
    """AutoAttack's images for x (B,C,H,W), y (B,), which are chunk ``index`` of the test set.

    Images that it does not fool, or that were misclassified to begin with, come back clean. The result doesn't depend
    on the process that runs the chunk, nor on the order of the chunks. ``keep`` is called with each point at which the
    chunk arrives, the last included. Given such a ``point``, the chunk resumes there, with the same result.

    Raises UserError when no AutoAttack is installed, for fewer than 4 classes, and for a setting that the version does
    not have.
    """
    settings, own_seed = aa_parts.settings_of(version, cuts), aa_parts.chunk_seed(seed, index)
    if eps == 0:  # Square would look for ever for a change that shows
        return x.detach()
    with aa_parts.attacked(model, x, norm="Linf", eps=eps, seed=own_seed, settings=settings) as adversary:
        component = partial(aa_parts.component, adversary, seed=own_seed)
        return aa_parts.run("aa", model, x, y, component=component, made=Point, point=point, keep=keep)
