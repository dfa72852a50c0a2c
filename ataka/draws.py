"""Uniform and normal numbers with the same bits on every CPU, for starts of attacks and for initial weights.

Torch's own differ in their last bits between a CPU with AVX2 and one without: ``uniform_(low, high)`` rounds a product
and a sum at once where the CPU can, and float32 normals come from other approximations of log and cos. Here uniform
numbers are numbers of ``torch.rand``, moved by operations that are rounded one by one. Normals are drawn in float64
and rounded once. ``rand``, integers, permutations and Bernoulli numbers are alike already.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

aten = torch.ops.aten


def uniform(
    shape: Sequence[int],
    low: float,
    high: float,
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> Tensor:
    """U(low, high), of ``shape`` on the generator's device (or ``device``, from torch's global generator)."""
    device = generator.device if generator else device
    unit = torch.rand(shape, generator=generator, dtype=torch.promote_types(dtype, torch.float32), device=device)
    return unit.mul_(2).sub_(1).mul_((high - low) / 2).add_((high + low) / 2).to(dtype)  # 2 u - 1 is exact


def normal(
    shape: Sequence[int],
    *,
    generator: torch.Generator | None = None,
    dtype: torch.dtype = torch.float32,
    device: torch.device | None = None,
) -> Tensor:
    """N(0, 1), of ``shape`` and on the device as ``uniform``."""
    device = generator.device if generator else device
    return torch.randn(shape, generator=generator, dtype=torch.float64, device=device).to(dtype)


class Alike(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """A context in which all code draws so: torch's initialisations, and whatever other modules call in torch."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to skip torch's compiler would load it, which takes more than a second, and nothing is compiled here."""
        return False

    def __torch_dispatch__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        kwargs = kwargs or {}
        draw = _DRAWS.get(function.overloadpacket)
        if draw is None or "out" in kwargs or (isinstance(args[0], Tensor) and args[0].is_complex()):
            return function(*args, **kwargs)
        return draw(*args, **kwargs)


def _fill_uniform(
    tensor: Tensor, low: float = 0.0, high: float = 1.0, *, generator: torch.Generator | None = None
) -> Tensor:
    numbers = uniform(tensor.shape, low, high, generator=generator, dtype=tensor.dtype, device=tensor.device)
    return tensor.copy_(numbers)


def _fill_normal(
    tensor: Tensor,
    mean: float | Tensor = 0.0,
    std: float | Tensor = 1.0,
    *,
    generator: torch.Generator | None = None,
) -> Tensor:
    numbers = normal(tensor.shape, generator=generator, dtype=torch.float64, device=tensor.device)
    return tensor.copy_(numbers.mul_(std).add_(mean))


def _standard(size: Sequence[int], *, generator: torch.Generator | None = None, **options: Any) -> Tensor:
    return _fill_normal(torch.empty(size, **options), generator=generator)


def _standard_like(tensor: Tensor, *, generator: torch.Generator | None = None, **options: Any) -> Tensor:
    return _fill_normal(torch.empty_like(tensor, **options), generator=generator)


def _normal(
    mean: float | Tensor,
    std: float | Tensor = 1.0,
    size: Sequence[int] | None = None,
    *,
    generator: torch.Generator | None = None,
    **options: Any,
) -> Tensor:
    """``torch.normal``: a ``size`` with two numbers, else at least one tensor, whose shape the result has."""
    tensor = torch.empty_like(mean + std) if size is None else torch.empty(size, **options)  # type: ignore[arg-type]
    return _fill_normal(tensor, mean, std, generator=generator)


_DRAWS: dict[Any, Callable[..., Tensor]] = {
    aten.uniform_: _fill_uniform,
    aten.normal_: _fill_normal,
    aten.randn: _standard,
    aten.randn_like: _standard_like,
    aten.normal: _normal,
}
"""Torch's operations that draw numbers whose bits depend on the CPU, and what takes their place."""
