"""A failed job leaves the earlier result in place: the files, their times, and Snakemake's own records of them.

Snakemake removes a job's outputs before the job starts, and again when the job has failed. Snakemake's flag `update()`
records the failed job's settings for the restored file, so that a stale file would pass for a new file. Here `.before/`
of the results folder keeps the previous files until the job has ended: by hard links, or by copies on another file
system or where there are no hard links.

A folder named by the digest of its settings, which a later job adopts, would not do: after a failure the declared file
would be gone until somebody asks under the old settings, and `--force` would adopt instead of making it again.
"""

import errno
import fcntl
import os
import shutil
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ataka import plan
from ataka.errors import UserError
from ataka.files.records import COST
from rules.mistakes import mistakes_stop
from rules.scales import due

if TYPE_CHECKING:
    from snakemake.jobs import Job
    from snakemake.persistence import Persistence
    from snakemake.workflow import Workflow

_BESIDE = {"manifest.json": ("run.json", "history.csv", f"manifest{COST}"), "choice.json": (f"choice{COST}",)}
"""The undeclared files that belong to an output: a tape that shares another's teachers has its cost alone."""


class Rollback:
    """Keeps previous files between ``begin`` and ``settle``; ``recover`` restores those that a killed process kept."""

    def __init__(self, roots: Iterable[str]) -> None:
        self._roots = tuple(roots)
        self._jobs: list[Job] = []
        self._records: dict[str, Any] = {}
        self._live: dict[Path, int | None] = {}
        """The folders that are in use, each with the descriptor that holds a shared lock on it, if one can."""
        self._stuck: dict[Path, str] = {}
        """The folders whose files can't be put back, and why: no job may start there."""

    def recover(self, workflow: "Workflow") -> None:
        """Restore the files that a killed process kept and its jobs removed; Snakemake makes them again where needed.

        Snakemake may have recorded such a file as the output of a failed job, so the file gets the oldest time. A job
        on a cluster reads the Snakefile, too, and may not see the lock of its Snakemake; there nothing is restored.
        """
        if not workflow.is_main_process:
            return
        for folder in (Path(root, plan.BEFORE) for root in self._roots):
            try:
                _tell(_recover(folder))
            except OSError as error:  # other results folders are none the worse
                self._stuck[folder] = _why(error)
                print(f"can't put back what {folder} keeps: {_why(error)}", file=sys.stderr)

    @mistakes_stop()
    def begin(self, workflow: "Workflow") -> None:
        """Keep the files that the jobs are about to make again, but for the jobs of an outer workflow's own rules."""
        self._jobs = due(workflow, self._roots)
        for folder in {Path(job.wildcards.root, plan.BEFORE) for job in self._jobs}:
            if folder in self._stuck:
                raise UserError(
                    f"can't put back what {folder} keeps: {self._stuck[folder]}; mend that, then start again"
                )
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise UserError(f"can't write {folder}: {_why(error)}") from None
            self._live[folder] = _lock(folder, fcntl.LOCK_SH)
        for job in self._jobs:
            kept = [(path, aside) for path, aside in _places(job) if aside.exists()]
            if kept and not _made(job):
                continue  # a process died: what is kept there is from before it
            for path, aside in _places(job):
                aside.unlink(missing_ok=True)
                if path.is_file():  # a folder is not kept
                    _keep(path, aside)
            if not workflow.persistence._filter_incomplete_keys(map(str, job.output)):
                self._records |= {str(output): workflow.persistence.metadata(output) for output in job.output}

    def settle(self, workflow: "Workflow") -> None:
        """Restore the files of unfinished jobs, and drop the others."""
        back: list[Path] = []
        for job in self._jobs:
            try:
                back += self._settle(workflow.persistence, job)
            except OSError as error:  # kept for the next start, and no other job is the worse
                print(f"can't put back what was there before {job.output[0]}: {_why(error)}", file=sys.stderr)
        for folder, descriptor in self._live.items():
            _prune(folder)
            if descriptor is not None:
                os.close(descriptor)
        _tell(back)

    def _settle(self, persistence: Any, job: Any) -> list[Path]:
        """Restore a job's files and return them; none if the job has made its outputs."""
        kept = [(path, aside) for path, aside in _places(job) if aside.exists()]
        if _made(job):
            for _, aside in kept:
                aside.unlink()
            return []
        if not kept:
            return []
        persistence.started(job)  # marks the outputs incomplete, should this be as far as it comes
        back = [path for path, aside in kept if _put_back(path, aside)]
        self._restore_records(persistence, job)
        return back

    def _restore_records(self, persistence: "Persistence", job: "Job") -> None:
        """Give a restored file Snakemake's records of the job that made it, not those of the failed job."""
        if not all(str(output) in self._records for output in job.output):
            return  # a process had died over them; they stay incomplete and are made again
        for output in job.output:
            persistence.cleanup_metadata(output)
            record = self._records[str(output)]
            if record is not None:
                persistence._write_record(str(output), record)


