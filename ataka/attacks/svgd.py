"""SVGD: the paper's generator (eq. 2), Stein variational gradient ascent of n particles for each image.

    phi(x_i) = sum_j [ k(x_j, x_i) grad L(f_i(x_j), y) + (gamma / n) grad_{x_j} k(x_j, x_i) ]
    x_i     <- project(x_i + step_size sign(phi(x_i)))

with k(a, b) = exp(-|a - b|^2 / (2 sigma^2)), its squared distance summed over pixels. Eq. 2 is read as
follows (ambiguities A1 to A12), and each choice is a keyword that has its other readings too: a '+' between the
two terms, so that the second repels; 1/n on that one alone; the sign of phi, as 20 steps of .003 are PGD_TRADES';
particles of one image interact, and those of different images never do; the loss is summed over the batch; starts
are clamped; evaluation mode.

With the paper's sigma = 1e-3 the kernel of any two particles that differ visibly is exactly 0, also in
float64, and the attack is n independent PGDs, bit for bit. So it costs n gradients a step, where a coupled
kernel costs n^2.
"""

import math
from collections.abc import Iterable, Mapping, MutableMapping, Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from ataka.attacks.acceleration import accelerated
from ataka.attacks.check import checked
from ataka.attacks.gradient import input_gradient
from ataka.attacks.linf import project, uniform_start
from ataka.attacks.mode import BatchNorm, attack_mode, networks_of

Bandwidth = float | Literal["median"]
Update = Literal["sign", "raw", "normalised"]
GradientOf = Literal["own", "particle", "ensemble"]
OneOverN = Literal["repulsion", "both"]
Repulsion = Literal["away", "towards"]
Loss = Literal["sum", "mean"]
Interact = Literal["image", "batch"]


def kernel(particles: Tensor, bandwidth: Bandwidth, interact: Interact = "image") -> tuple[Tensor, Tensor]:
    """k (n,n,B) among each image's own particles (n,B,...), and sigma^2 (B,); both in float64.

    With ``interact="batch"`` all N = nB particles count as one image's, (N,1,...): k (N,N,1) and sigma^2 (1,).

    Distances come from direct differences, and the diagonal is 1 by construction: the expansion |a|^2 + |b|^2
    - 2ab gives k(a, a) = inf in float32 at sigma = 1e-3 (A2).

    ``bandwidth`` is sigma in units of [0,1], or "median" for Liu and Wang's heuristic for each image,
    sigma^2 = median(d^2) / (2 log(n + 1)). The median is over pairs of different particles. (Liu and Wang's
    code counts the zeros on the diagonal too, a share 1/n of the matrix: at n = 2 that halves sigma^2, and it
    says more of n than of the particles.)
    """
    _one_of("interact", interact, ("image", "batch"))
    if interact == "batch":
        particles = particles.flatten(0, 1).unsqueeze(1)
    n, images = particles.shape[:2]
    flat = particles.reshape(n, images, -1).double()
    if interact == "batch":  # pdist takes differences too, and stores none: a fifth of the time for hundreds of rows
        squared_distances = torch.pdist(flat[:, 0]).square().unsqueeze(1)
    else:
        squared_distances = torch.cat([(flat[i] - flat[i + 1 :]).square().sum(-1) for i in range(n)])
    if bandwidth == "median":
        sigma_squared = _median(squared_distances) / (2 * math.log(n + 1))
    elif bandwidth > 0:
        sigma_squared = flat.new_full((images,), float(bandwidth) ** 2)
    else:
        raise ValueError(f"svgd: bandwidth must be positive or 'median', not {bandwidth}")
    # When all coincide, so that the median is 0, their kernel is 1 and they do not push each other.
    sigma_squared = sigma_squared.clamp(min=1e-200)
    i, j = torch.triu_indices(n, n, 1, device=flat.device)
    k = flat.new_ones(n, n, images)  # a row of squared_distances is a pair, in this order
    k[i, j] = k[j, i] = torch.exp(-squared_distances / (2 * sigma_squared))
    return k, sigma_squared


