"""particles: what a network says of a generator's particles."""

from dataclasses import asdict

import torch

from ataka import plan
from ataka.files import provenance
from ataka.files.disk import sha256
from ataka.files.records import sealed, write_rows
from ataka.particles import measure
from ataka.plan import Particles, digests
from ataka.stages.common import device_name, device_of, exact, load, load_images, progress_of, writing
from ataka.study import Study


def particles(study: Study, root: str, node: Particles) -> None:
    """What a network says of one generator's particles of the first test images; writes a row an image."""
    device, settings = device_of(study), plan.particles_settings(study, node)
    network = load(study, root, node.run, device)
    images = load_images(study, root, node.dataset, "test")
    split = images.first(study.particles.images).to(device)
    rows = measure(
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
        "model_sha256": sha256(node.run.model(root)),
        "config_sha256": plan.digest(settings),
        **{name: environment[name] for name in ("git_commit", "git_dirty")},
        "device": device_name(device),
        "torch": torch.__version__,
        "threads": study.threads,
        "finished_at": provenance.now(),
        "data_sha256": images.digest(),
        "code_sha256": digests.code_digest(plan.code_of(study, node)),
    }
    measured = [{name: exact(value) for name, value in row.items()} for row in rows]
    with writing(node.csv(root).parent, node.generator):
        write_rows(node.csv(root), [sealed(about | row | after) for row in measured])
