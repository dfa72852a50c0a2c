"""Before the first job: print the jobs and their cost; stop a study of days on a machine without a GPU."""

import os
import sys
from typing import TYPE_CHECKING, get_args

from ataka import plan
from ataka.errors import UserError
from ataka.machine import terminal, warm
from ataka.plan import Node
from ataka.study import Stage
from rules.mistakes import mistakes_stop
from rules.scales import Scales

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

_servers: list[warm.Server] = []
"""At most one server, which forks jobs for as long as Snakemake lives."""


@mistakes_stop()
def announce(scales: Scales, workflow: "Workflow") -> None:
    """Print the cost of all due jobs, scale by scale, and open a warm server where the scale says `warm_start`."""
    from ataka.stages import cost  # measures this machine, so it needs torch

    terminal.show_what_it_can()
    paths = [str(job.output[0]) for job in workflow.dag.needrun_jobs() if job.output]
    for root, study in scales.studies.items():
        nodes = [node for node in map(_parsed, paths) if node and node[0] == root]
        if nodes:
            cost.announce(study, [node for _, node in nodes], local=workflow.local_exec)
        if len(nodes) > 1 and study.warm_start and workflow.local_exec and not _servers:
            stages = (f"ataka.stages.{stage}" for stage in get_args(Stage))
            _servers.append(warm.Server("ataka.cli", *stages, "report.cli"))
            os.environ |= _servers[0].environment


def _parsed(path: str) -> tuple[str, Node] | None:
    try:
        return plan.parse(path)
    except UserError:
        return None


def note_what_a_module_lacks(workflow: "Workflow") -> None:
    """Print what a workflow lacks that imports this one by `module`: Snakemake runs no hooks of a module."""
    if workflow.is_main_process and not workflow.modifier.is_main_snakefile():
        print(
            "note: under `module` a failed job's previous result is not restored, days of work without a GPU are not "
            "stopped, and no job starts warm; `include:` this Snakefile to have all three",
            file=sys.stderr,
        )
