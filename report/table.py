"""Common to every kind of table: a number, a title, and the measurements behind it."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, ClassVar

from pydantic import Field, GetJsonSchemaHandler, model_validator
from pydantic.json_schema import JsonSchemaValue, SkipJsonSchema
from pydantic_core import CoreSchema

from ataka import plan
from ataka.errors import UserError, nearest
from ataka.plan import Cell, Run
from ataka.study import Study, words
from ataka.study.fields import Settings
from ataka.study.words import Label, Perhaps
from report.accuracies.measurements import Bits
from report.accuracies.trainings import Records
from report.sources import Source

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Entry(Settings):
    """A row or a column. A name alone stands for an entry with that name under each of the keys ``alone``."""

    alone: ClassVar[tuple[str, ...]]

    @model_validator(mode="before")
    @classmethod
    def _named(cls, value: Any) -> Any:
        return dict.fromkeys(cls.alone, value) if isinstance(value, str) else value

    @classmethod
    def __get_pydantic_json_schema__(cls, core: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        described = handler.resolve_ref_schema(handler(core))
        name = {"type": "string", "description": f"stands for {' and '.join(cls.alone)}"}
        return {"anyOf": [name, described], "title": described.pop("title")}


class Table(Settings):
    """A table of the paper, a supplement to one, or one of your own."""

    noun: ClassVar[str]
    """The word for the table's measurements."""
    csv_columns: ClassVar[list[str]]
    """The columns that each measurement's CSV has at least."""
    entry_keys: ClassVar[list[str]]
    """The keys that a single row or column may have."""

    name: SkipJsonSchema[str]
    path: SkipJsonSchema[str] = Field("", exclude=True)
    """The path of the table's YAML, for messages."""
    number: int | None = Field(None, ge=1, description="its number in the paper; a table of your own has none")
    supplement: bool = Field(False, description="not in the paper: more about the table of that number")
    heading: Perhaps = Field("", description="as captions number it, where that is not the paper's number: A1")
    label: str = Field(
        "",
        pattern=r"^[A-Za-z0-9:._-]*$",
        description=r"LaTeX's \label, tab:NAME where it is left out; a smaller scale adds -SCALE",
    )
    on_request: bool = Field(False, description="a target of its own, no part of `all`")
    title: Label = Field(
        min_length=1, description="the caption's first sentence, without a full stop; may hold LaTeX, as $S_1$"
    )
    caption: Perhaps = Field("", description="sentences of your own, which follow the title")

    @model_validator(mode="after")
    def _supplements_one(self) -> "Table":
        if self.supplement and self.number is None:
            raise ValueError("number is missing: which table of the paper is this a supplement to?")
        return self

    @property
    def numbered(self) -> str:
        """The words of the table's number in captions: its heading, the paper's number, or its name."""
        number = str(self.number or self.name)
        return words.read(self.heading) or (f"{number}, supplement" if self.supplement else number)

    @property
    def labelled(self) -> str:
        """LaTeX's label at the paper's scale."""
        return self.label or f"tab:{self.name}"

    @property
    def of_the_paper(self) -> bool:
        """Whether the paper printed the table, so that there are published numbers."""
        return self.number is not None and not self.supplement

    @abstractmethod
    def sources(self, study: Study) -> list[Source]:
        """Every measurement that this table needs, in its own order; UserError for a name that config/ lacks."""

    @abstractmethod
    def methods(self, study: Study) -> list[str]:
        """The methods whose labels it prints."""

    @abstractmethod
    def check(self, rows: Sequence[dict[str, str]], study: Study, source: Source, where: str) -> Any:
        """The rows of ``source``'s CSV as a measurement, which keeps them as ``rows``; UserError if they can't be."""

    def verify(self, measurement: Any, root: str) -> None:
        """Raise UserError if a file beside a measurement doesn't belong to the measurement."""

    def records(self, study: Study, sources: Iterable[Source]) -> list[Path]:
        """Files of trainings that ``examined`` reads for these measurements, by their paths below a results folder."""
        return []

    def examined(self, measurements: list[Any], study: Study, root: str) -> list[Any]:
        """The measurements of a collection, with the fields that follow from several of them, or from trainings."""
        return measurements

    def compared(self, measurements: list[Any], study: Study, bits: Mapping[Cell, Bits], records: Records) -> list[Any]:
        """``examined``, where the verdicts on each image and the records of trainings are at hand."""
        return measurements

    def sound(self, measurements: list[Any], study: Study, root: str) -> tuple[list[Any], list[str]]:
        """The examined measurements that the table may show, and the reasons against the others."""
        return measurements, []

    def tuned_runs(self, study: Study) -> list[Run]:
        """The runs of the first seed, one for each choice of alpha."""
        first = (replace(source.run, seed=study.seeds[0]) for source in self.sources(study))
        return [run for run in dict.fromkeys(plan.tuned_run(study, run) for run in first) if run]

    def refuse_unknown(self, key: str, noun: str, names: Iterable[str], known: Iterable[str]) -> None:
        """Raise UserError, with the nearest, for a name that isn't ``known``."""
        for name in names:
            if name not in known:
                raise UserError(f"{self.path}: {key}: no {noun} '{name}' in config/{nearest(name, known)}")


def refuse_twice(names: Sequence[Hashable]) -> None:
    """Raise ValueError for what is listed twice."""
    for at, name in enumerate(names):
        if name in names[:at]:
            raise ValueError(f"'{name}' is listed twice")
