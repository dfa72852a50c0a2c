"""Networks of others, ready to use: from a file of weights, from a run of a study, from timm, from a function of yours.

A network is named in one of these ways:

    my.pt                         a file of weights in any layout of ataka/models/checkpoints.py, with the ``arch`` that
    PACKAGE:FILE                  it holds; or a file of an installed package
    results/.../model.safetensors the network of a run, whose run.json says the rest
    timm/NAME                     timm's model with its weights; NAME may also be ``local-dir:FOLDER``
    package.module:function       the ``nn.Module`` that the function returns, called without arguments

The last two bring their weights along. In a study's paths such a network is called ``timm--NAME`` or
``package.module--function``: a folder's name without a colon is fit for every file system and for LaTeX.
"""

import hashlib
import re
import sys
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ataka import datasets, models, networks, streams
from ataka.datasets import Specification
from ataka.errors import UserError, reason, try_import, unknown
from ataka.files.disk import sha256 as sha256_of
from ataka.files.locate import locate
from ataka.files.records import read_json
from ataka.models import checkpoints, normalised
from ataka.plan.code import code_digest
from ataka.stages.common import filled, imported
from ataka.study import Checkpoint, plugins
from ataka.study.methods import Normalisation
from ataka.study.networks import BROUGHT

Numbers = Sequence[float]
_TIMM = "timm/"
_ALSO = ("wrn28-10", "wrn34-20", "wrn28-10-silu", "wrn34-10-silu")
"""Common networks of others that are no examples of their families (docs/networks.md)."""
_LARGEST = 300_000_000
"""The size in bytes up to which a file that doesn't fit is read once for each network that it may belong to."""
_FUNCTION = re.compile(r"(?P<module>[^\W\d]\w*(?:\.[^\W\d]\w*)*):(?P<function>[^\W\d]\w*)")


def load(
    network: str | Path,
    *,
    arch: str | None = None,
    dataset: str | None = None,
    weights: str | None = None,
    mean: Numbers | None = None,
    std: Numbers | None = None,
    device: torch.device | str = "cpu",
) -> nn.Module:
    """A network with its weights: images (B,C,H,W) in [0,1] to logits (B, classes), float32, in evaluation mode.

    ``network`` is a file of weights, a run's ``model.safetensors``, ``timm/NAME`` or ``package.module:function``
    (ataka/library/networks.py). ``arch`` is the architecture that a file of weights belongs to, as ``resnet18``, and
    ``dataset`` the data set of its classes, as ``cifar10``; a run knows both. ``weights`` names the weights that are
    meant in a file that holds several. ``mean`` and ``std``, one number a channel, are a normalisation that the
    authors' code applies to images before the network sees them.

    No code in a file is run. Raises UserError for a file that is missing, damaged, no plain tensors, or another
    network's, and for a network that gives no float32 logits of the data set's classes.
    """
    dataset, arch = described(network, dataset=dataset, arch=arch)
    facts = datasets.find(dataset).specification
    source = obtain(str(network), dataset, facts, arch=arch, weights=weights, mean=mean, std=std)
    return source.network.to(device)


@dataclass(frozen=True)
class Source:
    """A network on the CPU, ready to be attacked; ``checkpoint`` is its entry in a study's methods."""

    network: nn.Module
    checkpoint: Mapping[str, Any]
    words: str
    """Where the weights come from, and whether the network normalises its images."""


def described(network: str | Path, *, dataset: str | None, arch: str | None) -> tuple[str, str | None]:
    """The data set and the architecture: those given, or else those of the run whose network it is.

    UserError where neither says the data set.
    """
    record = _run(network)
    dataset, arch = dataset or record.get("dataset"), arch or record.get("arch")
    if dataset is None:
        raise UserError(
            f"{network}: name the data set whose classes it tells apart, one of {', '.join(datasets.names())}"
        )
    return dataset, arch


