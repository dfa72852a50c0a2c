"""scikit-learn's 8x8 digits, which need no download."""

from pathlib import Path

import torch
from torch import Tensor

from ataka import streams
from ataka.datasets.splits import stratified


def _digits(folder: Path) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    images = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(digits.target).to(torch.int64)
    held_out, rest = stratified(labels, 360, streams.generator(0, "digits", "test"))
    return (images[rest], labels[rest]), (images[held_out], labels[held_out])
