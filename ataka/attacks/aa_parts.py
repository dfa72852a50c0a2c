"""What the kinds of AutoAttack share: chunks, the package, its components one by one, a state to resume from.

The attacks come from ``pyautoattack`` or, without it, upstream's ``autoattack``. AutoAttack's verdicts depend on how
the test set is cut: its random numbers are drawn for the images that are left in a batch. So the cut is part of the
attack: chunk c is the images [c * chunk, (c + 1) * chunk), is attacked by itself with the seed ``chunk_seed(seed, c)``,
and is the unit of sharding. Within a chunk the components run one by one on the images that still stand, so that an
interrupted chunk goes on at a ``Point``; the packages' own loop, whose bits these are, can't.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, ClassVar, Literal, TypedDict, TypeVar

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ataka.attacks import aa_log
from ataka.attacks.acceleration import accelerated
from ataka.attacks.finite import finite
from ataka.attacks.mode import attack_mode
from ataka.errors import UserError, nearest
from ataka.streams import seed_of, undisturbed
from ataka.study.attacks import AttackOptions

# ---- the shortened version


class Cuts(TypedDict, total=False):
    """The settings of a shortened version: APGD's and FAB's iterations and targets, and Square's queries."""

    iterations: int | None
    target_classes: int | None
    queries: int | None


SHORTENED = {"iterations": 10, "target_classes": 3, "queries": 100}
"""``Cuts`` where a shortened version isn't given its own."""


class CutOptions(AttackOptions):
    """Chunks, and the three numbers that the version "shortened" needs and no other has; for Options with a version."""

    chunk: int = Field(128, ge=1, description="images a chunk; part of the result, see docs/reproducibility.md")
    iterations: int | None = Field(None, ge=1, description="shortened only: steps of APGD and FAB")
    target_classes: int | None = Field(None, ge=1, description="shortened only: targets of APGD-T and FAB-T")
    queries: int | None = Field(None, ge=1, description="shortened only: queries of Square")

    @model_validator(mode="after")
    def _shortened_says_how(self) -> "CutOptions":
        version: str = self.version  # type: ignore[attr-defined]
        given = [name for name in SHORTENED if getattr(self, name) is not None]
        if version != "shortened" and given:
            raise ValueError(f"{given[0]} is for version: shortened; the {version} version has no such setting")
        if version == "shortened" and len(given) < len(SHORTENED):
            raise ValueError("version: shortened needs iterations, target_classes and queries")
        return self


def caveat(version: str, name: str) -> str:
    """The caption's warning of a version of the attack ``name`` that is cut short; "" for another version."""
    cuts = "{iterations} iterations, {target_classes} target classes, {queries} queries"
    return "{heading}: " + name + " cut short (" + cuts + "), weaker than it is." if version == "shortened" else ""


def settings_of(version: str, cuts: Mapping[str, Any], *, whole: str = "standard") -> dict[str, int] | None:
    """The shortened version's settings; None for the ``whole`` one, which has none. UserError for another version."""
    given = {name: value for name, value in cuts.items() if value is not None}
    if version == whole:
        if given:
            raise UserError(f"AutoAttack's {whole} version can't be cut, but got {', '.join(given)}")
        return None
    if version != "shortened":
        raise UserError(f"there is no AutoAttack version '{version}'{nearest(version, (whole, 'shortened'))}")
    return SHORTENED | given


# ---- chunks


def chunk_seed(seed: int, index: int) -> int:
    """The seed of chunk ``index``: that of the stream "autoattack", index, under the root ``seed``."""
    return seed_of(seed, "autoattack", index)


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


# ---- the package


def package() -> ModuleType:
    """UserError where neither is installed."""
    for name in ("pyautoattack", "autoattack"):
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:  # it is there, but something that it needs is not
                raise
    raise UserError("AutoAttack is not installed: pip install pyautoattack")


@contextmanager
def attacked(
    model: nn.Module,
    x: Tensor,
    *,
    norm: Literal["Linf", "L2"],
    eps: float,
    seed: int,
    version: Literal["standard", "plus"] = "standard",
    settings: Mapping[str, int] | None = None,
    least: int = 4,
) -> Iterator[Any]:
    """A context in which AutoAttack's own object, its value, attacks ``model``, cut down to ``settings``.

    In ``attack_mode``, the global generators left as they were. UserError for fewer classes than the ``least`` that a
    loss needs.
    """
    with attack_mode(model), undisturbed():
        with torch.no_grad():
            classes: int = model(x[:1]).shape[1]
        if classes < least:
            raise UserError(f"AutoAttack's DLR loss needs {least} classes or more, the network has {classes}")
        made_by = package()
        quiet = {"verbose": False} if made_by.__name__ == "autoattack" else {}
        adversary = made_by.AutoAttack(model, norm=norm, eps=eps, seed=seed, version=version, device=x.device, **quiet)
        adjust(adversary, classes, settings)
        yield adversary


