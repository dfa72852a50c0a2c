"""AutoAttack (Croce and Hein, 2020), from ``pyautoattack`` or, without it, upstream's ``autoattack``.

AutoAttack's verdicts depend on how the test set is cut: its random numbers are drawn for the images that are
left in a batch. So the cut is part of the attack: chunk c is the images [c * chunk, (c + 1) * chunk), is
attacked by itself with the seed ``chunk_seed(seed, c)``, and is the unit of sharding. Within a chunk the four
components run one by one on the images that still stand, so that an interrupted chunk goes on at a ``Point``; the
packages' own loop, whose bits these are, can't.

``version="standard"`` is AutoAttack's own: APGD-CE, targeted APGD-DLR and FAB (9 targets, or all there are),
Square with 5,000 queries. ``version="shortened"`` runs the same four with less patience, for tests: its
numbers are not AutoAttack's.
"""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

import torch
from pydantic import Field, model_validator
from torch import Tensor, nn

from ataka.attacks import aa_log
from ataka.attacks.acceleration import accelerated
from ataka.attacks.check import checked
from ataka.attacks.finite import finite
from ataka.attacks.mode import attack_mode
from ataka.errors import UserError, nearest
from ataka.streams import seed_of, undisturbed
from ataka.study.attacks import AttackOptions, Check
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
COMPONENTS = ("apgd-ce", "apgd-t", "fab-t", "square")
SHORTENED = {"iterations": 10, "target_classes": 3, "queries": 100}
"""APGD's and FAB's iterations and targets, and Square's queries, where the shortened version isn't given its own."""


class Options(AttackOptions):
    """AutoAttack in canonical chunks; ``shortened`` runs the same four components cut down, for smoke runs."""

    eps: Budget
    version: Version = reading(
        "standard",
        id="F3",
        sentence="AutoAttack (AA)",
        values={"standard": "APGD-CE, APGD-T, FAB-T, Square", "shortened": "the same cut short, for smoke runs"},
    )
    chunk: int = Field(128, ge=1, description="images a chunk; part of the result, see docs/reproducibility.md")
    iterations: int | None = Field(None, ge=1, description="shortened only: steps of APGD and FAB")
    target_classes: int | None = Field(None, ge=1, description="shortened only: targets of APGD-T and FAB-T")
    queries: int | None = Field(None, ge=1, description="shortened only: queries of Square")

    @model_validator(mode="after")
    def _shortened_says_how(self) -> "Options":
        given = [name for name in SHORTENED if getattr(self, name) is not None]
        if self.version == "standard" and given:
            raise ValueError(f"{given[0]} is for version: shortened; the standard version has no such setting")
        if self.version == "shortened" and len(given) < len(SHORTENED):
            raise ValueError("version: shortened needs iterations, target_classes and queries")
        return self


def sentence(options: Options) -> str:
    return "{heading}: AutoAttack, standard version." if options.version == "standard" else ""


def caveat(options: Options) -> str:
    if options.version == "standard":
        return ""
    cuts = "{iterations} iterations, {target_classes} target classes, {queries} queries"
    return "{heading}: AutoAttack cut short (" + cuts + "), weaker than the standard one."


def forwards(options: Options) -> float:
    """Forwards for an image: 10,000 in the standard version if the image stands (40% are taken to), 150 if it falls."""
    return 0.4 * 10_000 + 0.6 * 150 if options.version == "standard" else 100.0


def chunk_forwards(options: Options) -> float:
    """Forwards of a chunk, some of few images: the components go on for as long as one stands."""
    return 10_000.0 if options.version == "standard" else forwards(options)


