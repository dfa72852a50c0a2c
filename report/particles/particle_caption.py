"""The caption of a table of particles."""

from collections import defaultdict
from collections.abc import Iterator, Sequence

from ataka.study import Generator, Study
from ataka.study.fields import number
from report import names
from report.caption import Caption, deviations, opening, scale, selection, stand_ins, versions
from report.grammar import counted
from report.layout import DASH, Layout
from report.particles.particle_rows import ParticleSet
from report.particles.particle_table import ParticleTable
from report.style import Style


def compose(
    table: ParticleTable,
    study: Study,
    measurements: Sequence[ParticleSet],
    layout: Layout,
    style: Style = Style.PAPER,
) -> Caption:
    """The caption of ``layout``, which shows ``measurements``.

    A compact table leaves the generators' settings to the paper's text.
    """
    compact = style is Style.COMPACT
    particles = study.particles
    unfinished = len(measurements) < len(table.sources(study))
    text = [
        *opening(table, study, len(measurements)),
        "dist: the mean distance of two particles; CE: their cross-entropy in nats.",
    ]
    notes = [
        scale(study),
        *stand_ins(study, [particles.dataset], []),
        f"{counted(particles.count, 'particle')} for each test image, all generators from the same random numbers, "
        f"seed {study.seeds[0]}.",
        f"dist: images in [0, 1]; {_diameters(table, study)}.",
        "CE: mean, sample standard deviation and maximum over an image's particles.",
        *([f"Dashes ({DASH}): not measured yet."] if unfinished and layout.has_dash else []),
        *(deviations(layout, "images") if compact else _readings(table, study)),
        *selection(table, study),
        *versions(table, measurements),
        *(_published() if style is Style.PUBLISHED else ()),
    ]
    return Caption(text, notes)


def _diameters(table: ParticleTable, study: Study) -> str:
    budgets = dict.fromkeys(study.generators[row.generator].eps for row in table.lines)
    parts = [
        f"within ‖ε‖∞ ≤ {eps} none are further apart in ℓ∞ than 2 × {eps} = {2 * number(eps):.4f}" for eps in budgets
    ]
    return names.listed(parts)


def _readings(table: ParticleTable, study: Study) -> Iterator[str]:
    """Sentences on the generators' steps, their starts, and the kernel of each SVGD."""
    generators = _generators(table, study)
    along = {"sign": "signs", "raw": "raw gradients", "normalised": "normalised gradients"}
    steps = {
        label: f"{generator.steps} of {generator.step_size}, along {along[generator.update]}"
        for label, generator in generators
    }
    starts = {
        label: "Gaussian" if generator.start == "gaussian" else "uniform in the ball" for label, generator in generators
    }
    kernels = {label: _kernel(generator) for label, generator in generators if generator.kind == "svgd"}
    for what, texts in (("Steps", steps), ("Starts", starts), ("SVGD's kernel", kernels)):
        if texts:
            yield f"{what}: {_alike(texts)}."


def _kernel(generator: Generator) -> str:
    width = "by the median heuristic" if generator.bandwidth == "median" else f"= {generator.bandwidth:g}"
    attracting = ", attracting" if generator.repulsion == "towards" else ""
    divided = ", 1/n on both terms" if generator.one_over_n == "both" else ""
    return f"σ {width}, γ = {generator.gamma:g}{attracting}{divided}"


def _alike(said: dict[str, str]) -> str:
    """The text that most labels share, and then each other text with its labels."""
    labels: dict[str, list[str]] = defaultdict(list)
    for label, text in said.items():
        labels[text].append(label)
    most = max(labels, key=lambda text: len(labels[text]))
    others = [f"{text} for {names.listed(labels[text])}" for text in labels if text != most]
    return "; ".join([most, *others])


def _generators(table: ParticleTable, study: Study) -> list[tuple[str, Generator]]:
    return [(row.heading, study.generators[row.generator]) for row in table.lines]


def _published() -> Iterator[str]:
    yield (
        "Published: what the paper printed of one image of CIFAR-10, without saying which, nor of which network; it "
        "calls dist an ℓ∞ distance. These and the measured numbers come from different experiments."
    )
