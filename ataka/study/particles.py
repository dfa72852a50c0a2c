"""The networks, images and generators that Table 1 measures."""

from pydantic import Field

from ataka.study.fields import Settings, reading


class Measured(Settings):
    """A network whose particles Table 1 measures; the names are this scale's own."""

    arch: str
    method: str


class Particles(Settings):
    """Table 1: how far apart a generator's particles lie, and how strong they are."""

    dataset: str = Field("cifar10", description="the paper's name")
    networks: tuple[Measured, ...] = Field(min_length=1)
    count: int = reading(
        10,
        id="B4",
        sentence="two sets of 10 attacked samples",
        values="particles of an image; deviations divide by n - 1",
        ge=2,
    )
    images: int = reading(
        100,
        id="B2",
        sentence="we randomly pick a sample in CIFAR-10 dataset",
        values="the number of test images, from the first on, each a row; the first image is printed alone as well",
        ge=1,
    )
