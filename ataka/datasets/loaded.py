"""Whether the images and labels that were loaded are what a data set's specification says."""

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
            raise UserError(f"data set '{name}': {split} images are {_form(images)}, not {_form_of('uint8', shape)}")
        if labels.dtype != torch.int64 or labels.shape != (count,):
            raise UserError(f"data set '{name}': {split} labels are {_form(labels)}, not {_form_of('int64', (count,))}")
        least, most = int(labels.min()), int(labels.max())
        if least < 0 or most >= facts.classes:
            raise UserError(
                f"data set '{name}': {split} labels are {least} to {most}, not 0 to {facts.classes - 1}: "
                f"its specification says {facts.classes} classes"
            )
    absent = sorted({*range(facts.classes)} - {*loaded[0][1].tolist()})
    if absent:
        raise UserError(f"data set '{name}': no training image has the label {', '.join(map(str, absent))}")


def _form(tensor: torch.Tensor) -> str:
    return _form_of(str(tensor.dtype).removeprefix("torch."), tuple(tensor.shape))


def _form_of(kind: str, shape: tuple[int, ...]) -> str:
    return f"{kind} of shape {shape}"
