"""The loaded images and labels of a data set, checked against its specification."""

from typing import TYPE_CHECKING

import torch

from ataka.datasets.specification import Specification
from ataka.errors import UserError

if TYPE_CHECKING:
    from ataka.datasets.specification import Loaded


def check(name: str, loaded: "Loaded", facts: Specification) -> None:
    """Raise UserError for the first difference between ``loaded`` and the ``facts`` of the data set ``name``."""
    for split, count, (images, labels) in zip(("training", "test"), facts.images, loaded, strict=True):
        shape = (count, facts.channels, facts.size, facts.size)
        if images.dtype != torch.uint8 or images.shape != shape:
            raise UserError(_message(name, f"{split} images", images, "uint8", shape))
        if labels.dtype != torch.int64 or labels.shape != (count,):
            raise UserError(_message(name, f"{split} labels", labels, "int64", (count,)))
        least, most = int(labels.min()), int(labels.max())
        if least < 0 or most >= facts.classes:
            raise UserError(
                f"data set '{name}': {split} labels are {least} to {most}, not 0 to {facts.classes - 1}: "
                f"its specification says {facts.classes} classes"
            )
    absent = sorted({*range(facts.classes)} - {*loaded[0][1].tolist()})
    if absent:
        raise UserError(f"data set '{name}': no training image has the label {', '.join(map(str, absent))}")


def _message(name: str, part: str, tensor: torch.Tensor, kind: str, shape: tuple[int, ...]) -> str:
    """For a ``part`` that is not of the expected ``kind`` and ``shape``."""
    actual = str(tensor.dtype).removeprefix("torch.")
    return f"data set '{name}': {part} are {actual} of shape {tuple(tensor.shape)}, not {kind} of shape {shape}"
