"""The one context in which networks are attacked: evaluation mode, nothing to train."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

BatchNorm = Literal["eval", "train"]


def networks_of(models: nn.Module | Sequence[nn.Module]) -> list[nn.Module]:
    """One network or several, as a list; an ``nn.ModuleList`` is several, an ``nn.Sequential`` is one."""
    if isinstance(models, nn.Module) and not isinstance(models, nn.ModuleList):
        return [models]
    return list(models)


@contextmanager
def attack_mode(*models: nn.Module, batchnorm: BatchNorm = "eval") -> Iterator[None]:
    """Put ``models`` in evaluation mode with their parameters frozen; restore both exactly, come what may.

    Every module's own ``training`` flag and every parameter's own ``requires_grad`` come back as they were,
    so that a network with, say, a frozen stem in evaluation mode survives being attacked in the middle of its
    training.

    ``batchnorm="train"`` is the reading in which adversarial examples are made on the training graph (Madry
    et al.'s, locuslab's, ARD's and IAD's code; ambiguities A12): batch normalisation alone stays in training
    mode, uses the statistics of the attacked batch and updates its running ones. The default leaves every
    buffer alone, as TRADES, MART and RSLAD do.
    """
    if batchnorm not in ("eval", "train"):
        raise ValueError(f"batchnorm is 'eval' or 'train', not {batchnorm!r}")
    flags = [(module, module.training) for model in models for module in model.modules()]
    trainable = [parameter for model in models for parameter in model.parameters() if parameter.requires_grad]
    try:
        for module, _ in flags:
            module.training = batchnorm == "train" and isinstance(module, _BatchNorm)
        for parameter in trainable:
            parameter.requires_grad_(False)
        yield
    finally:
        for module, training in flags:
            module.training = training
        for parameter in trainable:
            parameter.requires_grad_(True)
