"""How far a study is: the jobs whose files exist, whatever their settings, and the time that their records state."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ataka import plan
from ataka.errors import UserError
from ataka.files.records import COST
from ataka.plan import Shard, Tape
from report import cost
from report.forecast.jobs import Job


def done(jobs: Mapping[str, Job]) -> dict[str, float]:
    """The finished jobs with their seconds; 0 of a job that keeps no record, as of a table or a shard."""
    return {name: seconds(Path(name), job) for name, job in jobs.items() if is_done(Path(name), job)}


def is_done(path: Path, job: Job) -> bool:
    """Whether the job's file exists; that of a shard is removed once its cell is made."""
    if isinstance(job.node, Shard) and job.node.cell.csv(plan.parse(path)[0]).exists():
        return True
    return path.exists()


def recorded(manifest: str) -> int:
    """The epochs that a tape which isn't finished has recorded: of its latest start, where settings changed."""
    epochs = sorted(Path(manifest).parent.glob("*/epoch*.safetensors"), key=lambda path: path.stat().st_mtime)
    return sum(path.parent == epochs[-1].parent for path in epochs)


def seconds(path: Path, job: Job) -> float:
    """The seconds that the record of a finished job states; 0 where it keeps none."""
    for record in _records(path, job):
        with suppress(OSError, UserError, ValueError):  # a job that is being written, or whose record is damaged
            return float(cost.record_of(record)["seconds"] or 0)
    return 0.0


def _records(path: Path, job: Job) -> list[Path]:
    """The files that may state the job's time, the likeliest first."""
    if job.rule in ("evaluate", "particles"):
        return [path]
    cost_file = path.with_name(f"{path.stem}{COST}")
    if job.rule == "train" or isinstance(job.node, Tape):
        return [path.parent / "run.json", cost_file]
    return [cost_file] if job.rule in ("prepare", "select") else []