def _median(squared_distances: Tensor) -> Tensor:
    """The median over pairs, (pairs,B) to (B,): of an even number the mean of the middle two, of none 0."""
    pairs = len(squared_distances)
    if pairs == 0:
        return squared_distances.sum(0)
    ordered = squared_distances.sort(0).values
    return (ordered[(pairs - 1) // 2] + ordered[pairs // 2]) / 2


def _felt(k: Tensor, n: int) -> Tensor:
    """Whether particle j of each image is felt by a particle i at all, (n,n,B), of the same image or of any."""
    return (k != 0).reshape(n, len(k) // n, n, -1).any(1)


def coupled(k: Tensor) -> dict[tuple[int, int], int]:
    """The pairs i != j whose kernel in k (n,n,B) is not 0 for some image, each with the number of these images.

    The call waits for the device.
    """
    counts = (k != 0).sum(-1).tolist()
    return {(i, j): n for i, row in enumerate(counts) for j, n in enumerate(row) if i != j and n}


def _direction(
    particles: Tensor,
    gradients: Tensor,
    k: Tensor,
    sigma_squared: Tensor,
    pairs: Iterable[tuple[int, int]],
    gamma: float,
    one_over_n: OneOverN,
    repulsion: Repulsion,
    loss: Loss,
) -> Tensor:
    """Eq. 2's phi for a given kernel and its coupled ``pairs``; other shapes as in ``phi`` and ``kernel``.

    Summed in float64; where nothing is coupled, it is the particles' own gradients bit for bit (over B for a mean).
    """
    _one_of("one_over_n", one_over_n, ("repulsion", "both"))
    _one_of("repulsion", repulsion, ("away", "towards"))
    _one_of("loss", loss, ("sum", "mean"))
    n, images = particles.shape[:2]
    interacting = len(k)
    divisor = (interacting if one_over_n == "both" else 1) * (images if loss == "mean" else 1)
    push = (gamma if repulsion == "away" else -gamma) / interacting * k / sigma_squared
    if interacting > n:
        return _over_the_batch(particles, gradients, k, push, divisor).to(particles.dtype)
    return _over_each_image(particles, gradients, k, push, divisor, pairs).to(particles.dtype)


def _over_each_image(
    particles: Tensor, gradients: Tensor, k: Tensor, push: Tensor, divisor: int, pairs: Iterable[tuple[int, int]]
) -> Tensor:
    """phi's sums over an image's own particles: over the ``pairs`` alone whose kernel is not 0."""
    n, images = particles.shape[:2]
    per_image = (images, *[1] * (particles.ndim - 2))
    one_per_network = gradients.ndim == particles.ndim + 1
    diagonal = torch.stack([gradients[i, i] for i in range(n)]) if one_per_network else gradients
    total = diagonal.to(torch.float64, copy=True)  # k(x_i, x_i) = 1
    for i, j in pairs:
        total[i] += k[i, j].reshape(per_image) * (gradients[i, j] if one_per_network else gradients[j])
    if divisor > 1:
        total /= divisor
    for i, j in pairs:
        total[i] += push[i, j].reshape(per_image) * (particles[i].double() - particles[j])
    return total


def _over_the_batch(particles: Tensor, gradients: Tensor, k: Tensor, push: Tensor, divisor: int) -> Tensor:
    """phi's sums over all N = nB particles of the batch, as products of matrices: N x N x D would not fit into memory.

    Unlike a squared distance's (A2), the rounding of these is not magnified by 1 / sigma^2 in an exponential. Where the
    kernel is the identity, they leave the gradients as they are, bit for bit.
    """
    n, images = particles.shape[:2]
    one_per_network = gradients.ndim == particles.ndim + 1
    of_each = gradients if one_per_network else [gradients] * n
    rows = k.reshape(n, images, n * images)  # of network i's particles, over those of all
    driving = [row @ each.reshape(n * images, -1).double() for row, each in zip(rows, of_each, strict=True)]
    flat = particles.reshape(n * images, -1).double()
    flat = flat - flat[0]  # so that where all coincide the push is exactly 0
    push = push[..., 0].fill_diagonal_(0)  # a particle does not push itself
    total = torch.cat(driving) / divisor + (push.sum(1, keepdim=True) * flat - push @ flat)
    return total.reshape(particles.shape)


def phi(
    particles: Tensor,
    gradients: Tensor,
    *,
    bandwidth: Bandwidth,
    gamma: float,
    one_over_n: OneOverN = "repulsion",
    repulsion: Repulsion = "away",
    loss: Loss = "sum",
    interact: Interact = "image",
) -> Tensor:
    """Eq. 2: sum_j [k(x_j, x_i) g_j + (gamma/n) grad_{x_j} k(x_j, x_i)], for each image by itself.

    particles (n,B,...); gradients (n,B,...), [j] at particle j, or (n,n,B,...), [i,j] being network i's at
    particle j, the literal reading (A9); of a summed loss. The result is of the particles' shape and dtype.

    one_over_n  "both" is Liu and Wang's, which divides the driving term by n as well (A6)
    repulsion   grad_{x_j} k = k (x_i - x_j) / sigma^2 points away from x_j: added to an ascent, it repels (A5).
                "towards" subtracts it: a '-' where eq. 2 prints no sign (A4), or the derivative by x_i (A5)
    loss        "mean" divides the driving term by B, as the gradient of the batch's mean loss would be (A8)
    interact    "batch": j runs over all N = nB particles of the batch, and 1/n, the weight of one of those that are
                summed, is 1/N (A10). The code of ALD-Regularization couples them so, with 1/N on both terms: "both"
    """
    k, sigma_squared = kernel(particles, bandwidth, interact)
    pairs = coupled(_felt(k, len(particles)))
    return _direction(particles, gradients, k, sigma_squared, pairs, gamma, one_over_n, repulsion, loss)


def draw(x: Tensor, n: int, *, eps: float, generators: Sequence[torch.Generator]) -> Tensor:
    """n starts x + U(-eps, eps) an image, (n,B,C,H,W), not clamped yet; particle i is ``generators[i]``'s.

    With one stream a particle, its start is the same for every n. ValueError for fewer streams than n.
    """
    if len(generators) < n:
        raise ValueError(f"svgd: {n} particles need {n} generators, not {len(generators)}")
    return torch.stack([uniform_start(x, eps=eps, generator=generator) for generator in generators[:n]])


@checked()
def attack(
    models: Sequence[nn.Module] | nn.Module,
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    bandwidth: Bandwidth,
    gamma: float,
    generator: torch.Generator | Sequence[torch.Generator] | None = None,
    start: Tensor | None = None,
    update: Update = "sign",
    gradient_of: GradientOf = "own",
    one_over_n: OneOverN = "repulsion",
    repulsion: Repulsion = "away",
    loss: Loss = "sum",
    interact: Interact = "image",
    clamp_start: bool = True,
    batchnorm: BatchNorm = "eval",
    report: MutableMapping[str, Tensor] | None = None,
) -> Tensor:
    """The particles (n,B,C,H,W) of the images x (B,C,H,W) with labels y (B,) after ``steps`` updates.

    models       n networks, particle i being network i's; or one network (Table 1), which serves them all
    start        (n,B,C,H,W); n is its length. Without it, starts are drawn from
    generator    one stream a particle, or one from which the particles are drawn in turn
    clamp_start  bring the start into the ball and [0,1] before the first gradient, or leave it to the first step (A11)
    bandwidth    sigma, or "median" (``kernel``)
    gamma        the weight of the repulsion; as one_over_n, repulsion, loss and interact in ``phi``
    update       "sign": x + step_size sign(phi); "raw": x + step_size phi; "normalised": x + step_size phi / max |phi|,
                 the largest over the pixels of each particle
    gradient_of  "own": network i's at every particle j, as eq. 2 says, but where the kernel is exactly 0;
                 "particle": network j's at particle j;
                 "ensemble": of the cross-entropy of all networks' averaged probabilities, at particle j
    batchnorm    as in ``attack_mode``; with "train" a coupled pair is evaluated on the whole batch, not only
                 on the images where it is coupled, as these would change the batch statistics
    report       receives "kernel_offdiagonal_max" and "kernel_offdiagonal_mean" over all steps, pairs that
                 interact and images: 0-d float64 tensors, left on the device of x

    Raises ValueError for neither start nor generator, or for numbers of models and particles that do not fit.
    """
    _one_of("update", update, ("sign", "raw", "normalised"))
    _one_of("gradient_of", gradient_of, ("own", "particle", "ensemble"))
    models = networks_of(models)
    if start is None:
        if generator is None:
            raise ValueError("svgd starts at random: give it a generator a particle, or a start")
        if isinstance(generator, torch.Generator):
            generator = [generator] * len(models)
        n = len(generator) if len(models) == 1 else len(models)
        start = draw(x, n, eps=eps, generators=generator)
    n = len(start)
    if start.shape[1:] != x.shape or len(models) not in (1, n):
        raise ValueError(
            f"svgd: {len(models)} models and a start of shape {tuple(start.shape)} do not fit "
            f"images of shape {tuple(x.shape)}"
        )
    if len(models) == 1:
        models = models * n
    particles = project(start, x, eps) if clamp_start or steps == 0 else start
    observed = []
    with attack_mode(*models, batchnorm=batchnorm), accelerated(*models, images=x):
        for _ in range(steps):
            k, sigma_squared = kernel(particles, bandwidth, interact)
            if report is not None:
                observed.append(_offdiagonal(k))
            felt = _felt(k, n)
            pairs = coupled(felt)  # the one synchronisation of a step
            whole_batches = batchnorm == "train"
            gradients = _gradients(models, particles, y, felt, pairs, gradient_of, whole_batches=whole_batches)
            step = _direction(particles, gradients, k, sigma_squared, pairs, gamma, one_over_n, repulsion, loss)
            particles = project(particles + step_size * _scaled(step, update), x, eps)
    if report is not None:
        values = torch.cat(observed) if observed and len(k) > 1 else x.new_zeros(1, dtype=torch.float64)
        report["kernel_offdiagonal_max"] = values.max()
        report["kernel_offdiagonal_mean"] = values.mean()
    return particles.detach()


def _gradients(
    models: Sequence[nn.Module],
    particles: Tensor,
    y: Tensor,
    felt: Tensor,
    pairs: Mapping[tuple[int, int], int],
    gradient_of: GradientOf,
    *,
    whole_batches: bool,
) -> Tensor:
    """(n,B,...), [j] at particle j; or (n,n,B,...), [i,j] of network i at particle j, 0 where it isn't felt."""
    shared = all(model is models[0] for model in models)
    if gradient_of == "ensemble" and not shared:

        def mixture(x: Tensor) -> Tensor:
            # The softmax in the cross-entropy divides by n, which is missing here.
            return torch.stack([model(x).log_softmax(1) for model in models]).logsumexp(0)

        return torch.stack([input_gradient(mixture, particle, y) for particle in particles])

    pairwise = zip(models, particles, strict=True)
    diagonal = torch.stack([input_gradient(model, particle, y) for model, particle in pairwise])
    if gradient_of == "particle" or shared or not pairs:
        return diagonal
    n, images = particles.shape[:2]
    gradients = diagonal.new_zeros(n, *diagonal.shape)
    for i in range(n):
        gradients[i, i] = diagonal[i]
    for (i, j), count in pairs.items():
        if whole_batches or count == images:
            gradients[i, j] = input_gradient(models[i], particles[j], y)
        else:
            those = felt[i, j].nonzero().squeeze(1)
            gradients[i, j, those] = input_gradient(models[i], particles[j, those], y[those])
    return gradients


def _scaled(direction: Tensor, update: Update) -> Tensor:
    if update == "sign":
        return direction.sign()
    if update == "raw":
        return direction
    return (
        direction
        / direction.flatten(2).abs().amax(2).clamp_min(torch.finfo(direction.dtype).tiny)[..., None, None, None]
    )


def _offdiagonal(k: Tensor) -> Tensor:
    """The kernel of every pair and image, (n,n,B) to (pairs * B,)."""
    i, j = torch.triu_indices(len(k), len(k), 1, device=k.device)
    return k[i, j].flatten()


def _one_of(name: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise ValueError(f"svgd: {name} is one of {', '.join(known)}, not {value!r}")
