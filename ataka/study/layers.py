"""The layers of a configuration: mappings of keys laid over each other, their variants resolved.

Everything here is nested mappings of keys, before a study is made of them.
"""

from collections.abc import Mapping
from typing import Any

from ataka.errors import UserError, nearest


def overlay(base: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` with the values of ``upper``; mappings are merged key by key, other values replaced."""
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
        inherited = resolve(base, (*seen, base))
        stated = {key: value for key, value in entry.items() if key != "like" or group == "methods"}
        return overlay(_without_other_psi(inherited, stated), stated) if isinstance(inherited, dict) else inherited

    entries |= {name: resolve(name, (name,)) for name in list(entries)}


def _without_other_psi(base: Mapping[str, Any], variant: Mapping[str, Any]) -> Mapping[str, Any]:
    """``base`` without the options of its psi where ``variant`` names another: they say nothing to that one."""
    below, above = base.get("options"), variant.get("options")
    if not isinstance(below, dict) or not isinstance(above, dict) or "amalgamation" not in above:
        return base
    if below.get("amalgamation") == above["amalgamation"]:
        return base
    return {**base, "options": {name: value for name, value in below.items() if name != "psi"}}


def without_other_kinds(base: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    """``base`` without the attacks that are of another kind in ``upper``: its options say nothing to that kind."""
    kept = dict(base)
    for group in ("attacks", "selection"):
        below, above = kept.get(group), upper.get(group)
        if isinstance(below, dict) and isinstance(above, dict):
            kept[group] = {name: entry for name, entry in below.items() if not _differ(entry, above.get(name))}
    return kept


def _differ(entry: Any, other: Any) -> bool:
    """Whether both are entries that state a kind, and the kinds differ."""
    both = isinstance(entry, dict) and isinstance(other, dict) and "kind" in entry and "kind" in other
    return both and entry["kind"] != other["kind"]


def spread_budget(raw: dict[str, Any]) -> None:
    """Give the study's eps to every generator that states none; attacks take it themselves."""
    group = raw.get("generators")
    for entry in group.values() if isinstance(group, dict) else ():
        if isinstance(entry, dict) and "eps" in raw:
            entry.setdefault("eps", raw["eps"])
