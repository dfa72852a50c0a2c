"""A validation error in the user's words: the key's path, the mistake, and the nearest valid name."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from ataka.errors import nearest
from ataka.study import Study
from ataka.study.fields import Refused


def explain(
    error: ValidationError,
    where: str,
    known: Iterable[str] | None = None,
    below: tuple[str, ...] = (),
    unlike: Mapping[tuple[str, ...], Sequence[str]] = MappingProxyType({}),
) -> str:
    """One line a mistake, each opening with ``where``.

    ``known`` names the keys that are valid below the path ``below``, where that is not a study's own settings.
    ``unlike`` are the entries of groups (attacks, methods, ...) that are new, each with the names that aren't.
    """
    lines, met, problems = [], set(), [*_problems(error, known)]
    study_eps = {problem["msg"] for problem in problems if (*below, *problem["loc"]) == ("eps",)}
    for problem in problems:
        location = (*below, *problem["loc"])
        if len(location) > 1 and location[-1] == "eps" and problem["msg"] in study_eps:
            continue  # the same mistake, spread from the study's eps
        if len(location) > (1 if problem["type"] == "value_error" else 2) and location[0] in (
            "methods",
            "generators",
            "setups",
        ):
            inherited = (location[0], *location[2:], problem["msg"])
            if inherited in met:
                continue  # the same mistake, in a variant that inherits it
            met.add(inherited)
        if problem["type"] == "too_short" and any(one["loc"][:-1] == problem["loc"] for one in problems):
            continue  # for want of those that are told by themselves
        entry = tuple(map(str, location[:2]))
        if entry in unlike and (problem["type"] == "no_kind" or (problem["type"] == "missing" and len(location) == 3)):
            lacking = [str(one["loc"][2]) for one in problems if one["type"] == "missing" and one["loc"][:-1] == entry]
            near = nearest(entry[1], unlike[entry])
            lines.append(f"{where}: {'.'.join(entry)} is new and lacks its {', '.join(lacking) or 'kind'}{near}")
            continue
        path = ".".join(str(step) for step in location if not _is_branch(step))
        lines.append(f"{where}: {path + ': ' if path else ''}{_message(problem)}")
    return "\n".join(dict.fromkeys(lines))


def _problems(error: ValidationError, known: Iterable[str] | None) -> Iterator[dict[str, Any]]:
    """pydantic's problems, each with the keys that are ``known`` in its place; those of nested settings in full."""
    for problem in error.errors():
        cause = problem.get("ctx", {}).get("error")
        if isinstance(cause, Refused):
            for inner in _problems(cause.error, cause.known):
                yield {**inner, "loc": (*problem["loc"], *inner["loc"])}
        else:
            yield {**problem, "known": known}


def _message(problem: Any) -> str:
    """The mistake, and the valid values."""
    message, given = str(problem["msg"]).removeprefix("Value error, "), problem.get("input")
    match problem["type"]:
        case "extra_forbidden" | "unexpected_keyword_argument":
            names = _siblings(problem["loc"]) if problem["known"] is None else problem["known"]
            return f"unknown key{nearest(str(problem['loc'][-1]), names)}"
        case "missing":
            return "is missing"
        case "tuple_type" | "list_type":
            return f"should be a list, such as [{given}]"
        case "too_short":
            return "must not be empty"
        case "no_attack":
            return message
    stated = "input" not in problem or isinstance(given, dict) or repr(given) in message
    return message if stated else f"{message} (it is {given!r})"


def _is_branch(step: int | str) -> bool:
    """Whether pydantic put this step into a path for a union's branch; the user wrote no such key."""
    return isinstance(step, str) and ("[" in step or step in {"float", "constrained-float"})


def _siblings(location: tuple[Any, ...]) -> list[str]:
    """The keys that are valid where the last step of ``location`` stands."""
    schema = Study.model_json_schema()
    node: Any = schema
    for step in location[:-1]:
        node = _dereference(node, schema)
        if "properties" in node and step in node["properties"]:
            node = node["properties"][step]
        elif isinstance(node.get("additionalProperties"), dict):
            node = node["additionalProperties"]
    return list(_dereference(node, schema).get("properties", {}))


def _dereference(node: Any, schema: Any) -> Any:
    for choice in node.get("anyOf", ()):
        if "$ref" in choice:
            node = choice
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node
