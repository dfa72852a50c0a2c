"""Which images a study uses."""

from pydantic import Field

from ataka.study.fields import Settings, reading


class Data(Settings):
    """Where the data sets lie and how many images of each split a study uses (null: all)."""

    folder: str = Field("data", description="where archives are looked for; ATAKA_DATA takes precedence")
    train: int | None = Field(None, ge=2, description="training images, after validation was held out")
    validation: int = reading(
        5000,
        id="C1",
        sentence="alpha is greedily tuned and the best result in terms of accuracy is reported",
        values="the number of training images that are held out for choosing alpha",
        ge=1,
    )
    test: int | None = Field(None, ge=1, description="the first so many images of the official test set")
    split_seed: int = Field(0, ge=0, description="decides which training images are held out for validation")
