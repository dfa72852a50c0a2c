"""The attacks of a study that are another one but for their budget or their number of steps: the points of a curve."""

from collections.abc import Iterator, Mapping
from math import isclose
from typing import Any

from ataka.study import Study
from ataka.study.attacks import AttackEntry
from ataka.study.fields import number

BASE = "pgd"
"""The attack of config/ that is varied."""


def by_budget(study: Study) -> dict[str, float]:
    """The budgets of ``BASE`` and of the attacks that differ in eps alone, with steps in proportion, from the least."""
    base = study.attack(BASE)
    return _rising(
        (name, number(str(entry.eps)))
        for name, entry in _variants(study, "eps", "step_size")
        if isclose(_step(entry) * number(str(base.eps)), _step(base) * number(str(entry.eps)))
    )


def by_steps(study: Study) -> dict[str, int]:
    """The number of steps of ``BASE`` and of the attacks that differ in that alone, from the fewest."""
    return _rising((name, int(entry.options["steps"])) for name, entry in _variants(study, "steps"))


def points(study: Study) -> set[str]:
    """The attacks of both curves without ``BASE``: an accuracy under one of them is no result of its own."""
    return ({*by_budget(study), *by_steps(study)} if study.attacks.get(BASE) else set()) - {BASE}


def _variants(study: Study, *varied: str) -> Iterator[tuple[str, AttackEntry]]:
    """``BASE`` and the attacks of its kind that have its options but for the ``varied`` ones."""

    def rest(options: Mapping[str, Any]) -> dict[str, Any]:
        return {key: value for key, value in options.items() if key not in varied}

    base = study.attack(BASE)
    for name, entry in study.attacks.items():
        if entry and entry.kind == base.kind and rest(entry.options) == rest(base.options):
            yield name, entry


def _step(entry: AttackEntry) -> float:
    return number(str(entry.options["step_size"]))


def _rising(values: Iterator[tuple[str, Any]]) -> dict[str, Any]:
    return dict(sorted(values, key=lambda pair: pair[1]))
