"""Fig. 1's idea made real: the decision boundaries of teachers, amalgam and student on points of a plane.

The paper draws a caricature. Here the project's own loop trains small networks on two half moons: Natural, SAT, and
(S)AT-AKA with two teachers. A point is an image of two channels and one pixel, so that losses, attacks, SVGD and the
amalgamation are those of every other training. The set-up is this module's, the same at each scale.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy
from numpy.typing import NDArray

from ataka.study import Setup, Study
from ataka.study.fields import number
from report.pictures import Source
from report.pictures._drawing import WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure
    from torch import Tensor, nn

    from ataka.datasets.images import Split

TITLE = "Decision boundaries of teachers, amalgam and student in the plane"
TRAINING, TEST = 160, 500
"""The numbers of points."""
HIDDEN, TEACHERS, ALPHA, PSI = 32, 2, 0.1, "soft"
ATTACK: dict[str, Any] = {"eps": "18/255", "step_size": "4.5/255", "steps": 7}
"""The budget and the steps of SAT and of the particles; the bandwidth is the paper's, 0.001."""
SETUP: dict[str, Any] = {
    "epochs": 40,
    "batch_size": 20,
    "learning_rate": 0.05,
    "momentum": 0.9,
    "weight_decay": 2e-4,
    "milestones": [20, 30],
    "augmentation": "none",
}
SHOWN = 6
"""The largest number of points whose balls and adversarial points are drawn."""
WIDE, HIGH = (0.0, 1.0), (0.16, 0.84)
"""The part of the plane that is drawn."""
GRID = (51, 35)
"""Its points across and up at which the networks are asked."""
Array = NDArray[numpy.float64]


@dataclass(frozen=True)
class Panel:
    """A network, or the amalgam, on the plane."""

    name: str
    probabilities: Array
    """Of the second class, at the points of the grid, (rows, columns)."""
    adversarial: Array
    """The points (k,2) that it learns from in place of the chosen ones; none where it learns from those themselves."""
    clean: float | None = None
    """Per cent of the test points that it gets right; None of the amalgam, which needs a point's label."""
    robust: float | None = None
    """The same under PGD."""


@dataclass(frozen=True)
class Plane:
    """The training points (n,2) in [0,1], their labels (n,), the places of the chosen ones, and a panel each."""

    points: Array
    labels: NDArray[numpy.int64]
    chosen: list[int]
    panels: list[Panel]


def sources(study: Study) -> list[Source]:
    """No artifact: the points are drawn and the networks are trained for this picture, in seconds."""
    return []


def gather(study: Study, root: str, sources: Sequence[Source]) -> list[Plane]:
    """The plane of the study's first seed, computed on the CPU with one thread."""
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        return [_plane(study.seeds[0])]
    finally:
        torch.set_num_threads(threads)


