"""The first test image, its particles of SVGD and of PGD from the same starts, and their perturbations, magnified.

The particles are those that Table 1 measures: its first network, its generators ``svgd`` and ``pgd``, the same starts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy
from numpy.typing import NDArray

from ataka import plan
from ataka.errors import UserError
from ataka.plan import Run
from ataka.study import Study, words
from ataka.study.fields import number
from report import names
from report.pictures import Images, Source, in_force
from report.pictures._drawing import WIDTH

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TITLE = "Particles of SVGD and samples of PGD of one image"
GENERATORS = {"svgd": "SVGD", "pgd": "PGD"}
SHOWN = 5
"""The number of particles that are shown, the first ones."""
Pixels = NDArray[numpy.float64]


@dataclass(frozen=True)
class Particles:
    """A generator's particles of an image, pixels in [0,1]."""

    generator: str
    network: str
    eps: float
    image: Pixels
    """(C,H,W)"""
    x_adv: Pixels
    """(n,C,H,W)"""


def sources(study: Study) -> list[Source]:
    """Table 1's first network, and the test images."""
    run = _run(study)
    plan.require_known(study, run)
    lacking = [name for name in GENERATORS if name not in study.generators]
    if lacking:
        raise UserError(f"this scale has no generator '{lacking[0]}'")
    return [run, Images(run.dataset, "test")]


def _run(study: Study) -> Run:
    dataset, network = study.stand_in(study.particles.dataset), study.particles.networks[0]
    if dataset is None:
        raise UserError("this scale leaves out the data set of Table 1")
    return Run(dataset, network.arch, network.method, study.seeds[0])


def gather(study: Study, root: str, sources: Sequence[Source]) -> list[Particles]:
    """The particles, as ataka/particles.py makes them; computed on the CPU."""
    import ataka
    from ataka import generation, streams
    from ataka.datasets.images import to_unit
    from ataka.files.prepared import load_split

    run = _run(study)
    images = Images(run.dataset, "test")
    if run not in sources or images not in sources:
        return []
    in_force(study, run, run.model(root).with_name("run.json"))
    network = ataka.load(run.model(root))
    file, about = plan.data_file(root, *images), plan.data_settings(study, *images)
    split = load_split(file, images.part, about).first(study.particles.images)
    x, y = to_unit(split.images[:1]), split.labels[:1]
    data = []
    for name in GENERATORS:
        generator = study.generators[name]
        seeds = [streams.generator(run.seed, "particles", index) for index in range(study.particles.count)]
        start = generation.draw(generator, split.pixels(), seeds)[:, :1]
        with streams.global_stream(run.seed, "particles", "forward", 0):
            x_adv = generation.particles(generator, network, x, y, start)
        label = f"{names.method(run.method, study)}, {names.arch(run.arch)}"
        pixels = (x[0].double().numpy(), x_adv[:, 0].double().numpy())
        data.append(Particles(name, label, number(generator.eps), *pixels))
    return data


def perturbation(particles: Particles, index: int) -> Pixels:
    """A particle's difference to the image, (C,H,W): 0.5 is none, 0 and 1 are the budget."""
    shown: Pixels = 0.5 + (particles.x_adv[index] - particles.image) / (2 * particles.eps)
    return shown.clip(0, 1)


def draw(figure: "Figure", data: Sequence[Particles]) -> None:
    """Two rows for each generator: the image and its particles, and the perturbations below."""
    count = min(SHOWN, len(data[0].x_adv))
    figure.set_size_inches(WIDTH, 0.2 + WIDTH / (count + 1.4) * 2 * len(data))
    rows = figure.subplots(2 * len(data), count + 1, squeeze=False)
    for axes in rows.ravel():
        axes.set(xticks=[], yticks=[])
        axes.grid(visible=False)
        axes.spines[:].set(visible=True, linewidth=0.3, color="#888888")
    for place, particles in enumerate(data):
        above, below = rows[2 * place], rows[2 * place + 1]
        above[0].set_ylabel(GENERATORS[particles.generator])
        _show(above[0], particles.image)
        below[0].set_axis_off()
        for index in range(count):
            _show(above[index + 1], particles.x_adv[index])
            _show(below[index + 1], perturbation(particles, index))
    rows[0][0].set_title("image")
    for index in range(count):
        rows[0][index + 1].set_title(str(index + 1))


def _show(axes: object, pixels: Pixels) -> None:
    """Draw (C,H,W): of one channel in grey, of three in colour."""
    shown = pixels.transpose(1, 2, 0)
    axes.imshow(shown[..., 0] if shown.shape[2] == 1 else shown, cmap="gray", vmin=0, vmax=1)  # type: ignore[attr-defined]


def caption(study: Study, data: Sequence[Particles]) -> str:
    """The network, the budget, and the largest difference between the two generators in a pixel."""
    svgd, pgd = data
    gap = numpy.abs(svgd.x_adv - pgd.x_adv).max() * 255
    count = len(svgd.x_adv)
    return (
        f"The first test image and {min(SHOWN, count)} of its {count} particles by SVGD (eq. 2) and by PGD from the "
        f"same starts, against {words.plain(svgd.network)} (seed {study.seeds[0]}). Below each particle stands its "
        f"perturbation, magnified: black and white are the budget of {svgd.eps * 255:g}/255, and mid grey no change. "
        f"The two generators differ by at most {gap:.1f}/255 in a pixel of this image."
    )
