"""psi: how the teachers' outputs become the student's target (eqs. 4 to 7), one module each.

A psi is a file of this folder, asked for by its name, or a module anywhere on the Python path, asked for by its dotted
name. `Psi` lists the contents of such a module. A method whose ``Options`` inherit `Amalgamation` lets its user choose.

This module imports no torch and no psi, so that settings are read cheaply and the code hash of one psi doesn't hold
the others. n teachers, B images, C classes.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pkgutil import iter_modules
from typing import TYPE_CHECKING, Annotated, Any, Literal, Protocol, cast, get_args

from pydantic import Field, ValidationInfo, field_validator

from ataka.errors import missing, nearest, reason, unknown
from ataka.library.lazy import psi as __getattr__  # noqa: F401 - ataka.psi.soft, imported or not
from ataka.study.fields import hyperparameters, nested

if TYPE_CHECKING:
    from torch import Tensor

Outputs = Literal["logits", "probabilities"]


class Psi(Protocol):
    """A psi's module. Where its target is an average of the teachers, it may offer ``weights``, lambda (n,B), too.

    ``weights`` takes the arguments of ``amalgamate``. Graphs are kept: whoever wants none detaches first (C5).
    """

    OUTPUTS: Outputs
    """The kind of outputs that a psi takes of the teachers and the student; its target is of the same kind."""
    NEEDS_STUDENT: bool
    """Whether a psi takes the student's outputs into account."""
    Options: type[Any]
    """The hyper-parameters and readings of a psi."""

    def amalgamate(self, teachers: Tensor, labels: Tensor, student: Tensor | None, options: Any) -> Tensor:
        """The target (B,C) of the teachers' outputs (n,B,C), labels (B,) and, if it needs them, the student's (B,C)."""


@cache
def names() -> tuple[str, ...]:
    """The psi of this folder; a file whose name opens with '_' is none."""
    return tuple(sorted(module.name for module in iter_modules(__path__) if not module.name.startswith("_")))


def source(name: str) -> str:
    """The dotted name of the module that the psi ``name`` is."""
    return f"{__name__}.{name}" if name in names() else name


def find(name: str) -> Psi:
    """The psi called ``name``; ValueError, with the nearest name, where there is none."""
    try:
        module = import_module(source(name))
    except Exception as error:  # whatever the user's own module does when it is imported
        if missing(error, name):
            raise ValueError(f"no psi '{name}'{unknown(name, names())}") from None
        raise ValueError(f"can't import the psi '{name}': {reason(error)}") from None
    if lacking := [part for part in ("OUTPUTS", "NEEDS_STUDENT", "Options", "amalgamate") if not hasattr(module, part)]:
        raise ValueError(f"'{name}' is no psi: it has no {', no '.join(lacking)}{nearest(name, names())}")
    if module.OUTPUTS not in get_args(Outputs):
        raise ValueError(f"psi '{name}': its OUTPUTS are {module.OUTPUTS!r}, not one of {get_args(Outputs)}")
    return cast(Psi, module)


def outputs(psi: Psi, logits: Tensor) -> Tensor:
    """The outputs that ``psi`` takes of networks with these ``logits``, (...,C) both."""
    return logits if psi.OUTPUTS == "logits" else logits.softmax(-1)


def average(weights: Tensor, outputs: Tensor) -> Tensor:
    """sum_i weights_i outputs_i, (n,B) and (n,B,C) to (B,C)."""
    return (weights.unsqueeze(-1) * outputs).sum(0)


@hyperparameters
class Amalgamation:
    """The psi of a method, and the options of that psi."""

    amalgamation: str | None = None
    psi: Annotated[object, Field(validate_default=True)] = None

    @field_validator("amalgamation")
    @classmethod
    def _is_a_psi(cls, name: str | None) -> str | None:
        if name is not None:
            find(name)
        return name

    @field_validator("psi")
    @classmethod
    def _knows_its_options(cls, options: object, others: ValidationInfo) -> object:
        name = others.data.get("amalgamation")
        if name is not None:
            return nested(find(name).Options, {} if options is None else options)
        if options and "amalgamation" in others.data:
            raise ValueError("options of a psi, but amalgamation names none")
        return options or None

    @property
    def function(self) -> Psi:
        """The psi's module."""
        assert self.amalgamation is not None
        return find(self.amalgamation)

    @property
    def weights(self) -> Callable[..., Tensor] | None:
        """The psi's function to lambda (n,B), with the arguments of ``amalgamate``; None where it averages nothing."""
        return getattr(self.function, "weights", None)

    @property
    def sources(self) -> tuple[str, ...]:
        """The modules that these options add to a method's code."""
        return (source(self.amalgamation),) if self.amalgamation is not None else ()

    def target_of(self, teacher_logits: Tensor, labels: Tensor, student_logits: Tensor | None = None) -> Tensor:
        """psi of the teachers' logits (n,B,C), labels (B,) and, where needed, the student's logits (B,C); to (B,C)."""
        psi = self.function
        student = outputs(psi, student_logits) if psi.NEEDS_STUDENT and student_logits is not None else None
        return psi.amalgamate(outputs(psi, teacher_logits), labels, student, self.psi)
