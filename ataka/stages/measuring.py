"""particles: what a network says of a generator's particles."""

from dataclasses import asdict

import torch

from ataka import plan, provenance, store
from ataka.plan import Particles
from ataka.stages.common import device_name, device_of, exact, load, load_images, progress_of, writing
from ataka.study import Study


def measure_particles(study: Study, root: str, node: Particles) -> None:
    """What a network says of one generator's particles of the first test images; writes a row an image."""
    from ataka import particles

    device, settings = device_of(study), plan.particles_settings(study, node)
    network = load(study, root, node.run, device)
    images = load_images(study, root, node.dataset, "test")
    split = images.first(study.particles.images).to(device)
    rows = particles.measure(
        network,
        split,
        study.generators[node.generator],
        count=study.particles.count,
        seed=node.seed,
        progress=progress_of(node),
    )
    about = {"scale": study.scale, **asdict(node), "count": study.particles.count}
    environment = provenance.environment()
    after = {
        "model_sha256": store.sha256(node.run.model(root)),
        "config_sha256": plan.digest(settings),
        **{name: environment[name] for name in ("git_commit", "git_dirty")},
        "device": device_name(device),
        "torch": torch.__version__,
        "threads": study.threads,
        "finished_at": provenance.now(),
        "data_sha256": images.digest(),
        "code_sha256": provenance.code_digest(plan.code_of(study, node)),
    }
    measured = [{name: exact(value) for name, value in row.items()} for row in rows]
    with writing(node.csv(root).parent, node.generator):
        store.write_rows(node.csv(root), [store.sealed(about | row | after) for row in measured])
