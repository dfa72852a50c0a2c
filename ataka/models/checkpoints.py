"""Checkpoints of others, loaded strictly into our networks.

A file is read only if its SHA-256 is the expected one, and only as plain tensors (ataka.files.weights). Its layout is
recognised by its keys; every tensor of the network comes from the file, and every tensor of the file is used or known
to be dead. Two exceptions: batch-norm's counters, which old torch didn't have, and a normalisation that the file
doesn't hold stays the network's own (RSLAD's CIFAR-100 teacher: its mean and deviation are the caller's to say).

Facts that no key shows can't be checked: an activation, a normalisation that the authors' code applies by itself.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ataka.errors import UserError, few, nearest
from ataka.files import weights as files
from ataka.files.kinds import peculiarities
from ataka.models.normalised import MEAN, STD, normalised

# From each foreign layout to ours: patterns and what replaces them, one after the other.
LAYOUTS: dict[str, tuple[tuple[str, str], ...]] = {
    # Names as here: kuangliu/pytorch-cifar's ResNet, PreActResNet and MobileNetV2, as in RSLAD, ARD, IAD, pyautoattack
    # and RobustBench; a network of timm as timm names it.
    "kuangliu": (),
    # TRADES@6e8e11b:models/wideresnet.py; the same in RSLAD, ARD, IAD, MART and RobustBench's wide_resnet.py.
    "TRADES": (
        (r"^(block[123])\.layer\.", r"\1."),
        (r"\.convShortcut\.", ".shortcut."),
        (r"^bn1\.", "bn."),
        (r"^fc\.", "linear."),
    ),
    # RSLAD@c40e04f:cifar100_models/wideresnet.py and RobustBench's dm_wide_resnet.py, after DeepMind's model_zoo.py.
    # `conv_0.1` is that convolution behind its padding, where someone made one Sequential of the two.
    "DeepMind": (
        (r"^layer\.0\.block\.", "network.block1."),
        (r"^layer\.1\.block\.", "network.block2."),
        (r"^layer\.2\.block\.", "network.block3."),
        (r"\.batchnorm_1\.", ".bn2."),
        (r"\.batchnorm_0\.", ".bn1."),
        (r"\.conv_1\.", ".conv2."),
        (r"\.conv_0\.(?:1\.)?", ".conv1."),
        (r"^init_conv\.", "network.conv1."),
        (r"^batchnorm\.", "network.bn."),
        (r"^logits\.", "network.linear."),
    ),
    # RobustBench's DMPreActResNet, after DeepMind's model_zoo.py.
    "DeepMind-PreAct": (
        (r"^layer_0\.", "network.layer1."),
        (r"^layer_1\.", "network.layer2."),
        (r"^layer_2\.", "network.layer3."),
        (r"^layer_3\.", "network.layer4."),
        (r"\.batchnorm_0\.", ".bn1."),
        (r"\.batchnorm_1\.", ".bn2."),
        (r"\.conv_2d_", ".conv"),
        (r"^conv_2d\.", "network.conv1."),
        (r"^batchnorm\.", "network.bn."),
        (r"^logits\.", "network.linear."),
    ),
    # torchvision's ResNet, with the stem that CIFAR's has here; its own stem doesn't fit by its shape.
    "torchvision": ((r"\.downsample\.", ".shortcut."), (r"^fc\.", "linear.")),
    # A network of ours without a normalisation, saved by this project behind one.
    "normalised": ((r"^network\.", ""),),
}
PREFIX = re.compile(r"^(?:(?:module|model)\.)+")
COMPILED = "_orig_mod."
"""The prefix that torch.compile puts into the names of a wrapped module, wherever that module stands."""
COUNTER = "n_averaged"
"""The number of averaged networks that torch's AveragedModel keeps beside their average."""
NORMALISATION = re.compile(r"^(?:0\.|normali[sz]er?\.)?(?:(mean|mu)|(?:std|sigma))$")
"""The buffers of DeepMind's own normalisation, of RobustBench's networks, of a first layer in a Sequential."""
_DEEPEST = 8
"""Mappings and lists within each other that are searched for weights."""


class Loaded(NamedTuple):
    """A network with the weights of a file, and the place in the file that they come from: keys, joined by dots."""

    network: nn.Module
    weights: str


def load(
    path: str,
    *,
    sha256: str,
    network: nn.Module,
    weights: str | None = None,
    mean: Sequence[float] | None = None,
    std: Sequence[float] | None = None,
) -> Loaded:
    """Load the weights in ``path`` (a file, or PACKAGE:FILE), whose digest is ``sha256``, into ``network``.

    ``weights`` names the place of the weights in a file that holds several. ``mean`` and ``std``, one number a channel,
    are a normalisation that the authors' code applies outside the file. A network without a normalisation is returned
    behind one where the file, or the caller, has one; the normalisation in a file replaces that of the network.

    Raises UserError, and leaves the network as it was, if the file is another, holds more than plain tensors or weights
    that are no finite real numbers, or doesn't fit.
    """
    expected = network.state_dict()
    place, state = _chosen(path, files.read(path, sha256), network, weights)
    tensors = _without_wrappers(path, state)
    _add_normalisation(path, tensors, mean, std)
    statistics = None if MEAN in expected else _take_normalisation(path, tensors)
    match = _closest(tensors, expected)
    if match.missing or match.left or match.unlike:
        raise UserError(_message(path, place, match, expected))
    files.require_real(path, match.taken)
    network.load_state_dict(expected | match.taken, strict=True)
    if statistics:
        network = normalised(network, *(statistics[name].flatten().tolist() for name in (MEAN, STD)))
    return Loaded(network, place)


