"""Switches that make a study faster, each with the same meaning and other roundings."""

from ataka.study.fields import Settings, added


class Speed(Settings):
    """How networks compute while they are attacked, and in training. Verdicts are always those of the plain network.

    ``channels_last`` and ``fold`` change the last bits of gradients, and so, rarely, a sign: a switch is part of each
    result's settings, and a table never mixes two.
    """

    fold: bool = added(
        True,
        neutral=False,
        description="fold batch normalisations into the convolutions before them, where a network in evaluation mode "
        "is attacked",
    )
    channels_last: bool = added(
        True,
        neutral=False,
        description="keep the channels of a pixel together in memory, as convolutions prefer: in attacks and training",
    )
    compile: bool = added(
        False,
        neutral=False,
        description="compile networks while they are attacked, by torch.compile: worth it for wide teachers on a GPU; "
        "each job first takes seconds to minutes to compile, and needs a C++ compiler (on a GPU: triton)",
    )
