"""Further attempts of a cluster's jobs: more memory after a kill, no third one where the second can't help either.

Snakemake starts a failed job again as often as the profile's `retries` say. That is right at a time limit, where the
next attempt resumes, and wrong after a mistake, which a person has to mend.
"""

import os
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from ataka.machine import attempts
from ataka.study import Stage
from report.grammar import counted
from rules.scales import Wildcards, due, output_of

if TYPE_CHECKING:
    from snakemake.jobs import Job
    from snakemake.workflow import Workflow

MOST_SILENT = 3
"""Attempts that never began, one after the other, after which no further one is made: Slurm refuses them."""


class Retries:
    """Each attempt's lot, by the notes of those before."""

    def __init__(self, workflow: "Workflow", roots: Iterable[str]) -> None:
        self._workflow, self._roots = workflow, tuple(roots)
        self._told: set[tuple[Path, int]] = set()

    def begin(self) -> None:
        """Forget the attempts under earlier starts of Snakemake."""
        for _, notes in self._due():
            notes.unlink(missing_ok=True)

    def memory(self, stage: Stage, wildcards: Wildcards, attempt: int) -> int:
        """The factor of a job's memory: each attempt that was killed doubles it."""
        killed = sum(past.killed for past in self._past(stage, wildcards, attempt))
        return 1 << killed

    def in_vain(self, stage: Stage, wildcards: Wildcards, attempt: int) -> bool:
        """Whether this attempt can only repeat the last words of those before; it is then the last one."""
        if self._workflow.is_main_process and self._workflow.local_exec:
            return False  # attempts are noted on a cluster alone
        past = self._past(stage, wildcards, attempt)
        reason = attempts.given_up(past)
        if not self._workflow.is_main_process:
            os.environ[attempts.NUMBER] = str(attempt)  # for the job's command, which this process starts
        elif attempt > 1:
            silent = attempt - 1 - (past[-1].number if past else 0)
            if reason or silent >= MOST_SILENT:
                self._let_be_the_last(str(output_of(stage, wildcards)))
            self._tell(output_of(stage, wildcards), attempt, reason or _outlook(past, silent))
        return reason is not None

    def report(self) -> None:
        """Print the last words of the jobs that made nothing."""
        for job, notes in self._due():
            past = attempts.read(notes)
            if past and not any(Path(output).exists() for output in job.output):
                print(f"not made: {job.output[0]}: {past[-1]}", file=sys.stderr)

    def _past(self, stage: Stage, wildcards: Wildcards, attempt: int) -> list[attempts.Attempt]:
        if attempt == 1:
            return []
        return attempts.read(attempts.file_of(wildcards.root, output_of(stage, wildcards)), attempt)

    def _due(self) -> Iterator[tuple["Job", Path]]:
        for job in due(self._workflow, self._roots):
            yield job, attempts.file_of(job.wildcards.root, job.output[0])

    def _let_be_the_last(self, output: str) -> None:
        """Count the attempt that begins as the last that the profile allows; in a group, for the whole group."""
        for job in self._workflow.dag.needrun_jobs():
            if output in job.output:
                job.attempt = job.restart_times + 1
                if group := self._workflow.dag.get_job_group(job):
                    group.attempt = group.restart_times + 1

    def _tell(self, output: Path, attempt: int, words: str) -> None:
        if (output, attempt) not in self._told:
            self._told.add((output, attempt))
            print(f"{output}: {words}", file=sys.stderr, flush=True)


def _outlook(past: list[attempts.Attempt], silent: int) -> str:
    if silent:
        return f"{counted(silent, 'attempt')} never began; Slurm's reason stands above, or in `sacct`"
    return f"{past[-1]}; the next asks for twice its memory" if past[-1].killed else f"{past[-1]}; once more"
