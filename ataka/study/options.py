"""The options of methods: checked by the objective's own class, and the facts that settings need of them."""

import importlib
import inspect
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from pydantic import TypeAdapter, ValidationError

from ataka.errors import UserError, try_import, unknown
from ataka.study import Method, Study, plugins
from ataka.study.explain import explain
from ataka.study.fields import plain, readings_of, unused
from ataka.study.layers import overlay


@dataclass(frozen=True)
class Facts:
    """The facts about a method that settings need: its options, and its objective's module."""

    options: dict[str, Any]
    """The checked hyper-parameters with their defaults, as JSON."""
    settings: dict[str, Any]
    """The hyper-parameters that the digest of a run's settings holds (fields.plain)."""
    readings: list[tuple[str, str, str]]
    """(path, question, value) of each reading among them."""
    idle: list[str]
    """The options that are stated, but decide nothing beside the others."""
    sources: list[str]
    """The modules that the options bring into the method's code, as that of its psi."""
    create: list[str] | None
    """The names of the parameters of ``create``; None without that function."""
    teachers: list[str]
    """The parts that frozen teachers play."""
    heeds: list[str]
    """The options of a set-up that the loss heeds."""
    forwards: dict[str, float]
    """How many forwards of an image a teacher makes in a step, by its part, where it isn't one."""
    updates: float
    """How often a step's loss shows an image to the network that it trains; without a gradient a third of once."""
    probed: bool
    """Whether a class of the objective's module has budgets: networks that it trains may be probed."""


def facts(study: Study, method: str, dataset: str = "", arch: str = "") -> Facts:
    """The facts about ``method``, by default without the differences (``where``) for a data set and a network.

    Loads the objective's module, and so torch, only if it has been edited since the facts were kept (plugins.py).
    """
    return _facts(study, method, study.at(dataset, arch, study.method(method).where))


def options(study: Study, method: str, dataset: str = "", arch: str = "") -> Any:
    """The hyper-parameters of ``method`` for its ``create``: an instance of its objective's ``Options``.

    They include the differences (``where``) for a data set and a network of this scale, where these are given.
    """
    return _options(study, method, study.at(dataset, arch, study.method(method).where))


def check(study: Study, name: str) -> None:
    """UserError where the options of the method ``name``, or its entry, don't fit its objective."""
    method = study.methods[name]
    if method.objective is not None:
        _check(study, name, method, facts(study, name))
        _check_idle(study, name)
        for difference in method.where:
            _check_idle(study, name, difference)
            _check_heeded(study, name, method, _facts(study, name, [difference]))


def _check_idle(study: Study, name: str, difference: str = "") -> None:
    """Each option decides something, but for those that a variant inherits: it may have another psi, say."""
    method = study.methods[name]
    stated, inherited = _stated(method, difference), _stated(study.methods.get(method.like or ""), difference)
    for option in _facts(study, name, [difference] if difference else []).idle:
        if option in stated and stated[option] != inherited.get(option):
            path = ".".join(("methods", name, *(("where", difference) if difference else ()), "options", option))
            raise UserError(f"config ({study.scale}): {path}: decides nothing beside the other options; leave it out")


def _stated(method: Method | None, difference: str) -> dict[str, Any]:
    """The options of a method, or those that differ where it says ``difference``."""
    if method is None or (difference and difference not in method.where):
        return {}
    return method.where[difference].options if difference else method.options


def _facts(study: Study, method: str, where: Sequence[str]) -> Facts:
    question = _values(study, method, where), study.eps
    return Facts(**plugins.facts(_objective(study, method), question, lambda: _read(study, method, where)))


def _read(study: Study, method: str, where: Sequence[str]) -> dict[str, Any]:
    """The fields of Facts, from the objective's module."""
    given, module = _options(study, method, where), importlib.import_module(_objective(study, method))
    create = getattr(module, "create", None)
    return {
        "options": asdict(given),
        "settings": plain(given),
        "readings": [(path, question, str(value)) for path, question, value in readings_of(given)],
        "idle": [name for name in _values(study, method, where) if name in unused(given)],
        "sources": list(getattr(given, "sources", ())),
        "create": create and list(inspect.signature(create).parameters),
        "teachers": list(module.teachers(given)) if hasattr(module, "teachers") else [],
        "heeds": list(module.heeds(given)) if hasattr(module, "heeds") else [],
        "forwards": module.forwards(given) if hasattr(module, "forwards") else {},
        "updates": module.updates(given) if hasattr(module, "updates") else 1,
        "probed": any(isinstance(value, type) and hasattr(value, "budgets") for value in vars(module).values()),
    }


