"""What networks are evaluated against: a class for each kind of attack."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from ataka.study.fields import Budget, Settings, StepSize, reading


class Clean(Settings):
    """The images as they are."""

    kind: Literal["clean"]
    images: int | None = Field(None, ge=1, description="evaluate the first so many test images (null: all)")


class FGSM(Settings):
    """One signed step of eps, no random start."""

    kind: Literal["fgsm"]
    eps: Budget
    images: int | None = Field(None, ge=1)


class PGD(Settings):
    """Projected gradient descent; with step 0.003 and 20 steps it is the paper's PGD_TRADES."""

    kind: Literal["pgd"]
    eps: Budget
    step_size: StepSize
    steps: int = Field(ge=0)
    clamp_start: bool = reading(
        False,
        id="F3",
        sentence="PGD_TRADES differs from the original PGD attack ... in its step-size",
        values="whether the random start is clamped to [0, 1] before the first forward; the authors of TRADES don't",
    )
    images: int | None = Field(None, ge=1)


class AutoAttack(Settings):
    """AutoAttack in canonical chunks; ``shortened`` runs the same four components cut down, for smoke runs."""

    kind: Literal["aa"]
    eps: Budget
    version: Literal["standard", "shortened"] = reading(
        "standard",
        id="F3",
        sentence="AutoAttack (AA)",
        values={"standard": "APGD-CE, APGD-T, FAB-T, Square", "shortened": "the same cut short, for smoke runs"},
    )
    chunk: int = Field(128, ge=1, description="images a chunk; part of the result, see docs/architecture.md")
    iterations: int | None = Field(None, ge=1, description="shortened only: steps of APGD and FAB")
    target_classes: int | None = Field(None, ge=1, description="shortened only: targets of APGD-T and FAB-T")
    queries: int | None = Field(None, ge=1, description="shortened only: queries of Square")
    images: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _shortened_says_how(self) -> "AutoAttack":
        cuts = {"iterations": self.iterations, "target_classes": self.target_classes, "queries": self.queries}
        given = [name for name, value in cuts.items() if value is not None]
        if self.version == "standard" and given:
            raise ValueError(f"{given[0]} is for version: shortened; the standard version has no such setting")
        if self.version == "shortened" and len(given) < len(cuts):
            raise ValueError("version: shortened needs iterations, target_classes and queries")
        return self


class CW(Settings):
    """CW_inf: PGD on Carlini and Wagner's margin loss (F1)."""

    kind: Literal["cw"]
    eps: Budget
    step_size: StepSize
    steps: int = Field(ge=0)
    confidence: float = Field(50.0, ge=0, description="how far a margin is still widened")
    images: int | None = Field(None, ge=1)


class CarliniWagnerL2(Settings):
    """Carlini and Wagner's own attack: the nearest misclassified image in l_2, by a binary search over c (F1)."""

    kind: Literal["cw_l2"]
    radius: float | None = Field(None, gt=0, description="how far in l_2 an image may go; null: any distance")
    steps: int = Field(ge=1, description="of Adam, for each c")
    searches: int = Field(9, ge=1, description="values of c that are tried")
    learning_rate: float = Field(0.01, gt=0)
    initial_c: float = Field(1e-3, gt=0)
    kappa: float = Field(0.0, ge=0)
    images: int | None = Field(None, ge=1)


class Fog(Settings):
    """Kang et al.'s fog: sign steps on the random fields of a diamond-square cloud (F2)."""

    kind: Literal["fog"]
    strength: float = reading(
        ...,
        id="F2",
        sentence="we further use two strong attacks, namely CW and Fog attacks",
        values="Kang et al. calibrated 128, 256, 512, 2048, 4096 and 8192, on ImageNet; the paper names none",
        ge=0,
    )
    step_size: StepSize
    steps: int = Field(ge=0)
    images: int | None = Field(None, ge=1)


Attack = Annotated[Clean | FGSM | PGD | AutoAttack | CW | CarliniWagnerL2 | Fog, Field(discriminator="kind")]
WITHOUT_EPS = ("clean", "cw_l2", "fog")
"""Kinds of attack that the study's l_inf budget says nothing to."""
