"""The cost of a study on this machine: a first, honest estimate before any job starts.

Work is counted in passes through a network, a backward pass as two forwards (as one where an attack asks for the
images' gradient alone), and each network's forward is timed here. Expect the truth within a factor of two or three.
"""

import math
import os
import textwrap
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import cache

import torch

from ataka import models, plan
from ataka.datasets import Specification
from ataka.errors import UserError
from ataka.machine.progress import duration
from ataka.plan import Cell, Node, Particles, Run, Tape
from ataka.study import Ensemble, Setup, Study, config
from ataka.study.fields import number
from ataka.study.notes import notes

ATTACK_STEP, UPDATE = 2, 3
"""Forwards in a step of an attack (one, and a backward to the images) and in an update (one, and a full backward)."""
WIDE = 0.04
"""Kernels wider than this are taken to be felt: then a literal eq. 2 asks each network at every particle (A9)."""
JOB_SECONDS, WARM_JOB_SECONDS = 3.0, 0.3
"""Seconds to start a job: with Python and torch to load; forked from a process that has loaded them."""
PATIENCE = 3 * 86400
"""Seconds of work beyond which a study without a GPU is stopped."""


def announce(study: Study, nodes: Sequence[Node], *, local: bool) -> None:
    """Print readings, work and estimate; UserError for days of work on a machine without a GPU."""
    seconds = sum(seconds_of(study, node) for node in nodes)
    gpu = torch.cuda.is_available() and study.device != "cpu"
    device = torch.cuda.get_device_name() if gpu else f"{os.cpu_count()} CPU cores"
    at_once = 1 if gpu else max((os.cpu_count() or 1) // study.threads, 1)
    count = Counter(type(node).__name__.lower() for node in nodes)
    work = ", ".join(f"{jobs} {_plural(kind) if jobs > 1 else kind}" for kind, jobs in sorted(count.items()))
    print(f"scale {study.scale}: {study.about}")
    print(f"to do: {work}; about {duration(seconds / at_once)} on {device} (within a factor of three)")
    print("open sentences of the paper are read as follows (docs/readings.md):")
    by_question: dict[str, list[str]] = {}
    for setting, value in plan.all_readings(study).items():
        chosen, _, question = value.rpartition(" [")
        by_question.setdefault(question.rstrip("]"), []).append(f"{setting} {chosen}")
    for question, settings in sorted(by_question.items()):
        print(textwrap.fill(f"  {question:<4}{', '.join(settings)}", 110, subsequent_indent=6 * " "))
    for note in notes(study):
        print(f"note: {note}")
    print(flush=True)
    if local and not gpu and study.without_gpu == "stop" and seconds > PATIENCE:
        smaller = ", ".join(f"results/{scale}/" for scale in config.scales() if scale != config.DEFAULT_SCALE)
        raise UserError(
            f"this would take about {duration(seconds / at_once)} on this machine, which has no GPU that torch sees. "
            f"Smaller scales: {smaller} (as in: snakemake --cores all results/demo/table2.tex). "
            "To go on all the same: --config without_gpu=go-on"
        )


def _plural(noun: str) -> str:
    return noun if noun.endswith("s") else f"{noun}s"


def seconds_of(study: Study, node: Node) -> float:
    """The seconds that one job takes on one device of this machine."""
    return (WARM_JOB_SECONDS if study.warm_start else JOB_SECONDS) + sum(
        passes * forward_seconds(arch, study.dataset(dataset).specification, study.threads, study.device)
        for arch, dataset, passes in _passes(study, node)
    )


def _passes(study: Study, node: Node) -> list[tuple[str, str, float]]:
    """(architecture, data set, forwards of one image) of a job."""
    if isinstance(node, Cell):
        method = study.method(node.method)
        return [(node.arch, node.dataset, method.members * _attack(study, node))]
    if isinstance(node, Particles):
        members, steps = study.method(node.method).members, study.generators[node.generator].steps
        each = members * study.particles.count * (ATTACK_STEP * steps + 2)
        return [(node.arch, node.dataset, float(study.particles.images * each))]
    images = _images(study, node)
    if isinstance(node, Tape):
        return (
            []
            if plan.source_of(study, node)
            else [_teachers(study, node.dataset, plan.ensemble_of(study, node), images)]
        )
    method = study.method(node.method)
    adopted = plan.tuned(method) and node.seed == study.seeds[0] and not node.part
    if adopted or method.objective is None or plan.members(study, node):
        return []
    facts, setup = config.facts(study, node.method), study.setup(method.setup, node.dataset, node.arch)
    epochs = setup.epochs
    steps = study.generators[method.generator].steps if method.generator else facts.options.get("steps", 0)
    together = method.members if method.joint else 1
    own = (node.arch, node.dataset, float(images * epochs * together * (ATTACK_STEP * steps + _update(setup))))
    if method.online and method.ensemble:
        return [own, _teachers(study, node.dataset, method.ensemble, images)]
    return [own, *_frozen(study, node, facts.forwards, images * epochs)]


def _frozen(study: Study, run: Run, forwards: Mapping[str, float], images: int) -> Iterator[tuple[str, str, float]]:
    """The passes of a student's frozen teachers over ``images``; one forward each where ``forwards`` says no more."""
    for role, teacher in plan.frozen_teachers(study, run).items():
        members = study.method(teacher.method).members
        yield teacher.arch, run.dataset, float(images * members * forwards.get(role, 1))


def _images(study: Study, node: Tape | Run) -> int:
    """The number of images in an epoch of a training."""
    held_out = study.data.validation
    rest = study.data.train or study.dataset(node.dataset).specification.images[0] - held_out
    return rest + held_out if plan.trained_on(study, node) == "all" else rest


def _teachers(study: Study, dataset: str, ensemble: Ensemble, images: int) -> tuple[str, str, float]:
    arch, generator, n = study.teacher(dataset), study.generators[ensemble.generator], ensemble.n
    feel = generator.bandwidth == "median" or generator.bandwidth > WIDE
    everywhere = generator.gradient_of == "ensemble" or (generator.gradient_of == "own" and feel)
    gradients = n * n if generator.kind == "svgd" and everywhere else n
    setup = study.setup(ensemble.setup, dataset, arch)
    each = ATTACK_STEP * generator.steps * gradients + _update(setup) * n
    return arch, dataset, float(images * setup.epochs * each)


def _update(setup: Setup) -> float:
    """Forwards of an image in an update, on average over the epochs: AWP adds updates, SWA a pass for statistics."""
    perturbed = UPDATE * setup.awp.steps * (1 - number(setup.awp.begin)) if setup.awp else 0
    estimated = 1 - number(setup.swa.begin) if setup.swa else 0
    return UPDATE + perturbed + estimated


def _attack(study: Study, cell: Cell) -> float:
    attack = study.attack(cell.attack)
    images = attack.images or study.data.test or study.dataset(cell.dataset).specification.images[1]
    return images * attack.forwards


@cache
def forward_seconds(arch: str, facts: Specification, threads: int, asked_for: str) -> float:
    """Seconds of one image's forward, measured here in a batch that takes a fair part of a second."""
    device = torch.device("cuda" if asked_for != "cpu" and torch.cuda.is_available() else "cpu")
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        network = models.build(arch, classes=facts.classes, channels=facts.channels).to(device).eval()
        images, best = 1, math.inf
        while images <= 64:
            x = torch.rand(images, facts.channels, facts.size, facts.size, device=device)
            seconds = _timed(network, x)
            best = min(best, seconds / images)
            if seconds > 0.5:
                break
            images *= 4
    torch.set_num_threads(before)
    return best


def _timed(network: torch.nn.Module, x: torch.Tensor) -> float:
    network(x)
    if x.is_cuda:
        torch.cuda.synchronize()
    began = time.perf_counter()
    network(x)
    if x.is_cuda:
        torch.cuda.synchronize()
    return time.perf_counter() - began
