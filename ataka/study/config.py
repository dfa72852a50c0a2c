"""The configuration of a study, and the only reader of config/.

A study is ``config/paper.yaml`` and ``config/methods.yaml``, overlaid by one scale's file (``pocket.yaml``, ...)
and by what the command line overrides. Everything is checked before any job runs: unknown keys, wrong types and
impossible values are refused with the key's path and, for a misspelt name, the nearest valid one.
"""

import importlib
import inspect
import json
from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import asdict, dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import TypeAdapter, ValidationError

from ataka.errors import UserError, nearest
from ataka.files.provenance import HOME as HOME
from ataka.study import Method, Study, plugins
from ataka.study.explain import explain
from ataka.study.fields import plain, readings_of, unused

DEFAULT_SCALE = "paper"
MOST = 10**9
"""No whole number in a configuration gets there."""


def scales() -> tuple[str, ...]:
    """The scales that config/ knows."""
    return tuple(sorted(path.stem for path in (HOME / "config").glob("*.yaml") if path.stem != "methods"))


def overrides(text: str) -> dict[str, Any]:
    """The settings that a command's ``--config`` lays over the scale's; UserError if they are no JSON object."""
    try:
        settings = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise UserError(f"--config is no JSON: {error}") from None
    if not isinstance(settings, dict):
        raise UserError('--config must be a JSON object of settings, as {"seeds": [0, 1]}')
    return settings


def load(scale: str = DEFAULT_SCALE, overrides: Mapping[str, Any] | None = None) -> Study:
    """The checked study of ``scale`` with ``overrides`` (a nested mapping of keys) laid over it.

    Raises UserError naming the key's path, what is wrong and what would be right.
    """
    if scale not in scales():
        raise UserError(f"no scale '{scale}' in config/{nearest(scale, scales())}")
    raw = read_yaml(HOME / "config/paper.yaml")
    raw["methods"] = read_yaml(HOME / "config/methods.yaml")
    layers = [{}] if scale == DEFAULT_SCALE else [read_yaml(HOME / f"config/{scale}.yaml")]
    _require_plain(overrides, "--config")
    layers.append(deepcopy(dict(overrides or {})))  # filled in below, for this scale alone
    unlike: dict[tuple[str, ...], list[str]] = {}
    for layer in layers:
        unlike |= _unlike(raw, layer)
        raw = _overlay(_without_other_kinds(raw, layer), layer)
    raw["scale"] = scale
    for group in ("setups", "generators", "methods"):
        _inherit(raw.get(group, {}), group)
    _spread_budget(raw)
    try:
        study = Study.model_validate(raw, context={"eps": raw.get("eps")})
    except ValidationError as error:
        raise UserError(explain(error, f"config ({scale})", unlike=unlike)) from None
    _check_numbers(study.model_dump(), f"config ({scale}): ")
    _check_objectives(study)
    _check_sizes(study)
    return study


@dataclass(frozen=True)
class Facts:
    """What settings need of a method: of its options, and of the module that its objective is."""

    options: dict[str, Any]
    """The checked hyper-parameters with their defaults, as JSON."""
    settings: dict[str, Any]
    """Those that the digest of a run's settings holds (fields.plain)."""
    readings: list[tuple[str, str, str]]
    """(path, question, value) of each reading among them."""
    sources: list[str]
    """The modules that the options bring into the method's code, as that of its psi."""
    create: list[str] | None
    """The names of the parameters of ``create``; None without that function."""
    teachers: list[str]
    """The parts that frozen teachers play."""


def facts(study: Study, method: str, dataset: str = "", arch: str = "") -> Facts:
    """What settings need of ``method``, by default without what differs (``where``) for a data set and a network.

    Loads the objective's module, and so torch, only if it has been edited since the facts were kept (plugins.py).
    """
    return _facts(study, method, study.at(dataset, arch, study.method(method).where))


def options(study: Study, method: str, dataset: str = "", arch: str = "") -> Any:
    """The hyper-parameters of ``method`` for its ``create``: an instance of its objective's ``Options``.

    With what differs (``where``) for a data set and a network of this scale, where they are given.
    """
    return _options(study, method, study.at(dataset, arch, study.method(method).where))


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
        "sources": list(getattr(given, "sources", ())),
        "create": create and list(inspect.signature(create).parameters),
        "teachers": list(module.teachers(given)) if hasattr(module, "teachers") else [],
    }


def _options(study: Study, method: str, where: Sequence[str]) -> Any:
    objective, values = _objective(study, method), _values(study, method, where)
    try:
        kind = importlib.import_module(objective).Options
    except AttributeError:
        raise UserError(f"methods.{method}.objective: '{objective}' has no class Options") from None
    except Exception as error:  # whatever the user's own module does when it is imported
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"methods.{method}.objective: can't import '{objective}': {reason}") from None
    if "eps" in kind.__dataclass_fields__:
        values.setdefault("eps", study.eps)
    place = ("methods", method, *(step for name in where for step in ("where", name)), "options")
    try:
        checked = TypeAdapter(kind).validate_python(values)
    except ValidationError as error:
        raise UserError(explain(error, f"config ({study.scale})", kind.__dataclass_fields__, place)) from None
    if idle := [name for name in values if name in unused(checked)]:
        path = ".".join((*place, idle[0]))
        raise UserError(f"config ({study.scale}): {path}: decides nothing beside the other options; leave it out")
    return checked