@dataclass(frozen=True)
class Point:
    """The state of a chunk after ``done`` components: x_adv (B,C,H,W), and which images stand, (B,) bool."""

    x_adv: Tensor
    standing: Tensor
    done: int
    before_square: int = 0
    """Images that stand when Square begins, the only component without gradients."""
    warned: Mapping[str, int] = field(default_factory=dict)
    """The package's warnings in this chunk, and how often each came."""

    @property
    def message(self) -> str:
        """The component that runs next, for a person to read."""
        if self.done == len(COMPONENTS):
            return "the verdicts"
        return f"{COMPONENTS[self.done]} on {int(self.standing.sum())} of {len(self.standing)} images"

    @property
    def counts(self) -> dict[str, int]:
        """``before_square``, and each warning under its own name (``warnings_in``)."""
        return {"before_square": self.before_square} | {_WARNING + text: count for text, count in self.warned.items()}


_WARNING = "warning: "


def warnings_in(counts: Mapping[str, int]) -> Counter[str]:
    """The warnings in the ``counts`` of points, and how often each came."""
    return Counter({text.removeprefix(_WARNING): counts[text] for text in counts if text.startswith(_WARNING)})


def _ignore(point: Point) -> None:
    """A ``keep`` that drops the point."""


@checked()
def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    seed: int,
    chunk: int,
    version: Version = "standard",
    iterations: int | None = None,
    target_classes: int | None = None,
    queries: int | None = None,
) -> Tensor:
    """AutoAttack's images for x (B,C,H,W), y (B,), in chunks of ``chunk``: a function of (seed, chunk) alone.

    Images that it does not fool, or that were misclassified to begin with, come back clean. Raises UserError
    when no AutoAttack is installed, for fewer than 4 classes, and for a setting that the version does not have.
    """
    if chunk < 1:
        raise ValueError(f"aa: a chunk has at least one image, not {chunk}")
    cuts: dict[str, Any] = {"iterations": iterations, "target_classes": target_classes, "queries": queries}
    pieces = zip(torch.split(x, chunk), torch.split(y, chunk), strict=True)
    return torch.cat(
        [
            attack_chunk(model, images, labels, eps=eps, seed=seed, index=index, version=version, **cuts)
            for index, (images, labels) in enumerate(pieces)
        ]
    )


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
    iterations: int | None = None,
    target_classes: int | None = None,
    queries: int | None = None,
    point: Point | None = None,
    keep: Callable[[Point], None] = _ignore,
) -> Tensor:
    """Chunk ``index`` of ``attack``, whose images are x.

    The result doesn't depend on the process that runs the chunk, nor on the order of the chunks. ``keep`` is called
    with each point at which the chunk arrives, the last included. Given such a ``point``, the chunk resumes there, with
    the same result.
    """
    settings = _settings(version, {"iterations": iterations, "target_classes": target_classes, "queries": queries})
    if eps == 0:  # Square would look for ever for a change that shows
        return x.detach()
    with attack_mode(model), undisturbed():
        with torch.no_grad():
            classes = model(x[:1]).shape[1]
        if classes < 4:
            raise UserError(f"AutoAttack's DLR loss needs 4 classes or more, the network has {classes}")
        package = _package()
        arguments = {"norm": "Linf", "eps": eps, "seed": chunk_seed(seed, index), "device": x.device}
        adversary = _adversary(package, model, version, arguments)
        _adjust(adversary, classes, settings)
        return _run(model, adversary, x.contiguous(), y, chunk_seed(seed, index), point, keep)


def chunk_seed(seed: int, index: int) -> int:
    """The seed of chunk ``index``: that of the stream "autoattack", index, under the root ``seed``."""
    return seed_of(seed, "autoattack", index)


def _settings(version: str, cuts: Mapping[str, int | None]) -> dict[str, int] | None:
    """The shortened version's settings; None for the standard one, which has none."""
    given = {name: value for name, value in cuts.items() if value is not None}
    if version == "standard":
        if given:
            raise UserError(f"AutoAttack's standard version can't be cut, but got {', '.join(given)}")
        return None
    if version != "shortened":
        raise UserError(f"there is no AutoAttack version '{version}'{nearest(version, ('standard', 'shortened'))}")
    return SHORTENED | given


