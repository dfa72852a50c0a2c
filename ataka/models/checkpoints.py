"""Published checkpoints of others, loaded strictly into our networks.

A file is read only if its SHA-256 is the expected one, and only as plain tensors: nothing in it is executed. Its
layout is recognised by its keys; every tensor of the network comes from the file, and every tensor of the file is used
or known to be dead. Two exceptions: batch-norm's counters, which old torch didn't have, and a normalisation that the
file doesn't hold stays the network's own (RSLAD's CIFAR-100 teacher: its mean and deviation are the caller's to say).

What keys don't show can't be checked: an activation, a normalisation that the authors' code applies outside the file.
"""

import hashlib
import re
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path, PurePosixPath
from pickle import UnpicklingError
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn

from ataka.errors import UserError, few

# From each foreign layout to ours: patterns and what replaces them, one after the other.
LAYOUTS: dict[str, tuple[tuple[str, str], ...]] = {
    # kuangliu/pytorch-cifar's ResNet and MobileNetV2, as in RSLAD, ARD, IAD and pyautoattack: our names are theirs.
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
}
WRAPPERS = ("state_dict", "model_state_dict", "net", "model")
PREFIX = re.compile(r"^(?:(?:module|model)\.)+")
# The buffers of DeepMind's own normalisation, of RobustBench's `normalize`, of a first layer in a Sequential.
NORMALISATION = re.compile(r"^(?:0\.|normali[sz]er?\.)?(mean|std)$")
MEAN, STD = "normalise.mean", "normalise.std"


def locate(path: str) -> Path:
    """The file called ``path``: ``package:resource`` lies inside an installed package, which isn't imported.

    Raises UserError if it isn't there.
    """
    if match := re.fullmatch(r"([^\W\d]\w*):(.+)", path):
        return _resource(path, *match.groups())
    if not Path(path).is_file():
        raise UserError(f"there is no file {path}: put it there, or correct its path")
    return Path(path)


def _resource(path: str, package: str, resource: str) -> Path:
    try:
        spec = find_spec(package)
    except ValueError:  # a module of that name is loaded, and came from no installation
        spec = None
    if spec is None:
        raise UserError(f"{path}: package '{package}' isn't installed; install it, or give the file's own path")
    if not PurePosixPath(resource).is_absolute() and ".." not in PurePosixPath(resource).parts:
        for folder in spec.submodule_search_locations or ():
            if (file := Path(folder, resource)).is_file():
                return file
    raise UserError(
        f"{path}: package '{package}' has no such file: correct its path, or install the version that has it"
    )


def load(path: str, *, sha256: str, network: nn.Module) -> None:
    """Load the weights in ``path`` (see `locate`), whose digest is ``sha256``, into ``network``, in place.

    A normalisation in the file replaces that of the network. Raises UserError, and leaves the network as it was, if the
    file is another, holds more than plain tensors, or doesn't fit.
    """
    own = network.state_dict()
    tensors = _without_wrappers(path, _state_dict(path, _read(path, sha256)))
    _refuse_lost_normalisation(path, tensors, own)
    match = min((_match(layout, tensors, own) for layout in LAYOUTS), key=lambda match: match.distance)
    if match.missing or match.left or match.unlike:
        raise UserError(_message(path, match, own))
    network.load_state_dict(own | match.found, strict=True)


def _read(path: str, sha256: str) -> Any:
    """What the file holds, on the CPU."""
    file = locate(path)
    try:
        with file.open("rb") as content:
            digest = hashlib.file_digest(content, "sha256").hexdigest()
            if digest != sha256.lower():
                raise UserError(
                    f"{path} has SHA-256 {digest}, but {sha256} is expected: "
                    "the file is damaged or another one; fetch it again, or correct the digest"
                )
            content.seek(0)
            return torch.load(content, map_location="cpu", weights_only=True)
    except UserError:
        raise
    except UnpicklingError:
        raise UserError(
            f"{path} holds more than plain tensors, or is no PyTorch file. Loading anything else could run code, "
            "so it is refused: where you trust the file, save its state dict alone"
        ) from None
    except Exception as error:  # torch.load raises whatever damaged bytes happen to hit: KeyError, EOFError, ...
        raise UserError(f"can't read {path} as weights: {type(error).__name__}: {error}") from None


