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

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from types import ModuleType
from typing import Any, ClassVar, Literal

from pydantic import Field
from torch import Tensor, nn

from ataka.attacks import aa, aa_parts, aa_warnings
from ataka.attacks.aa import CHECKS as CHECKS
from ataka.attacks.check import checked
from ataka.attacks.verdicts import Verdicts
from ataka.datasets.images import Split
from ataka.study.fields import Budget

__all__ = ["CHECKS", "Options", "Point", "attack", "attack_chunk", "caveat", "diagnose", "sentence"]

LABEL = "AA+"
BEATS = ("aa", "apgd", "pgd_restarts", "pgd", "fgsm", "clean")
DIAGNOSIS = "ataka.attacks.aa_plus"

Version = Literal["plus", "shortened"]
RESTARTS = 5
"""Of APGD-CE, APGD-DLR and untargeted FAB."""


class Options(aa_parts.CutOptions):
    """AutoAttack plus in canonical chunks; ``shortened`` runs the same six components cut down, for smoke runs."""

    eps: Budget
    version: Version = Field("plus", description="the package's plus; or the same six components cut short")


def sentence(options: Options) -> str:
    return "{heading}: AutoAttack, version plus." if options.version == "plus" else ""


def caveat(options: Options) -> str:
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
    """``aa.Point`` after ``done`` of the six components."""

    COMPONENTS: ClassVar[tuple[str, ...]] = ("apgd-ce", "apgd-dlr", "fab", "square", "apgd-t", "fab-t")


@checked()
def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    seed: int,
    chunk: int,
    version: Version = "plus",
    iterations: int | None = None,
    target_classes: int | None = None,
    queries: int | None = None,
) -> Tensor:
    """``attack_chunk`` on ``chunk`` images a time, for x (B,C,H,W) with labels y (B,)."""
    cuts = {"iterations": iterations, "target_classes": target_classes, "queries": queries}
    return aa_parts.in_chunks(attack_chunk, model, x, y, chunk=chunk, eps=eps, seed=seed, version=version, **cuts)


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
    iterations: int | None = None,
    target_classes: int | None = None,
    queries: int | None = None,
    point: Point | None = None,
    keep: Callable[[Point], None] = aa._ignore,
) -> Tensor:
    """The images of AutoAttack plus for x, chunk ``index``; ``point`` and ``keep`` as in ``aa``.

    Raises UserError when no AutoAttack is installed, for fewer than 4 classes, and for a setting that the version does
    not have.
    """
    cuts = {"iterations": iterations, "target_classes": target_classes, "queries": queries}
    settings = aa._settings("standard" if version == "plus" else version, cuts)
    if eps == 0:  # Square would look for ever for a change that shows
        return x.detach()
    restarts, chunks_seed = 1 if settings else RESTARTS, aa.chunk_seed(seed, index)
    with aa_parts.attacked(model, x, least=4) as classes:
        arguments = {"norm": "Linf", "eps": eps, "seed": chunks_seed, "device": x.device}
        adversary = _adversary(aa._package(), model, arguments)
        aa._adjust(adversary, classes, settings)
        component = partial(_component, adversary, chunks_seed, restarts)
        return aa_parts.run(
            "aa_plus", model, x.contiguous(), y, component=component, made=Point, point=point, keep=keep
        )


def _adversary(package: ModuleType, model: nn.Module, arguments: dict[str, Any]) -> Any:
    """AutoAttack's own object; upstream prints."""
    quiet = {"verbose": False} if aa._is_upstream(package) else {}
    return package.AutoAttack(model, version="plus", **arguments, **quiet)


def _component(adversary: Any, seed: int, restarts: int, name: str) -> Any:
    """The component ``name``, as run_standard_evaluation sets it up, whichever ran before it."""
    if name in ("fab", "fab-t"):
        adversary.fab.targeted, adversary.fab.n_restarts = name == "fab-t", 1 if name == "fab-t" else restarts
    if name in ("apgd-ce", "apgd-dlr"):
        adversary.apgd.loss = name.removeprefix("apgd-")
    places = {"apgd-ce": "apgd", "apgd-dlr": "apgd", "apgd-t": "apgd_targeted", "fab-t": "fab"}
    component = getattr(adversary, places.get(name, name))
    component.seed = seed
    return component


def diagnose(
    run: Callable[[], Verdicts], network: nn.Module, attack: Mapping[str, Any], split: Split, *, seed: int
) -> tuple[Verdicts, dict[str, object]]:
    """The verdicts, and the columns of ``aa_warnings.diagnose``; Square's gain is that of its own place."""
    verdicts, columns = aa_warnings.diagnose(run, network, attack, split, seed=seed)
    gain = verdicts.counts["before_square"] - verdicts.counts["after_square"]
    return verdicts, columns | {"square_gain": 100 * gain / len(verdicts.correct)}
