"""The work of each job, counted from settings alone: passes through networks, and the bytes of a tape. Loads no torch.

The unit is a forward. A step of an attack is two (a forward, and a backward to the images), an update of the weights
three. Optimisers, psi and the diagnostics of an evaluation aren't counted. A time is estimated from both numbers of a
``Work``, of images and of batches, since an image of a small batch takes longer.
"""

from collections.abc import Iterator
from math import ceil
from typing import Literal, NamedTuple

from ataka.plan.artifacts import Cell, Node, Particles, Run, Shard, Tape
from ataka.plan.lineage import (
    adopts,
    candidates,
    ensemble_of,
    frozen_teachers,
    members,
    shared_out,
    source_of,
    together,
    trained_on,
)
from ataka.plan.sharding import images_of, shards_of, tested
from ataka.study import AttackEntry, Ensemble, Generator, Method, Setup, Study, config
from ataka.study.fields import number
from ataka.study.options import Facts

ATTACK_STEP, UPDATE = 2, 3
"""Forwards in a step of an attack (one, and a backward to the images) and in an update (one, and a full backward)."""
WIDE = 0.04
"""Kernels wider than this are taken to be felt: then a literal eq. 2 asks each network at every particle (A9)."""
PIECE = 128
"""Images that an evaluation shows a network at once."""
WATCHED = 1000
"""Images of each split that a training shows its networks as an epoch ends."""
FLOAT_BYTES = 4

Kind = Literal["attack", "update"]


class Work(NamedTuple):
    """Passes through networks of one architecture, all of one kind.

    ``forwards`` counts those of single images, ``calls`` those of whole batches. They are passes of ``networks`` in
    equal parts, each of which may have a process of its own.
    """

    kind: Kind
    arch: str
    dataset: str
    forwards: float
    calls: float
    precision: Literal["float32", "bfloat16"] = "float32"
    networks: int = 1

    def busiest(self, processes: int) -> float:
        """The share of the passes that the busiest of so many processes computes, the first."""
        return ceil(self.networks / processes) / self.networks


class Exchange(NamedTuple):
    """The numbers that pass between the first process of a job and the others, in all its steps.

    The float32 weights of each of ``networks`` that the first process doesn't compute pass ``weights`` times; gradients
    count as weights. Besides, ``images`` pass, as float32 too. Labels and logits aren't counted.
    """

    arch: str
    dataset: str
    networks: int
    weights: float
    images: float

    def elsewhere(self, processes: int) -> int:
        """The networks that other processes than the first compute."""
        return self.networks - ceil(self.networks / processes)


def work_of(study: Study, node: Node) -> list[Work]:
    """The passes of the job that makes ``node``; none where it only joins or adopts other artifacts."""
    if isinstance(node, Cell | Shard):
        attack, n = study.attack(node.attack), study.method(node.method).members
        if isinstance(node, Cell) and shards_of(study, node):
            return []
        whole = tested(study, attack, node.dataset)
        images = len(images_of(study, node)) if isinstance(node, Shard) else whole
        return [_evaluation(attack, node.arch, node.dataset, images, n)]
    if isinstance(node, Particles):
        steps, n = study.generators[node.generator].steps, study.method(node.method).members
        each = n * (ATTACK_STEP * steps + 2)
        shown = study.particles.count * study.particles.images
        calls = study.particles.count * ceil(study.particles.images / PIECE)
        return [Work("attack", node.arch, node.dataset, float(shown * each), float(calls * each))]
    if isinstance(node, Tape):
        return [] if source_of(study, node) else list(_teachers(study, node, ensemble_of(study, node)))
    return list(_training(study, node))


def exchange_of(study: Study, node: Tape | Run) -> Exchange | None:
    """The exchange of the processes that train ``node``, however many; None where nothing is shared out."""
    n = shared_out(study, node)
    if n == 1 or (isinstance(node, Tape) and source_of(study, node)):
        return None
    if isinstance(node, Tape):
        ensemble, arch = ensemble_of(study, node), study.teacher(node.dataset)
        generator, setup = ensemble.generator, study.setup(ensemble.setup, node.dataset, arch)
    else:
        method = study.method(node.method)
        arch = study.teacher(node.dataset) if method.ensemble else node.arch
        generator = str(method.ensemble.generator if method.ensemble else method.generator)
        setup = study.setup(method.setup, node.dataset, node.arch)
    shown, batches = _epochs(study, node, setup)
    ascents = setup.awp.steps * (1 - number(setup.awp.begin)) if setup.awp else 0
    images = _passed(study.generators[generator], n)
    return Exchange(arch, node.dataset, n, 2 * batches * (1 + ascents), shown * images)


