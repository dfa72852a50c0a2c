"""The batch normalisations of a network that can be folded into the convolution before them, and the folded weights.

In evaluation mode a batch normalisation is an affine map of each channel, so that

    bn(conv(x)) = conv'(x),   weight' = s weight,   bias' = s (bias - mean) + beta,   s = gamma / sqrt(variance + eps)

in exact arithmetic. The pairs are seen in one forward, operation by operation, so that the network's source doesn't
matter: the weights are used once, by the convolution, and its output is used once, by the normalisation. (torch.fx's
``fuse`` has to trace a network, and folds a convolution that is called twice, wrongly.)
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

Pair = tuple[nn.Conv2d, nn.BatchNorm2d]


def pairs(network: nn.Module, images: Tensor) -> list[Pair]:
    """The pairs that can be folded, where ``network`` takes ``images`` (B,C,H,W) in evaluation mode; runs it once.

    Modules with hooks are left alone, as are subclasses of BatchNorm2d: each may compute something else.
    """
    convolutions = {
        _memory(module.weight): module
        for module in network.modules()
        if isinstance(module, nn.Conv2d) and "weight" in module._parameters and not _hooked(module)
    }
    norms = [module for module in network.modules() if type(module) is nn.BatchNorm2d and _is_affine(module)]
    seen = _Operations()
    given: dict[nn.BatchNorm2d, list[Tensor]] = {norm: [] for norm in norms}
    with ExitStack() as stack, torch.no_grad():
        for norm in norms:
            handle = norm.register_forward_pre_hook(lambda module, inputs: given[module].append(inputs[0]))
            stack.callback(handle.remove)
        stack.enter_context(seen)
        network(images)
    fitting = []
    for norm, inputs in given.items():
        output = _memory(inputs[0]) if len(inputs) == 1 else 0
        convolution = convolutions.get(seen.weight.get(output, 0))
        if convolution is not None and seen.uses[output] == 2 and seen.uses[_memory(convolution.weight)] == 1:
            fitting.append((convolution, norm))
    return fitting


def may(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> bool:
    """Whether a pair can be folded now: nothing hooks into either module, and the normalisation is an affine map."""
    return not _hooked(convolution) and _is_affine(norm)


def folded(convolution: nn.Conv2d, norm: nn.BatchNorm2d) -> tuple[Tensor, Tensor]:
    """The weight and the bias of the convolution that computes both modules, in the convolution's own dtype.

    The factor of each channel is computed in float64, so that a weight is rounded twice and no more.
    """
    mean, variance = norm.running_mean, norm.running_var
    assert mean is not None
    assert variance is not None
    with torch.no_grad():
        factor = (variance.double() + norm.eps).rsqrt()
        factor = factor if norm.weight is None else factor * norm.weight.double()
        bias = -mean.double() if convolution.bias is None else convolution.bias.double() - mean.double()
        bias = factor * bias + (0 if norm.bias is None else norm.bias.double())
        weight = convolution.weight * factor.to(convolution.weight.dtype)[:, None, None, None]
        return weight, bias.to(weight.dtype)


def _is_affine(norm: nn.BatchNorm2d) -> bool:
    """Whether a normalisation maps each channel by itself, by running statistics."""
    return not (_hooked(norm) or norm.training or norm.running_mean is None or "forward" in vars(norm))


def _hooked(module: nn.Module) -> bool:
    names = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    return any(getattr(module, name) for name in names)


def _memory(tensor: Tensor) -> int:
    """The same number for a tensor and its views."""
    return int(tensor.untyped_storage()._cdata)


class _Operations(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """The operations of a forward on each tensor, by the tensor's memory."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.uses: Counter[int] = Counter()
        """The number of operations that a tensor goes into or comes out of."""
        self.weight: dict[int, int] = {}
        """The weight behind each convolution's output."""
        self._alive: list[Tensor] = []
        """Memory that is given back would be taken for the next tensor's."""

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: to skip torch's compiler would load it, which takes more than a second, and nothing is compiled here."""
        return False

    def __torch_dispatch__(
        self, operation: Any, types: Sequence[type], args: Sequence[Any] = (), kwargs: Mapping[str, Any] | None = None
    ) -> Any:
        result = operation(*args, **(kwargs or {}))
        tensors = [leaf for leaf in tree_leaves((args, kwargs, result)) if isinstance(leaf, Tensor)]
        self.uses.update({_memory(tensor) for tensor in tensors})
        self._alive += tensors
        if operation is torch.ops.aten.convolution.default:
            self.weight[_memory(result)] = _memory(args[1])
        return result
