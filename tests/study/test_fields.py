"""Budgets as text, strict models, and readings that can be listed."""

import json
import math
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, Field, TypeAdapter, ValidationError

from ataka.study.fields import Budget, Settings, StepSize, added, hyperparameters, number, plain, reading, readings_of

BUDGET, STEP = TypeAdapter(Budget), TypeAdapter(StepSize)


@given(st.integers(0, 255), st.integers(1, 255))
def test_a_fraction_is_rounded_once(numerator: int, denominator: int) -> None:
    assert number(f"{numerator}/{denominator}") == numerator / denominator


@pytest.mark.parametrize(
    ("text", "exact"),
    [
        ("8/255", Fraction(8, 255)),
        ("2.5/255", Fraction(5, 510)),
        ("0.003", Fraction(3, 1000)),
        ("1e-3", Fraction(1, 1000)),
    ],
)
def test_numbers_are_exact_before_rounding(text: str, exact: Fraction) -> None:
    assert number(text) == float(exact)


@pytest.mark.parametrize(
    ("given_value", "text"), [("8/255", "8/255"), (" 8 / 255", "8/255"), (0.003, "0.003"), (0, "0"), (1, "1")]
)
def test_budgets_are_kept_as_text(given_value: object, text: str) -> None:
    assert BUDGET.validate_python(given_value) == text


@pytest.mark.parametrize(
    ("kind", "value", "message"),
    [
        (BUDGET, "8/0", "'8/0' divides by zero; write it like '8/255'"),
        (BUDGET, "8/abc", "'8/abc' is no number"),
        (BUDGET, "", "'' is no number"),
        (BUDGET, "8/", "'8/' is no number"),
        (BUDGET, "/255", "'/255' is no number"),
        (BUDGET, "8/255/3", "'8/255/3' is no number"),
        (BUDGET, "300/255", "'300/255' is out of range: it must be at least 0 and at most 1"),
        (BUDGET, 8, "'8' is out of range"),
        (BUDGET, "-1/255", "out of range"),
        (BUDGET, math.nan, "'nan' is no number"),
        (BUDGET, math.inf, "'inf' is no number"),
        (BUDGET, True, "True is no number"),
        (BUDGET, None, "valid string"),
        (BUDGET, [1], "valid string"),
        (STEP, "0", "'0' is out of range: it must be above 0"),
        (STEP, 0.0, "out of range"),
        (STEP, "-0.1", "out of range"),
    ],
)
def test_impossible_budgets_are_refused(kind: TypeAdapter, value: object, message: str) -> None:
    with pytest.raises(ValidationError) as caught:
        kind.validate_python(value)
    assert message in str(caught.value)


@given(st.text("0123456789./-e ", max_size=8))
def test_any_text_is_a_number_in_range_or_refused(text: str) -> None:
    try:
        accepted = BUDGET.validate_python(text)
    except ValidationError:
        return
    assert 0 <= number(accepted) <= 1


class Inner(Settings):
    kernel: float = reading(1e-3, id="A1", sentence="sigma = 1e-3", values="a width", gt=0)
    steps: int = 20


@hyperparameters
class Options:
    mse: str = reading("sum", id="C2", sentence="||.||^2", values="how")
    plain: int = Field(3, ge=0)


class Outer(Settings):
    inner: dict[str, Inner]
    seeds: tuple[int, ...] = reading(..., id="G5", sentence="(none)", values="roots")


def test_readings_are_found_at_every_depth() -> None:
    study = Outer(inner={"a": Inner(), "b": Inner(kernel=2)}, seeds=(1, 2))
    found = list(readings_of(study))
    assert ("inner.a.kernel", "A1", 1e-3) in found
    assert ("inner.b.kernel", "A1", 2.0) in found
    assert ("seeds", "G5", (1, 2)) in found
    assert len(found) == 3
    assert list(readings_of(Options())) == [("mse", "C2", "sum")]


def test_a_reading_carries_its_sentence_and_constraints_into_the_schema() -> None:
    described = Inner.model_json_schema()["properties"]["kernel"]
    assert (described["reading"], described["sentence"], described["exclusiveMinimum"]) == ("A1", "sigma = 1e-3", 0)
    with pytest.raises(ValidationError):
        Inner(kernel=0)
    with pytest.raises(ValidationError):
        Outer(inner={})  # a reading without default must be given


# ---- a switch that came later


class Newer(Inner):
    repulsion: str = reading("away", id="A5", sentence="a force", values="a sign", neutral="towards")
    shares: tuple[float, ...] = added((0.5,), neutral=(), min_length=0, description="of a whole")


@hyperparameters
class Nested:
    beta: float = added(2.0, neutral=1)


@hyperparameters
class NewerOptions(Options):
    psi: Nested = Nested()
    switch: bool | None = added(True, neutral=None)


def test_settings_are_as_json_has_them() -> None:
    outer = Outer(inner={"a": Inner()}, seeds=(1, 2))
    assert plain(outer) == json.loads(json.dumps(plain(outer))) == outer.model_dump(mode="json")
    assert plain(Options()) == {"mse": "sum", "plain": 3}


def test_a_switch_at_its_neutral_value_leaves_the_settings() -> None:
    assert plain(Newer(repulsion="towards", shares=[])) == plain(Inner())
    assert plain(NewerOptions(switch=None, psi={"beta": 1.0})) == plain(Options()) | {"psi": {}}
    inner = {"a": Newer(repulsion="towards", shares=())}
    assert plain({"groups": [inner]}) == {"groups": [{"a": plain(Inner())}]}


def test_a_switch_counts_at_any_other_value_and_so_does_its_default() -> None:
    assert plain(Newer()) == plain(Inner()) | {"repulsion": "away", "shares": [0.5]}
    assert plain(NewerOptions()) == plain(Options()) | {"psi": {"beta": 2.0}, "switch": True}


def test_a_switch_is_a_field_like_others() -> None:
    described = Newer.model_json_schema()["properties"]
    assert described["shares"]["description"] == "of a whole"
    assert ("repulsion", "A5", "away") in list(readings_of(Newer()))
    with pytest.raises(ValidationError):
        NewerOptions(switch="maybe")


@pytest.mark.parametrize("make", [Inner, Options])
def test_unknown_keys_and_changes_are_refused(make: type) -> None:
    with pytest.raises(ValidationError):
        make(stpes=3)
    frozen = make()
    name = "steps" if isinstance(frozen, BaseModel) else "plain"
    with pytest.raises((ValidationError, AttributeError)):
        setattr(frozen, name, 4)


@pytest.mark.parametrize("value", [math.inf, -math.inf, math.nan])
def test_numbers_are_finite(value: float) -> None:
    with pytest.raises(ValidationError):
        Inner(kernel=value)
