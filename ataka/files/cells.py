"""A cell's row, which evaluate writes, tables collect and verify checks. Imports no torch."""

import math
from collections.abc import Mapping, Sequence
from statistics import NormalDist
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer, ValidationError, model_validator

from ataka.errors import Unusable
from ataka.files.records import sealed

Percent = Annotated[float, PlainSerializer(lambda value: f"{value:.4f}")]
Perhaps = Annotated[float | None, BeforeValidator(lambda text: None if text == "" else text)]
"""A number, or an empty field."""


class Row(BaseModel):
    """A cell's row: one network under one attack. A row may hold more fields, such as the attack's settings and checks.

    ValueError if the accuracy and its 95 % interval are not those of ``correct`` among ``n`` images.
    """

    model_config = ConfigDict(extra="allow", frozen=True, allow_inf_nan=False)

    scale: str
    dataset: str
    arch: str
    method: str
    seed: int
    attack: str
    n: int
    correct: int
    accuracy: Percent
    ci_low: Percent
    ci_high: Percent
    eps: str
    steps: str
    step_size: str
    model_sha256: str
    config_sha256: str
    git_commit: str
    git_dirty: str
    device: str
    torch: str
    threads: int
    seconds: float
    cpu_seconds: float
    memory_mb: Perhaps
    gpu_memory_mb: Perhaps
    finished_at: str
    bits_sha256: str
    data_sha256: str
    code_sha256: str

    @model_validator(mode="after")
    def _adds_up(self) -> "Row":
        if not 0 <= self.correct <= self.n or self.n < 1:
            raise ValueError(f"{self.correct} of {self.n} images can't be correct")
        for name, text in numbers(self.correct, self.n).items():
            if (stated := f"{getattr(self, name):.4f}") != text:
                raise ValueError(f"{name} is {stated}, but {self.correct} of {self.n} correct make {text}")
        return self


COLUMNS = [*Row.model_fields]
"""The columns of every cell; a cell may have more columns."""


def numbers(correct: int, n: int) -> dict[str, str]:
    """The accuracy of ``correct`` among ``n`` images and its 95 % Wilson interval, in per cent, as rows state them."""
    low, high = wilson(correct, n)
    return {name: f"{value:.4f}" for name, value in zip(_NUMBERS, (100 * correct / n, low, high), strict=True)}


_NUMBERS = ("accuracy", "ci_low", "ci_high")


def wilson(correct: int, n: int) -> tuple[float, float]:
    """The 95 % Wilson interval of ``correct`` among ``n``, in per cent.

    As scipy.stats.binomtest(...).proportion_ci(method="wilson"), whose import would cost every cell a second.
    """
    z = NormalDist().inv_cdf(0.975)
    share, shrink = correct / n, 1 + z * z / n
    centre = (share + z * z / (2 * n)) / shrink
    reach = z / shrink * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n))
    return 100 * max(centre - reach, 0.0), 100 * min(centre + reach, 1.0)


def row(correct: int, n: int, about: Mapping[str, Any]) -> dict[str, str]:
    """The sealed row of a cell with these numbers; ``about`` are the other fields."""
    stated = {name: "" if value is None else str(value) for name, value in about.items()}
    checked = Row.model_validate({**stated, "n": n, "correct": correct, **numbers(correct, n)})
    return sealed(checked.model_dump())


def parse(rows: Sequence[Mapping[str, str]], where: str) -> Row:
    """The single row of a cell's CSV; UserError, naming ``where``, if ``rows`` are not those of a cell."""
    if len(rows) != 1:
        raise Unusable(f"{where} has {len(rows)} rows, a cell has one")
    try:
        return Row.model_validate(rows[0])
    except ValidationError as error:
        first = error.errors()[0]
        at = f"{first['loc'][0]} is '{first['input']}': " if first["loc"] else ""
        reason = at + first["msg"].removeprefix("Value error, ")
        raise Unusable(f"{where} doesn't add up: {reason} (was it edited?)") from None
