"""Jobs of a killed Snakemake: a cluster goes on with them, and the same work must not be done twice."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

from ataka.errors import UserError, few
from ataka.machine import slurm
from report.grammar import counted
from rules.mistakes import mistakes_stop

if TYPE_CHECKING:
    from snakemake.workflow import Workflow


@mistakes_stop()
def refuse_orphans(workflow: "Workflow") -> None:
    """Stop where Slurm still holds jobs of an earlier start for files that this start would make.

    Snakemake marks the outputs of a submitted job with the job's id, until the job ends. A Snakemake that is killed
    just after it has submitted a job leaves no mark, but the job's comment, which names rule and wildcards.
    """
    if workflow.local_exec and not Path(".snakemake/slurm_logs").is_dir():
        return
    jobs = list(workflow.dag.needrun_jobs())
    marked = {str(name) for job in jobs for name in workflow.persistence.external_jobids(job)}
    comments = {_comment(job.rule.name, job.wildcards) for job in jobs}
    held = [name for name, comment in slurm.unfinished(Path.cwd()).items() if name in marked or comment in comments]
    if held:
        raise UserError(
            f"Slurm still queues or runs {counted(len(held), 'job')} of an earlier start for the same files "
            f"({few(held)}). Wait until they have ended (squeue --me), or end them; what is cut short resumes: "
            f"scancel {' '.join(held)}. Then give the same command again"
        )


def _comment(rule: str, wildcards: Iterable[str]) -> str:
    """The comment that Snakemake's plug-in gives to a job."""
    return f"rule_{rule}_wildcards_{'_'.join(wildcards).replace('/', '_')}"