def _state_dict(path: str, content: Any) -> dict[str, Tensor]:
    """The state dict in ``content``: itself, or behind one of the usual keys."""
    if isinstance(content, dict):
        behind = [key for key in WRAPPERS if isinstance(content.get(key), dict)]
        if len(behind) > 1:
            raise UserError(f"{path} holds several networks, {few(behind)}: save the one that is meant alone")
        content = content[behind[0]] if behind else content
    if not isinstance(content, dict):
        raise UserError(f"{path} holds no state dict, but a {type(content).__name__}")
    odd = [str(key) for key, value in content.items() if not isinstance(key, str) or not isinstance(value, Tensor)]
    if odd or not content:
        raise UserError(f"{path} holds no state dict: {few(odd) or 'nothing'} in it where named tensors are expected")
    return content


def _without_wrappers(path: str, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors without the prefixes of wrapping modules, their normalisation called as ours is."""
    names = [PREFIX.sub("", name) for name in tensors]
    if {name for name in names if not name.startswith("1.")} == {"0.mean", "0.std"}:  # Sequential(normaliser, network)
        names = [PREFIX.sub("", name.removeprefix("1.")) for name in names]
    names = [NORMALISATION.sub(r"normalise.\1", name) for name in names]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise UserError(f"{path} holds several tensors for {few(twice)}: save the network that is meant alone")
    return dict(zip(names, tensors.values(), strict=True))


def _refuse_lost_normalisation(path: str, tensors: dict[str, Tensor], own: Mapping[str, Tensor]) -> None:
    """Take a normalisation that the network has no place for out of ``tensors``; UserError if it does anything."""
    for name, identity in ((MEAN, 0.0), (STD, 1.0)):
        if name in tensors and name not in own and (tensors.pop(name) != identity).any():
            raise UserError(
                f"{path} normalises images ({name.removeprefix('normalise.')} isn't {identity:g}), and the network "
                "doesn't: without that its predictions would be wrong. Use an architecture with a normalisation"
            )


class _Match(NamedTuple):
    """A file read in one layout: tensors by our names; our names that lack; the file's that are left; wrong shapes."""

    layout: str
    found: dict[str, Tensor]
    missing: list[str]
    left: list[str]
    unlike: list[str]

    @property
    def distance(self) -> int:
        return len(self.missing) + len(self.left)


def _match(layout: str, tensors: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> _Match:
    found: dict[str, Tensor] = {}
    left = []
    dead = _dead(tensors)
    for name, tensor in tensors.items():
        ours = name
        for pattern, replacement in LAYOUTS[layout]:
            ours = re.sub(pattern, replacement, ours)
        if ours in own and ours not in found:
            same = ours in (MEAN, STD) and tensor.numel() == own[ours].numel()  # theirs may be (3,) or (1, 3, 1, 1)
            found[ours] = tensor.reshape(own[ours].shape) if same else tensor
        elif name not in dead:
            left.append(name)
    optional = {name for name in own if name.endswith(".num_batches_tracked")}
    if MEAN not in found and STD not in found:
        optional |= {MEAN, STD}
    missing = [name for name in own if name not in found and name not in optional]
    unlike = [name for name, tensor in found.items() if tensor.shape != own[name].shape]
    return _Match(layout, found, missing, left, unlike)


def _dead(tensors: Mapping[str, Tensor]) -> set[str]:
    """The keys of TRADES's ``sub_block1``, a twin of ``block1`` that is never called; none if it is no twin."""
    twin = {f"sub_{name}": tensor.shape for name, tensor in tensors.items() if name.startswith("block1.layer.")}
    dead = {name: tensor.shape for name, tensor in tensors.items() if name.startswith("sub_block1.")}
    return set(dead) if dead == twin else set()


def _message(path: str, match: _Match, own: Mapping[str, Tensor]) -> str:
    """In what the file doesn't fit a network with the tensors ``own``."""
    shapes = [f"{name} {tuple(match.found[name].shape)}, not {tuple(own[name].shape)}" for name in match.unlike]
    problems = [
        *([f"the file lacks {few(match.missing)}"] if match.missing else []),
        *([f"the network has no {few(match.left)}"] if match.left else []),
        *([f"other shapes in the file: {few(shapes)}"] if shapes else []),
    ]
    return (
        f"{path} doesn't fit the network (closest layout: {match.layout}): {'; '.join(problems)}. "
        "Are architecture and classes those of the file?"
    )
