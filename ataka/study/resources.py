"""Resources that the jobs of a stage ask of a cluster."""

from math import ceil
from typing import Literal

from pydantic import Field, field_validator

from ataka.study.fields import Settings

Stage = Literal["prepare", "record", "train", "select", "evaluate", "particles"]

MOST_DAYS = 30
"""A longer runtime is a slip: YAML 1.1 reads 24:00:00 as 86,400."""

LEAST_MINUTES = 15
"""The least time of a job that shares its work with others: it also starts, and loads network and images."""


class Limits(Settings):
    """Memory and time of one job."""

    mem_mb: int = Field(4000, ge=1, description="an attempt after a killed one asks for twice as much")
    runtime: int = Field(60, ge=1, description="minutes; a job that needs more resumes in its next attempt")

    @field_validator("runtime")
    @classmethod
    def _in_minutes(cls, minutes: int) -> int:
        if minutes > MOST_DAYS * 24 * 60:
            raise ValueError(f"{minutes} minutes are more than {MOST_DAYS} days; a day is 1440")
        return minutes

    def shared(self, jobs: int) -> "Limits":
        """Limits of one of so many ``jobs`` that share the work: each holds as much, for a part of the time."""
        return Limits(mem_mb=self.mem_mb, runtime=min(self.runtime, max(ceil(self.runtime / jobs), LEAST_MINUTES)))


class Light(Limits):
    """Limits of an evaluation under an attack of few forwards."""

    forwards: int = Field(100, ge=1, description="the most forwards for one image; 20 steps of PGD have 41")


class Resources(Limits):
    """Resources that one job of a stage asks of a cluster."""

    gpu: int = Field(0, ge=0)
    light: Light | None = Field(None, description="other limits for evaluations under attacks of few forwards")

    def limits(self, forwards: float | None = None) -> Limits:
        """Memory and time of a job; of an evaluation under an attack of so many ``forwards`` for one image."""
        few = self.light is not None and forwards is not None and forwards <= self.light.forwards
        return self.light if self.light and few else self
