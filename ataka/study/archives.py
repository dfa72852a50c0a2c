"""Data sets that are arrays in a file: an entry in the settings is all that they need."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, model_validator

from ataka.datasets import Dataset, Specification
from ataka.errors import UserError
from ataka.files.locate import expanded
from ataka.study.fields import Settings
from ataka.study.words import Label


class Archive(Settings):
    """A data set of arrays in one .npz file: x_train, y_train, x_test, y_test (ataka/datasets/npz.py)."""

    file: str = Field(description="below data.folder, or below ATAKA_DATA")
    label: Label = Field(description="as the tables print it; may hold LaTeX")
    shift: int = Field(0, ge=0, description="pixels by which a view moves a training image at most")
    flip: bool = Field(False, description="whether a view mirrors half of the training images")
    mean: tuple[float, ...] | None = Field(
        None, description="one number a channel, for networks that normalise; null: their own default"
    )
    std: tuple[Annotated[float, Field(gt=0)], ...] | None = None

    @model_validator(mode="after")
    def _both_or_none(self) -> "Archive":
        if len(self.mean or ()) != len(self.std or ()):
            raise ValueError("mean and std have one number a channel each, or neither is given")
        return self

    def dataset(self, name: str, folder: Path) -> Dataset:
        """The data set, whose file lies below ``folder``; UserError if there is no such file, or it is damaged."""
        from ataka.datasets import npz  # loads NumPy

        path = folder / expanded(self.file)
        if not path.is_file():
            raise UserError(
                f"data set '{name}': there is no file {path} (datasets.{name}.file below data.folder, or ATAKA_DATA)"
            )
        form = npz.form(path)
        if self.mean is not None and len(self.mean) != form.channels:
            raise UserError(
                f"datasets.{name}.mean: {len(self.mean)} numbers, but the images have {form.channels} channels"
            )
        specification = Specification(
            label=self.label,
            shift=self.shift,
            flip=self.flip,
            mean=self.mean,
            std=self.std,
            **form._asdict(),
        )
        return Dataset(name, npz.__name__, specification, file=path)