def adjust(adversary: Any, classes: int, settings: Mapping[str, int] | None) -> None:
    """Target no more classes than there are (FAB would fail); apply the shortened version's settings."""
    targets = min(9, classes - 1, *([settings["target_classes"]] if settings else []))
    adversary.apgd_targeted.n_target_classes = adversary.fab.n_target_classes = targets
    if settings is None:
        return
    adversary.apgd.n_restarts = adversary.apgd_targeted.n_restarts = adversary.fab.n_restarts = 1
    adversary.square.n_queries = settings["queries"]
    iterations = adversary.fab.n_iter = settings["iterations"]
    for apgd in (adversary.apgd, adversary.apgd_targeted):
        # APGD works out its checkpoints once, from the iterations that it was made with.
        apgd.n_iter = apgd.n_iter_orig = iterations
        apgd.n_iter_2 = max(int(0.22 * iterations), 1)
        apgd.n_iter_min = max(int(0.06 * iterations), 1)
        apgd.size_decr = max(int(0.03 * iterations), 1)


def component(adversary: Any, name: str, *, seed: int, restarts: int = 1) -> Any:
    """The component ``name``, as run_standard_evaluation sets it up, whichever ran before; each seeds itself.

    ``restarts`` are those of untargeted FAB; targeted FAB has one.
    """
    if name in ("fab", "fab-t"):
        adversary.fab.targeted, adversary.fab.n_restarts = name == "fab-t", 1 if name == "fab-t" else restarts
    if name in ("apgd-ce", "apgd-dlr"):
        adversary.apgd.loss = name.removeprefix("apgd-")
    places = {"apgd-ce": "apgd", "apgd-dlr": "apgd", "apgd-t": "apgd_targeted", "fab-t": "fab"}
    found = getattr(adversary, places.get(name, name))
    found.seed = seed
    return found


# ---- the loop over a chunk


@dataclass(frozen=True)
class Point:
    """The state of a chunk after ``done`` of the COMPONENTS: x_adv (B,C,H,W), and which images stand, (B,) bool."""

    COMPONENTS: ClassVar[tuple[str, ...]]

    x_adv: Tensor
    standing: Tensor
    done: int
    before_square: int = 0
    """Images that stand when Square begins, the only component without gradients."""
    after_square: int = 0
    """Images that Square leaves standing."""
    warned: Mapping[str, int] = field(default_factory=dict)
    """The package's warnings in this chunk, and how often each came."""

    @property
    def message(self) -> str:
        """The component that runs next, for a person to read."""
        if self.done == len(self.COMPONENTS):
            return "the verdicts"
        return f"{self.COMPONENTS[self.done]} on {int(self.standing.sum())} of {len(self.standing)} images"

    @property
    def counts(self) -> dict[str, int]:
        """Each warning under its own name (``warnings_in``), and Square's images where it is a component."""
        of_square = {"before_square": self.before_square, "after_square": self.after_square}
        warned = {_WARNING + text: count for text, count in self.warned.items()}
        return (of_square if "square" in self.COMPONENTS else {}) | warned


_WARNING = "warning: "
P = TypeVar("P", bound=Point)


def warnings_in(counts: Mapping[str, int]) -> Counter[str]:
    """The warnings in the ``counts`` of points, and how often each came."""
    return Counter({text.removeprefix(_WARNING): counts[text] for text in counts if text.startswith(_WARNING)})


def ignore(point: Point) -> None:
    """A ``keep`` that drops the point."""


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
    """The loop of both packages' run_standard_evaluation over the chunk as one batch, from ``point`` on.

    ``component`` gives the package's object for each name in ``made.COMPONENTS``, set up and seeded. The plain network
    decides which images a component has fooled: the next component attacks the images that the network still gets
    right. Images that withstand all, or were misclassified to begin with, come back clean. ``keep`` is called with each
    point at which the chunk arrives, the last included.
    """
    x = x.contiguous()
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
    x_adv, standing, done = point.x_adv.clone(), point.standing.clone(), point.done + 1
    x_adv[left[fooled]] = images[fooled].detach()
    standing[left[fooled]] = False
    stand, next_name = int(standing.sum()), next(iter(point.COMPONENTS[done:]), "")
    before = stand if next_name == "square" else point.before_square
    after = stand if name == "square" else point.after_square
    return type(point)(x_adv, standing, done, before, after, dict(warned))
