"""Fog: an adversarial cloud (Kang, Sun, Hendrycks, Brown and Steinhardt, 2019; ambiguities F2).

A field in [0,1] by the diamond-square algorithm, whose random numbers are the attack's variables, is blended with the
image, the same for all channels:

    x' = clamp((x + s fog) / (m + s), 0, 1),   m = max of x over each channel,   s = strength / 255

The variables take sign steps up the cross-entropy of the true label and stay in [0,1]. As in the authors' code
(ddkang/advex-uar, attacks/fog.py and fog_attack.py), which computes in pixels of 0 to 255, hence the 255: the map is
a torus of side M = 2^(floor(log2 R) + 1) for images of side R, of which the middle is cut out; its corner is 0; the
amplitude is 100 and halves with the step; and one neighbour of each edge point is taken two cells away instead of
one, which we keep.

It differs in two things. Each image's field is normalised by its own minimum and maximum, not by the batch's, so that
no image feels another. And the evaluation of the authors aims at a random other class (while it counts the true
label); this is the untargeted version, their ``avoid_target=True``.
"""

import math

import torch
from pydantic import Field
from torch import Tensor, nn

from ataka.attacks.check import checked
from ataka.attacks.gradient import input_gradient
from ataka.attacks.mode import attack_mode
from ataka.study.attacks import AttackOptions
from ataka.study.fields import StepSize, reading

LABEL = "Fog"
PAPER_NOTE = "The paper states no strength of Fog."


class Options(AttackOptions):
    """Kang et al.'s fog: sign steps on the random fields of a diamond-square cloud (F2)."""

    strength: float = reading(
        ...,
        id="F2",
        sentence="we further use two strong attacks, namely CW and Fog attacks",
        values="Kang et al. calibrated 128, 256, 512, 2048, 4096 and 8192, on ImageNet; the paper names none",
        ge=0,
    )
    step_size: StepSize
    steps: int = Field(ge=0)


def sentence(_options: Options) -> str:
    weight = "its weight beside an image of 0 to 255, no ℓ∞ budget"
    return "Fog of strength {strength} (" + weight + "), {steps} steps of {step_size}."


AMPLITUDE = 100.0
"""Of the first level, halved at each (``wibble`` in the authors' code, whose decay is FogAttack's 2.0)."""


def draw(x: Tensor, *, generator: torch.Generator) -> Tensor:
    """Random variables for x (B,C,H,W): U(0,1), (B, M^2 - 1); draw them for a whole set, then attack it in pieces.

    Drawn on the generator's device and moved to that of ``x``.
    """
    variables = torch.rand(_shape(x), dtype=x.dtype, device=generator.device, generator=generator)
    return variables.to(x.device)


def field(variables: Tensor) -> Tensor:
    """The fog of an image's variables, (B, M^2 - 1) in [0,1] to (B,M,M), of minimum 0 and maximum 1 in each image.

    Level i has 3 * 4^i variables: for the centres of the 2^i x 2^i cells, their upper edges and their left edges.
    """
    side = math.isqrt(variables.shape[1] + 1)
    fog = variables.new_zeros(len(variables), 1, 1)
    amplitude, used = AMPLITUDE, 0
    while fog.shape[1] < side:
        n = fog.shape[1]
        level = variables[:, used : used + 3 * n * n].reshape(-1, 3, n, n)
        fog = _refine(fog, *(amplitude * (2 * level - 1)).unbind(1))
        amplitude, used = amplitude / 2, used + 3 * n * n
    fog = fog - fog.amin((1, 2), keepdim=True)
    return fog / _positive(fog.amax((1, 2), keepdim=True))


def _refine(corner: Tensor, at_centre: Tensor, at_top: Tensor, at_left: Tensor) -> Tensor:
    """A map (B,n,n) of twice the side: new points are the mean of four neighbours, plus their own random number."""
    right, below = corner.roll(-1, 2), corner.roll(-1, 1)
    centre = (corner + right + below + right.roll(-1, 1)) / 4 + at_centre
    # The centre above is centre.roll(1, 1), the one to the left centre.roll(1, 2): both by 2 in the authors' code.
    top = (corner + right + centre + centre.roll(2, 1)) / 4 + at_top
    left = (corner + below + centre + centre.roll(2, 2)) / 4 + at_left
    upper = torch.stack([corner, top], 3).flatten(2)
    lower = torch.stack([left, centre], 3).flatten(2)
    return torch.stack([upper, lower], 2).flatten(1, 2)


def foggy(x: Tensor, variables: Tensor, *, strength: float) -> Tensor:
    """x (B,C,H,W) in the fog of ``variables``; without strength each channel is divided by its maximum."""
    height, width = x.shape[2:]
    side = math.isqrt(variables.shape[1] + 1)
    top, left = (side - height) // 2, (side - width) // 2
    fog = field(variables)[:, None, top : top + height, left : left + width]
    s = strength / 255
    return ((x + s * fog) / _positive(x.amax((2, 3), keepdim=True) + s)).clamp(0.0, 1.0)


def _positive(divisor: Tensor) -> Tensor:
    """Against 0/0: a constant field, a black channel without fog."""
    return divisor.clamp(min=torch.finfo(divisor.dtype).tiny)


def _shape(x: Tensor) -> tuple[int, int]:
    side = 1 << max(x.shape[2:]).bit_length()  # 2^(floor(log2 R) + 1)
    return len(x), side**2 - 1


@checked(linf=False)
def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    strength: float,
    step_size: float,
    steps: int,
    generator: torch.Generator | None = None,
    start: Tensor | None = None,
) -> Tensor:
    """x (B,C,H,W) in a fog in which the network, with labels y (B,), errs; ``steps`` of ``step_size`` on its variables.

    strength   the weight of the fog beside the image, in pixels of 0 to 255: 128 to 8192 are the authors' for
               ImageNet-100, 8192 leaving little of the image
    step_size  in the units of the variables, which range over [0,1]: theirs is 0.002236, with 200 steps
    start      variables as ``draw`` gives them; without it, they are drawn from ``generator``

    Raises ValueError for neither start nor generator, a start of another shape, a strength that is negative.
    """
    if not 0 <= strength < math.inf:
        raise ValueError(f"fog: strength must be finite and not negative, not {strength}")
    if start is None:
        if generator is None:
            raise ValueError("fog starts at random: give it a generator, or a start")
        start = draw(x, generator=generator)
    if start.shape != _shape(x):
        raise ValueError(f"fog: start is of shape {tuple(start.shape)}, but {_shape(x)} fits x of {tuple(x.shape)}")
    variables = start.detach()
    with attack_mode(model):

        def in_fog(variables: Tensor) -> Tensor:
            logits: Tensor = model(foggy(x, variables, strength=strength))
            return logits

        for _ in range(steps):
            gradient = input_gradient(in_fog, variables, y)
            variables = (variables + step_size * gradient.sign()).clamp(0.0, 1.0)
    return foggy(x, variables, strength=strength).detach()