def _plane(seed: int) -> Plane:
    import torch

    from ataka import generation, streams
    from ataka.attacks import ascent
    from ataka.objectives import at_aka
    from ataka.study import Generator
    from baselines import natural, sat

    data, test = moons(seed, "train", TRAINING), moons(seed, "test", TEST)
    x, y = data.pixels(), data.labels
    generator = Generator.model_validate({"kind": "svgd", **ATTACK})
    standard, robust, student = (network(seed, "initial", "network", 0) for _ in range(3))
    teachers = [network(seed, "initial", "teacher", index) for index in range(TEACHERS)]
    options = at_aka.Options(amalgamation=PSI)
    _train([standard], natural.create(natural.Options()), data, seed)
    _train([robust], sat.create(sat.Options(**ATTACK)), data, seed)
    together = at_aka.create(options, alpha=ALPHA, generator=generator, online=True)
    _train([*teachers, student], together, data, seed, teachers=TEACHERS)

    chosen = near_the_other_class(x.flatten(1).double().numpy(), y.numpy())
    some, labels = x[chosen], y[chosen]
    limits: dict[str, Any] = {"eps": number(generator.eps), "step_size": number(generator.step_size)}
    starts = [streams.generator(seed, "plane", "start", index) for index in range(TEACHERS)]
    start = generation.draw(generator, some, starts)
    particles = generation.particles(generator, teachers, some, labels, start)
    samples = ascent.ascend(robust, some, labels, **limits, steps=generator.steps, start=start[0], clamp_start=True)

    plane = torch.from_numpy(_grid()).float()
    nearest = y[torch.cdist(plane, x.flatten(1)).argmin(1)]
    with torch.no_grad():
        logits = torch.stack([teacher(plane[:, :, None, None]) for teacher in teachers])
        amalgam = options.target_of(logits, nearest)

    def panel(name: str, shown: "nn.Module", adversarial: "Tensor | None" = None) -> Panel:
        begun = ascent.draw(test.pixels(), eps=limits["eps"], generator=streams.generator(seed, "plane", "attack"))
        x_adv = ascent.ascend(shown, test.pixels(), test.labels, **limits, steps=20, start=begun)
        with torch.no_grad():
            verdicts = [shown(images).argmax(1) == test.labels for images in (test.pixels(), x_adv)]
            right = [100 * each.double().mean().item() for each in verdicts]
            return Panel(name, _second(shown(plane[:, :, None, None])), _places(adversarial), *right)

    return Plane(
        x.flatten(1).double().numpy(),
        y.numpy(),
        chosen,
        [
            panel("Natural", standard),
            panel("SAT", robust, samples),
            *(panel(f"teacher {index + 1}", each, particles[index]) for index, each in enumerate(teachers)),
            Panel("amalgam", _second(amalgam), _places(particles.flatten(0, 1))),
            panel("student", student),
        ],
    )


def moons(seed: int, part: str, count: int) -> "Split":
    """Two half moons, each the class of every other point, as ``count`` images of two channels and one pixel."""
    import torch

    from ataka import streams
    from ataka.datasets.images import Split

    source = streams.generator(seed, "plane", part)
    labels = torch.arange(count) % 2
    angles = math.pi * torch.rand(count, generator=source, dtype=torch.float64)
    across = torch.where(labels == 0, angles.cos(), 1 - angles.cos()) - 0.5
    up = torch.where(labels == 0, angles.sin(), 0.5 - angles.sin()) - 0.25
    noise = 0.06 * torch.randn(count, 2, generator=source, dtype=torch.float64)
    points = 0.5 + (torch.stack([across, up], 1) + noise) / 3.4
    return Split((255 * points).round().to(torch.uint8).reshape(count, 2, 1, 1), labels)


def network(seed: int, *name: str | int) -> "nn.Module":
    """A perceptron of two hidden layers, its weights from the stream ``name``."""
    from torch import nn

    from ataka import draws, streams
    from ataka.models.normalised import normalised

    with streams.global_stream(seed, *name), draws.Alike():
        layers = [nn.Linear(2, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, HIDDEN), nn.ReLU(), nn.Linear(HIDDEN, 2)]
    return normalised(nn.Sequential(nn.Flatten(), *layers), (0.5, 0.5), (0.2, 0.2))


def _train(networks: "Sequence[nn.Module]", objective: Any, data: "Split", seed: int, *, teachers: int = 0) -> None:
    from ataka.datasets import Specification
    from ataka.training import train

    facts = Specification("moons", classes=2, channels=2, size=1, shift=0, flip=False, images=(TRAINING, TEST))
    train(networks, objective, data, facts, Setup.model_validate(SETUP), seed=seed, teachers=teachers)


def near_the_other_class(points: Array, labels: NDArray[numpy.int64]) -> list[int]:
    """The places of at most SHOWN points (n,2), those nearest to the other class whose balls don't overlap."""
    distances = numpy.abs(points[:, None] - points).max(2)
    to_others = numpy.where(labels[:, None] == labels, numpy.inf, distances).min(1)
    chosen: list[int] = []
    for place in to_others.argsort(kind="stable").tolist():
        if all(distances[place, other] > 2 * number(str(ATTACK["eps"])) for other in chosen):
            chosen.append(place)
    return chosen[:SHOWN]


def _grid() -> Array:
    """The points of the grid, (rows * columns, 2), from the lower left."""
    up, across = numpy.meshgrid(numpy.linspace(*HIGH, GRID[1]), numpy.linspace(*WIDE, GRID[0]), indexing="ij")
    return numpy.stack([across, up], -1).reshape(-1, 2)


