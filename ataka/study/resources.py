"""What the jobs of a stage ask of a cluster."""

from typing import Literal

from pydantic import Field

from ataka.study.fields import Settings

Stage = Literal["prepare", "record", "train", "select", "evaluate", "particles"]


class Resources(Settings):
    """What one job of a stage asks of a cluster."""

    gpu: int = Field(0, ge=0)
    mem_mb: int = Field(4000, ge=1)
    runtime: int = Field(60, ge=1, description="minutes")
