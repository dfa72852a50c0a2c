"""particles: measure a generator's particles on a network."""

from ataka import plan
from ataka.files.disk import sha256
from ataka.files.records import sealed, write_rows
from ataka.machine.meter import Meter
from ataka.particles import measure
from ataka.plan import Particles
from ataka.stages.common import device_of, exact, load, load_images, measured, naming, progress_of, writing
from ataka.study import Study


def particles(study: Study, root: str, node: Particles) -> None:
    """Measure one generator's particles of the first test images on a network; writes a row for each image."""
    plan.particles_settings(study, node)  # refuses an unknown generator
    device, meter = device_of(study), Meter()
    network = load(study, root, node.run, device)
    images = load_images(study, root, node.dataset, "test")
    split = images.first(study.particles.images).to(device)
    with naming(node.run.model(root)):
        rows = measure(
            network,
            split,
            study.generators[node.generator],
            count=study.particles.count,
            seed=node.seed,
            progress=progress_of(node),
        )
    model = sha256(node.run.model(root))
    about = measured(study, node, meter.read(), model_sha256=model, data_sha256=images.digest())
    about |= {"count": study.particles.count}
    stated = [{**about, **{name: exact(value) for name, value in row.items()}} for row in rows]
    with writing(node.csv(root).parent, node.generator):
        write_rows(node.csv(root), map(sealed, stated))
