"""Resources that the jobs of a stage ask of a cluster."""

from typing import Literal

from pydantic import Field, field_validator

from ataka.study.fields import Settings

Stage = Literal["prepare", "record", "train", "select", "evaluate", "particles"]

MOST_DAYS = 30
"""A longer runtime is a slip: YAML 1.1 reads 24:00:00 as 86,400."""


class Resources(Settings):
    """Resources that one job of a stage asks of a cluster."""

    gpu: int = Field(0, ge=0)
    mem_mb: int = Field(4000, ge=1)
    runtime: int = Field(60, ge=1, description="minutes")

    @field_validator("runtime")
    @classmethod
    def _in_minutes(cls, minutes: int) -> int:
        if minutes > MOST_DAYS * 24 * 60:
            raise ValueError(f"{minutes} minutes are more than {MOST_DAYS} days; a day is 1440")
        return minutes
