"""YAML that says what its writer means: PyYAML reads YAML 1.1, in which 24:00:00 is 86400, 017 is 15 and no is false.

Such a word is refused with its readings under YAML 1.1 and 1.2. Words that mean one thing alone in a study are read so:
1e-3 as a number, 2026-01-01 as text. A key that stands twice is refused, too.
"""

import json
import re
from collections.abc import Iterable
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ataka.errors import UserError

_NUMBER = re.compile(r"([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))\Z")
"""A number in YAML 1.2, but for its hexadecimal and octal ones."""


def read_mapping(path: Path) -> dict[str, Any]:
    """The file's mapping; UserError, with the place, where it is none, a key stands twice or a word misleads."""
    content = read(path)
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a mapping of keys to values")
    return content


def read(path: Path) -> Any:
    """The file's content; UserError, with the place, for what can't be read, or would be read as something else."""
    try:
        content = deepcopy(_parsed(str(path), path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except RecursionError:
        raise UserError(f"{path} is no valid YAML: it is nested too deeply") from None
    except (yaml.YAMLError, ValueError, AttributeError) as error:  # the latter: a tag that isn't what it says
        raise UserError(f"{path} is no valid YAML: {error}") from None
    require_plain(content, str(path))
    return content


def once_each(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    """The object of a JSON text, for ``json.loads``; ValueError for a key that stands twice."""
    content: dict[str, Any] = {}
    for key, value in pairs:
        if key in content:
            raise ValueError(f"'{key}' stands twice")
        content[key] = value
    return content


def require_plain(content: Any, where: str) -> None:
    """UserError for what has no end (an anchor within itself) and for characters that can't be written."""
    try:
        json.dumps(content, default=str, skipkeys=True, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: {error}") from None


@cache
def _parsed(path: str, text: str) -> Any:
    """The content of a YAML file, parsed once for all scales that it is a layer of."""
    loader = _Loader(text)
    loader.name = path
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


_TAG = "tag:yaml.org,2002:"


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """PyYAML's reader, where it and YAML 1.2 agree."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [key for key, _ in node.value if key.tag != f"{_TAG}merge"]
        names = [self.construct_object(key, deep=True) for key in keys]
        for place, name in enumerate(names):
            if name in names[:place]:
                raise yaml.MarkedYAMLError(problem=f"'{name}' stands twice", problem_mark=keys[place].start_mark)
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping

    def construct_number(self, node: Any) -> object:
        """A number in decimals; base 60, octal, binary and hexadecimal numbers are refused, and underscores within."""
        construct = self.construct_yaml_float if node.tag.endswith("float") else self.construct_yaml_int
        value: int | float = construct(node)
        if _is_plain(node) and not _NUMBER.match(node.value):
            raise _misleading(node, value, f"the text '{node.value}'")
        if _is_plain(node) and isinstance(value, int) and value != int(node.value):
            raise _misleading(node, value, str(int(node.value)))
        return value

    def construct_boolean(self, node: Any) -> object:
        """true or false; the other words of YAML 1.1 for them are refused."""
        value: bool = self.construct_yaml_bool(node)
        if _is_plain(node) and node.value.lower() not in ("true", "false"):
            raise _misleading(node, str(value).lower(), f"the text '{node.value}'")
        return value


_Loader.add_implicit_resolver(
    f"{_TAG}float", _NUMBER, list("-+.0123456789")
)  # after PyYAML's own: what they don't know
for _tag, _construct in {
    "int": _Loader.construct_number,
    "float": _Loader.construct_number,
    "bool": _Loader.construct_boolean,
    "timestamp": _Loader.construct_yaml_str,  # a date is the text that it is written as
    "value": _Loader.construct_yaml_str,
}.items():
    _Loader.add_constructor(f"{_TAG}{_tag}", _construct)


def _is_plain(node: Any) -> bool:
    """Whether a word stands without quotes, so that its form decides its type."""
    return node.style is None


def _misleading(node: Any, value: object, other: str) -> yaml.YAMLError:
    advice = "write what is meant: a number in decimals, true or false, or text in quotes"
    problem = f"{node.value} is {value} in YAML 1.1 and {other} in YAML 1.2: {advice}"
    return yaml.MarkedYAMLError(problem=problem, problem_mark=node.start_mark)
