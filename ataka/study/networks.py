"""Whether a network can take the images of a data set: asked when settings are read, before any job."""

import importlib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from itertools import product
from typing import TYPE_CHECKING

from ataka import models
from ataka.errors import UserError
from ataka.study import plugins

if TYPE_CHECKING:
    from ataka.study import Checkpoint, Study

BROUGHT = "--"
"""Stands in the name of a network that brings its weights along, as in ``timm--NAME``, and in no other's."""


def check(study: "Study") -> None:
    """UserError for the first network of the settings that can't take the images that are meant for it."""
    for dataset, arch in _pairs(study):
        try:
            study.dataset(dataset)
        except UserError:  # told to whoever asks for an artifact of it
            continue
        check_images(study, arch, dataset)
    for name, method in study.methods.items():
        for place, entry in enumerate(method.checkpoints):
            _check_normalisation(study, f"methods.{name}.checkpoints.{place}", entry)


def _check_normalisation(study: "Study", place: str, entry: "Checkpoint") -> None:
    """UserError unless an entry's normalisation has a number for each channel."""
    if entry.normalise is None:
        return
    channels = study.dataset(entry.dataset).specification.channels
    for name, values in entry.normalise:
        if len(values) != channels:
            raise UserError(
                f"{place}.normalise.{name}: {list(values)}, but images of {entry.dataset} have {channels} channels"
            )


def check_images(study: "Study", arch: str, dataset: str) -> None:
    """UserError if a network of a package, as timm's, can't take the images of ``dataset``, in the package's words.

    The package, and so torch, is loaded only where no verdict is kept for its version, the network and the images. A
    network of ours takes all images, and one of the user's is asked by the job that builds it. So is
    a network that brings its weights along, whose name has ``BROUGHT`` (ataka/library/networks.py).
    """
    package = None if BROUGHT in arch else models.package(arch)
    if package is None:
        return
    try:
        release = version(package)
    except PackageNotFoundError:
        return
    module, facts = models.sources(arch)[0], study.dataset(dataset).specification
    shape = {"classes": facts.classes, "channels": facts.channels, "size": facts.size}

    def refusal() -> str | None:
        words: str | None = importlib.import_module(module).refusal(**models.settings(arch), **shape)
        return words

    if words := plugins.facts(module, (release, arch, shape), refusal):
        raise UserError(
            f"network '{arch}' can't take the {facts.size}x{facts.size} images of {dataset}: {package} {release} says: "
            f"{words}"
        )


def _pairs(study: "Study") -> Iterator[tuple[str, str]]:
    """Data sets and networks that the settings bring together, by this scale's names."""
    for name, arch in study.teachers.items():
        yield from _used(study.stand_in(name), study.stand_in(arch))
    for network in study.particles.networks:
        yield from _used(study.stand_in(study.particles.dataset), network.arch)
    for method in study.methods.values():
        for arch, name in product(method.architectures.values(), study.teachers):
            yield from _used(study.stand_in(name), study.stand_in(arch))
        for entry in method.checkpoints:
            yield entry.dataset, entry.arch


def _used(dataset: str | None, arch: str | None) -> Iterator[tuple[str, str]]:
    if dataset is not None and arch is not None:
        yield dataset, arch
