"""The types that settings are made of: strict models, budgets written as text, and readings.

A *reading* is a setting that decides between several ways to read a sentence of the paper; ``reading()`` marks
it with the sentence and the place, so that a run can list which readings it was made under.
"""

import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, is_dataclass
from fractions import Fraction
from typing import Annotated, Any, TypeVar, dataclass_transform, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    TypeAdapter,
    ValidationError,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)
from pydantic.dataclasses import dataclass as _pydantic_dataclass

T = TypeVar("T")
_STRICT = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


def _refuse_booleans(cls: Any, value: object, info: ValidationInfo) -> object:
    """A boolean where a number belongs is a slip; pydantic would take ``true`` for 1."""
    fields = getattr(cls, "model_fields", None) or cls.__pydantic_fields__
    kinds = set(_kinds(fields[str(info.field_name)].annotation))
    values = value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else [value]
    given = [one for one in values if isinstance(one, bool)]
    if given and kinds & {int, float} and not kinds & {bool, Any, object}:
        raise ValueError(f"{given[0]} is no number")
    return value


def _kinds(annotation: Any) -> Iterator[object]:
    """The types that an annotation is made of."""
    if parts := get_args(annotation):
        for part in parts:
            yield from _kinds(part)
    else:
        yield annotation


class Settings(BaseModel):
    """A group of settings; keys that it doesn't know are refused, and so are booleans in place of numbers."""

    model_config = _STRICT
    _no_booleans = field_validator("*", mode="before")(classmethod(_refuse_booleans))


@dataclass_transform(frozen_default=True, kw_only_default=True)
def hyperparameters(cls: type[T]) -> type[T]:
    """Class decorator for a method's hyper-parameters: a frozen, type-checked dataclass that refuses unknown keys.

    Its fields are given by name alone, so that classes of common ones can be inherited in any order. Two attributes are
    optional: ``unused``, the names of the fields that decide nothing under the other fields' values, and ``sources``,
    the modules that the values bring into the method's code.
    """
    cls._no_booleans = field_validator("*", mode="before")(classmethod(_refuse_booleans))  # type: ignore[attr-defined]
    return _pydantic_dataclass(frozen=True, kw_only=True, config=ConfigDict(extra="forbid", allow_inf_nan=False))(cls)  # type: ignore[return-value]


class Refused(ValueError):
    """Mistakes in settings that stand within others' but have a class of their own, which pydantic can't see."""

    def __init__(self, error: ValidationError, known: Iterable[str]) -> None:
        super().__init__(str(error))
        self.error, self.known = error, tuple(known)


def nested(kind: type[T], values: object) -> T:
    """An instance of the hyper-parameter class ``kind`` with ``values``, for a validator of the settings around it."""
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise Refused(error, getattr(kind, "__dataclass_fields__", ())) from None


def unused(options: Any) -> tuple[str, ...]:
    """The fields of ``options`` that decide nothing under the values of the others, as their class says."""
    return tuple(getattr(options, "unused", ()))


class Amount(str):
    """A number that settings keep as the text that the user wrote, such as ``8/255``."""

    __slots__ = ()


def number(text: str) -> float:
    """The value of a number written as text, ``"8/255"`` or ``"0.003"``, rounded once from the exact fraction."""
    return float(_fraction(text))


def arguments(settings: Settings) -> dict[str, Any]:
    """Settings by name, as a function takes them: amounts are numbers."""
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    return {name: number(value) if isinstance(value, Amount) else value for name, value in values.items()}


def _fraction(text: str) -> Fraction:
    if len(text) > 40 or re.search(r"[eE][+-]?\d{4}", text):  # exact, it could fill the memory
        raise ValueError(text)
    numerator, *denominators = text.split("/")
    if len(denominators) > 1:
        raise ValueError(text)
    return Fraction(numerator) / Fraction(*denominators or (1,))


def _text(value: object) -> object:
    if isinstance(value, bool):
        raise ValueError(f"{value} is no number; write it like '8/255' or 0.003")
    return repr(value) if isinstance(value, int | float) else value


def _parses(text: str) -> str:
    try:
        float(_fraction(text))
    except ZeroDivisionError:
        raise ValueError(f"'{text}' divides by zero; write it like '8/255' or 0.003") from None
    except (ValueError, OverflowError):
        text = text if len(text) <= 40 else f"{text[:40]}..."
        raise ValueError(f"'{text}' is no number; write it like '8/255' or 0.003") from None
    return Amount(text.replace(" ", ""))


def _between(low: int, high: int | None, *, above: bool = False, pixels: bool = False) -> Callable[[str], str]:
    def check(text: str) -> str:
        value = float(_fraction(text))
        if value < low or (above and value == low) or (high is not None and value > high):
            bounds = f"{'above' if above else 'at least'} {low}" + (f" and at most {high}" if high else "")
            meant = f"; did you mean '{text}/255'? Images lie in [0, 1]" if pixels and 1 < value <= 255 else ""
            raise ValueError(f"'{text}' is out of range: it must be {bounds}{meant}")
        return text

    return check


