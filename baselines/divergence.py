"""The Kullback-Leibler divergence between two softmaxes, of which all losses beside cross-entropy are made."""

from typing import Any, Literal

from torch import Tensor
from torch.nn import functional

from ataka.study.fields import reading
from baselines import inner

Reduction = Literal["mean", "sum"]
"""The reduction over classes. ``mean`` is the default of torch's KLDivLoss: the divergence divided by C."""


def over_classes() -> Any:
    """The reading of a distillation's reduction: the authors average, their formulas sum."""
    return reading(
        "mean",
        id="E3",
        sentence=inner.SENTENCE,
        values={"mean": "the divergence averaged over classes, as the authors' code", "sum": "summed over them"},
    )


def kl(target_logits: Tensor, logits: Tensor, *, temperature: float = 1.0) -> Tensor:
    """KL(softmax(target / T) || softmax(logits / T)) of each image; (B, C) and (B, C) to (B,).

    A gradient flows into both. ``target_logits`` may be log-probabilities, as an averaged ensemble has them.
    """
    target = functional.log_softmax(target_logits / temperature, 1)
    output = functional.log_softmax(logits / temperature, 1)
    return functional.kl_div(output, target, reduction="none", log_target=True).sum(1)


def mean_kl(target_logits: Tensor, logits: Tensor, *, temperature: float = 1.0, over_classes: Reduction) -> Tensor:
    """The batch's mean of ``kl``, summed over classes, or averaged over all B * C elements."""
    divergence = kl(target_logits, logits, temperature=temperature).mean()
    return divergence if over_classes == "sum" else divergence / logits.shape[1]
