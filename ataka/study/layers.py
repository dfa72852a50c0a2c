"""The layers of a configuration: YAML files read strictly, laid over each other, their variants resolved.

Everything here is nested mappings of keys, before a study is made of them.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from ataka.errors import UserError, nearest


def read_yaml(path: Path) -> dict[str, Any]:
    """A file that is a mapping; UserError, with the place, where it is none or a key stands twice."""
    try:
        content = deepcopy(_parsed(str(path), path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(f"{path}: {error.strerror}") from None
    except RecursionError:
        raise UserError(f"{path} is no valid YAML: it is nested too deeply") from None
    except (yaml.YAMLError, ValueError, AttributeError) as error:  # the latter: a tag or a date that isn't what it says
        raise UserError(f"{path} is no valid YAML: {error}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path} must be a mapping of keys to values")
    require_plain(content, str(path))
    return content


@cache
def _parsed(path: str, text: str) -> Any:
    """The content of a YAML file, parsed once for all scales that it is a layer of."""
    loader = _Loader(text)
    loader.name = path
    try:
        return loader.get_single_data()
    finally:
        loader.dispose()


class _Loader(yaml.SafeLoader):  # type: ignore[misc]
    """YAML in which a key that stands twice is a mistake, not the last one's victory."""

    def construct_mapping(self, node: Any, deep: bool = False) -> dict[Any, Any]:
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        for place, key in enumerate(keys):
            if key in keys[:place]:
                raise yaml.MarkedYAMLError(
                    problem=f"'{key}' stands twice", problem_mark=node.value[place][0].start_mark
                )
        mapping: dict[Any, Any] = super().construct_mapping(node, deep)
        return mapping


def require_plain(content: Any, where: str) -> None:
    """UserError for what has no end (an anchor within itself) and for characters that can't be written."""
    try:
        json.dumps(content, default=str, skipkeys=True, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: {error}") from None


def overlay(base: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in upper.items():
        below = merged.get(key)
        merged[key] = overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def unlike(base: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[tuple[str, ...], list[str]]:
    """The entries of groups that ``upper`` has and ``base`` has not, perhaps by a slip, each with those of ``base``."""
    groups = ((group, base.get(group), upper.get(group)) for group in ("attacks", "generators", "setups", "methods"))
    both = [(group, there, new) for group, there, new in groups if isinstance(there, dict) and isinstance(new, dict)]
    return {(group, name): [*there] for group, there, new in both for name in new if name not in there}


def inherit(entries: Any, group: str) -> None:
    """Resolve ``like: NAME``: a variant is another set-up, generator or method but for what it states."""
    if not isinstance(entries, dict):
        raise UserError(f"{group} must be a mapping of names to {group}")

    def resolve(name: str, seen: tuple[str, ...]) -> Any:
        entry = entries[name]
        if not isinstance(entry, dict) or "like" not in entry:
            return entry
        base = entry["like"]
        if not isinstance(base, str) or base not in entries:
            raise UserError(f"{group}.{name}.like: no {group[:-1]} '{base}'{nearest(str(base), entries)}")
        if base in seen:
            raise UserError(f"{group}.{name}.like goes in a circle: {' -> '.join((*seen, str(base)))}")
        own = {key: value for key, value in entry.items() if key != "like"}
        found = resolve(base, (*seen, base))
        return overlay(found, own) if isinstance(found, dict) else found

    entries |= {name: resolve(name, (name,)) for name in list(entries)}


def without_other_kinds(base: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` without the attacks that are of another kind in ``upper``: its options say nothing to that kind."""
    kept = dict(base)
    for group in ("attacks", "selection"):
        below, above = kept.get(group), upper.get(group)
        if isinstance(below, dict) and isinstance(above, dict):
            kept[group] = {name: entry for name, entry in below.items() if not _differ(entry, above.get(name))}
    return kept


def _differ(entry: Any, other: Any) -> bool:
    """Whether both are entries that state a kind, and it is not the same."""
    both = isinstance(entry, dict) and isinstance(other, dict) and "kind" in entry and "kind" in other
    return both and entry["kind"] != other["kind"]


def spread_budget(raw: dict[str, Any]) -> None:
    """Give the study's eps to every generator that states none; attacks take it themselves."""
    group = raw.get("generators")
    for entry in group.values() if isinstance(group, dict) else ():
        if isinstance(entry, dict) and "eps" in raw:
            entry.setdefault("eps", raw["eps"])
