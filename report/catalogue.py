"""A table by its name: report/paper/tables/NAME.yaml."""

from pathlib import Path

from pydantic import ValidationError

from ataka.errors import UserError, nearest
from ataka.study import config
from report.accuracies.accuracy_table import AccuracyTable
from report.particles.particle_table import ParticleTable
from report.table import Table

FOLDER = Path(__file__).with_name("paper") / "tables"
KINDS: dict[str, type[Table]] = {"accuracies": AccuracyTable, "particles": ParticleTable}
"""What a table's ``kind`` may be; the first is the default."""


def names(folder: Path = FOLDER) -> list[str]:
    """All tables, a supplement after its table."""
    return sorted(path.stem for path in folder.glob("*.yaml"))


def load(name: str, folder: Path = FOLDER) -> Table:
    """The table called ``name``; UserError where there is none or its YAML is not one of a table."""
    if name not in names(folder):
        raise UserError(f"no table '{name}' in report/paper/tables/{nearest(name, names(folder))}")
    path = folder / f"{name}.yaml"
    content = config.read_yaml(path)
    kind = content.pop("kind", next(iter(KINDS)))
    if kind not in KINDS:
        raise UserError(f"{path}: kind: '{kind}' is none of {', '.join(KINDS)}{nearest(str(kind), KINDS)}")
    try:
        return KINDS[kind].model_validate(content | {"name": name})
    except ValidationError as error:
        raise UserError(_explain(error, path, KINDS[kind])) from None


def _explain(error: ValidationError, path: Path, kind: type[Table]) -> str:
    lines = []
    for problem in error.errors():
        where = ".".join(map(str, problem["loc"]))
        message = problem["msg"].removeprefix("Value error, ")
        if problem["type"] == "extra_forbidden":
            known = set(kind.model_fields) - {"name"} if len(problem["loc"]) == 1 else set(kind.entry_keys)
            message = f"unknown key{nearest(str(problem['loc'][-1]), known)}"
        elif problem["type"] == "missing":
            message = "is missing"
        lines.append(f"{path}: {where}: {message}")
    return "\n".join(lines)
