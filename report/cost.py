"""The time and memory that the jobs of a study took, stage by stage, from the jobs' own records."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ataka.errors import UserError
from ataka.files.records import COST, read_json, read_rows

STAGES = {
    "prepare": ("data", f"*{COST}"),
    "record": ("tapes", "run.json"),
    "record (shared)": ("tapes", f"*{COST}"),
    "train": ("runs", "run.json"),
    "select": ("runs", f"*{COST}"),
    "evaluate": ("cells", "*.csv"),
    "particles": ("particles", "*.csv"),
}
"""The folder of each stage, and the names of the stage's records there."""
_TIMES, _PEAKS = ("cpu_seconds", "seconds"), ("memory_mb", "gpu_memory_mb")
_HEADER = ["stage", "jobs", "CPU time (min)", "time (min)", "memory (MB)", "GPU memory (MB)"]

Record = Mapping[str, Any]


def table(root: str) -> str:
    """A Markdown table: each stage's jobs and the sums of their times, and its largest job's memory.

    A job that was made again counts once, and so does an interrupted job, with the times of all its parts. UserError
    if ``root`` holds no record, or a damaged one.
    """
    stages = {stage: _records(Path(root, room), pattern) for stage, (room, pattern) in STAGES.items()}
    if not any(stages.values()):
        raise UserError(f"'{root}' holds no job's record; name the folder of a scale's results: --root results/demo")
    return of(stages)


def of(stages: Mapping[str, Sequence[Record]]) -> str:
    """The same of records at hand, by their stages."""
    header, *rows = lines(stages)
    return "\n".join(map(_line, [header, ["---", *["---:"] * 5], *rows]))


def lines(stages: Mapping[str, Sequence[Record]]) -> list[list[str]]:
    """The same as fields: a header, a line for each stage that has records, and one for all."""
    every = [record for records in stages.values() for record in records]
    return [_HEADER, *(_row(stage, records) for stage, records in stages.items() if records), _row("all", every)]


def _records(folder: Path, pattern: str) -> list[Record]:
    return [record_of(path) for path in sorted(folder.rglob(pattern)) if ".resume" not in path.parts]


def beside(artifact: Path) -> list[Path]:
    """The files that may state what an artifact took, the likeliest first: the run's record, or a cost file."""
    return [artifact.with_name("run.json"), artifact.with_name(f"{artifact.stem}{COST}")]


def record_of(path: Path) -> Record:
    """Times and peaks that a record states, a JSON or a CSV; those of an empty CSV are empty."""
    if path.suffix == ".json":
        return read_json(path, *_TIMES, *_PEAKS)
    return next(iter(read_rows(path, (*_TIMES, *_PEAKS))), dict.fromkeys((*_TIMES, *_PEAKS), ""))


def _row(stage: str, records: Sequence[Record]) -> list[str]:
    times = [f"{sum(float(record[name] or 0) for record in records) / 60:,.1f}" for name in _TIMES]
    return [stage, f"{len(records):,}", *times, *(_largest(record[name] for record in records) for name in _PEAKS)]


def _largest(peaks: Any) -> str:
    stated = [float(peak) for peak in peaks if peak not in ("", None)]
    return f"{max(stated):,.0f}" if stated else "–"


def _line(fields: list[str]) -> str:
    return f"| {' | '.join(fields)} |"
