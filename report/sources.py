"""A measurement of this study: its name, and whether it was made under the settings in force."""

from dataclasses import asdict

from ataka import plan
from ataka.errors import Unusable
from ataka.plan import Cell, Particles
from ataka.study import Study

Source = Cell | Particles
"""An artifact whose CSV a table collects."""


def identity(source: Source) -> dict[str, str]:
    """The columns that name ``source``, and what they hold."""
    return {name: str(value) for name, value in asdict(source).items()}


def require_in_force(fields: dict[str, str], study: Study, source: Source, where: str) -> None:
    """Raise UserError, naming ``where``, unless a row is ``source``'s, of this scale and of the settings in force."""
    if fields["scale"] != study.scale:
        raise Unusable(f"{where} is of scale '{fields['scale']}', the table of '{study.scale}'")
    for name, value in identity(source).items():
        if fields[name] != value:
            raise Unusable(f"{where}: its {name} is '{fields[name]}', '{value}' was expected")
    settings = plan.digest(plan.settings_of(study, source))
    if fields["config_sha256"] != settings:
        raise Unusable(
            f"{where} was made under other settings than those in force "
            f"(config_sha256 {fields['config_sha256'][:12]}, now {settings[:12]})"
        )