def _made(job: "Job") -> bool:
    return all(Path(output).exists() for output in job.output)


def _places(job: "Job") -> list[tuple[Path, Path]]:
    """Each file that the job makes, and the path that keeps the previous file meanwhile."""
    root, places = job.wildcards.root, []
    lasting = [Path(output) for output in job.output if output not in job.temp_output]  # a shard ends with its cell
    for output in lasting:
        for path in (output, *(output.with_name(name) for name in _BESIDE.get(output.name, ()))):
            places.append((path, Path(root, plan.BEFORE, path.relative_to(root))))
    return places


def _keep(path: Path, aside: Path) -> None:
    reason: str | None = None
    for keep in (os.link, os.link, shutil.copy2):  # twice: another Snakemake may just have removed an empty folder
        try:
            aside.parent.mkdir(parents=True, exist_ok=True)
            keep(path, aside)
        except OSError as error:  # without hard links, or on another file system, it is copied
            reason = _why(error)
        else:
            return
    raise UserError(f"{path} is about to be made again and can't be kept meanwhile, in {aside}: {reason}")


def _recover(folder: Path) -> list[Path]:
    """Restore the files of ``folder`` that no Snakemake is making, with the oldest time; returns the restored files."""
    if not folder.is_dir() or (descriptor := _lock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)) is None:
        return []
    back = []
    try:
        for aside in [path for path in folder.rglob("*") if path.is_file()]:
            path = folder.parent / aside.relative_to(folder)
            if path.exists():  # it was made, or had not been removed yet
                aside.unlink()
            elif _put_back(path, aside):
                os.utime(path, (0, 0))
                back.append(path)
        _prune(folder)
    finally:
        os.close(descriptor)
    return back


def _put_back(path: Path, aside: Path) -> bool:
    """Move ``aside`` back to ``path``; False if ``path`` had never been removed."""
    if path.exists() and path.samefile(aside):
        aside.unlink()
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        aside.replace(path)
    except OSError as error:
        if error.errno != errno.EXDEV:
            raise
        part = path.with_name(f".{path.name}.part")  # on another file system: copied beside it first, so never half
        shutil.copy2(aside, part)
        part.replace(path)
        aside.unlink()
    return True


def _why(error: OSError) -> str:
    return error.strerror or str(error)


def _lock(folder: Path, kind: int) -> int | None:
    """A descriptor that holds the lock; None if another process holds it, or on a file system without locks."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:  # another has just removed it
        return None
    try:
        fcntl.flock(descriptor, kind)
    except OSError:
        os.close(descriptor)
        return None
    return descriptor


def _tell(back: Sequence[Path]) -> None:
    if back:
        more = f" and {len(back) - 1} more" if len(back) > 1 else ""
        print(f"put back as it was before: {back[0]}{more}", file=sys.stderr)


def _prune(folder: Path) -> None:
    """Remove ``folder`` and the folders below, as far as empty."""
    for path, _, _ in os.walk(folder, topdown=False):
        with suppress(OSError):  # it is not empty
            Path(path).rmdir()
