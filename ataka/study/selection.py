"""How alpha is chosen among its candidates."""

from typing import Annotated, Literal

from pydantic import Field, field_validator

from ataka.study.attacks import AttackEntry
from ataka.study.fields import Settings, reading


class Selection(Settings):
    """How alpha is chosen among the candidates, once, on the first seed."""

    alphas: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)
    attack: AttackEntry
    split: Literal["validation", "test"] = reading(
        "validation",
        id="C1",
        sentence="alpha is greedily tuned and the best result in terms of accuracy is reported",
        values={"validation": "by accuracy on held-out training images", "test": "by accuracy on the test set itself"},
    )
    collapsed: Literal["refuse", "allow"] = Field(
        "refuse", description="whether a candidate that predicts one class for every image may be chosen"
    )

    @field_validator("attack")
    @classmethod
    def _on_any_images(cls, attack: AttackEntry) -> AttackEntry:
        if attack.files:
            raise ValueError(f"{attack.kind} has images for the test set alone, and alpha is chosen on others")
        return attack

    @field_validator("alphas")
    @classmethod
    def _distinct(cls, alphas: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(alphas)) < len(alphas):
            raise ValueError(f"a candidate is listed twice: {list(alphas)}")
        for alpha in alphas:
            if "e" in f"{alpha:g}" or float(f"{alpha:g}") != alpha:
                raise ValueError(f"{alpha!r} names a folder: write it with six digits at most, from 0.0001 up")
        return alphas
