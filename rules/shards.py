"""The shards that a cell is joined from: their number decides nothing, so that another one makes no cell again.

Snakemake compares the names of a job's inputs with those that it recorded, and makes the job again where these differ.
Shards are temporary files, and left out of that comparison.
"""

from typing import TYPE_CHECKING, Any

from ataka import plan
from ataka.errors import UserError
from ataka.plan import Cell, Shard
from rules.mistakes import mistakes_stop
from rules.scales import Scales, Wildcards, node_of

if TYPE_CHECKING:
    from snakemake.workflow import Workflow


class Shards:
    """The input function of the rule that joins shards."""

    def __init__(self, scales: Scales, workflow: "Workflow") -> None:
        self._scales, self._workflow = scales, workflow
        self._are_left_out = False

    @mistakes_stop()
    def of(self, wildcards: Wildcards) -> list[str]:
        """The files of a cell's shards; none where one job makes the whole cell."""
        if not self._are_left_out:
            _leave_out(self._workflow.persistence)
            self._are_left_out = True
        cell = node_of(wildcards)
        assert isinstance(cell, Cell)
        return [str(shard.file(wildcards.root)) for shard in plan.shards_of(self._scales.study(wildcards), cell)]


def _leave_out(persistence: Any) -> None:
    """Let Snakemake record, and compare, a job's inputs without shards."""
    inputs = persistence._input

    def without_shards(job: Any) -> list[str]:
        return [path for path in inputs(job) if not _is_shard(path)]

    persistence._input = without_shards


def _is_shard(path: str) -> bool:
    try:
        return isinstance(plan.parse(path)[1], Shard)
    except UserError:
        return False
