"""The measurements of one generator's particles, an image a row, checked: they add up."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ataka.errors import Unusable
from ataka.plan import Particles
from ataka.study import Study
from ataka.study.fields import number
from report.sources import require_in_force

STATISTICS = ["l1", "l2", "linf", "ce_mean", "ce_std", "ce_max"]
"""The statistics that a table may show."""
# fmt: off
COLUMNS = [
    "scale", "dataset", "arch", "method", "seed", "generator", "count", "image",
    *STATISTICS, "ce_min", "fooled", "ce_clean",
    "kernel_offdiagonal_mean", "kernel_offdiagonal_max",
    "model_sha256", "config_sha256",
    "git_commit", "git_dirty",
    "device", "torch", "threads", "seconds", "cpu_seconds", "memory_mb", "gpu_memory_mb", "finished_at",
    "data_sha256", "code_sha256",
]
# fmt: on
"""The columns of every row; a row may have more columns."""
_REACH = 1e-6
"""The most by which float32 may round a distance beyond the ball."""
_ROUNDING = 1e-9


@dataclass(frozen=True)
class ParticleSet:
    """One generator's particles around each image; ``rows`` as they were written, ``numbers`` their statistics."""

    source: Particles
    numbers: dict[str, list[float]]
    rows: list[dict[str, str]]


def check(rows: Sequence[dict[str, str]], study: Study, source: Particles, where: str) -> ParticleSet:
    """``rows`` as the measurements of ``source``; UserError, naming ``where``, if they can't be."""
    if len(rows) != study.particles.images:
        raise Unusable(f"{where} has {len(rows)} rows, one for each of {study.particles.images} images is due")
    for row in rows:
        require_in_force(row, study, source, where)
    diameter = 2 * number(study.generators[source.generator].eps)
    try:
        for image, row in enumerate(rows):
            if row["image"] != str(image) or row["count"] != str(study.particles.count):
                raise ValueError(f"image {row['image']} with {row['count']} particles")
            _check_row(row, study.particles.count, diameter)
    except ValueError as error:
        raise Unusable(f"{where} doesn't add up: {error}") from None
    return of(rows, source)


def of(rows: Sequence[dict[str, str]], source: Particles) -> ParticleSet:
    """``rows`` as the measurements of ``source``, without a check."""
    return ParticleSet(source, {name: [float(row[name]) for row in rows] for name in STATISTICS}, list(rows))


def _check_row(row: dict[str, str], count: int, diameter: float) -> None:
    names = [*STATISTICS, "ce_min", "ce_clean", "kernel_offdiagonal_mean", "kernel_offdiagonal_max"]
    value = {name: float(row[name]) for name in names}
    image = f"image {row['image']}"
    for name in names:
        if not math.isfinite(value[name]) or value[name] < 0:
            raise ValueError(f"{image}: {name} is {row[name]}")
    if value["linf"] > diameter + _REACH:
        raise ValueError(f"{image}: linf {row['linf']} is beyond the ball's diameter {diameter:.4f}")
    slack = _ROUNDING * (1 + value["ce_max"])
    if not value["ce_min"] - slack <= value["ce_mean"] <= value["ce_max"] + slack:
        raise ValueError(f"{image}: ce_mean {row['ce_mean']} is not between {row['ce_min']} and {row['ce_max']}")
    if not 0 <= int(row["fooled"]) <= count:
        raise ValueError(f"{image}: {row['fooled']} of {count} particles fool")
