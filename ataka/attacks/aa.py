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

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import import_module
from types import ModuleType
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ataka.attacks.check import checked
from ataka.attacks.mode import attack_mode
from ataka.errors import UserError, nearest
from ataka.streams import seed_of

Version = Literal["standard", "shortened"]

COMPONENTS = ("apgd-ce", "apgd-t", "fab-t", "square")
SHORTENED = {"iterations": 10, "target_classes": 3, "queries": 100}
"""What ``options`` may set: APGD's and FAB's iterations and targets, Square's queries."""


@dataclass(frozen=True)
class Point:
    """Where a chunk stands when ``done`` components have run: x_adv (B,C,H,W), and which images stand, (B,) bool."""

    x_adv: Tensor
    standing: Tensor
    done: int

    @property
    def next(self) -> str:
        """What runs now, for a person to read."""
        if self.done == len(COMPONENTS):
            return "done"
        return f"{COMPONENTS[self.done]} on {int(self.standing.sum())} of {len(self.standing)} images"


def _ignore(point: Point) -> None:
    """Where nobody keeps it."""


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
    options: Mapping[str, int] | None = None,
) -> Tensor:
    """AutoAttack's images for x (B,C,H,W), y (B,), in chunks of ``chunk``: a function of (seed, chunk) alone.

    Images that it does not fool, or that were misclassified to begin with, come back clean. Raises UserError
    when no AutoAttack is installed, for fewer than 4 classes, and for options that the version does not have.
    """
    if chunk < 1:
        raise ValueError(f"aa: a chunk has at least one image, not {chunk}")
    pieces = zip(torch.split(x, chunk), torch.split(y, chunk), strict=True)
    return torch.cat(
        [
            attack_chunk(model, images, labels, eps=eps, seed=seed, index=index, version=version, options=options)
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
    options: Mapping[str, int] | None = None,
    point: Point | None = None,
    keep: Callable[[Point], None] = _ignore,
) -> Tensor:
    """Chunk ``index`` of ``attack``, whose images are x; the same by whomever and in whatever order.

    ``keep`` is shown each point at which the chunk arrives; from such a ``point`` it goes on as if nothing had been.
    """
    settings = _settings(version, options)
    if eps == 0:  # Square would look for ever for a change that shows
        return x.detach()
    with attack_mode(model), _undisturbed():
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


def _settings(version: str, options: Mapping[str, int] | None) -> dict[str, int] | None:
    """The shortened version's settings; None for the standard one, which has none."""
    if version == "standard":
        if options:
            raise UserError(f"AutoAttack's standard version has no options, but got {', '.join(options)}")
        return None
    if version != "shortened":
        raise UserError(f"there is no AutoAttack version '{version}'{nearest(version, ('standard', 'shortened'))}")
    for key in options or {}:
        if key not in SHORTENED:
            raise UserError(f"the shortened AutoAttack has no option '{key}'{nearest(key, SHORTENED)}")
    return {**SHORTENED, **(options or {})}


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
    """The loop of both packages' run_standard_evaluation over the chunk as one batch, from ``point`` on."""
    with torch.no_grad():
        if point is None:
            point = Point(x.clone(), model(x).max(1)[1] == y, 0)
        while point.done < len(COMPONENTS) and point.standing.any():
            keep(point)
            left = point.standing.nonzero().squeeze(1)
            found = _component(adversary, COMPONENTS[point.done], seed).perturb(x[left], y[left])
            fooled = model(found).max(1)[1] != y[left]
            x_adv, standing = point.x_adv.clone(), point.standing.clone()
            x_adv[left[fooled]] = found[fooled].detach()
            standing[left[fooled]] = False
            point = Point(x_adv, standing, point.done + 1)
    return point.x_adv


def _component(adversary: Any, name: str, seed: int) -> Any:
    """One of the four, as run_standard_evaluation sets it up; each seeds itself."""
    if name == "fab-t":
        adversary.fab.targeted, adversary.fab.n_restarts = True, 1
    if name == "apgd-ce":
        adversary.apgd.loss = "ce"
    places = {"apgd-ce": "apgd", "apgd-t": "apgd_targeted", "fab-t": "fab"}
    component = getattr(adversary, places.get(name, name))
    component.seed = seed
    return component


@contextmanager
def _undisturbed() -> Iterator[None]:
    """Put back what AutoAttack changes for the process: torch's seeds."""
    devices = range(torch.cuda.device_count()) if torch.cuda.is_initialized() else ()  # type: ignore[no-untyped-call]
    with torch.random.fork_rng(devices=devices):
        yield
