"""The configuration of a study, and the only reader of config/.

A study is ``config/paper.yaml`` and ``config/methods.yaml``, overlaid by one scale's file (``pocket.yaml``, ...)
and by what the command line overrides. Everything is checked before any job runs: unknown keys, wrong types and
impossible values are refused with the key's path and, for a misspelt name, the nearest valid one.
"""

import json
from collections.abc import Mapping
from copy import deepcopy
from typing import Any

from pydantic import ValidationError

from ataka.errors import UserError, nearest
from ataka.files.provenance import HOME as HOME
from ataka.study import Study, variants
from ataka.study.explain import explain
from ataka.study.layers import inherit, overlay, spread_budget, unlike, without_other_kinds
from ataka.study.networks import check as check_networks
from ataka.study.options import facts as facts
from ataka.study.options import options as options
from ataka.study.references import PRINTED
from ataka.study.strict_yaml import once_each, read_mapping, require_plain

DEFAULT_SCALE = "paper"
MOST = 10**9
"""Every whole number in a configuration is below this bound."""


def scales() -> tuple[str, ...]:
    """The scales that config/ knows."""
    return tuple(sorted(path.stem for path in (HOME / "config").glob("*.yaml") if path.stem != "methods"))


def overrides(text: str) -> dict[str, Any]:
    """The settings that a command's ``--config`` lays over the scale's; UserError if they are no JSON object."""
    try:
        settings = json.loads(text, object_pairs_hook=once_each)
    except (ValueError, RecursionError) as error:
        raise UserError(f"--config is no JSON: {error}; write it as --config " + "'{\"seeds\": [0, 1]}'") from None
    if not isinstance(settings, dict):
        raise UserError('--config must be a JSON object of settings, as {"seeds": [0, 1]}')
    return settings


def load(
    scale: str = DEFAULT_SCALE,
    overrides: Mapping[str, Any] | None = None,
    *,
    methods: Mapping[str, Any] | None = None,
) -> Study:
    """The checked study of ``scale`` with ``overrides`` (a nested mapping of keys) laid over it.

    ``methods`` stand in place of all others, for networks that no study trains: no module of a method is needed then.
    Raises UserError with the key's path, the mistake and the valid values.
    """
    if scale not in scales():
        raise UserError(f"no scale '{scale}' in config/{nearest(scale, scales())}")
    if not PRINTED.fullmatch(scale):
        raise UserError(f"config/{scale}.yaml: a scale's name is letters, digits, '.', '-' and '_': rename the file")
    raw = read_mapping(HOME / "config/paper.yaml")
    raw["methods"] = read_mapping(HOME / "config/methods.yaml") if methods is None else deepcopy(dict(methods))
    layers = _layers(scale) or [{}]
    require_plain(overrides, "--config")
    layers.append(deepcopy(dict(overrides or {})))  # filled in below, for this scale alone
    if methods is not None:
        layers = [{name: group for name, group in layer.items() if name != "methods"} for layer in layers]
    new: dict[tuple[str, ...], list[str]] = {}
    derived: set[str] = set()
    for layer in layers:
        new |= unlike(raw, layer)
        derived = variants.of_changed(raw["methods"], layer.get("methods"), derived)
        raw = overlay(without_other_kinds(raw, layer), layer)
    raw["scale"] = scale
    if methods is not None:  # Table 1's networks are of methods that aren't here
        arch = raw["particles"]["networks"][0]["arch"]
        raw["particles"]["networks"] = [{"arch": arch, "method": name} for name in methods]
    for group in ("setups", "generators", "methods"):
        inherit(raw.get(group, {}), group)
    spread_budget(raw)
    try:
        study = Study.model_validate(raw, context={"eps": raw.get("eps")})
    except ValidationError as error:
        raise UserError(explain(error, f"config ({scale})", unlike=new)) from None
    _check_numbers(study.model_dump(), f"config ({scale}): ")
    study = variants.check(study, derived)
    _check_sizes(study)
    check_networks(study)
    return study.under(overrides or {})


def _layers(scale: str, above: tuple[str, ...] = ()) -> list[dict[str, Any]]:
    """The overlays of ``scale``, that of the scale which it is ``like`` before its own; none of the paper's scale."""
    if scale == DEFAULT_SCALE:
        return []
    layer = dict(read_mapping(HOME / f"config/{scale}.yaml"))
    base = layer.pop("like", DEFAULT_SCALE)
    if base not in scales():
        raise UserError(f"config/{scale}.yaml: like: no scale '{base}'{nearest(str(base), scales())}")
    if base in (*above, scale):
        raise UserError(f"config/{scale}.yaml: like goes in a circle: {' -> '.join((*above, scale, base))}")
    return [*_layers(base, (*above, scale)), layer]


def schema() -> str:
    """The JSON schema of a scale's file, for editors; config/schema.json is this text. Any key may be left out."""
    described = _optional(Study.model_json_schema())
    described["properties"]["like"] = {"type": "string", "description": "the scale that this one overlays: pocket"}
    return json.dumps(described, indent=2, sort_keys=True) + "\n"


def _optional(node: Any) -> Any:
    if isinstance(node, dict):
        return {
            "anyOf" if key == "oneOf" else key: _optional(value)  # without its kind, an attack may be one of several
            for key, value in node.items()
            if not (key == "required" and isinstance(value, list))
        }
    return [_optional(value) for value in node] if isinstance(node, list) else node


def _check_numbers(settings: Any, place: str) -> None:
    """Refuse a count so large that it can only be a slip; ``place`` is the path of ``settings``."""
    pairs = settings.items() if isinstance(settings, dict) else enumerate(settings)
    for key, value in pairs:
        if isinstance(value, dict | list | tuple):
            _check_numbers(value, f"{place}{key}.")
        elif isinstance(value, int) and abs(value) >= MOST:
            raise UserError(f"{place}{key}: {str(value)[:12]}... is too large: numbers end at {MOST - 1:,}")


def _check_sizes(study: Study) -> None:
    """Refuse to ask for more images than the data sets have."""
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
        limits = {f"attacks.{key}.images": (attack.images, tested) for key, attack in study.attacks.items() if attack}
        chosen_on = tested if study.selection.split == "test" else study.data.validation
        limits["selection.attack.images"] = (study.selection.attack.images, chosen_on)
        for path, (asked_for, there) in limits.items():
            if (asked_for or 0) > there:
                raise UserError(f"{path}: {asked_for} images are asked for, but the split of {dataset} has {there}")
