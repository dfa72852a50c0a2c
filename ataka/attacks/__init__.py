"""Attacks: one file an attack, each a pure function ``attack(model, x, y, *, ...) -> x_adv``.

Images are float32 in [0,1], NCHW; labels int64; budgets in pixel units (8/255 is 0.03137...). An attack
leaves the network as it found it (``attack_mode``), asks only ``torch.autograd.grad(loss, x)``, takes its
random numbers from the generator it is handed, and has input and result checked (``checked``). An attack that
starts at random also offers ``draw``: the starts of a whole test set are drawn first, and the set may then be
cut at will.

A new attack is a new file here (or anywhere on the path, called by its dotted name) with such a function.
"""

import pkgutil
from collections.abc import Sequence
from importlib import import_module
from types import ModuleType
from typing import Any

from torch import Tensor, nn

from ataka.attacks.check import AttackError, checked, is_checked
from ataka.attacks.mode import attack_mode
from ataka.errors import UserError, nearest

__all__ = ["AttackError", "attack_mode", "checked", "find", "names", "perturb"]


def names() -> tuple[str, ...]:
    """The attacks that live in this package, found by being there, in alphabetical order."""
    found = [module.name for module in pkgutil.iter_modules(__path__)]
    return tuple(name for name in found if hasattr(import_module(f"{__name__}.{name}"), "attack"))


def find(name: str) -> ModuleType:
    """The module of the attack ``name``: one of ``names()``, or the dotted path of a third party's module.

    Raises UserError, naming the nearest attack, when there is none.
    """
    path = name if "." in name else f"{__name__}.{name}"
    try:
        module = import_module(path)
    except ModuleNotFoundError as error:
        if not f"{path}.".startswith(f"{error.name}."):  # it is there, but something that it needs is not
            raise
        raise UserError(f"there is no attack '{name}'{nearest(name, names())}") from error
    if not hasattr(module, "attack"):
        raise UserError(f"'{name}' has no function attack(model, x, y, *, ...){nearest(name, names())}")
    return module


def perturb(
    attack: str | ModuleType, model: nn.Module | Sequence[nn.Module], x: Tensor, y: Tensor, **options: Any
) -> Tensor:
    """``attack``'s images for ``x`` (B,C,H,W) and ``y`` (B,), checked even where its author forgot to.

    Raises UserError for an unknown attack, ValueError for bad input, AttackError for a result outside its
    budget.
    """
    function = (find(attack) if isinstance(attack, str) else attack).attack
    function = function if is_checked(function) else checked()(function)
    x_adv: Tensor = function(model, x, y, **options)
    return x_adv
