"""Peculiarities of others' networks that ours lack: the words for a checkpoint that doesn't fit.

The signs are names of tensors, as RobustBench 1.1.1's classes for CIFAR have them, and torchvision's ResNet.
"""

import re
from collections.abc import Iterable, Sequence

_SIGNS = (
    (r"^(?:models|branch)\.?\d+\.", "several networks, whose probabilities its authors average"),
    (r"^(?:std|rob)_model\.", "a standard and a robust network, whose outputs its authors mix"),
    (r"\bodefunc\.", "an ordinary differential equation between features and classes"),
    (r"meansparse", "MeanSparse's thresholds in its blocks"),
    (r"\.se\.fc\d", "squeeze-and-excitation in its blocks"),
    (r"\bactivation\.(?:alpha|beta)$", "an activation with parameters"),
    (r"\.conv2\.(?:fc\d|bn\d)\.", "split attention in its blocks, as ResNeSt"),
    (r"\.conv_(?:reduce|expand)\.", "grouped convolutions, as ResNeXt"),
    (r"\.conv3\.weight$", "blocks of three convolutions, as ResNet-50"),
    (r"^stem_conv\.|^blocks\.\d+\.layer\.", "stages whose widths or depths don't follow from two numbers"),
    (r"\b(?:cls_token|pos_embed|qkv)\b", "attention"),
)
"""Patterns of tensors' names, the most telling first, and the peculiarity of a network with such a tensor."""
_STEM = re.compile(r"^conv1\.weight \(\d+, \d+, 7, 7\)")


def peculiarities(names: Iterable[str], *, lacking: Sequence[str] = (), shapes: Sequence[str] = ()) -> str:
    """The peculiarity of a file's network that the network lacks, by the ``names`` of the file's tensors; perhaps "".

    ``lacking`` are the network's tensors that the file lacks, ``shapes`` describe the tensors of other shapes.
    """
    listed = list(names)
    for pattern, meaning in _SIGNS:
        if any(re.search(pattern, name) for name in listed):
            return meaning
    if any(map(_STEM.match, shapes)):
        return "ImageNet's stem, a 7x7 convolution of stride 2: timm/resnet18 and the like take torchvision's weights"
    if [name for name in lacking if name.endswith(("linear.bias", "fc.bias"))] == [*lacking] != []:
        return "a last layer without a bias, as where features and weights are normalised"
    return ""