# ---- which weights of a file


def _chosen(path: str, content: Any, network: nn.Module, wanted: str | None) -> tuple[str, Mapping[str, Tensor]]:
    """The place and the tensors of the weights that are meant: those ``wanted``, or the only ones that may be."""
    places = dict(_places(content))
    named = {place: held for place, held in places.items() if isinstance(held, dict)}
    if not named:
        raise UserError(
            f"{path} holds no state dict: {few(map(str, content)) or 'nothing'} in it where named tensors are expected"
            if isinstance(content, dict)
            else f"{path} holds no state dict, but an object of type {type(content).__name__}"
        )
    if wanted is not None:
        if wanted not in named:
            keys = [place for place in named if place]
            raise UserError(f"{path} holds no weights called '{wanted}'{nearest(wanted, keys)}")
        return wanted, _tensors(path, named[wanted])
    alike = [place for place, held in places.items() if _resembles(held, network)]
    if len(alike) > 1:
        example = next((place for place in alike if place in named and place), "")
        raise UserError(
            f"{path} holds several sets of weights that the network may take: "
            f"{few((place or 'the file itself' for place in alike), most=6)}. They may be the last, the best and an "
            f"average: say which is meant, as weights: {example}"
        )
    if alike and alike[0] in named:
        return alike[0], _tensors(path, named[alike[0]])
    expected = network.state_dict()
    closest = min(named, key=lambda place: _closest(_plain(named[place]), expected).distance)
    return closest, _tensors(path, named[closest])


def _places(content: Any) -> Iterator[tuple[str, Any]]:
    """Mappings with tensors in them, and lists of tensors, by their keys: a state dict, an average, an optimiser's.

    A mapping or list that stands at two places of a file comes once, at the first.
    """
    pending, met = [("", content, 0)], set()
    while pending:
        place, held, depth = pending.pop(0)
        if id(held) in met or not isinstance(held, dict | list | tuple):
            continue
        met.add(id(held))
        values = [*held.values()] if isinstance(held, dict) else [*held]
        if any(map(_is_tensor, values)) if isinstance(held, dict) else values and all(map(_is_tensor, values)):
            yield place, held
        if depth < _DEEPEST:
            keyed = held.items() if isinstance(held, dict) else enumerate(held)
            pending += [(f"{place}.{key}" if place else str(key), value, depth + 1) for key, value in keyed]


def _is_tensor(value: Any) -> bool:
    """Whether ``value`` is a tensor with a shape."""
    return isinstance(value, Tensor) and not value.is_nested


def _tensors(path: str, held: Mapping[Any, Any]) -> dict[str, Tensor]:
    """A mapping that is a state dict and nothing else."""
    odd = [str(key) for key, value in held.items() if not isinstance(key, str) or not _is_tensor(value)]
    if odd:
        raise UserError(f"{path} holds no state dict: {few(odd)} in it where named tensors are expected")
    return dict(held)


def _plain(held: Mapping[Any, Any]) -> dict[str, Tensor]:
    """The named tensors of a mapping, by their names without those of wrapping modules."""
    tensors = {key: value for key, value in held.items() if isinstance(key, str) and _is_tensor(value)}
    return {_bare(name): tensor for name, tensor in tensors.items()}


def _resembles(held: Any, network: nn.Module) -> bool:
    """Whether a mapping or a list holds the network's parameters: half of them by name and shape, or all by shape.

    Averages are kept under other names (``ema_model.``, names without dots) and without any.
    """
    shapes = {name: parameter.shape for name, parameter in network.named_parameters()}
    there = Counter(value.shape for value in (held.values() if isinstance(held, dict) else held) if _is_tensor(value))
    if Counter(shapes.values()) <= there:
        return True
    if not isinstance(held, dict):
        return False
    tensors = _plain(held)
    for layout in LAYOUTS:
        renamed = {_renamed(name, layout): tensor.shape for name, tensor in tensors.items()}
        if 2 * sum(renamed.get(name) == shape for name, shape in shapes.items()) >= len(shapes) > 0:
            return True
    return False


# ---- wrappers and normalisations


def _bare(name: str) -> str:
    """The name of a tensor without those of wrapping modules."""
    return PREFIX.sub("", name.replace(COMPILED, ""))