def _passed(generator: Generator, n: int) -> int:
    """How often an image passes between processes in a step, as an image, a particle or a gradient at one."""
    if _through_all(generator):
        return n  # particles before the update
    steps = generator.steps * (n if _felt(generator) else 1) if generator.kind == "svgd" else 1
    return 1 + n + n * steps + n  # the image, starts, gradients (PGD's particles at the end), particles


def selection_work(study: Study, run: Run) -> list[Work]:
    """The passes of the job that chooses alpha for ``run``."""
    count, n = len(candidates(study, run)), study.method(run.method).members
    return [_selection(study, run, n * count)]


class PerImage(NamedTuple):
    """Forwards that a training image takes in one step: through the networks that train, and through their teachers."""

    trained: float
    teachers: float


def per_image(study: Study, run: Run) -> PerImage | None:
    """The forwards of an image in a step of the training behind ``run``; None of a network that others trained.

    All networks count that train for the run: the members of an average, those that train together. The teachers of
    a tape count as they are trained, once for all its students; frozen teachers as they are asked.
    """
    trained = together(study, run) or run
    method = study.method(trained.method)
    if method.objective is None:
        return None
    facts, setup = config.facts(study, trained.method), study.setup(method.setup, run.dataset, run.arch)
    passes = _attacked(study, method, facts) + (method.members if method.joint else 1) * _update(setup, facts.updates)
    asked = sum(
        study.method(teacher.method).members * facts.forwards.get(role, 1)
        for role, teacher in frozen_teachers(study, trained).items()
    )
    if ensemble := method.ensemble:
        teachers = study.setup(ensemble.setup, run.dataset, study.teacher(run.dataset))
        asked += _generated(study, ensemble) + ensemble.n * _update(teachers, 1)
    count = 1 if method.joint else method.members
    return PerImage(count * passes, count * asked)


def tape_bytes(study: Study, tape: Tape) -> int:
    """The bytes of a tape's logits (float32: image, teacher, class, for each epoch and channel); 0 of a shared one."""
    if source_of(study, tape):
        return 0
    ensemble = ensemble_of(study, tape)
    epochs = study.setup(ensemble.setup, tape.dataset, study.teacher(tape.dataset)).epochs
    channels = len(study.generators[ensemble.generator].channels)
    classes = study.dataset(tape.dataset).specification.classes
    return _images(study, tape) * epochs * ensemble.n * classes * channels * FLOAT_BYTES


def _training(study: Study, run: Run) -> Iterator[Work]:
    method = study.method(run.method)
    if method.member == "chosen":
        together = study.method(str(method.member_of)).members
        yield _selection(study, run, together)
    if adopts(study, run) or method.objective is None or members(study, run):
        return
    facts, setup = config.facts(study, run.method), study.setup(method.setup, run.dataset, run.arch)
    n = method.members if method.joint else 1
    through_all = method.generator is not None and _through_all(study.generators[method.generator])
    apart = 1 if through_all else n
    yield from _trained(study, run, run.arch, setup, _attacked(study, method, facts), n, facts.updates, apart)
    if method.online and method.ensemble:
        yield from _teachers(study, run, method.ensemble)
    shown, batches = _epochs(study, run, setup)
    for role, teacher in frozen_teachers(study, run).items():  # one forward each where the method says no more
        each = study.method(teacher.method).members * facts.forwards.get(role, 1)
        yield Work("attack", teacher.arch, run.dataset, shown * each, batches * each)


def _teachers(study: Study, node: Tape | Run, ensemble: Ensemble) -> Iterator[Work]:
    """The passes of ``ensemble``, which trains in the job of ``node``, on the node's images."""
    arch = study.teacher(node.dataset)
    setup = study.setup(ensemble.setup, node.dataset, arch)
    apart = 1 if _through_all(study.generators[ensemble.generator]) else ensemble.n
    yield from _trained(study, node, arch, setup, _generated(study, ensemble), ensemble.n, apart=apart)


def _attacked(study: Study, method: Method, facts: Facts) -> float:
    """The forwards of an image in the attack of a step, through all networks that train together."""
    steps = study.generators[method.generator].steps if method.generator else facts.options.get("steps", 0)
    return float(ATTACK_STEP * steps * (method.members if method.joint else 1))


