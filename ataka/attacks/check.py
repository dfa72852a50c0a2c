"""The one place where every attack's input and result is checked."""

import inspect
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, ParamSpec

import torch
from torch import Tensor, nn

from ataka.attacks.finite import finite
from ataka.attacks.mode import networks_of

P = ParamSpec("P")

TOLERANCE = 1e-6
"""A pixel may be this far beyond eps: x + eps is rounded to float32 (by 6e-8 near 1), so is the distance."""


class AttackError(RuntimeError):
    """An attack's result breaks its promise: a defect of the attack."""


def checked(*, linf: bool = True, name: str = "") -> Callable[[Callable[P, Tensor]], Callable[P, Tensor]]:
    """Decorate ``attack(model, x, y, *, ...)`` or ``attack(models, ...)``: check what goes in and comes out.

    With ``linf`` the argument ``eps``, where there is one, bounds the result's distance from ``x`` in l_inf.
    Attacks with a budget of their own (fog, an l_2 attack) pass ``linf=False``; their result must still be
    finite, in [0,1], and of the shape and dtype of ``x``, of which several ``models`` may return one each:
    (n, *x.shape). Messages call the attack ``name``, or else by its module.

    The decorated function raises ValueError for bad input, AttackError for a bad result, and NotFinite for a network
    whose logits or gradients were not finite.
    """

    def decorate(attack: Callable[P, Tensor]) -> Callable[P, Tensor]:
        signature = inspect.signature(attack)
        called = name or attack.__module__.rpartition(".")[2]

        @wraps(attack)
        def call(*args: P.args, **kwargs: P.kwargs) -> Tensor:
            bound = signature.bind(*args, **kwargs)
            bound.apply_defaults()
            given = bound.arguments
            _check_settings(called, given)
            highest_label = _check_input(called, given["x"], given["y"])
            networks = networks_of(next(iter(given.values())))
            with _check_logits(called, networks, highest_label), finite(called, *networks):
                x_adv = attack(*args, **kwargs).contiguous()  # a network may give a gradient another layout
            _check_result(called, x_adv, given["x"], given.get("eps") if linf else None)
            return x_adv

        call.__dict__["is_checked"] = True
        return call

    return decorate


def ensure_checked(attack: Callable[P, Tensor]) -> Callable[P, Tensor]:
    """``attack``, decorated with ``checked`` even where its author forgot to."""
    return attack if getattr(attack, "is_checked", False) else checked()(attack)


def _check_settings(name: str, given: Mapping[str, Any]) -> None:
    for key in ("eps", "step_size", "steps"):
        value = given.get(key)
        if value is not None and not 0 <= value < math.inf:
            raise ValueError(f"{name}: {key} must be finite and not negative, not {value}")


def _check_input(name: str, x: Tensor, y: Tensor) -> int:
    """The highest label, once x and y are found good; one transfer from the device."""
    if x.ndim != 4 or x.numel() == 0 or x.dtype not in (torch.float32, torch.float64):
        raise ValueError(f"{name}: x must be float32 images (B,C,H,W), not {x.dtype} of shape {tuple(x.shape)}")
    if y.shape != x.shape[:1] or y.dtype != torch.int64:
        raise ValueError(
            f"{name}: y must be {len(x)} int64 labels, one an image, not {y.dtype} of shape {tuple(y.shape)}"
        )
    extremes = [x.amin(), x.amax(), y.amin(), y.amax()]
    low, high, first, last = torch.stack([extreme.double() for extreme in extremes]).tolist()
    if not (low >= 0 and high <= 1):  # written so that NaN is refused too
        raise ValueError(f"{name}: x must be finite and in [0,1], but ranges from {low:g} to {high:g}")
    if first < 0:
        raise ValueError(f"{name}: y holds the negative label {int(first)}")
    return int(last)


@contextmanager
def _check_logits(name: str, networks: Sequence[nn.Module], highest_label: int) -> Iterator[None]:
    """Refuse a label that is no class of the network: on a GPU the loss itself would end the whole process.

    The number of classes is known from the first forward on, hence the hook; it reads shapes and never waits.
    """

    def check(_network: nn.Module, _images: Any, logits: Tensor) -> None:
        if logits.ndim != 2 or logits.shape[1] <= highest_label:
            raise ValueError(
                f"{name}: y holds the label {highest_label}, but the network's output is of shape {tuple(logits.shape)}"
            )

    handles = [network.register_forward_hook(check) for network in networks]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()


def _check_result(name: str, x_adv: Tensor, x: Tensor, eps: float | None) -> None:
    if x_adv.shape[-x.ndim :] != x.shape or x_adv.ndim > x.ndim + 1 or x_adv.dtype != x.dtype:
        raise AttackError(
            f"{name} returned {x_adv.dtype} of shape {tuple(x_adv.shape)} for {x.dtype} of shape {tuple(x.shape)}"
        )
    if x_adv.requires_grad:
        raise AttackError(f"{name} returned images that still hang on a graph: detach them")
    distance, low, high = torch.stack([(x_adv - x).abs().amax(), x_adv.amin(), x_adv.amax()]).tolist()
    if not all(map(math.isfinite, (distance, low, high))):
        raise AttackError(f"{name} returned a pixel that is not finite")
    if low < 0 or high > 1:
        raise AttackError(f"{name} left [0,1]: its pixels range from {low:.9g} to {high:.9g}")
    if eps is not None and distance > eps + TOLERANCE:
        raise AttackError(f"{name} left its budget: a pixel moved by {distance:.9g}, eps is {eps:.9g}")