def _options(study: Study, method: str, where: Sequence[str]) -> Any:
    values, kind = _values(study, method, where), _kind(study, method)
    if "eps" in kind.__dataclass_fields__:
        values.setdefault("eps", study.eps)
    place = ("methods", method, *(step for name in where for step in ("where", name)), "options")
    try:
        return TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise UserError(explain(error, f"config ({study.scale})", kind.__dataclass_fields__, place)) from None


def _kind(study: Study, method: str) -> Any:
    """The class Options of the method's objective."""
    objective, place = _objective(study, method), f"methods.{method}.objective"
    module = try_import(objective, f"{place}: can't import '{objective}'")
    if module is None:
        others = {other.objective for name, other in study.methods.items() if name != method and other.objective}
        raise UserError(f"{place}: no objective '{objective}'{unknown(objective, others)}")
    if not hasattr(module, "Options"):
        raise UserError(f"{place}: '{objective}' has no class Options")
    return module.Options


def _objective(study: Study, method: str) -> str:
    objective = study.method(method).objective
    if reason := study.left_out.get(method):
        raise UserError(f"method '{method}' is left out, as the settings of its method rule it out: {reason}")
    if objective is None:
        raise UserError(f"method '{method}' is planned, not implemented: methods.{method}.objective is null")
    return objective


def _values(study: Study, method: str, where: Sequence[str]) -> dict[str, Any]:
    """The options that a method states, with those that differ where it says ``where``."""
    values = dict(study.method(method).options)
    for name in where:
        values = overlay(values, study.method(method).where[name].options)
    return values


def _check_heeded(study: Study, name: str, method: Method, given: Facts) -> None:
    """The loss heeds what its set-up turns on, wherever that differs."""
    setups = [*study.setups[method.setup].variants()]
    if any(setup.awp for setup in setups) and "awp" not in given.heeds:
        raise UserError(
            f"methods.{name}.setup: {method.setup} perturbs weights (awp), but {method.objective} does not name 'awp' "
            "among what it heeds (CONTRIBUTING.md, A method of your own)"
        )
    if any(setup.smoothing for setup in setups) and "smoothing" not in given.heeds:
        raise UserError(
            f"methods.{name}.setup: {method.setup} smooths labels, but the loss of {method.objective} has no "
            "cross-entropy with the labels here, or does not name 'smoothing' among what it heeds"
        )


def _check(study: Study, name: str, method: Method, given: Facts) -> None:
    """Refuse a method that lacks a need of its objective: alpha, teachers, an ensemble, a tape's channel, particles."""
    _check_heeded(study, name, method, given)
    if given.create is None:
        raise UserError(f"methods.{name}.objective: '{method.objective}' has no function create")
    takes = given.create
    if "alpha" in takes and method.alpha is None:
        raise UserError(f"methods.{name}.alpha is missing: give 'tuned' or a number")
    if "alpha" not in takes and method.alpha is not None:
        raise UserError(f"methods.{name}.alpha: {method.objective} has no alpha")
    roles = set(given.teachers)
    if roles != set(method.teachers):
        wanted, named = (", ".join(sorted(some)) or "none" for some in (roles, method.teachers))
        raise UserError(f"methods.{name}.teachers: {method.objective} asks for {wanted}, but named are {named}")
    if method.joint != ("generator" in takes and "online" not in takes):
        raise UserError(
            f"methods.{name}.generator: {method.objective} "
            + ("trains its members each by itself" if method.joint else "trains its members together: name a generator")
        )
    if method.ensemble is None:
        if "online" in takes:
            raise UserError(f"methods.{name}.ensemble is missing: {method.objective} trains a student of teachers")
        return
    channel, channels = given.options.get("logits"), study.generators[method.ensemble.generator].channels
    if channel is not None and channel not in channels:
        raise UserError(
            f"methods.{name}.options.logits: the teachers' tape has no channel '{channel}'; add it to "
            f"generators.{method.ensemble.generator}.channels: {list(channels)}"
        )
    if given.options.get("input") == "adversarial" and not method.online:
        raise UserError(f"methods.{name}.options.input: adversarial needs online: true, as a tape holds no images")
    if given.options.get("target") == "live":
        if not method.online:
            raise UserError(
                f"methods.{name}.options.target: live needs online: true, as the teachers of a tape have been trained"
            )
        if channel != "train_adv":
            raise UserError(f"methods.{name}.options.target: live is of the teachers' own update, logits: train_adv")
