"""Fog: an adversarial cloud (Kang, Sun, Hendrycks, Brown and Steinhardt, 2019; ambiguities F2).

A field in [0,1] by the diamond-square algorithm, whose random numbers are the attack's variables, is blended with the
image, the same for all channels:

    x' = clamp((x + s fog) / (m + s), 0, 1),   m = max of x over each channel,   s = strength / 255

The variables take sign steps up the cross-entropy of the true label and stay in [0,1]. As in the authors' code
(ddkang/advex-uar, attacks/fog.py and fog_attack.py), which computes in pixels of 0 to 255, hence the 255: the map is
a torus of side M = 2^(floor(log2 R) + 1) for images of side R, of which the middle is cut out; its corner is 0; the
amplitude is 100 and halves with the step; one neighbour of each edge point is taken two cells away instead of one,
which we keep; and the maps of a whole batch are normalised together, by their common minimum and maximum.

In a batch of many, the map of an image therefore spans a part of [0,1], the fog has less contrast than an image's
own normalisation would give it, and each image feels the others. The batch is a chunk of the test set: chunk c is the
images [c * chunk, (c + 1) * chunk), is never cut further, and a short last one is normalised by itself. 128 is the
batch of the authors' evaluation. ``normalised="image"`` is the stronger attack that gives each image a map of its own
full contrast; its result depends on the chunk by rounding alone.

It differs from the authors' evaluation in one thing: that takes its steps towards a random other class, while it
counts the true label (``target="random"``). The default is untargeted, as their FogAttack is where nothing else is
said (``avoid_target=True``).
"""

import math
from typing import Literal

import torch
from pydantic import Field
from torch import Tensor, nn

from ataka.attacks.acceleration import accelerated
from ataka.attacks.bounds import clamped
from ataka.attacks.check import checked
from ataka.attacks.gradient import Loss, input_gradient, summed_cross_entropy
from ataka.attacks.mode import attack_mode
from ataka.study.attacks import AttackOptions
from ataka.study.fields import StepSize, reading

LABEL = "Fog"
PAPER_NOTE = "The paper states no strength of Fog."


Normalised = Literal["batch", "image"]
Target = Literal["none", "random"]

SENTENCE = "we further use two strong attacks, namely CW and Fog attacks"


class Options(AttackOptions):
    """Kang et al.'s fog: sign steps on the random fields of a diamond-square cloud (F2)."""

    strength: float = reading(
        ...,
        id="F2",
        sentence=SENTENCE,
        values="Kang et al. calibrated 128, 256, 512, 2048, 4096 and 8192, on ImageNet; the paper names none",
        ge=0,
    )
    step_size: StepSize
    steps: int = Field(ge=0)
    normalised: Normalised = reading(
        "batch",
        id="F2",
        sentence=SENTENCE,
        values={
            "batch": "the fields of a chunk are normalised together, as in the authors' code: the fog of an image "
            "then has a "
            "part of the contrast, and the result depends on the chunk",
            "image": "the field of each image is normalised alone: at equal strength a much stronger attack than the "
            "authors'",
        },
    )
    target: Target = reading(
        "none",
        neutral="none",
        id="F2",
        sentence=SENTENCE,
        values={
            "none": "away from the label, as the authors' FogAttack by default",
            "random": "towards a random other class, as the authors evaluate: a weaker attack",
        },
    )
    chunk: int = Field(128, ge=1, description="images a chunk; part of the result, see docs/reproducibility.md")


def sentence(options: Options) -> str:
    """The sentence below a table: strength, steps, target and normalisation."""
    weight = "its weight beside an image of 0 to 255, no ℓ∞ budget"
    aim = " towards a random other class" if options.target == "random" else ""
    over = {"batch": "chunks of {chunk} images, a weaker attack than image by image", "image": "each image"}
    steps = "Fog of strength {strength} (" + weight + "), {steps} steps of {step_size}" + aim
    return steps + "; its field is normalised over " + over[options.normalised] + "."


AMPLITUDE = 100.0
"""The first level's amplitude, halved at each level (``wibble`` in the authors' code; FogAttack's decay is 2.0)."""


def draw(x: Tensor, *, generator: torch.Generator) -> Tensor:
    """Random numbers for x (B,C,H,W): U(0,1), (B, M^2); draw them for a whole set, then attack it in chunks.

    Of an image's numbers the last chooses the class of ``target="random"``, the others are its variables. Drawn on the
    generator's device and moved to that of ``x``.
    """
    return torch.rand(_shape(x), dtype=x.dtype, device=generator.device, generator=generator).to(x.device)


def field(variables: Tensor, *, normalised: Normalised) -> Tensor:
    """The fog of images' variables, (B, M^2 - 1) in [0,1] to (B,M,M), of minimum 0 and maximum 1.

    ``normalised``: whether these are the extremes of the "batch" or of each "image". Level i has 3 * 4^i variables: for
    the centres of the 2^i x 2^i cells, their upper edges and their left edges.
    """
    side = math.isqrt(variables.shape[1] + 1)
    fog = variables.new_zeros(len(variables), 1, 1)
    amplitude, used = AMPLITUDE, 0
    while fog.shape[1] < side:
        n = fog.shape[1]
        level = variables[:, used : used + 3 * n * n].reshape(-1, 3, n, n)
        fog = _refine(fog, *(amplitude * (2 * level - 1)).unbind(1))
        amplitude, used = amplitude / 2, used + 3 * n * n
    over = {"batch": (0, 1, 2), "image": (1, 2)}[normalised]
    fog = fog - fog.amin(over, keepdim=True)
    return fog / _positive(fog.amax(over, keepdim=True))


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