def _second(logits: "Tensor") -> Array:
    probabilities: Array = logits.double().softmax(1)[:, 1].numpy().reshape(GRID[::-1])
    return probabilities


def _places(adversarial: "Tensor | None") -> Array:
    return numpy.empty((0, 2)) if adversarial is None else adversarial.flatten(1).double().numpy()


# ---- what is drawn

LEVELS = (0.0, 0.2, 0.5, 0.8, 1.0)
TINTS = ("#6FAFD6", "#BBD9EB", "#FBE8DC", "#F5CDB3")
"""Shades of the two classes' colours between the levels: of the first class also the darker ones in grey."""
CLASSES: Sequence[Mapping[str, Any]] = ({"color": "#0072B2", "marker": "o"}, {"color": "#D55E00", "marker": "^"})


def draw(figure: "Figure", data: Sequence[Plane]) -> None:
    """A panel for each network and for the amalgam: regions, boundary, points, balls, adversarial points."""
    from matplotlib.patches import Rectangle

    (plane,) = data
    eps = number(str(ATTACK["eps"]))
    rows = -(-len(plane.panels) // 3)
    figure.set_size_inches(WIDTH, 0.9 * rows)
    across, up = numpy.linspace(*WIDE, GRID[0]), numpy.linspace(*HIGH, GRID[1])
    for axes, panel in zip(figure.subplots(rows, 3, squeeze=False).ravel(), plane.panels, strict=True):
        axes.contourf(across, up, panel.probabilities, LEVELS, colors=TINTS)
        axes.contour(across, up, panel.probabilities, [0.5], colors="black", linewidths=0.8)
        for label, shown in enumerate(CLASSES):
            points = plane.points[plane.labels == label]
            axes.plot(points[:, 0], points[:, 1], linestyle="", markersize=1.1, markeredgewidth=0, **shown)
        for point in plane.points[plane.chosen]:
            axes.add_patch(Rectangle(point - eps, 2 * eps, 2 * eps, fill=False, linewidth=0.4))
        axes.plot(*panel.adversarial.T, linestyle="", marker="x", color="black", markersize=2, markeredgewidth=0.5)
        axes.set(xticks=[], yticks=[], xlim=WIDE, ylim=HIGH, aspect="equal")
        axes.grid(visible=False)
        axes.spines[:].set(visible=True, linewidth=0.3, color="#888888")
        axes.set_title(panel.name, loc="left")
        if panel.robust is not None:
            axes.set_title(f"{panel.robust:.1f}", loc="right")


def caption(study: Study, data: Sequence[Plane]) -> str:
    """The problem, the meaning of all that is drawn, and whether the student is more robust than its teachers."""
    (plane,) = data
    accuracies = {panel.name: panel for panel in plane.panels}
    student, sat = accuracies["student"], accuracies["SAT"]
    of_teachers = [panel.robust for name, panel in accuracies.items() if name.startswith("teacher") and panel.robust]
    particles = [accuracies[f"teacher {index + 1}"].adversarial for index in range(TEACHERS)]
    apart = numpy.abs(particles[0] - particles[1]).max(1) > number(str(ATTACK["eps"]))
    return (
        f"Fig. 1 of the paper on two half moons of {TRAINING} points (seed {study.seeds[0]}): networks of two hidden "
        "layers, trained naturally, by SAT, and by (S)AT-AKA with two teachers on particles of SVGD (bandwidth 0.001) "
        f"within {ATTACK['eps']}. Lines are decision boundaries, and shades the probability of a class. The amalgam is "
        "the student's target, and takes the label of the nearest training point. Squares are the balls of some points "
        f"near the other class, and crosses the adversarial points that a network learns from; in {int(apart.sum())} "
        f"of {len(apart)} balls the two particles lie more than half a ball apart. The number above a panel is the "
        f"accuracy in per cent under PGD on {TEST} test points. The student keeps {student.robust:.1f} %, its teachers "
        f"{' and '.join(f'{each:.1f}' for each in of_teachers)} %, SAT {sat.robust:.1f} %."
    )
