"""Tensors on disk: safetensors files with JSON metadata, whole or not there."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from safetensors import SafetensorError, safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ataka.errors import Unusable, UserError
from ataka.files.disk import replacing


def save_tensors(path: Path, tensors: Mapping[str, Tensor], about: Mapping[str, Any] | None = None) -> None:
    """Write tensors with ``about`` as JSON metadata. Equal content gives equal bytes."""
    content = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    metadata = {"about": json.dumps(about or {}, sort_keys=True)}  # one key: safetensors keeps no order of keys
    with replacing(path) as part:
        part.touch()
        mode = part.stat().st_mode
        save_file(content, part, metadata)
        part.chmod(mode)  # safetensors lets nobody but its owner read


def load_tensors(path: Path) -> dict[str, Tensor]:
    """The tensors of a safetensors file, on the CPU; Unusable if it is missing or damaged."""
    try:
        return load_file(path)
    except FileNotFoundError:
        raise Unusable(f"{path} is missing", "make it first") from None
    except (OSError, SafetensorError) as error:
        raise Unusable(f"can't read {path}: {error}") from None


def load_about(path: Path) -> Any:
    """The JSON metadata that ``save_tensors`` wrote; Unusable if the file is damaged."""
    try:
        with safe_open(path, "pt") as file:
            return json.loads(file.metadata()["about"])
    except (OSError, SafetensorError, TypeError, KeyError, ValueError) as error:
        raise Unusable(f"can't read {path}: {error}") from None


def load_into(network: nn.Module, path: Path) -> None:
    """Load a network's weights; UserError if the file holds another network's."""
    fill(network, load_tensors(path), path)


def fill(network: nn.Module, tensors: Mapping[str, Tensor], path: Path) -> None:
    """Load ``tensors``, which were read from ``path``, into ``network``. UserError if they fit another network."""
    try:
        network.load_state_dict(tensors, strict=True)
    except RuntimeError as error:
        raise UserError(f"{path} holds another network: {error}") from None
