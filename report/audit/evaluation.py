"""The cells of an audit: measured by the study's own stage, unless they are there and hold."""

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ataka import plan
from ataka.errors import UserError, remedied
from ataka.files.records import read_rows, require_sealed
from ataka.plan import Cell, digests
from ataka.study import Study
from report.accuracies import health, measurements
from report.accuracies.measurements import Bits, Measurement
from report.audit.images import Images

if TYPE_CHECKING:
    from ataka.datasets.images import Split
    from ataka.stages.evaluate import Subject

_AGAIN = "it is measured again"
_HINTS = {"chance": "a normalisation that the network's own code applies is stated by --mean and --std"}
"""What to try where a health check is raised, beside what the check itself says."""


class Audit:
    """The cells of a network that were measured, in order, with their bits and health checks."""

    def __init__(self, study: Study, root: str, subject: "Subject", split: "Split") -> None:
        self.study, self.root, self.subject, self.split = study, root, subject, split
        self.bits: dict[Cell, Bits] = {}
        self._measured: dict[Cell, Measurement] = {}
        self._raised: set[tuple[Cell, str]] = set()

    @property
    def measurements(self) -> list[Measurement]:
        """The cells measured so far, with the health checks that they allow."""
        return health.examine(list(self._measured.values()), self.study, self.bits)

    def measure(self, cell: Cell, *, images: bool) -> None:
        """Measure ``cell``, or take it as it is if it was measured before; with ``images`` x_adv is kept, too."""
        identity = {"model": self.subject.sha256, "settings": plan.digest(plan.settings_of(self.study, cell))}
        kept = Images(Path(self.root, "images", f"{cell.attack}.safetensors"), identity)
        held = self._current(cell)
        if held is None or (images and not kept.current):
            kept.remove(parts=not images)
            self._measure(cell, kept if images else None)
            held = self._read(cell)
        else:
            self._say(cell, f"measured before: {cell.csv(self.root)}")
        self._measured[cell], self.bits[cell] = held
        self._warn()

    # ---- a cell that is there

    def _current(self, cell: Cell) -> tuple[Measurement, Bits] | None:
        """The cell, if it is whole, and of this network, these images, settings and code; says if it isn't."""
        path = cell.csv(self.root)
        if not path.exists():
            return None
        try:
            with remedied(_AGAIN):
                measured, verdicts = self._read(cell)
        except UserError as error:
            self._say(cell, str(error))
            return None
        expected = {
            "model_sha256": self.subject.sha256,
            "data_sha256": self.split.digest(),
            "code_sha256": digests.code_digest(plan.code_of(self.study, cell)),
        }
        other = [name for name, value in expected.items() if measured.fields[name] != value]
        if other:
            self._say(cell, f"{path} is of another {', '.join(other)}; {_AGAIN}")
            return None
        return measured, verdicts

    def _read(self, cell: Cell) -> tuple[Measurement, Bits]:
        path = cell.csv(self.root)
        rows = read_rows(path, measurements.COLUMNS)
        measured = measurements.check(rows, self.study, cell, str(path))
        require_sealed(rows, path)
        return measured, measurements.bits(measured, self.root)

    # ---- a cell in the making

    def _measure(self, cell: Cell, kept: Images | None) -> None:
        """Measure by the study's stage. With ``kept`` the verdicts come from a judge that hands on what it sees."""
        from ataka.library.images import Following, Judge
        from ataka.stages.evaluate import measure

        job, subject = f"audit {cell.method} {cell.attack}", self.subject
        if not kept:
            measure(self.study, self.root, cell, subject, self.split, Following(job, None))
            return
        judge = Judge(subject.network, kept.keep)
        following = Following(job, judge, kept.begin)
        measure(self.study, self.root, cell, replace(subject, network=judge), self.split, following)
        kept.finish(self.split.labels)

    # ---- what a person reads meanwhile

    def meaning(self, check: str) -> str:
        """The words of a health check, and what its reader may try."""
        hint = f"; {_HINTS[check]}" if check in _HINTS else ""
        return health.meanings(self.study)[check] + hint

    def _warn(self) -> None:
        """Print each health check that is raised for the first time."""
        for measured in self.measurements:
            for check in health.checks([measured.fields]).raised:
                if (measured.cell, check) not in self._raised:
                    self._raised.add((measured.cell, check))
                    self._say(measured.cell, f"WARNING: {self.meaning(check)}")

    def _say(self, cell: Cell, text: str) -> None:
        print(f"audit {cell.method} {cell.attack}: {text}", file=sys.stderr, flush=True)


def summary(accuracy: float, low: float, high: float, n: int) -> str:
    """An accuracy with its interval, in per cent, and its number of images."""
    return f"{accuracy:.2f} % [{low:.2f}, {high:.2f}] of {n} images"
