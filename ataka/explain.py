"""A validation error in the user's words: the key's path, what is wrong, and the nearest valid name."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic import ValidationError

from ataka.errors import nearest
from ataka.study import Study


def explain(
    error: ValidationError,
    where: str,
    known: Mapping[str, Any] | None = None,
    below: tuple[str, ...] = (),
    unlike: Mapping[tuple[str, ...], Sequence[str]] = MappingProxyType({}),
) -> str:
    """One line a mistake, each opening with ``where``.

    ``known`` names the keys that are valid below the path ``below``, where that is not a study's own settings.
    ``unlike`` are the entries of groups (attacks, methods, ...) that are new, each with the names that aren't.
    """
    lines, met, problems = [], set(), error.errors()
    study_eps = {problem["msg"] for problem in problems if (*below, *problem["loc"]) == ("eps",)}
    for problem in problems:
        location = (*below, *problem["loc"])
        if len(location) > 1 and location[-1] == "eps" and problem["msg"] in study_eps:
            continue  # the same mistake, spread from the study's eps
        if len(location) > 2 and location[0] in ("methods", "generators"):
            inherited = (location[0], *location[2:], problem["msg"])
            if inherited in met:
                continue  # the same mistake, in a variant that inherits it
            met.add(inherited)
        if problem["type"] == "too_short" and any(one["loc"][:-1] == problem["loc"] for one in problems):
            continue  # for want of those that are told by themselves
        entry = tuple(map(str, location[:2]))
        if entry in unlike and problem["type"] in ("missing", "union_tag_not_found"):
            lacking = [str(one["loc"][-1]) for one in problems if one["type"] == "missing" and one["loc"][:2] == entry]
            near = nearest(entry[1], unlike[entry])
            lines.append(f"{where}: {'.'.join(entry)} is new and lacks its {', '.join(lacking) or 'kind'}{near}")
            continue
        path = ".".join(str(step) for place, step in enumerate(location) if not _is_tag(place, location))
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] in ("extra_forbidden", "unexpected_keyword_argument"):
            names = known if known is not None else _siblings(problem["loc"])
            message = f"unknown key{nearest(str(problem['loc'][-1]), names)}"
        elif problem["type"] == "missing":
            message = "is missing"
        elif problem["type"] in ("tuple_type", "list_type"):
            message = f"should be a list, such as [{problem['input']}]"
        elif problem["type"] == "too_short":
            message = "must not be empty"
        elif problem["type"] == "union_tag_not_found":
            message = "has no kind: give one"
        elif problem["type"] == "union_tag_invalid":
            kinds = problem["ctx"]["expected_tags"].replace("'", "").split(", ")
            message = f"no kind '{problem['ctx']['tag']}'{nearest(problem['ctx']['tag'], kinds)}"
        elif "input" in problem and not isinstance(problem["input"], dict) and repr(problem["input"]) not in message:
            message += f" (it is {problem['input']!r})"
        lines.append(f"{where}: {path + ': ' if path else ''}{message}")
    return "\n".join(dict.fromkeys(lines))


def _is_tag(position: int, location: tuple[Any, ...]) -> bool:
    """Whether pydantic put this step into a path for a union's branch; the user wrote no such key."""
    step = location[position]
    return (location[0] == "attacks" and position == 2) or (
        isinstance(step, str) and ("[" in step or step in {"float", "constrained-float"})
    )


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
        elif "discriminator" in node:
            node = {"$ref": node["discriminator"]["mapping"].get(step, "#/$defs/Clean")}
    return list(_dereference(node, schema).get("properties", {}))


def _dereference(node: Any, schema: Any) -> Any:
    for choice in node.get("anyOf", ()):
        if "$ref" in choice or "discriminator" in choice:
            node = choice
    while "$ref" in node:
        node = schema["$defs"][node["$ref"].rsplit("/", 1)[1]]
    return node
