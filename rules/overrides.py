"""The settings of Snakemake's command line, as their writer means them.

Snakemake reads ``--configfile`` as YAML 1.1, in which 24:00:00 is 86400, so it is read here once more. Within a list or
a mapping of ``--config`` each word is text to Snakemake, null too.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ataka.errors import UserError
from ataka.study.layers import overlay
from ataka.study.strict_yaml import once_each, read_mapping
from rules.mistakes import mistakes_stop

if TYPE_CHECKING:
    from snakemake.settings.types import ConfigSettings
    from snakemake.workflow import Workflow

_NULLS = ("null", "Null", "NULL", "~")


def settings_for(workflow: "Workflow", config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of the command line, or, where another workflow imports this one by `module`, its `config`."""
    if workflow.modifier.is_main_snakefile():
        return settings_of(workflow.config_settings)
    return dict(with_nulls(config))


@mistakes_stop()
def settings_of(given: "ConfigSettings") -> dict[str, Any]:
    """The files of ``--configfile``, laid over each other, and ``--config`` over them."""
    settings: dict[str, Any] = {}
    for path in given.configfiles:
        settings = overlay(settings, _read(path))
    return overlay(settings, with_nulls(given.config))


def with_nulls(value: Any) -> Any:
    """``value`` with None in place of each null that was read as text."""
    if isinstance(value, Mapping):
        return {key: with_nulls(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [with_nulls(inner) for inner in value]
    return None if isinstance(value, str) and value in _NULLS else value


def _read(path: Path) -> dict[str, Any]:
    """A file of settings, JSON or YAML, or a template of Snakemake's (yte)."""
    text = path.read_text(encoding="utf-8")
    try:
        content = json.loads(text, object_pairs_hook=once_each)
    except json.JSONDecodeError:
        if "__use_yte__" in text:
            from snakemake.common.configfile import load_configfile

            return dict(load_configfile(path))
        return read_mapping(path)
    except ValueError as error:
        raise UserError(f"{path}: {error}") from None
    return dict(content)  # Snakemake has refused what is no mapping