def obtain(
    network: str,
    dataset: str,
    facts: Specification,
    *,
    arch: str | None = None,
    weights: str | None = None,
    mean: Numbers | None = None,
    std: Numbers | None = None,
) -> Source:
    """The network that ``load`` returns, and its origin. ``facts`` are those of ``dataset``."""
    normalise = _normalisation(facts, mean, std)
    with streams.undisturbed():
        if network.startswith(_TIMM):
            _refuse(network, arch=arch, weights=weights)
            return _timm(network.removeprefix(_TIMM), dataset, facts, normalise)
        if arch is None and (match := _FUNCTION.fullmatch(network)):
            _refuse(network, weights=weights)
            return _function(match["module"], match["function"], dataset, facts, normalise)
        return _file(network, dataset, facts, arch, weights, normalise)


def _refuse(network: str, **given: str | None) -> None:
    """UserError for an option that says nothing to a network that brings its weights along."""
    for name, value in given.items():
        if value is not None:
            raise UserError(f"{network} brings its weights along, so that {name} '{value}' says nothing; leave it out")


def _normalisation(facts: Specification, mean: Numbers | None, std: Numbers | None) -> Normalisation | None:
    if mean is None and std is None:
        return None
    if mean is None or std is None:
        raise UserError("a normalisation has a mean and a std: give both")
    for name, values in (("mean", mean), ("std", std)):
        if len(values) != facts.channels:
            raise UserError(
                f"{name}: {len(values)} numbers, but images of {facts.label} have {facts.channels} channels"
            )
    if min(std) <= 0:
        raise UserError(f"std: {list(std)}, but a deviation is above 0")
    return Normalisation(mean=tuple(mean), std=tuple(std))


# ---- files


def _file(
    network: str,
    dataset: str,
    facts: Specification,
    arch: str | None,
    weights: str | None,
    normalise: Normalisation | None,
) -> Source:
    file = locate(network)
    if arch is None:
        raise UserError(f"{network} holds weights alone: name the network that they belong to, as arch 'resnet18'")
    try:
        models.check(arch)
    except ValueError as error:
        raise UserError(str(error)) from None
    entry = Checkpoint(
        dataset=dataset, arch=arch, path=network, sha256=sha256_of(file), weights=weights, normalise=normalise
    )
    checkpoint = entry.model_dump(mode="json", exclude_none=True)
    if average := _average(network):
        if weights is not None or normalise is not None:
            raise UserError(f"{network} is an average of networks, which takes no other weights and no normalisation")
        members, kind = average["members"], average["average"]
        averaged = filled(arch, facts, file, torch.device("cpu"), members=members, average=kind)
        return Source(averaged, checkpoint, f"the average of {network}")
    try:
        loaded = imported(entry, facts)
    except UserError as error:
        searched = _candidates() if file.stat().st_size < _LARGEST else []
        fitting = [other for other in searched if other != arch and _fits(entry, other, facts)]
        advice = f" The file fits {' and '.join(fitting)} with {facts.classes} classes." if fitting else ""
        raise UserError(f"{error}{advice}") from None
    return Source(loaded.network.eval(), checkpoint, loaded.words)


def _candidates() -> list[str]:
    """The networks that a file may belong to, where it doesn't fit its ``arch``."""
    return [*(name for name in models.examples() if "{" not in name), *_ALSO]


def _fits(entry: Checkpoint, arch: str, facts: Specification) -> bool:
    """Whether the file fits ``arch``: asked on the meta device, where a network takes no memory."""
    try:
        with torch.device("meta"), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch warns that nothing is copied there
            network = models.build(arch, classes=facts.classes, channels=facts.channels, size=facts.size)
            checkpoints.load(entry.path, sha256=entry.sha256, network=network, weights=entry.weights)
    except UserError:
        return False
    return True


def _run(network: str | Path) -> Mapping[str, Any]:
    """The run.json beside the network of a run; an empty mapping where it is none. UserError if the file is missing."""
    if Path(network).name != "model.safetensors":
        return {}
    record = locate(str(network)).with_name("run.json")
    return read_json(record) if record.is_file() else {}


