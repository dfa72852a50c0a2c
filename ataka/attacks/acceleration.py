"""Networks while they are attacked: the same function, computed faster.

The steps of an attack run on a network whose batch normalisations are folded (models/folding.py), whose weights lie in
the memory format that convolutions prefer, whose operations are in bfloat16, or which is compiled (compilation.py).
Each is a switch of the study's (``speed``, ``precision``), and all are off where nobody switches them on. The verdict
on an image is never made here: it is the plain network's, after the attack.
"""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from contextvars import ContextVar
from typing import NamedTuple
from weakref import WeakKeyDictionary

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from ataka import streams
from ataka.attacks.compilation import compiled
from ataka.attacks.mode import attack_mode
from ataka.models import folding

SAME = 1e-3
"""The largest difference of logits, as a share of the largest, between a network and itself folded, in float32.

Rounding is seen at 1e-6. A network that computes something else where a pair is folded differs by 0.1 and more.
"""


class Switches(NamedTuple):
    """The accelerations that are in force."""

    fold: bool = False
    channels_last: bool = False
    bfloat16: bool = False
    compile: bool = False


OFF = Switches()
_in_force: ContextVar[Switches] = ContextVar("switches", default=OFF)
_known: WeakKeyDictionary[nn.Module, dict[torch.Size, list[folding.Pair]]] = WeakKeyDictionary()


def in_force() -> Switches:
    """The switches that attacks heed now."""
    return _in_force.get()


def switch(switches: Switches) -> None:
    """Put ``switches`` in force from here on, as torch's own settings are for the whole process."""
    _in_force.set(switches)


@contextmanager
def switched(switches: Switches) -> Iterator[None]:
    """Put ``switches`` in force for the attacks in this block."""
    before = _in_force.set(switches)
    try:
        yield
    finally:
        _in_force.reset(before)


def arrange(network: nn.Module, images: Tensor, *, bfloat16: bool = False) -> None:
    """Lay out the weights of a network that is about to be trained in the memory format that is in force.

    ``bfloat16``: whether its updates are in this precision. What its attacks on images like ``images`` (B,C,H,W) can
    fold is found now, before any state is restored: then an interrupted training folds what an uninterrupted one does.
    """
    if _in_force.get().channels_last and _prefers_channels_last(images, bfloat16=bfloat16):
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    left_alone(network, images)


@contextmanager
def accelerated(*networks: nn.Module, images: Tensor) -> Iterator[None]:
    """Networks, in ``attack_mode`` and about to take images like ``images`` (B,C,H,W), compute faster in this block.

    Each computes its own function up to rounding, and comes back as it was, bit for bit. Gradients to images are right;
    there are none to weights.
    """
    switches = _in_force.get()
    with ExitStack() as stack:
        for network in dict.fromkeys(networks):
            if switches.fold:
                for convolution, norm in _pairs(network, images[:2]):
                    stack.enter_context(_folded(convolution, norm))
            if switches.channels_last and _prefers_channels_last(images, bfloat16=switches.bfloat16):
                stack.enter_context(_weights(network, _channels_last))
            if switches.bfloat16:
                stack.enter_context(_bfloat16(network, images.device.type))
            if switches.compile:
                stack.enter_context(compiled(network, images.shape))
        yield


def _prefers_channels_last(images: Tensor, *, bfloat16: bool) -> bool:
    """Whether convolutions on the device of ``images`` are faster in channels_last.

    On a GPU they are in bfloat16 alone: in float32 without TF32, PGD on ResNet-18 took 1.2 times as long (H100).
    """
    return bfloat16 or images.device.type == "cpu"


def left_alone(network: nn.Module, images: Tensor) -> tuple[int, int]:
    """Numbers of a network's batch normalisations: those that can't be folded, and all; (0, 0) without any."""
    norms = sum(isinstance(module, _BatchNorm) for module in network.modules())
    if not in_force().fold or not norms:
        return 0, 0
    with attack_mode(network):  # in which all can be folded that ever can
        folded = len(_pairs(network, images[:2]))
    return norms - folded, norms


def _pairs(network: nn.Module, images: Tensor) -> list[folding.Pair]:
    """Pairs to fold: one forward finds them, a second forward checks the folded network; kept with the network.

    The forwards are in evaluation mode whatever mode the network is in, and draw from no stream: a training whose
    attacks use and move batch statistics is the same with and without them, and when it resumes.
    """
    known = _known.setdefault(network, {})
    if images.shape[1:] not in known:
        with streams.undisturbed(), attack_mode(network), torch.no_grad(), ExitStack() as stack:
            pairs = folding.pairs(network, images)
            plain = network(images)
            for pair in pairs:
                stack.enter_context(_folded(*pair))
            difference = (network(images) - plain).abs().max()
        known[images.shape[1:]] = pairs if difference <= SAME * plain.abs().max() else []
    return [pair for pair in known[images.shape[1:]] if folding.may(*pair)]


@contextmanager
def _folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> Iterator[None]:
    weight, bias = folding.folded(convolution, norm)
    with _parameters(convolution, weight=weight, bias=bias):
        norm.forward = _identity  # type: ignore[assignment, method-assign]
        try:
            yield
        finally:
            del norm.forward


def _identity(images: Tensor) -> Tensor:
    return images


@contextmanager
def _weights(network: nn.Module, change: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Replace the weights of the network's convolutions and linear layers by ``change`` of them."""
    with ExitStack() as stack:
        for module in network.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                held = {name: value for name, value in module._parameters.items() if value is not None}
                stack.enter_context(_parameters(module, **{name: change(value) for name, value in held.items()}))
        yield


def _channels_last(weight: Tensor) -> Tensor:
    return weight.detach().contiguous(memory_format=torch.channels_last) if weight.ndim == 4 else weight


@contextmanager
def _parameters(module: nn.Module, **tensors: Tensor) -> Iterator[None]:
    """Replace parameters of a module; none of the new ones is trained."""
    before = {name: module._parameters[name] for name in tensors}
    for name, tensor in tensors.items():
        module._parameters[name] = nn.Parameter(tensor.detach(), requires_grad=False)
    try:
        yield
    finally:
        module._parameters.update(before)


@contextmanager
def _bfloat16(network: nn.Module, device: str) -> Iterator[None]:
    """Autocast, with weights cast once, as it casts frozen ones at every call; logits come out in float32."""
    handle = network.register_forward_hook(lambda _module, _given, logits: logits.float())
    try:
        with _weights(network, torch.Tensor.bfloat16), torch.autocast(device, torch.bfloat16):
            yield
    finally:
        handle.remove()
