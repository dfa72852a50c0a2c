"""Carlini and Wagner's L2 attack (2017): the nearest image that the network gets wrong (ambiguities F1).

    minimise |x' - x|_2^2 + c max(z_y - max_{k != y} z_k, -kappa)   over w,   x' = (tanh(w) + 1) / 2

by Adam, with c found for each image by itself: it starts at ``initial_c``, grows tenfold until the attack succeeds,
and is bisected from then on; the nearest success of all steps of all searches counts. As in the authors' code
(carlini/nn_robust_attacks, l2_attack.py), each search starts anew at x, whose tanh-space image is drawn in by 1e-6.
With a kappa the rival must lead by kappa, as in their code since 2017. Four things differ: nothing aborts early, as
their search does by the loss of the whole batch; distances are those from x itself, not from the image drawn in; the
last of ten searches or more is like the others, where theirs repeats the smallest c that succeeded; and they search
more (1,000 to 10,000 steps, where a configuration says how many here).

A pixel that is exactly 0 or 1 hardly moves in tanh space within a few hundred steps: that is the attack's own.
"""

import math
from functools import partial

import torch
from pydantic import Field
from torch import Tensor, nn
from torch.optim.adam import adam

from ataka.attacks.bounds import clamped
from ataka.attacks.check import checked
from ataka.attacks.cw import margin
from ataka.attacks.mode import attack_mode
from ataka.study.attacks import AttackOptions

LABEL = "CW ℓ₂"


class Options(AttackOptions):
    """Carlini and Wagner's own attack: the nearest misclassified image in l_2, by a binary search over c (F1)."""

    radius: float | None = Field(None, gt=0, description="how far in l_2 an image may go; null: any distance")
    steps: int = Field(ge=1, description="of Adam, for each c")
    searches: int = Field(9, ge=1, description="values of c that are tried")
    learning_rate: float = Field(0.01, gt=0)
    initial_c: float = Field(1e-3, gt=0)
    kappa: float = Field(0.0, ge=0)


def sentence(options: Options) -> str:
    """The sentence below a table: the largest distance that counts, and the steps."""
    reach = "any distance" if options.radius is None else "at most {radius}"
    return "{heading}: the nearest misclassified image in ℓ₂, " + reach + ", {steps} steps."


def forwards(options: Options) -> float:
    """Forwards of the network for an image: two for each step of each search, and the forward that judges the image."""
    return 2.0 * options.steps * options.searches + 1


# The function, not torch.optim.Adam, which loads torch's compiler (over a second).
_adam = partial(adam, amsgrad=False, beta1=0.9, beta2=0.999, weight_decay=0.0, eps=1e-8, maximize=False)


@checked(linf=False)
def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    steps: int,
    radius: float | None = None,
    searches: int = 9,
    learning_rate: float = 0.01,
    initial_c: float = 1e-3,
    kappa: float = 0.0,
) -> Tensor:
    """For each image of x (B,C,H,W) the nearest that is not classified as y (B,); the clean one where none was found.

    steps          of Adam in each search, with ``learning_rate`` in tanh space
    radius         an image counts only within this l_2 distance (pixels in [0,1], summed over all); None: any
    searches       values of c that are tried, the first being ``initial_c``
    kappa          by how much, in logits, another class must lead

    Nothing is random, and no image feels another. An image that the network gets wrong unchanged is returned so.
    Raises ValueError for settings out of range.
    """
    _check(radius=radius or 0.0, kappa=kappa)
    _check(above=True, searches=searches, learning_rate=learning_rate, initial_c=initial_c)
    c = x.new_full((len(x),), initial_c)
    lower, upper = torch.zeros_like(c), torch.full_like(c, math.inf)
    with attack_mode(model):
        with torch.no_grad():
            wrong = _succeeds(margin(model(x), y), kappa)
        nearest, best = torch.where(wrong, 0.0, torch.full_like(c, math.inf)), x.detach()
        for _ in range(searches):
            distance, x_adv = search(model, x, y, c, steps=steps, learning_rate=learning_rate, kappa=kappa)
            best = _where(distance < nearest, x_adv, best)
            nearest = torch.minimum(distance, nearest)
            success = distance.isfinite()
            lower, upper = torch.where(success, lower, c), torch.where(success, c, upper)
            c = torch.where(upper.isfinite(), (lower + upper) / 2, 10 * c)
    return best if radius is None else _where(nearest <= radius**2, best, x.detach())


def search(
    model: nn.Module, x: Tensor, y: Tensor, c: Tensor, *, steps: int, learning_rate: float, kappa: float
) -> tuple[Tensor, Tensor]:
    """Adam from x for given c (B,): the nearest success on the way, its squared distance (B,) and image (B,C,H,W).

    The distance is infinite, and the image x, where there was none. The network is in attack mode already. A tie is no
    success, so the gradient passes at a lead of exactly -kappa; theirs, tf.maximum(0, ...), lets none pass there.
    """
    w = torch.atanh((2 * x.detach() - 1) * 0.999999)
    mean, mean_of_squares, count = torch.zeros_like(w), torch.zeros_like(w), torch.zeros(())
    nearest, best = torch.full_like(c, math.inf), x.detach()
    for _ in range(steps):
        with torch.enable_grad():
            variable = w.detach().requires_grad_()
            x_adv = (variable.tanh() + 1) / 2
            distance = (x_adv - x).square().flatten(1).sum(1)
            lead = margin(model(x_adv), y)
            (gradient,) = torch.autograd.grad((distance + c * clamped(lead, -kappa)).sum(), variable)
        x_adv, distance = x_adv.detach(), distance.detach()
        nearer = _succeeds(lead.detach(), kappa) & (distance < nearest)
        nearest, best = torch.where(nearer, distance, nearest), _where(nearer, x_adv, best)
        _adam([w], [gradient], [mean], [mean_of_squares], [], [count], lr=learning_rate)
    return nearest, best


def _succeeds(lead: Tensor, kappa: float) -> Tensor:
    """Whether another class leads, and by kappa: a tie is no success."""
    return (lead < 0) & (lead <= -kappa)


def _where(mask: Tensor, images: Tensor, others: Tensor) -> Tensor:
    """``images`` where the mask (B,) says so, else ``others``."""
    return torch.where(mask.reshape(-1, 1, 1, 1), images, others)


def _check(*, above: bool = False, **settings: float) -> None:
    for name, value in settings.items():
        if not 0 <= value < math.inf or (above and value == 0):
            raise ValueError(f"cw_l2: {name} must be finite and {'above 0' if above else 'not negative'}, not {value}")