def _generated(study: Study, ensemble: Ensemble) -> float:
    """The forwards of an image as the teachers' particles are generated, through all teachers."""
    generator, n = study.generators[ensemble.generator], ensemble.n
    gradients = n * n if _through_all(generator) or _felt(generator) else n
    return float(ATTACK_STEP * generator.steps * gradients)


def _through_all(generator: Generator) -> bool:
    """Whether the gradient at each particle goes through all networks at once."""
    return generator.kind == "svgd" and generator.gradient_of == "ensemble"


def _felt(generator: Generator) -> bool:
    """Whether each network's gradient is asked for at every particle."""
    wide = generator.bandwidth == "median" or generator.bandwidth > WIDE
    return generator.kind == "svgd" and generator.gradient_of == "own" and wide


def _trained(
    study: Study,
    node: Tape | Run,
    arch: str,
    setup: Setup,
    attacked: float,
    networks: int,
    updates: float = 1,
    apart: int = 1,
) -> Iterator[Work]:
    """The passes of ``networks`` that train; an image is shown to them in ``attacked`` forwards before each update.

    The loss that is then lowered is one of ``updates`` images. The attacks are those of ``apart`` networks.
    """
    shown, batches = _epochs(study, node, setup)
    if attacked:
        yield Work("attack", arch, node.dataset, shown * attacked, batches * attacked, setup.precision.generate, apart)
    each = networks * _update(setup, updates)
    yield Work("update", arch, node.dataset, shown * each, batches * each, setup.precision.update, networks)
    yield _watched(study, node, arch, setup, networks, probed=attacked > 0)


def _watched(study: Study, node: Tape | Run, arch: str, setup: Setup, networks: int, *, probed: bool) -> Work:
    """The images that networks are shown as each epoch ends, and the probe of those that train on attacks."""
    splits = [min(WATCHED, _images(study, node)), min(WATCHED, study.data.validation)]
    forwards, calls = sum(splits), sum(ceil(split / PIECE) for split in splits)
    if probed and setup.probe:
        images, each = min(setup.probe.images, study.data.validation), ATTACK_STEP * setup.probe.steps + 2
        forwards, calls = forwards + images * each, calls + ceil(images / PIECE) * each
    epochs = setup.epochs * networks
    return Work("attack", arch, node.dataset, float(epochs * forwards), float(epochs * calls))


def _evaluation(attack: AttackEntry, arch: str, dataset: str, images: int, networks: int) -> Work:
    """An attack in chunks calls the network as often as its longest image asks, however few images stand by then."""
    batches = ceil(images / int(attack.options.get("chunk", PIECE)))
    return Work(
        "attack", arch, dataset, images * attack.forwards * networks, batches * attack.chunk_forwards * networks
    )


def _selection(study: Study, run: Run, networks: int) -> Work:
    """Networks that are compared by the selection's attack, and shown the clean images once."""
    images = _held_out(study, run)
    attacked = _evaluation(study.selection.attack, run.arch, run.dataset, images, networks)
    clean = Work("attack", run.arch, run.dataset, images * networks, ceil(images / PIECE) * networks)
    return attacked._replace(forwards=attacked.forwards + clean.forwards, calls=attacked.calls + clean.calls)


def _epochs(study: Study, node: Tape | Run, setup: Setup) -> tuple[float, float]:
    """The images and the batches of all epochs of a training."""
    images = _images(study, node)
    return float(setup.epochs * images), float(setup.epochs * ceil(images / setup.batch_size))


def _images(study: Study, node: Tape | Run) -> int:
    """The number of images in an epoch of a training."""
    held_out = study.data.validation
    rest = study.data.train or study.dataset(node.dataset).specification.images[0] - held_out
    return rest + held_out if trained_on(study, node) == "all" else rest


def _held_out(study: Study, run: Run) -> int:
    """The number of images that alpha, or a member, is chosen on."""
    if study.selection_of(run.method).split == "validation":
        there = study.data.validation
    else:
        there = study.data.test or study.dataset(run.dataset).specification.images[1]
    return min(study.selection.attack.images or there, there)


def _update(setup: Setup, updates: float) -> float:
    """Forwards of an image in a step's update, on average over the epochs: AWP adds updates, SWA a pass for statistics.

    The step's loss is one of ``updates`` images.
    """
    perturbed = setup.awp.steps * (1 - number(setup.awp.begin)) if setup.awp else 0
    estimated = 1 - number(setup.swa.begin) if setup.swa else 0
    return UPDATE * updates * (1 + perturbed) + estimated
