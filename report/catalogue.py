"""Tables by their names: the paper's in report/paper/tables/NAME.yaml, your own in folders that a scale names."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pydantic.json_schema import models_json_schema

from ataka import plan
from ataka.errors import UserError, nearest
from ataka.files.locate import expanded
from ataka.plan import Particles
from ataka.study import Study, config
from ataka.study.strict_yaml import read_mapping
from report.accuracies.accuracy_table import AccuracyTable
from report.particles.particle_table import ParticleTable
from report.table import Table

FOLDER = Path(__file__).with_name("paper") / "tables"
SCHEMA = FOLDER / "schema.json"
KINDS: dict[str, type[Table]] = {"accuracies": AccuracyTable, "particles": ParticleTable}
"""The kinds of tables, by the ``kind`` in their YAML; the first is the default."""
_TAKEN = {"cells", "claims", "pictures", "union"}
"""Names of other files of a results folder, which no table may have."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]*")
"""A table's name, which stands in paths and in LaTeX; with dots it could be a name of another table's page."""
_GIVEN = ("name", "path")
"""The fields of a table that its place says, not its YAML."""


def folders(study: Study) -> tuple[Path, ...]:
    """The folders that hold a study's tables, the paper's first; UserError if one is not there."""
    added = [config.HOME / expanded(folder) for folder in study.tables]
    for folder in added:
        if not folder.is_dir():
            raise UserError(f"config ({study.scale}): tables: there is no folder {folder}")
    return (FOLDER, *added)


def names(folders: Sequence[Path] = (FOLDER,)) -> list[str]:
    """All tables, a supplement after its table."""
    return sorted({path.stem for folder in folders for path in folder.glob("*.yaml")} - _TAKEN)


def load(name: str, folders: Sequence[Path] = (FOLDER,)) -> Table:
    """The table called ``name``; UserError where there is none or its YAML is not one of a table."""
    known = names(folders)
    if name in _TAKEN:
        raise UserError(f"no table can be called '{name}', as another file of the results is")
    if name not in known:
        places = " or ".join(f"{_shown(folder)}/" for folder in folders)
        raise UserError(f"no table '{name}' in {places}{nearest(name, known)}")
    path, *others = (path for folder in folders if (path := folder / f"{name}.yaml").exists())
    if not _NAME.fullmatch(name):
        raise UserError(f"{_shown(path)}: a table's name is letters, digits, '-' and '_': rename the file")
    if others:
        raise UserError(f"two tables are called '{name}', {_shown(path)} and {_shown(others[0])}: rename one")
    content = read_mapping(path)
    kind = content.get("kind", next(iter(KINDS)))
    if kind not in KINDS:
        raise UserError(f"{path}: kind: '{kind}' is none of {', '.join(KINDS)}{nearest(str(kind), KINDS)}")
    for key in _GIVEN:
        if key in content:
            raise UserError(f"{path}: {key}: unknown key; a table's name is that of its file")
    try:
        return KINDS[kind].model_validate(content | {"name": name, "path": _shown(path)})
    except ValidationError as error:
        raise UserError(_explain(error, path, KINDS[kind])) from None


def every(study: Study, *, on_request: bool = False) -> tuple[list[Table], list[str]]:
    """The tables that this study can make and `all` asks for, and why each of the others is left out.

    ``on_request``: also those that are targets of their own.
    """
    tables, reasons, places = [], [], folders(study)
    for name in names(places):
        try:
            table = load(name, places)
            if on_request or not table.on_request:
                _require_known(table, study)
                tables.append(table)
        except UserError as error:
            reasons.append(f"table '{name}' is left out: {error}")
    return tables, reasons


def _require_known(table: Table, study: Study) -> None:
    """UserError for a name that the study lacks: a row's or column's, a data set, a network, the teachers of a run."""
    sources = table.sources(study)
    for source in sources:
        if isinstance(source, Particles):
            plan.require_known(study, source)
    for run in dict.fromkeys(replace(source.run, seed=study.seeds[0]) for source in sources):  # no name has a seed
        plan.require_known(study, run)
        plan.run_settings(study, run)


def schema() -> str:
    """The JSON schema of a table's YAML, for editors; report/paper/tables/schema.json is this text."""
    references, definitions = models_json_schema(
        [(kind, "validation") for kind in KINDS.values()], ref_template="#/$defs/{model}"
    )
    first, *others = (references[kind, "validation"] for kind in KINDS.values())
    chosen: dict[str, Any] = first
    for name, reference in zip([*KINDS][1:], others, strict=True):
        is_it = {"properties": {"kind": {"const": name}}, "required": ["kind"]}
        chosen = {"if": is_it, "then": reference, "else": chosen}
    return json.dumps(definitions | {"title": "Table"} | chosen, indent=2, sort_keys=True) + "\n"


def _shown(path: Path) -> str:
    """A path as messages have it: relative to the checkout where it lies within."""
    return str(path.relative_to(config.HOME) if path.is_relative_to(config.HOME) else path)


def _explain(error: ValidationError, path: Path, kind: type[Table]) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            known = set(kind.model_fields) - {*_GIVEN} if len(problem["loc"]) == 1 else set(kind.entry_keys)
            message = f"unknown key{nearest(str(problem['loc'][-1]), known)}"
        elif problem["type"] == "missing":
            message = "is missing"
        lines.append(f"{path}: {where + ': ' if where else ''}{message}")
    return "\n".join(lines)