_SCHEMA = {"anyOf": [{"type": "string"}, {"type": "number"}]}
_Text = Annotated[str, BeforeValidator(_text), AfterValidator(_parses), WithJsonSchema(_SCHEMA)]
Budget = Annotated[_Text, AfterValidator(_between(0, 1, pixels=True))]
"""An l_inf budget in [0, 1] units, as text: ``8/255``."""
Share = Annotated[_Text, AfterValidator(_between(0, 1))]
"""A share of a whole, as text: ``60/200``."""
StepSize = Annotated[_Text, AfterValidator(_between(0, 1, above=True, pixels=True))]
"""The size of a sign's step in [0, 1] units, as text: ``2/255`` or ``0.003``."""
Factor = Annotated[_Text, AfterValidator(_between(0, None, above=True))]
"""A positive number, as text."""


_NONE = object()
"""In place of a neutral value: there is none."""


def reading(
    default: Any,
    *,
    id: str,
    sentence: str,
    values: Mapping[str, str] | str,
    neutral: object = _NONE,
    **constraints: Any,
) -> Any:
    """A field that decides how a sentence of the paper is read; docs/readings.md is made of these.

    ``id`` numbers the question, ``sentence`` is what the paper says, ``values`` says what each value means, or of a
    number in one sentence what it is. ``neutral`` is that of ``added``.
    """
    extra = {"reading": id, "sentence": sentence, "values": values}
    return _field(default, extra, neutral, description=f"[{id}] {sentence}", **constraints)


def added(default: Any, *, neutral: object, **constraints: Any) -> Any:
    """A field that was added after results had been made.

    ``neutral`` is the value that reproduces these results. Where a field stands at its neutral value it doesn't enter
    the digest of the settings, so that nothing is made again; the default may be another value.
    """
    return _field(default, {}, neutral, **constraints)


def _field(default: Any, extra: dict[str, Any], neutral: object, **constraints: Any) -> Any:
    if neutral is not _NONE:
        extra = {**extra, "neutral": neutral}
    given = {} if default is ... else {"default": default}
    return Field(**given, json_schema_extra=extra, **constraints)


@dataclass(frozen=True, kw_only=True)
class Plugin:
    """An entry of a YAML whose options the module of a plug-in defines."""

    plain: Mapping[str, Any]
    """The entry as the function ``plain`` gives it."""
    readings: Sequence[tuple[str, str, Any]]
    """(option, question, value) of the options that read a sentence of the paper."""


def plain(settings: Any) -> Any:
    """Settings as JSON has them, nested ones too, without fields that are unused or stand at their neutral value.

    ``settings`` are models, hyper-parameter classes, plug-ins, and mappings and sequences of such.
    """
    if settings is None or type(settings) in (str, int, float, bool):  # most are, and a table asks for many
        return settings
    if isinstance(settings, Plugin):
        return dict(settings.plain)
    if isinstance(settings, BaseModel) or is_dataclass(settings):
        extras = {name: _extra(info) for name, info in _described(settings).items()}
        neutral = {name: plain(extra["neutral"]) for name, extra in extras.items() if "neutral" in extra}
        values = {name: plain(getattr(settings, name)) for name in extras}
        return {name: value for name, value in values.items() if name not in neutral or value != neutral[name]}
    if isinstance(settings, Mapping):
        return {name: plain(value) for name, value in settings.items()}
    return [plain(value) for value in settings] if isinstance(settings, list | tuple) else settings


def _described(settings: Any) -> Mapping[str, Any]:
    """The field descriptions of a model or a hyper-parameter class, by name, without unused fields."""
    if isinstance(settings, BaseModel):
        return type(settings).model_fields
    described: Mapping[str, Any] = getattr(settings, "__pydantic_fields__", {})
    described = described or {field.name: None for field in fields(settings)}
    return {name: info for name, info in described.items() if name not in unused(settings)}


def _extra(info: Any) -> Mapping[str, Any]:
    extra = getattr(info, "json_schema_extra", None)
    return extra if isinstance(extra, dict) else {}


def readings_of(settings: Any, path: str = "") -> Iterator[tuple[str, str, Any]]:
    """(path, id, value) of the readings in use below ``settings``: models, hyper-parameter classes, plug-ins, dicts."""
    if isinstance(settings, Plugin):
        yield from ((f"{path}{name}", question, value) for name, question, value in settings.readings)
    elif isinstance(settings, dict):
        for key, value in settings.items():
            yield from readings_of(value, f"{path}{key}.")
    elif isinstance(settings, BaseModel) or is_dataclass(settings):
        for name, info in _described(settings).items():
            value, extra = getattr(settings, name), _extra(info)
            if "reading" in extra:
                yield f"{path}{name}", str(extra["reading"]), value
            yield from readings_of(value, f"{path}{name}.")
