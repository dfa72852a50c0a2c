"""Projected gradient ascent in l_inf: the loop of PGD, of CW_inf, and of the inner maximisation of every method.

As in the authors' code of TRADES (yaodongyu/TRADES, pgd_attack_cifar10.py): a uniform start that is not clamped to
[0,1] before the first forward, sign steps, clamped first to the eps box and then to [0,1], one restart, and the result
is that of the last step, not the best on the way. They average the cross-entropy where the loss here sums it: the
same signs.

SAT clamps its start, TRADES and RSLAD bring a start and a loss of their own (a divergence from logits computed
beforehand), CW_inf a margin loss. The evaluation's attack is ``pgd``, in a file of its own: its options, labels and
health checks are no part of a training.
"""

import torch
from torch import Tensor, nn

from ataka.attacks.acceleration import accelerated
from ataka.attacks.check import checked
from ataka.attacks.gradient import Loss, input_gradient, summed_cross_entropy
from ataka.attacks.linf import project, uniform_start
from ataka.attacks.mode import BatchNorm, attack_mode


def draw(x: Tensor, *, eps: float, generator: torch.Generator) -> Tensor:
    """The random starts for ``x`` (B,C,H,W): draw them for a whole set, then attack it in whatever pieces."""
    return uniform_start(x, eps=eps, generator=generator)


def climb(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    generator: torch.Generator | None = None,
    start: Tensor | None = None,
    clamp_start: bool = False,
    loss: Loss = summed_cross_entropy,
    batchnorm: BatchNorm = "eval",
) -> Tensor:
    """``steps`` ascents of ``loss`` from ``start``, or else from a start drawn from ``generator``; unchecked.

    x, start and the result (B,C,H,W), y (B,); eps and step_size in pixel units of [0,1]. ``clamp_start``
    brings the start into the ball and [0,1] before the first forward. ``loss`` sums over the batch.
    ``batchnorm``: attack_mode. Raises ValueError when there is neither a start nor a generator, or the start
    is not of the shape of x.
    """
    if start is None:
        if generator is None:
            raise ValueError("pgd starts at random: give it a generator, or a start")
        start = draw(x, eps=eps, generator=generator)
    if start.shape != x.shape:
        raise ValueError(f"pgd: start is of shape {tuple(start.shape)}, x of {tuple(x.shape)}")
    x_adv = project(start, x, eps) if clamp_start or steps == 0 else start
    with attack_mode(model, batchnorm=batchnorm), accelerated(model, images=x):
        for _ in range(steps):
            gradient = input_gradient(model, x_adv, y, loss)
            x_adv = project(x_adv + step_size * gradient.sign(), x, eps)
    return x_adv.detach()


ascend = checked(name="pgd")(climb)
"""``climb``, whose input and result are checked."""
