"""Variants that the settings of their method rule out, as alpha by test accuracy where alpha is a number.

Whoever changes a method hasn't asked for its variants, so such a variant is left out instead of refused: it is planned,
a dash in tables, and says why where it is asked for.
"""

from collections.abc import Mapping, Set
from typing import Any

from ataka.errors import UserError
from ataka.study import Study, references
from ataka.study.methods import Method
from ataka.study.options import check as check_options

_OF = ("like", "member_of", "average_of")
"""By which a method says whose variant, member or average it is."""


def of_changed(methods: Any, changed: Any, before: Set[str] = frozenset()) -> set[str]:
    """The methods that derive from one of the ``changed`` ones, and those ``before``, but for the changed ones.

    ``methods`` and ``changed`` are entries as YAML has them, by name.
    """
    entries = methods if isinstance(methods, Mapping) else {}
    named = set(changed) if isinstance(changed, Mapping) else set()
    reached = set(named)
    while new := {name for name, entry in entries.items() if name not in reached and _of(entry) & reached}:
        reached |= new
    return (reached | before) - named


def _of(entry: Any) -> set[Any]:
    given = [entry.get(key) for key in _OF] if isinstance(entry, Mapping) else []
    return {name for name in given if isinstance(name, str)}


def check(study: Study, derived: set[str]) -> Study:
    """``study`` without those of the ``derived`` methods that can't be; UserError for another that can't."""
    left_out: dict[str, str] = {}
    for name in study.methods:
        try:
            references.check_method(study, name)
            check_options(study, name)
        except (ValueError, UserError) as error:
            message = str(error).removeprefix(f"config ({study.scale}): ")
            if name not in derived:
                raise UserError(f"config ({study.scale}): {message}") from None
            left_out[name] = message
    if not left_out:
        return study
    planned = {name: Method.model_validate({"label": study.methods[name].label}) for name in left_out}
    remaining = study.model_copy(update={"methods": {**study.methods, **planned}})
    return check(remaining, derived).without(left_out)  # what derives from them may now be ruled out, too
