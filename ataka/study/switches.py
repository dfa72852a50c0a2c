"""docs/readings.md: every switch that decides how a sentence of the paper is read, from the code's own definitions."""

import re
import typing
from collections.abc import Iterator, Mapping
from dataclasses import is_dataclass
from typing import Any, NamedTuple

from pydantic.fields import FieldInfo

from ataka import study
from ataka.study import Study, attacks, config
from ataka.study.fields import Settings, unused

_GROUPS: dict[str, type[Settings]] = {
    "": study.Study,
    "data": study.Data,
    "setups.*": study.Setup,
    "setups.*.precision": study.Precision,
    "generators.*": study.Generator,
    "selection": study.Selection,
    "methods.*": study.Method,
    "particles": study.Particles,
}
_HEAD = """# Readings

The paper leaves the sentences on this page open. Each sentence has a switch, with the default first, in bold. A variant
in `config/methods.yaml` (`like:` another method) reads a sentence otherwise, with results in a folder of its own. The
table `report/paper/tables/readings.yaml` compares the alternatives with the defaults. A switch that several methods
share stands once, under the first such method. [protocol.md](protocol.md) lists the questions without a switch. This
page is generated: `.venv/bin/python -m ataka readings`.
"""


class Switch(NamedTuple):
    """A setting that reads a sentence of the paper."""

    question: str
    sentence: str
    path: str
    default: str
    values: Mapping[str, str] | str


def document(defaults: Study) -> str:
    """The page, with the defaults of the study ``defaults``."""
    ordered = sorted(switches(defaults), key=lambda one: _order(one.question))
    lines = [_HEAD]
    question = sentence = ""
    for one in ordered:
        if one.question != question:
            lines.append(f"## {one.question}\n")
            question, sentence = one.question, ""
        if one.sentence != sentence:
            lines.append(f"> {one.sentence}\n")
            sentence = one.sentence
        lines.append(f"`{one.path}`")
        if isinstance(one.values, str):
            lines[-1] += f": **{one.default}**. {one.values[0].upper()}{one.values[1:]}.\n"
            continue
        lines[-1] += ":\n"
        for value in sorted(one.values, key=lambda value: value != one.default):
            name = f"**{value}**" if value == one.default else value
            lines.append(f"- {name}: {one.values[value]}")
        lines[-1] += "\n"
    return "\n".join(lines).rstrip() + "\n"


def switches(defaults: Study) -> Iterator[Switch]:
    """Every reading that the settings and the objectives of methods.yaml define."""
    for path, kind in _GROUPS.items():
        for name, info in kind.model_fields.items():
            if switch := _switch(f"{path}.{name}".lstrip("."), info, _in_force(defaults, path, name)):
                yield switch
    yield from _of_attacks(defaults)
    listed: set[tuple[type, str]] = set()
    for name, method in defaults.methods.items():
        if method.objective:
            yield from _options(f"methods.{name}.options", config.options(defaults, name), listed)


def _options(path: str, options: Any, listed: set[tuple[type, str]]) -> Iterator[Switch]:
    """The readings among a method's hyper-parameters, bar the unused and those ``listed`` for an earlier method."""
    for name, info in type(options).__pydantic_fields__.items():
        value, key = getattr(options, name), (type(options), name)
        if is_dataclass(value):
            yield from _options(f"{path}.{name}", value, listed)
        elif key not in listed and name not in unused(options):
            listed.add(key)
            if switch := _switch(f"{path}.{name}", info, value if info.is_required() else info.default):
                yield switch


def _of_attacks(defaults: Study) -> Iterator[Switch]:
    """The readings of each kind of attack, at the first entry of that kind."""
    first = {entry.kind: (name, entry) for name, entry in reversed(defaults.attacks.items()) if entry}
    for kind in sorted(first):
        name, entry = first[kind]
        for option, info in attacks.find(kind).Options.model_fields.items():
            if switch := _switch(f"attacks.{name}.{option}", info, entry.options[option]):
                yield switch


def _switch(path: str, info: FieldInfo, default: object) -> Switch | None:
    extra = info.json_schema_extra
    if not isinstance(extra, dict) or "reading" not in extra:
        return None
    values: Any = extra["values"]
    if isinstance(values, Mapping):
        missing = set(_literals(info.annotation)) ^ set(values)
        assert not missing, f"{path}: {sorted(missing)} are not explained"
    return Switch(str(extra["reading"]), str(extra["sentence"]), path, _text(default), values)


def _in_force(defaults: Study, path: str, name: str) -> object:
    """The study's value of a switch; of one that each entry of a group has, the first entry's."""
    owner: Any = defaults
    for step in filter(None, path.split(".")):
        if step == "*":
            owner = next(iter(owner.values()))
        else:
            owner = owner[step] if isinstance(owner, dict) else getattr(owner, step)
    return getattr(owner, name)


def _literals(annotation: object) -> Iterator[str]:
    if annotation is bool:
        yield from ("true", "false")
    elif typing.get_origin(annotation) is typing.Literal:
        yield from map(str, typing.get_args(annotation))
    else:
        for part in typing.get_args(annotation):
            yield from _literals(part)


def _text(value: object) -> str:
    if isinstance(value, tuple | list):
        return ", ".join(map(_text, value))
    if value == {}:
        return "none"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return f"{value:g}" if isinstance(value, float) else str(value)


def _order(question: str) -> tuple[str, int]:
    letter, number = re.fullmatch(r"([A-Z])(\d+)", question).groups()  # type: ignore[union-attr]
    return letter, int(number)
