"""What every kind of table has: a number, a title, and the measurements that it is made from."""

from abc import abstractmethod
from collections.abc import Hashable, Iterable, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar

from pydantic import Field

from ataka import plan
from ataka.errors import UserError, nearest
from ataka.plan import Run
from ataka.study import Study
from ataka.study.fields import Settings
from report.sources import Source

Names = Annotated[tuple[str, ...], Field(min_length=1)]


class Table(Settings):
    """A table of the paper, or a supplement to one."""

    noun: ClassVar[str]
    """What its measurements are called."""
    csv_columns: ClassVar[list[str]]
    """What the CSV of each states at least."""
    entry_keys: ClassVar[list[str]]
    """What may be said of a single row or column, as a key."""

    name: str
    number: int = Field(ge=1, description="its number in the paper")
    supplement: bool = Field(False, description="not in the paper: more about the table of that number")
    on_request: bool = Field(False, description="a target of its own, no part of `all`")
    title: str = Field(min_length=1, description="the caption's first sentence, without a full stop")

    @property
    def heading(self) -> str:
        """Its number as captions print it."""
        return f"{self.number}, supplement" if self.supplement else str(self.number)

    @abstractmethod
    def sources(self, study: Study) -> list[Source]:
        """Every measurement that this table needs, in its own order; UserError for a name that config/ lacks."""

    @abstractmethod
    def methods(self, study: Study) -> list[str]:
        """The methods whose labels it prints."""

    @abstractmethod
    def check(self, rows: Sequence[dict[str, str]], study: Study, source: Source, where: str, remedy: str) -> Any:
        """The rows of ``source``'s CSV as a measurement, which keeps them as ``rows``; UserError if they can't be."""

    def verify(self, measurement: Any, root: str, remedy: str) -> None:
        """Raise UserError if what lies beside a measurement doesn't belong to it."""

    def examined(self, measurements: list[Any], study: Study, root: str) -> list[Any]:
        """The measurements that a collection has found, with what is to be said of them together."""
        return measurements

    def tuned_runs(self, study: Study) -> list[Run]:
        """One run, of the first seed, for each whose alpha was chosen."""
        first = (replace(source.run, seed=study.seeds[0]) for source in self.sources(study))
        return [run for run in dict.fromkeys(plan.tuned_run(study, run) for run in first) if run]

    def refuse_unknown(self, key: str, noun: str, names: Iterable[str], known: Iterable[str]) -> None:
        """Raise UserError, with the nearest, for a name that isn't ``known``."""
        for name in names:
            if name not in known:
                raise UserError(
                    f"report/paper/tables/{self.name}.yaml: {key}: no {noun} '{name}' in config/{nearest(name, known)}"
                )


def refuse_twice(names: Sequence[Hashable]) -> None:
    """Raise ValueError for what is listed twice."""
    for at, name in enumerate(names):
        if name in names[:at]:
            raise ValueError(f"'{name}' is listed twice")
