"""Threads, GPUs, memory and time that a job asks for, from the scale's settings and from the attempts before."""

from collections.abc import Callable
from typing import TYPE_CHECKING

from ataka import plan
from ataka.plan import Cell, Run, Shard, Tape
from ataka.study import Stage
from ataka.study.resources import Limits
from rules.groups import start_warm
from rules.mistakes import mistakes_stop
from rules.retries import Retries
from rules.scales import Scales, Wildcards, node_of
from rules.signatures import signed

if TYPE_CHECKING:
    from snakemake.workflow import Workflow

GROUP = "evaluations"
"""The group of light evaluations: `--group-components evaluations=8` lets one job make eight of them."""
_LAST_WORDS = Limits(mem_mb=2000, runtime=10)
"""Limits of an attempt that only repeats why the one before failed."""


class RuleResources:
    """Functions of wildcards, and of the number of the attempt, to numbers."""

    def __init__(self, scales: Scales, retries: Retries, workflow: "Workflow") -> None:
        self._scales, self._retries, self._workflow = scales, retries, workflow

    @mistakes_stop()
    def threads(self, wildcards: Wildcards) -> int:
        """Threads of torch, which change bits and are a setting, in all processes of a job."""
        return self._scales.study(wildcards).threads * self._processes(wildcards)

    @mistakes_stop()
    def nodes(self, wildcards: Wildcards) -> int | None:
        """One for a job of several processes, whose GPUs a cluster might else look for on several nodes."""
        return 1 if self._processes(wildcards) > 1 else None

    def gpu(self, stage: Stage) -> Callable[[Wildcards, int], int | None]:
        """None for a job without a GPU: some clusters refuse to give 0."""

        @signed
        def gpu(wildcards: Wildcards, attempt: int) -> int | None:
            in_vain = self._retries.in_vain(stage, wildcards, attempt)
            asked = self._scales.study(wildcards).resources[stage].gpu * self._processes(wildcards)
            return None if in_vain else asked or None

        return gpu

    def mem_mb(self, stage: Stage) -> Callable[[Wildcards, int], int]:
        """Memory in MB: more after an attempt that ran out of memory."""

        @signed
        def mem_mb(wildcards: Wildcards, attempt: int) -> int:
            limits = self._limits(stage, wildcards, attempt)
            if limits is _LAST_WORDS:
                return limits.mem_mb
            return limits.mem_mb * self._processes(wildcards) * self._retries.memory(stage, wildcards, attempt)

        return mem_mb

    def runtime(self, stage: Stage) -> Callable[[Wildcards, int], int]:
        """Minutes that the cluster grants an attempt."""

        @signed
        def runtime(wildcards: Wildcards, attempt: int) -> int:
            return self._limits(stage, wildcards, attempt).runtime

        return runtime

    def group(self, wildcards: Wildcards) -> str | None:
        """The group of an evaluation; none without `--group-components`, and for a long one."""
        if self._workflow.remote_exec:  # within the job of a group: asked by the Snakemake that runs its evaluations
            start_warm(self._workflow)
            return None
        if self._workflow.group_settings.group_components.get(GROUP, 1) == 1:
            return None
        study, cell = self._scales.study(wildcards), node_of(wildcards)
        assert isinstance(cell, Cell)
        light = self._of_stage("evaluate", wildcards) == study.resources["evaluate"].light
        return GROUP if light and not plan.shards_of(study, cell) else None

    def _processes(self, wildcards: Wildcards) -> int:
        """The processes of a training; any other job is one."""
        if not hasattr(wildcards, "seed"):
            return 1
        node = node_of(wildcards)
        return plan.processes(self._scales.study(wildcards), node) if isinstance(node, Tape | Run) else 1

    def _limits(self, stage: Stage, wildcards: Wildcards, attempt: int) -> Limits:
        return _LAST_WORDS if self._retries.in_vain(stage, wildcards, attempt) else self._of_stage(stage, wildcards)

    def _of_stage(self, stage: Stage, wildcards: Wildcards) -> Limits:
        study = self._scales.study(wildcards)
        if stage != "evaluate":
            return study.resources[stage].limits()
        node = node_of(wildcards)
        assert isinstance(node, Cell | Shard)
        asked = study.resources[stage]
        if isinstance(node, Cell) and plan.shards_of(study, node):
            return asked.light or asked.limits()  # what attacks are left to do has been done
        limits = asked.limits(study.attack(node.attack).forwards)
        return limits.shared(node.of) if isinstance(node, Shard) else limits
