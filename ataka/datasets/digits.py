"""scikit-learn's 8x8 digits, which need no download. Imports no torch before images are loaded."""

from pathlib import Path
from typing import TYPE_CHECKING

from ataka.datasets.specification import Specification

if TYPE_CHECKING:
    from ataka.datasets.specification import Loaded

SPECIFICATION = Specification(
    label="digits",
    classes=10,
    channels=1,
    size=8,
    shift=1,
    flip=False,
    mean=(0.305,),
    std=(0.376,),
    images=(1_437, 360),
)


def load(folder: Path) -> "Loaded":
    """Needs no ``folder``. The official set has no test images: a fifth of each class is held out."""
    import torch
    from sklearn.datasets import load_digits

    from ataka import streams
    from ataka.datasets.splits import stratified

    digits = load_digits()
    images = torch.from_numpy(digits.images).mul(255 / 16).round().to(torch.uint8).unsqueeze(1)
    labels = torch.from_numpy(digits.target).to(torch.int64)
    held_out, rest = stratified(labels, 360, streams.generator(0, "digits", "test"))
    return (images[rest], labels[rest]), (images[held_out], labels[held_out])
