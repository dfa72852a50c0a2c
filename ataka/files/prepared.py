"""Prepared data sets: the splits of one data set in a safetensors file, and the settings of the cut.

A file that holds ``train`` and ``validation`` has a third split, ``all``: the images of both, in this order.
"""

from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ataka.datasets.images import Split
from ataka.errors import Unusable
from ataka.files.records import seal
from ataka.files.tensors import load_about, load_tensors, save_tensors


def save_splits(path: Path, splits: Mapping[str, Split], about: Mapping[str, Any]) -> None:
    """Write prepared splits into one file, with the settings of the cut and the splits' digests."""
    tensors: dict[str, Tensor] = {}
    for name, part in splits.items():
        tensors |= {f"{name}.images": part.images, f"{name}.labels": part.labels}
    everything = {"all": splits["train"].joined(splits["validation"])} if "validation" in splits else {}
    digests = {name: part.digest() for name, part in {**splits, **everything}.items()}
    facts = {"settings": about, "sha256": digests}
    save_tensors(path, tensors, {**facts, "seal": seal(facts)})


def load_split(path: Path, name: str, about: Mapping[str, Any] | None = None) -> Split:
    """One split of a prepared file; Unusable if the file is damaged, or its settings differ from ``about``."""
    tensors, metadata = load_tensors(path), load_about(path)
    if not isinstance(metadata, dict) or not isinstance(metadata.get("sha256"), dict):
        raise Unusable(f"{path} has no digests of its splits")
    if metadata.get("seal") != seal(metadata):  # a job that reads one split would not notice another's digest
        raise Unusable(f"{path} is damaged: its digests are not those written")
    if about is not None and metadata.get("settings") != about:
        raise Unusable(f"{path} was cut under other settings than those in force")
    try:
        parts = [
            Split(tensors[f"{part}.images"], tensors[f"{part}.labels"])
            for part in (("train", "validation") if name == "all" else (name,))
        ]
        expected = metadata["sha256"][name]
    except KeyError:
        raise Unusable(f"{path} has no split '{name}'") from None
    split = reduce(Split.joined, parts)
    is_typed = (split.images.dtype, split.labels.dtype) == (torch.uint8, torch.int64)
    if not is_typed or split.digest() != expected:
        raise Unusable(f"{path} is damaged: the images of '{name}' are not those prepared")
    return split
