"""Threads, GPUs, memory and time that a job asks for, from the scale's settings."""

from collections.abc import Callable

from ataka.study import Stage
from rules.mistakes import mistakes_stop
from rules.scales import Scales, Wildcards


class RuleResources:
    """Functions of wildcards to numbers."""

    def __init__(self, scales: Scales) -> None:
        self._scales = scales

    @mistakes_stop()
    def threads(self, wildcards: Wildcards) -> int:
        return self._scales.study(wildcards).threads

    def gpu(self, stage: Stage) -> Callable[[Wildcards], int]:
        return lambda wildcards: self._scales.study(wildcards).resources[stage].gpu

    def mem_mb(self, stage: Stage) -> Callable[[Wildcards], int]:
        return lambda wildcards: self._scales.study(wildcards).resources[stage].mem_mb

    def runtime(self, stage: Stage) -> Callable[[Wildcards], int]:
        return lambda wildcards: self._scales.study(wildcards).resources[stage].runtime
