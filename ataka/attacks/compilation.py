"""Networks compiled by torch while they are attacked.

On a GPU what lies between the convolutions of a wide network costs as much as they do, and the compiler joins it into
few passes over memory. To compile takes seconds to minutes for each network and shape of a batch, so only batches of
the shape that comes first are compiled; others, as the last of an epoch and the images of AutoAttack that still stand,
run as they are.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import cast
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn

from ataka.errors import UserError

Forward = Callable[[Tensor], Tensor]
PROGRAMS = 64
"""The most programs of a process: networks, precisions and memory formats of their images."""
_first: WeakKeyDictionary[nn.Module, torch.Size] = WeakKeyDictionary()


@contextmanager
def compiled(network: nn.Module, shape: torch.Size) -> Iterator[None]:
    """The forward of ``network``, compiled for images of ``shape`` if no other shape came before.

    UserError where torch can't compile the network, as without a compiler for its device.
    """
    first = _first.setdefault(network, shape)
    held = vars(network).get("forward")
    plain: Forward = network.forward

    def forward(images: Tensor) -> Tensor:
        return _program()(plain, images) if images.shape == first else plain(images)

    network.forward = forward
    try:
        yield
    except RuntimeError as error:
        from torch._dynamo.exc import TorchDynamoException  # the compiler is loaded already

        if not isinstance(error, TorchDynamoException):
            raise
        raise UserError(
            f"speed.compile: torch can't compile this network: {_cause(error)}. torch.compile needs a C++ "
            "compiler, on a GPU triton; install what is missing, or leave the switch off"
        ) from None
    finally:
        del network.forward
        if held is not None:
            network.forward = held


@cache
def _program() -> Callable[[Forward, Tensor], Tensor]:
    import torch._dynamo  # which takes more than a second

    torch._dynamo.config.recompile_limit = PROGRAMS
    return cast("Callable[[Forward, Tensor], Tensor]", torch.compile(_run, dynamic=False))


def _run(forward: Forward, images: Tensor) -> Tensor:
    return forward(images)


def _cause(error: Exception) -> str:
    cause = getattr(error, "inner_exception", None) or error  # its text tells more than "backend='inductor' raised:"
    return str(cause).strip().partition("\n")[0].rstrip(".") or type(cause).__name__