def _package() -> ModuleType:
    for name in ("pyautoattack", "autoattack"):
        try:
            return import_module(name)
        except ModuleNotFoundError as error:
            if error.name != name:  # it is there, but something that it needs is not
                raise
    raise UserError("AutoAttack is not installed: pip install pyautoattack")


def _is_upstream(package: ModuleType) -> bool:
    return package.__name__ == "autoattack"


def _adversary(package: ModuleType, model: nn.Module, version: Version, arguments: dict[str, Any]) -> Any:
    """AutoAttack's own object; the packages call the list of attacks by two names, and upstream prints."""
    upstream = _is_upstream(package)
    if upstream:
        arguments["verbose"] = False
    if version == "standard":
        return package.AutoAttack(model, version="standard", **arguments)
    arguments["attacks_to_run" if upstream else "attacks"] = list(COMPONENTS)
    return package.AutoAttack(model, version="custom", **arguments)


def _adjust(adversary: Any, classes: int, settings: Mapping[str, int] | None) -> None:
    """Target no more classes than there are (FAB would fail); apply the shortened version's settings."""
    targets = min(9, classes - 1, *([settings["target_classes"]] if settings else []))
    adversary.apgd_targeted.n_target_classes = adversary.fab.n_target_classes = targets
    if settings is None:
        return
    adversary.apgd.n_restarts = adversary.apgd_targeted.n_restarts = adversary.fab.n_restarts = 1  # custom: 5
    adversary.square.n_queries = settings["queries"]
    iterations = adversary.fab.n_iter = settings["iterations"]
    for apgd in (adversary.apgd, adversary.apgd_targeted):
        # APGD works out its checkpoints once, from the iterations that it was made with.
        apgd.n_iter = apgd.n_iter_orig = iterations
        apgd.n_iter_2 = max(int(0.22 * iterations), 1)
        apgd.n_iter_min = max(int(0.06 * iterations), 1)
        apgd.size_decr = max(int(0.03 * iterations), 1)


def _run(
    model: nn.Module,
    adversary: Any,
    x: Tensor,
    y: Tensor,
    seed: int,
    point: Point | None,
    keep: Callable[[Point], None],
) -> Tensor:
    """The loop of both packages' run_standard_evaluation over the chunk as one batch, from ``point`` on.

    The plain network decides which images a component has fooled: the next component attacks the images that the
    network still gets right.
    """
    with torch.no_grad():
        if point is None:
            with finite("aa", model):
                clean = model(x).max(1)[1]
            point = Point(x.clone(), clean == y, 0)
        while point.done < len(COMPONENTS) and point.standing.any():
            keep(point)
            point = _after_the_next(model, adversary, point, x, y, seed)
        keep(point)
    return point.x_adv


def _after_the_next(model: nn.Module, adversary: Any, point: Point, x: Tensor, y: Tensor, seed: int) -> Point:
    """The point after one more component."""
    name, warned = COMPONENTS[point.done], Counter(point.warned)
    left = point.standing.nonzero().squeeze(1)
    with finite(f"aa ({name})", model), aa_log.heard(warned):
        with accelerated(model, images=x):
            images = _component(adversary, name, seed).perturb(x[left], y[left])
        fooled = model(images).max(1)[1] != y[left]
    x_adv, standing, done = point.x_adv.clone(), point.standing.clone(), point.done + 1
    x_adv[left[fooled]] = images[fooled].detach()
    standing[left[fooled]] = False
    before = int(standing.sum()) if done == COMPONENTS.index("square") else point.before_square
    return Point(x_adv, standing, done, before, dict(warned))


def _component(adversary: Any, name: str, seed: int) -> Any:
    """The component ``name``, as run_standard_evaluation sets it up; each component seeds itself."""
    if name == "fab-t":
        adversary.fab.targeted, adversary.fab.n_restarts = True, 1
    if name == "apgd-ce":
        adversary.apgd.loss = "ce"
    places = {"apgd-ce": "apgd", "apgd-t": "apgd_targeted", "fab-t": "fab"}
    component = getattr(adversary, places.get(name, name))
    component.seed = seed
    return component