def _average(network: str) -> Mapping[str, Any]:
    """The settings of a run whose network is an average of several; an empty mapping for any other network."""
    settings = _run(network).get("settings", {})
    return settings if settings.get("members", 1) > 1 else {}


# ---- networks that bring their weights along


def _function(
    module: str, function: str, dataset: str, facts: Specification, normalise: Normalisation | None
) -> Source:
    name = f"{module}:{function}"
    before = set(sys.modules)
    loaded = try_import(module, f"{name}: can't import '{module}'")
    plugins.leave_out(set(sys.modules) - before)
    if loaded is None:
        raise UserError(f"{name}: no module '{module}' is on the Python path")
    public = [known for known in vars(loaded) if not known.startswith("_")]
    if not hasattr(loaded, function):
        raise UserError(f"{name}: '{module}' has no function '{function}'{unknown(function, public)}")
    try:
        network = getattr(loaded, function)()
    except Exception as error:  # whatever the user's own function does
        raise UserError(f"{name}: {reason(error)}; the function is called without arguments") from None
    if not isinstance(network, nn.Module):
        raise UserError(f"{name} returns an object of type {type(network).__name__}, where an nn.Module is expected")
    network = _behind(network.to("cpu"), normalise)
    return _bringing(network, f"{module}{BROUGHT}{function}", dataset, facts, name, code_digest([module]))


def _timm(name: str, dataset: str, facts: Specification, normalise: Normalisation | None) -> Source:
    try:
        import timm
    except ImportError:
        raise UserError(f"timm/{name} needs timm, which isn't installed: pip install timm") from None
    try:
        with _offline():
            network = timm.create_model(name, pretrained=True, pretrained_cfg_overlay={"url": ""})
    except Exception as error:  # an unknown name, weights that are not here, a folder without a config.json
        raise UserError(
            f"timm/{name}: timm {timm.__version__} gives no network with weights: {_first_line(error)}; nothing is "
            "fetched here: the weights have to lie in a folder (timm/local-dir:FOLDER), or in Hugging Face's cache"
        ) from None
    if normalise is None:
        stated: Any = network.pretrained_cfg
        normalise = _normalisation(facts, *(stated.get(key) for key in ("mean", "std")))
    arch = f"timm{BROUGHT}{re.sub(r'[^A-Za-z0-9._-]+', '-', name)}"
    return _bringing(_behind(network, normalise), arch, dataset, facts, f"timm/{name}", timm.__version__)


@contextmanager
def _offline() -> Iterator[None]:
    """A context in which timm gets the weights that are on this machine, and asks no other."""
    from huggingface_hub import constants

    before, constants.HF_HUB_OFFLINE = constants.HF_HUB_OFFLINE, True
    try:
        yield
    finally:
        constants.HF_HUB_OFFLINE = before


def _first_line(error: Exception) -> str:
    return f"{type(error).__name__}: {str(error).partition(chr(10))[0].rstrip('.')}"


def _behind(network: nn.Module, normalise: Normalisation | None) -> nn.Module:
    return normalised.normalised(network, normalise.mean, normalise.std) if normalise else network


def _bringing(network: nn.Module, arch: str, dataset: str, facts: Specification, name: str, code: str) -> Source:
    """A network that was made by ``code``: its digest is that of its weights, its modules and the code."""
    networks.require_logits(network, name, facts, device=torch.device("cpu"))
    entry = {"dataset": dataset, "arch": arch, "path": name, "sha256": _digest(network, code)}
    stated = [module for module in network.children() if isinstance(module, normalised.Normalise)]
    inside = f"mean {_rounded(stated[0].mean)}, std {_rounded(stated[0].std)}" if stated else "its own, if any"
    return Source(network.eval(), entry, f"the network of {name}, normalisation of images: {inside}")


def _rounded(tensor: Tensor) -> list[float]:
    return [round(number, 4) for number in tensor.flatten().tolist()]


def _digest(network: nn.Module, code: str) -> str:
    content = hashlib.sha256(f"{code}\n{network}\n".encode())
    for name, tensor in sorted(network.state_dict().items()):
        content.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        content.update(tensor.detach().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return content.hexdigest()
