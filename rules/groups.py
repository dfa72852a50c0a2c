"""A group of evaluations in one job of a cluster: its first Snakemake lets each of them start warm."""

import atexit
import os
from typing import TYPE_CHECKING

from ataka.machine import warm

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

_servers: list[warm.Server] = []
"""At most one server, which forks evaluations for as long as this process lives."""


def start_warm(workflow: "Workflow") -> None:
    """Open a warm server if this process runs several evaluations for another Snakemake, until this process ends.

    On Slurm this is the batch step, and each evaluation is a step with a Snakemake of its own, which finds the server
    in its environment. Longer jobs start cold: a cluster may kill a batch step's processes right after SIGTERM.
    """
    rules = [job.rulename for job in workflow.dag_settings.target_jobs]
    if workflow.remote_exec and len(rules) > 1 and {*rules} == {"evaluate"} and not _servers:
        _servers.append(warm.Server("ataka.cli", "ataka.stages.evaluate"))
        atexit.register(_servers[0].close)
        os.environ |= _servers[0].environment