def _without_wrappers(path: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the prefixes of wrapping modules, their normalisation called as ours is."""
    names = [_bare(name) for name in tensors]
    if {name for name in names if not name.startswith("1.")} in ({"0.mean", "0.std"}, {"0.mu", "0.sigma"}):
        names = [name.removeprefix("1.") for name in names]  # Sequential(normaliser, network)
    names = [_statistic(name) for name in names]
    twice = [name for place, name in enumerate(names) if name in names[:place]]
    if twice:
        raise UserError(f"{path} holds several tensors for {few(twice)}: save the network that is meant alone")
    unwrapped = dict(zip(names, tensors.values(), strict=True))
    if COUNTER in unwrapped and unwrapped[COUNTER].numel() == 1:
        del unwrapped[COUNTER]
    return unwrapped


def _statistic(name: str) -> str:
    """Our name for the mean or the deviation of a normalisation; any other name as it is."""
    match = NORMALISATION.match(name)
    return name if match is None else MEAN if match[1] else STD


def _add_normalisation(
    path: str, tensors: dict[str, Tensor], mean: Sequence[float] | None, std: Sequence[float] | None
) -> None:
    """Put the caller's normalisation beside ``tensors``; UserError if the file has another one already."""
    for name, given in ((MEAN, mean), (STD, std)):
        if given is None:
            continue
        there = tensors.setdefault(name, torch.tensor(given))
        files.require_real(path, {name: there})
        if there.numel() != len(given) or not torch.allclose(there.flatten().float(), torch.tensor(given)):
            raise UserError(
                f"{path} normalises its images itself, by another {name.removeprefix('normalise.')} "
                f"{[round(number, 4) for number in there.flatten().tolist()[:3]]}: leave out normalise"
            )


def _take_normalisation(path: str, tensors: dict[str, Tensor]) -> dict[str, Tensor] | None:
    """Take the normalisation out of ``tensors``, for a network without one; None if it is none, or does nothing."""
    statistics = {name: tensors.pop(name) for name in (MEAN, STD) if name in tensors}
    if not statistics:
        return None
    files.require_real(path, statistics)
    if len(statistics) == 1:
        raise UserError(f"{path} holds half a normalisation, {next(iter(statistics)).partition('.')[2]} alone")
    return statistics if (statistics[MEAN] != 0).any() or (statistics[STD] != 1).any() else None


# ---- names, shapes and numbers


class _Match(NamedTuple):
    """A file read in one layout: tensors by our names; our names that lack; the file's that are left; wrong shapes."""

    layout: str
    taken: dict[str, Tensor]
    missing: list[str]
    left: list[str]
    unlike: list[str]

    @property
    def distance(self) -> int:
        return len(self.missing) + len(self.left)


def _closest(tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> _Match:
    return min((_match(layout, tensors, expected) for layout in LAYOUTS), key=lambda match: match.distance)


def _renamed(name: str, layout: str) -> str:
    for pattern, replacement in LAYOUTS[layout]:
        name = re.sub(pattern, replacement, name)
    return name


def _match(layout: str, tensors: Mapping[str, Tensor], expected: Mapping[str, Tensor]) -> _Match:
    taken: dict[str, Tensor] = {}
    left = []
    dead = _dead(tensors)
    for name, tensor in tensors.items():
        ours = _renamed(name, layout)
        if ours in expected and ours not in taken:
            same = (
                ours in (MEAN, STD) and tensor.numel() == expected[ours].numel()
            )  # theirs may be (3,) or (1, 3, 1, 1)
            taken[ours] = tensor.reshape(expected[ours].shape) if same else tensor
        elif name not in dead:
            left.append(name)
    optional = {name for name in expected if name.endswith(".num_batches_tracked")}
    if MEAN not in taken and STD not in taken:
        optional |= {MEAN, STD}
    missing = [name for name in expected if name not in taken and name not in optional]
    unlike = [name for name, tensor in taken.items() if tensor.shape != expected[name].shape]
    return _Match(layout, taken, missing, left, unlike)


def _dead(tensors: Mapping[str, Tensor]) -> set[str]:
    """The keys of TRADES's ``sub_block1``, a twin of ``block1`` that is never called; none if it is no twin."""
    twin = {f"sub_{name}": tensor.shape for name, tensor in tensors.items() if name.startswith("block1.layer.")}
    dead = {name: tensor.shape for name, tensor in tensors.items() if name.startswith("sub_block1.")}
    return set(dead) if dead == twin else set()


def _message(path: str, place: str, match: _Match, expected: Mapping[str, Tensor]) -> str:
    """In what the file doesn't fit a network with the tensors ``expected``."""
    shapes = [f"{name} {tuple(match.taken[name].shape)}, not {tuple(expected[name].shape)}" for name in match.unlike]
    problems = [
        *([f"the file lacks {few(match.missing)}"] if match.missing else []),
        *([f"the network has no {few(match.left)}"] if match.left else []),
        *([f"other shapes in the file: {few(shapes)}"] if shapes else []),
    ]
    kind = peculiarities([*match.left, *match.taken], lacking=match.missing, shapes=shapes)
    where = f" (its {place})" if place else ""
    return f"{path}{where} doesn't fit the network (closest layout: {match.layout}): {'; '.join(problems)}. " + (
        f"The file's network has {kind}" if kind else "Are architecture and classes those of the file?"
    )
