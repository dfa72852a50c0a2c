"""particles: measure a generator's particles on a network."""

from typing import Any

from torch import Tensor

from ataka import plan
from ataka.files.disk import sha256
from ataka.files.records import sealed, write_rows
from ataka.files.resume import State, States
from ataka.machine import memory
from ataka.particles import measure
from ataka.plan import Particles
from ataka.stages.common import device_of, exact, load, load_images, measured, naming, progress_of, states_of
from ataka.study import Study


def particles(study: Study, root: str, node: Particles) -> None:
    """Measure one generator's particles of the first test images on a network; writes a row for each image."""
    plan.particles_settings(study, node)  # refuses an unknown generator
    device = device_of(study)
    network = load(study, root, node.run, device)
    images = load_images(study, root, node.dataset, "test")
    split = images.first(study.particles.images).to(device)
    progress = progress_of(node)
    inputs: dict[str, Any] = {"data": images.digest(), "model": sha256(node.run.model(root))}
    states = states_of(study, node, node.csv(root).parent, progress, **inputs)
    states.folder /= node.generator
    with naming(node.run.model(root)), states:
        pieces = _Pieces(states, len(split))
        states.restore(pieces.take)
        with memory.resuming(pieces):
            rows = measure(
                network,
                split,
                study.generators[node.generator],
                count=study.particles.count,
                seed=node.seed,
                progress=progress,
            )
        about = measured(study, node, states.usage, model_sha256=inputs["model"], data_sha256=inputs["data"])
        about |= {"count": study.particles.count}
        stated = [{**about, **{name: exact(value) for name, value in row.items()}} for row in rows]
        write_rows(node.csv(root), map(sealed, stated))


class _Pieces:
    """The rows of the pieces that are measured, of ``total`` images."""

    def __init__(self, states: States, total: int) -> None:
        self.results: list[list[dict[str, float]]] = []
        self.count = 0
        self.size: int | None = None
        self._states, self._total = states, total

    def take(self, state: State) -> None:
        self.results, self.count, self.size = (state.facts[name] for name in ("results", "count", "size"))

    def add(self, result: list[dict[str, float]], count: int, size: int) -> None:
        self.results.append(result)
        self.count, self.size = count, size
        self._states.keep(f"image {count} of {self._total}", self._state)

    def _state(self) -> tuple[dict[str, Tensor], dict[str, Any]]:
        return {}, {"results": self.results, "count": self.count, "size": self.size}