def foggy(x: Tensor, variables: Tensor, *, strength: float, normalised: Normalised) -> Tensor:
    """x (B,C,H,W) in the fog of ``variables``; without strength each channel is divided by its maximum.

    The blend lies in [0,1] but for rounding, and the gradient passes where it is exactly 0 or 1, as in the torch of the
    authors (bounds.py).
    """
    height, width = x.shape[2:]
    side = math.isqrt(variables.shape[1] + 1)
    top, left = (side - height) // 2, (side - width) // 2
    fog = field(variables, normalised=normalised)[:, None, top : top + height, left : left + width]
    s = strength / 255
    return clamped((x + s * fog) / _positive(x.amax((2, 3), keepdim=True) + s), 0.0, 1.0)


def _positive(divisor: Tensor) -> Tensor:
    """Against 0/0: a constant field, a black channel without fog."""
    return clamped(divisor, torch.finfo(divisor.dtype).tiny)


def _shape(x: Tensor) -> tuple[int, int]:
    side = 1 << max(x.shape[2:]).bit_length()  # 2^(floor(log2 R) + 1)
    return len(x), side**2


def other_class(y: Tensor, chances: Tensor, classes: int) -> Tensor:
    """For chances (B,), uniform in [0,1), one of the other ``classes`` than y (B,), each as likely as the others."""
    rank = (chances * (classes - 1)).long().clamp(max=classes - 2)  # the product may be rounded up
    return (y + 1 + rank) % classes


def _loss(target: Target, chances: Tensor) -> Loss:
    """The loss to ascend: the label's cross-entropy, or minus that of the class that ``chances`` (B,) choose."""

    def towards(logits: Tensor, y: Tensor) -> Tensor:
        return -summed_cross_entropy(logits, other_class(y, chances, logits.shape[1]))

    return towards if target == "random" else summed_cross_entropy


@checked(linf=False)
def attack(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    strength: float,
    step_size: float,
    steps: int,
    normalised: Normalised = "batch",
    target: Target = "none",
    chunk: int = 128,
    generator: torch.Generator | None = None,
    start: Tensor | None = None,
) -> Tensor:
    """x (B,C,H,W) in a fog in which the network, with labels y (B,), errs: ``attack_chunk`` on ``chunk`` images a time.

    start      random numbers as ``draw`` gives them; without it, they are drawn from ``generator``

    The rest as in ``attack_chunk``. Raises ValueError for neither start nor generator, and where ``attack_chunk`` does.
    """
    if chunk < 1:
        raise ValueError(f"fog: a chunk has at least one image, not {chunk}")
    if start is None:
        if generator is None:
            raise ValueError("fog starts at random: give it a generator, or a start")
        start = draw(x, generator=generator)
    _check_start(start, x)
    pieces = zip(torch.split(x, chunk), torch.split(y, chunk), torch.split(start, chunk), strict=True)
    return torch.cat(
        [
            attack_chunk(
                model,
                images,
                labels,
                strength=strength,
                step_size=step_size,
                steps=steps,
                normalised=normalised,
                target=target,
                start=numbers,
            )
            for images, labels, numbers in pieces
        ]
    )


@checked(linf=False)
def attack_chunk(
    model: nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    strength: float,
    step_size: float,
    steps: int,
    start: Tensor,
    normalised: Normalised = "batch",
    target: Target = "none",
) -> Tensor:
    """A chunk of ``attack``, whose images are x: ``steps`` of ``step_size`` on their variables.

    strength    the weight of the fog beside the image, in pixels of 0 to 255: 128 to 8192 are the authors' for
                ImageNet-100, 8192 leaving little of the image
    step_size   in the units of the variables, which range over [0,1]: theirs is 0.002236, with 200 steps
    start       random numbers (B, M^2) as ``draw`` gives them
    normalised  the field of the "batch", which is x, or of each "image" by itself
    target      "none": up the cross-entropy of y; "random": down that of another class, which ``start`` chooses

    Raises ValueError for a start of another shape, and a strength that is negative.
    """
    if not 0 <= strength < math.inf:
        raise ValueError(f"fog: strength must be finite and not negative, not {strength}")
    _check_start(start, x)
    variables, loss = start[:, :-1].detach(), _loss(target, start[:, -1])
    with attack_mode(model), accelerated(model, images=x):

        def in_fog(variables: Tensor) -> Tensor:
            logits: Tensor = model(foggy(x, variables, strength=strength, normalised=normalised))
            return logits

        for _ in range(steps):
            gradient = input_gradient(in_fog, variables, y, loss)
            variables = (variables + step_size * gradient.sign()).clamp(0.0, 1.0)
    return foggy(x, variables, strength=strength, normalised=normalised).detach()


def _check_start(start: Tensor, x: Tensor) -> None:
    if start.shape != _shape(x):
        raise ValueError(f"fog: start is of shape {tuple(start.shape)}, but {_shape(x)} fits x of {tuple(x.shape)}")
