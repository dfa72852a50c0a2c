"""shard: attack a network on some of an attack's chunks; the cell is joined from all such shards."""

import sys
from functools import partial

from ataka.evaluation import evaluate as run_attack
from ataka.files.shards import Part
from ataka.machine.progress import Progress
from ataka.plan import Shard
from ataka.stages.common import naming, progress_of, states_of
from ataka.stages.evaluate import subject_of
from ataka.study import Study


def shard(study: Study, root: str, node: Shard) -> None:
    """Predict the shard's images under attack, drawn as for the whole cell; writes its file. Resumes if interrupted."""
    subject, split = subject_of(study, root, node.cell)
    attack, path = study.attack_on(node.attack, node.dataset), node.file(root)
    assert attack.chunk is not None
    count = len(split.first(attack.images))
    images = node.images(count, attack.chunk)
    progress = _Progress(progress_of(node).job, images)
    kept = partial(Part, images=images, count=count)
    inputs = {"data": split.digest(), "model": subject.sha256}
    states = states_of(study, node, path.parent, progress, kept, **inputs)
    assert isinstance(states, Part)
    states.folder /= path.stem
    with naming(subject.path), states:
        states.evaluate(
            path,
            lambda: run_attack(
                subject.network,
                attack.settings,
                split,
                seed=node.seed,
                progress=progress,
                states=states,
                attacked=subject.attacked,
            ),
        )
    progress.say(f"{len(images)} of {count} images")


class _Progress(Progress):
    """The progress of a shard, in its own images."""

    def __init__(self, job: str, images: range) -> None:
        super().__init__(job, sys.stderr)
        self._images = images

    def start(self, epochs: int, images: int, done: int = 0) -> None:
        super().start(epochs, len(self._images), done - self._images.start)
