"""The records of the trainings behind a table's numbers: the time that each job took, and each network's curve."""

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

from ataka.files.records import read_rows
from ataka.plan import Run
from report import cost

Rows = list[dict[str, str]]


class Records(Protocol):
    """Where the records lie: below a results folder, or in the compact files of a study."""

    def seconds(self, artifact: Path) -> float | None:
        """The time of the job that made an artifact, by its path below the results folder; None where nobody knows."""

    def curve(self, run: Run) -> Rows:
        """The history of a training, an epoch of a network a row; empty where there is none."""


class Below:
    """The records below a results folder."""

    def __init__(self, root: str | Path) -> None:
        self._root = Path(root)
        self._seconds: dict[Path, float | None] = {}

    def seconds(self, artifact: Path) -> float | None:
        if artifact not in self._seconds:  # many rows share their teachers
            self._seconds[artifact] = self._read(self._root / artifact)
        return self._seconds[artifact]

    def curve(self, run: Run) -> Rows:
        path = run.folder(self._root) / "history.csv"
        return read_rows(path) if path.exists() else []

    def _read(self, path: Path) -> float | None:
        for record in cost.beside(path):
            if record.exists():
                return taken(cost.record_of(record))
        return None


def taken(record: Mapping[str, object]) -> float | None:
    """The seconds that a job's record states."""
    stated = record.get("seconds")
    return None if stated in (None, "") else float(str(stated))
