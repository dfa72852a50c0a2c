"""Notes at the start of a study, on settings that are possible but perhaps not meant."""

from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any

from ataka.errors import few
from ataka.study import Study
from ataka.study.fields import number
from ataka.study.options import facts


def notes(study: Study) -> Iterator[str]:
    """Notes of one sentence each: steps that overshoot their ball, variants that are left out."""
    large: dict[tuple[str, str], list[str]] = defaultdict(list)
    for place, settings in _with_steps(study):
        step, eps = str(settings.get("step_size")), str(settings.get("eps"))
        with suppress(ValueError):  # it has no steps, no ball, or no number for them
            if number(step) > 2 * number(eps):
                large[step, eps].append(f"{place}.step_size")
    for (step, eps), places in large.items():
        yield f"{few(places)}: a step of {step} is more than 2 eps (eps {eps}), from border to border of the ball"
    for reason in study.left_out.values():
        yield f"left out, as its method's settings rule it out: {reason}"


def _with_steps(study: Study) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Settings that may have steps along signs within a ball, and where they stand."""
    for name, attack in study.attacks.items():
        if attack:
            yield f"attacks.{name}", attack.options
    yield "selection.attack", study.selection.attack.options
    for name, generator in study.generators.items():
        if generator.signed:
            yield f"generators.{name}", {"eps": generator.eps, "step_size": generator.step_size}
    for name, method in study.methods.items():
        if method.objective:
            yield f"methods.{name}.options", facts(study, name).options