def _objective(study: Study, method: str) -> str:
    objective = study.method(method).objective
    if objective is None:
        raise UserError(f"method '{method}' is planned, not implemented: methods.{method}.objective is null")
    return objective


def _values(study: Study, method: str, where: Sequence[str]) -> dict[str, Any]:
    """The options that a method states, with those that differ where it says ``where``."""
    values = dict(study.method(method).options)
    for name in where:
        values = _overlay(values, study.method(method).where[name].options)
    return values


def schema() -> str:
    """The JSON schema of a scale's file, for editors; config/schema.json is this text. Any key may be left out."""
    return json.dumps(_optional(Study.model_json_schema()), indent=2, sort_keys=True) + "\n"


def _optional(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            "anyOf" if key == "oneOf" else key: _optional(value)  # without its kind, an attack may be one of several
            for key, value in node.items()
            if not (key == "required" and isinstance(value, list))
        }
    return [_optional(value) for value in node] if isinstance(node, list) else node


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
    _require_plain(content, str(path))
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


def _require_plain(content: Any, where: str) -> None:
    """UserError for what has no end (an anchor within itself) and for characters that can't be written."""
    try:
        json.dumps(content, default=str, skipkeys=True, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: {error}") from None


def _check_numbers(settings: Any, place: str) -> None:
    """No count is so large that it can only be a slip; ``place`` says where ``settings`` stand."""
    pairs = settings.items() if isinstance(settings, dict) else enumerate(settings)
    for key, value in pairs:
        if isinstance(value, dict | list | tuple):
            _check_numbers(value, f"{place}{key}.")
        elif isinstance(value, int) and abs(value) >= MOST:
            raise UserError(f"{place}{key}: {str(value)[:12]}... is too large: numbers end at {MOST - 1:,}")


def _overlay(base: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
    merged = dict(base)
    for key, value in upper.items():
        below = merged.get(key)
        merged[key] = _overlay(below, value) if isinstance(below, dict) and isinstance(value, dict) else value
    return merged


def _unlike(base: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[tuple[str, ...], list[str]]:
    """The entries of groups that ``upper`` has and ``base`` has not, perhaps by a slip, each with those of ``base``."""
    groups = ((group, base.get(group), upper.get(group)) for group in ("attacks", "generators", "setups", "methods"))
    both = [(group, there, new) for group, there, new in groups if isinstance(there, dict) and isinstance(new, dict)]
    return {(group, name): [*there] for group, there, new in both for name in new if name not in there}


def _inherit(entries: Any, group: str) -> None:
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
        return _overlay(found, own) if isinstance(found, dict) else found

    entries |= {name: resolve(name, (name,)) for name in list(entries)}


def _without_other_kinds(base: Mapping[str, Any], upper: Mapping[str, Any]) -> dict[str, Any]:
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


def _spread_budget(raw: dict[str, Any]) -> None:
    """Give the study's eps to every generator that states none; attacks take it themselves."""
    group = raw.get("generators")
    for entry in group.values() if isinstance(group, dict) else ():
        if isinstance(entry, dict) and "eps" in raw:
            entry.setdefault("eps", raw["eps"])


def _check_objectives(study: Study) -> None:
    for name, method in study.methods.items():
        if method.objective is not None:
            _check_objective(study, name, method, facts(study, name))
            for difference in method.where:
                _facts(study, name, [difference])


def _check_sizes(study: Study) -> None:
    """No more images are asked for than the data sets have."""
    for name in study.teachers:
        dataset = study.stand_in(name)
        if dataset is None:
            continue
        try:
            training, testing = study.dataset(dataset).specification.images
        except UserError:  # told to whoever asks for an artifact of it
            continue
        if study.data.validation + (study.data.train or 2) > training:
            asked = f"{study.data.train or 'all'} training and {study.data.validation} validation"
            raise UserError(f"data: {asked} images are asked for, but {dataset} has {training} training images")
        if (study.data.test or 0) > testing:
            raise UserError(f"data.test: {study.data.test} images are asked for, but {dataset} has {testing}")
        tested = study.data.test or testing
        limits = {f"attacks.{key}.images": (one.images, tested) for key, one in study.attacks.items() if one}
        if name == study.particles.dataset:
            limits["particles.images"] = (study.particles.images, tested)
        chosen_on = tested if study.selection.split == "test" else study.data.validation
        limits["selection.attack.images"] = (study.selection.attack.images, chosen_on)
        for path, (asked_for, there) in limits.items():
            if (asked_for or 0) > there:
                raise UserError(f"{path}: {asked_for} images are asked for, but the split of {dataset} has {there}")


def _check_objective(study: Study, name: str, method: Method, given: Facts) -> None:
    """What the objective needs is there: alpha, teachers, an ensemble, a channel of its tape, the particles."""
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
