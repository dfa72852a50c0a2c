"""The commands that messages tell a user, for a shell, under the settings that the user gave."""

import json
import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ataka.study import Study


def snakemake(study: Study, *targets: Path | str, force: bool = False, forcerun: Iterable[Path | str] = ()) -> str:
    """Snakemake's command for ``targets``, made once more with ``force``, and with ``forcerun`` what they come from."""
    again = [*map(str, forcerun)]
    words = ["snakemake", "--cores", "all", *(["--force"] if force else []), *map(str, targets)]
    words += ["--forcerun", *again] if again else []
    return shlex.join([*words, *_config(study.overrides)])


def config(study: Study, **more: Any) -> str:
    """Snakemake's option ``--config`` with the user's settings and ``more``: a second one would replace the first."""
    return shlex.join(_config({**study.overrides, **more}))


def report(study: Study, *words: str) -> str:
    """A command of report, such as ``collect table2 --root results``."""
    return _python(study, "report", *words)


def plan(study: Study, target: str) -> str:
    """The command for the plan of ``target``."""
    return _python(study, "ataka", "plan", target)


def _python(study: Study, module: str, *words: str) -> str:
    settings = ["--config", json.dumps(study.overrides)] if study.overrides else []
    return shlex.join(["python", "-m", module, *words, *settings])


def _config(overrides: Mapping[str, Any]) -> list[str]:
    settings = [f"{key}={_value(value)}" for key, value in overrides.items()]
    return ["--config", *settings] if settings else []


def _value(value: object) -> str:
    """A setting as Snakemake's command line reads it: a plain word, or YAML, of which JSON is a part.

    Snakemake strips quotes from both ends of a value, so spaces keep those of a text.
    """
    if not isinstance(value, str):
        return json.dumps(value, ensure_ascii=False)
    plain = re.fullmatch(r"[A-Za-z_/~.][\w/~.-]*|\d+/\d+", value)
    return value if plain else f" {json.dumps(value, ensure_ascii=False)} "
