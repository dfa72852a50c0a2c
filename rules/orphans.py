"""Jobs of a killed Snakemake: a cluster goes on with them, and the same work must not be done twice."""

from pathlib import Path
from typing import TYPE_CHECKING

from ataka.errors import UserError, few
from ataka.machine import slurm
from rules.mistakes import mistakes_stop

if TYPE_CHECKING:
    from snakemake.workflow import Workflow


@mistakes_stop()
def refuse_orphans(workflow: "Workflow") -> None:
    """Stop where Slurm still holds jobs of an earlier start for files that this start would make.

    Snakemake marks the outputs of a submitted job with the job's id, until the job ends.
    """
    marked = {str(name) for job in workflow.dag.needrun_jobs() for name in workflow.persistence.external_jobids(job)}
    held = slurm.unfinished(marked, Path.cwd())
    if held:
        raise UserError(
            f"Slurm still queues or runs {len(held)} job{'s' * (len(held) > 1)} of an earlier start for the same files "
            f"({few(held)}). Wait until they have ended (squeue --me), or end them; what is cut short resumes: "
            f"scancel {' '.join(held)}. Then give the same command again"
        )
