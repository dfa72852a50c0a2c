"""The one context in which networks are attacked: evaluation mode, nothing to train, no image alone."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

BatchNorm = Literal["eval", "train"]


def networks_of(models: nn.Module | Sequence[nn.Module]) -> list[nn.Module]:
    """The networks of ``models``, as a list; an ``nn.ModuleList`` is several, an ``nn.Sequential`` a single network."""
    if isinstance(models, nn.Module) and not isinstance(models, nn.ModuleList):
        return [models]
    return list(models)


@contextmanager
def attack_mode(*models: nn.Module, batchnorm: BatchNorm = "eval") -> Iterator[None]:
    """Put ``models`` in evaluation mode with their parameters frozen; restore both exactly, come what may.

    Every module's own ``training`` flag and every parameter's own ``requires_grad`` come back as they were,
    so that a network with, say, a frozen stem in evaluation mode survives being attacked in the middle of its
    training. A module with a ``train`` of its own is told first that it trains: some keep what they computed of their
    weights in evaluation mode until then (timm's LeViT and TinyViT their attention's biases).

    ``batchnorm="train"`` is the reading in which adversarial examples are made on the training graph (Madry
    et al.'s, locuslab's, ARD's and IAD's code; ambiguities A12): batch normalisation alone stays in training
    mode, uses the statistics of the attacked batch and updates its running ones. The default leaves every
    buffer alone, as TRADES, MART and RSLAD do; a single image then goes in twice (``never_alone``).
    """
    if batchnorm not in ("eval", "train"):
        raise ValueError(f"batchnorm is 'eval' or 'train', not {batchnorm!r}")
    flags = [(module, module.training) for model in models for module in model.modules()]
    trainable = [parameter for model in models for parameter in model.parameters() if parameter.requires_grad]
    try:
        for module, _ in flags:
            if type(module).train is not nn.Module.train:
                module.train()
        for module, _ in flags:
            module.training = batchnorm == "train" and isinstance(module, _BatchNorm)
        for parameter in trainable:
            parameter.requires_grad_(False)
        with never_alone(*models):
            yield
    finally:
        for module, training in flags:
            module.training = training
        for parameter in trainable:
            parameter.requires_grad_(True)


@contextmanager
def never_alone(*models: nn.Module) -> Iterator[None]:
    """Show ``models`` a single image twice, and drop the second result, where no module of theirs is training.

    On a CPU BatchNorm's backward in evaluation mode is wrong, silently, for one image whose memory came from tokens
    (torch 2.13.0 and 2.14.1; XCiT, LeViT, LambdaResNet). Logits and gradient of one image are then those in a batch.
    """
    with ExitStack() as hooks:
        for model in dict.fromkeys(models):
            twice = _Twice()
            hooks.callback(model.register_forward_pre_hook(twice.before).remove)
            hooks.callback(model.register_forward_hook(twice.after).remove)
        yield


class _Twice:
    """Hooks of one network. Nested, the outermost doubles, and the others see two images."""

    def __init__(self) -> None:
        self._doubled = False

    def before(self, network: nn.Module, given: tuple[Any, ...]) -> tuple[Any, ...] | None:
        alone = bool(given) and isinstance(given[0], Tensor) and len(given[0]) == 1
        self._doubled = alone and not any(module.training for module in network.modules())
        return (torch.cat([given[0], given[0]]), *given[1:]) if self._doubled else None

    def after(self, _network: nn.Module, _given: tuple[Any, ...], output: Any) -> Any:
        return output[:1] if self._doubled and isinstance(output, Tensor) else None
