"""The signatures of functions that Snakemake calls for each job, worked out once.

Snakemake asks `inspect` for a function's signature before each call: thirty times for a job of the graph, a tenth of
the time of a large one. A function that carries its signature as an attribute answers at once.
"""

import inspect
from collections.abc import Callable
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


def signed(function: F) -> F:
    """``function``, with its parameters as the attribute by which Snakemake is told them."""
    from snakemake.common import overwrite_function_params

    overwrite_function_params(function, inspect.signature(function).parameters)
    return function


def all_signed(functions: T) -> T:
    """``functions``, an object whose public methods become functions with a signature as an attribute."""
    for name in vars(type(functions)):
        if not name.startswith("_") and inspect.ismethod(method := getattr(functions, name)):
            setattr(functions, name, signed(_unbound(method)))
    return functions


def _unbound(method: Callable[..., Any]) -> Callable[..., Any]:
    """A function that calls ``method``: a method itself takes no attributes."""

    def function(*arguments: Any, **named: Any) -> Any:
        return method(*arguments, **named)

    function.__wrapped__ = method  # type: ignore[attr-defined]
    return function
