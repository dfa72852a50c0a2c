"""Data sets that are arrays in a file, or images in folders: an entry in the settings is all that they need."""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ataka.datasets import Dataset, Specification
from ataka.errors import UserError
from ataka.files.locate import expanded
from ataka.study.fields import Settings
from ataka.study.words import Label


class Archive(Settings):
    """A data set in one file of arrays (ataka/datasets/npz.py) or one folder of images (ataka/datasets/folders.py)."""

    file: str | None = Field(
        None, description="an .npz file of x_train, y_train, x_test and y_test, below data.folder or ATAKA_DATA"
    )
    folder: str | None = Field(
        None, description="in place of file: train/CLASS/* and test/CLASS/*, below data.folder or ATAKA_DATA"
    )
    channels: int | None = Field(None, description="of a folder's images: 3 (default), or 1 for grey ones")
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

    @model_validator(mode="after")
    def _in_one_place(self) -> "Archive":
        if (self.file is None) == (self.folder is None):
            raise ValueError("give a file of arrays or a folder of images, one of both")
        if self.file is not None and self.channels is not None:
            raise ValueError("channels is for a folder of images; a file of arrays has its own")
        if self.channels not in (None, 1, 3):
            raise ValueError(f"channels is 1 for grey images, or 3, not {self.channels}")
        return self

    def dataset(self, name: str, folder: Path) -> Dataset:
        """The data set, which lies below ``folder``; UserError if it isn't there, or is none."""
        from ataka.datasets import folders, npz  # load NumPy

        options: dict[str, Any] = {}
        if self.folder is not None:
            path, module = self._place(name, folder, "folder", self.folder), folders.__name__
            options = {"channels": self.channels or 3}
            form = folders.form(path, **options)
        else:
            path, module = self._place(name, folder, "file", str(self.file)), npz.__name__
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
        return Dataset(name, module, specification, file=path, options=options)

    @staticmethod
    def _place(name: str, below: Path, kind: Literal["file", "folder"], stated: str) -> Path:
        path = below / expanded(stated)
        if not (path.is_file() if kind == "file" else path.is_dir()):
            where = f"(datasets.{name}.{kind} below data.folder, or ATAKA_DATA)"
            raise UserError(f"data set '{name}': there is no {kind} {path} {where}")
        return path
