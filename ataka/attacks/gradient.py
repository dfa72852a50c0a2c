"""The gradient of a loss with respect to the images: the only derivative that an attack asks for."""

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional as F

Loss = Callable[[Tensor, Tensor], Tensor]
"""(logits (B,C), y (B,)) to the scalar to ascend: a sum over images, so that none feels the others."""


def summed_cross_entropy(logits: Tensor, y: Tensor) -> Tensor:
    """Cross-entropy of logits (B,C) and labels y (B,), summed over the batch (A8): a scalar.

    A mean would divide the gradient of each image by B.
    """
    return F.cross_entropy(logits, y, reduction="sum")


def divergence_from(log_probabilities: Tensor) -> Loss:
    """sum KL(p || softmax(logits)) for fixed log p (B,C): the loss that TRADES and RSLAD ascend, without labels."""

    def loss(logits: Tensor, _labels: Tensor) -> Tensor:
        return F.kl_div(logits.log_softmax(1), log_probabilities, reduction="sum", log_target=True)

    return loss


def input_gradient(
    model: Callable[[Tensor], Tensor], x: Tensor, y: Tensor, loss: Loss = summed_cross_entropy
) -> Tensor:
    """d loss(model(x), y) / dx, of the shape of ``x``; also under a caller's ``torch.no_grad()``."""
    with torch.enable_grad():
        x = x.detach().requires_grad_()
        return torch.autograd.grad(loss(model(x), y), x)[0]
