"""How far a study is: the jobs whose files exist, whatever their settings, and the time that their records state."""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from ataka import plan
from ataka.errors import UserError
from ataka.plan import Shard
from report import cost
from report.forecast.jobs import Job


def done(jobs: Mapping[str, Job]) -> dict[str, float]:
    """The finished jobs with their seconds; 0 of a job that keeps no record, as of a table or a shard."""
    return {name: seconds(Path(name), job) for name, job in jobs.items() if is_done(Path(name), job)}


def is_done(path: Path, job: Job) -> bool:
    """Whether the job's file exists, or what is made of it."""
    return result(path, job) is not None


def result(path: Path, job: Job) -> Path | None:
    """The file by which the job counts as done: that of a shard is removed once its cell is made. None without any."""
    if path.exists():
        return path
    cell = job.node.cell.csv(plan.parse(path)[0]) if isinstance(job.node, Shard) else None
    return cell if cell and cell.exists() else None


def recorded(manifest: str) -> int:
    """The epochs that a tape which isn't finished has recorded: of its latest start, where settings changed."""
    epochs = sorted(Path(manifest).parent.glob("*/epoch*.safetensors"), key=lambda path: path.stat().st_mtime)
    return sum(path.parent == epochs[-1].parent for path in epochs)


def seconds(path: Path, job: Job) -> float:
    """The seconds that the record of a finished job states; 0 where it keeps none."""
    for record in [path] if job.rule in ("evaluate", "particles") else cost.beside(path):
        with suppress(OSError, UserError, ValueError):  # a job that is being written, or whose record is damaged
            return float(cost.record_of(record)["seconds"] or 0)
    return 0.0
