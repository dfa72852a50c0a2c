"""The teachers' cross-entropies, by which eqs. 4 to 6 weigh them."""

import torch
from torch import Tensor
from torch.nn import functional


def cross_entropies(teacher_logits: Tensor, labels: Tensor) -> Tensor:
    """Each teacher's cross-entropy on each image, (n,B,C) and (B,) to (n,B)."""
    return torch.stack([functional.cross_entropy(logits, labels, reduction="none") for logits in teacher_logits])
