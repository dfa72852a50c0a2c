"""The attacks of a study: the facts of an attack's own module that settings, tables and estimates need.

``ataka.attacks`` lists the names that such a module may define. No other place knows a kind of attack by its name.
"""

import inspect
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

from pydantic import Field, ValidationError, ValidationInfo
from pydantic_core import PydanticCustomError, PydanticKnownError, core_schema

from ataka.errors import UserError, nearest, try_import, unknown
from ataka.files.locate import expanded
from ataka.study import plugins, words
from ataka.study.fields import Plugin, Refused, Settings, plain, readings_of


class AttackOptions(Settings):
    """Options of every attack."""

    images: int | None = Field(None, ge=1, description="evaluate the first so many test images (null: all)")


@dataclass(frozen=True)
class Check:
    """A sign that an attack's number can't be believed: it is raised where a quantity is above a limit.

    The quantity is a column of the attack's cell. Or it compares the attack with one of another kind on the images of
    both: by how many "points" of accuracy it leaves more right, or how many "images" it leaves right that the other
    fools. The limit is a number, or another column of the cell.
    """

    name: str
    meaning: str
    """A table's words for a number that raises this check."""
    quantity: str
    above: float | str
    against: str = ""
    """The other kind."""
    at_zero: bool = True
    """Whether the check can be raised where no image is right."""


class Ball(NamedTuple):
    """The images that an attack may choose from: those within a ``budget``, such as ``8/255``, in a ``norm``."""

    norm: str
    """``l_inf`` or ``l_2``."""
    budget: str

    def __str__(self) -> str:
        return f"{'ℓ∞' if self.norm == 'l_inf' else 'ℓ₂'} {self.budget}"


@dataclass(frozen=True, kw_only=True)
class AttackEntry(Plugin):
    """One attack of a study: its kind, its checked options, and the facts that its module states of them.

    Everything in it can be written as JSON.
    """

    kind: str
    options: Mapping[str, Any]
    """Every option; amounts are text, as ``8/255``."""
    label: str
    sentence: str
    caveat: str
    paper_note: str
    beats: Sequence[str]
    checks: Sequence[Check]
    forwards: float
    chunk_forwards: float
    chunk: int | None
    """The images of a canonical chunk, the unit of sharding; None for an attack that may be cut anywhere."""
    module: str
    diagnosis: str
    """The module that diagnoses it, or ""."""
    files: Sequence[str] = ()
    """Files that it reads beside the test images, below its option ``folder``."""

    @property
    def settings(self) -> dict[str, Any]:
        """The attack's entry in a YAML, with every option."""
        return {"kind": self.kind, **self.options}

    @property
    def images(self) -> int | None:
        """The number of images that it takes, the first ones; None for all."""
        images: int | None = self.options["images"]
        return images

    @property
    def eps(self) -> str | None:
        """The attack's budget in l_inf; None for an attack with another measure, or none."""
        return self.options.get("eps")

    @property
    def climbs(self) -> bool:
        """Whether the attack follows gradients to the images: all do but clean images and those read from files."""
        return bool(self.beats) and not self.files

    @property
    def ball(self) -> Ball | None:
        """The ball that the attack searches, by its option ``eps`` or ``radius``; None for an attack without either."""
        for norm, option in (("l_inf", "eps"), ("l_2", "radius")):
            if self.options.get(option) is not None:
                return Ball(norm, str(self.options[option]))
        return None

    def placed(self, below: Path, label: str) -> "AttackEntry":
        """This attack on the data set that is called ``label``, its ``folder`` a whole path if it reads ``files``."""
        if not self.files:
            return self
        folder = below / expanded(self.options["folder"].replace("{label}", label))
        return replace(self, options={**self.options, "folder": str(folder)})

    @property
    def paths(self) -> dict[str, Path]:
        """The places of ``files``, by their names, of an attack that is placed."""
        return {name: Path(self.options["folder"], name) for name in self.files}

    @property
    def short(self) -> str:
        """Label and number of steps, as ``PGD-10``."""
        return "-".join([self.label, *(str(self.options[name]) for name in ("steps",) if name in self.options)])

    @property
    def words(self) -> list[Any]:
        """The attack's words in tables, and the signs that tables look for: nothing here decides a verdict."""
        checks = [asdict(check) for check in self.checks]
        return [self.label, self.sentence, self.caveat, self.paper_note, list(self.beats), checks]

    @property
    def code(self) -> tuple[str, ...]:
        """The modules whose code decides its cells."""
        return (self.module, self.diagnosis) if self.diagnosis else (self.module,)

    @classmethod
    def __get_pydantic_core_schema__(cls, _source: Any, _handler: Any) -> core_schema.CoreSchema:
        to_settings = core_schema.plain_serializer_function_ser_schema(lambda entry: entry.settings)
        return core_schema.with_info_plain_validator_function(_validated, serialization=to_settings, ref="Attack")

    @classmethod
    def __get_pydantic_json_schema__(cls, _schema: Any, _handler: Any) -> dict[str, Any]:
        elsewhere = {"type": "object", "not": {"properties": {"kind": {"not": {"pattern": r"\."}}}}}  # a dotted kind
        return {"anyOf": [*map(_schema_of, kinds()), elsewhere]}


def kinds() -> list[str]:
    """The kinds of attack in ``ataka/attacks``, read from the files without importing them."""
    files = (Path(__file__).resolve().parents[1] / "attacks").glob("*.py")
    return sorted(file.stem for file in files if re.search(r"^class Options\b", file.read_text("utf-8"), re.MULTILINE))


def find(kind: str) -> ModuleType:
    """The module of an attack: one of ``kinds()``, or a dotted path. UserError where there is none."""
    module = try_import(_path(kind), f"can't import the attack '{kind}'")
    if module is None:
        raise UserError(f"no attack of kind '{kind}'{unknown(kind, kinds())}")
    if not hasattr(module, "attack") or not hasattr(module, "Options"):
        raise UserError(
            f"'{kind}' is no attack: it needs a function attack and a class Options{nearest(kind, kinds())}"
        )
    if not issubclass(module.Options, AttackOptions):
        raise UserError(f"'{kind}': its Options must inherit AttackOptions of ataka.study.attacks")
    return module


def describe(kind: str, values: Mapping[str, Any], *, eps: str | None = None) -> AttackEntry:
    """The entry of an attack with the options ``values``, and with ``eps`` as its budget where it states none.

    UserError for a module that is no attack, Refused for options that its Options refuse. Loads the module, and so
    torch, only if it has been edited since its facts were kept (plugins.py).
    """
    facts = {**plugins.facts(_path(kind), ("attack", values, eps), lambda: _facts(find(kind), values, eps))}
    facts["plain"] = {"kind": kind, **facts["plain"]}
    facts["readings"] = [tuple(reading) for reading in facts["readings"]]
    facts["checks"] = [Check(**check) for check in facts["checks"]]
    return AttackEntry(kind=kind, **facts)


def _path(kind: str) -> str:
    return kind if "." in kind else f"ataka.attacks.{kind}"


def _facts(module: ModuleType, values: Mapping[str, Any], eps: str | None) -> dict[str, Any]:
    """The fields of an AttackEntry, from the attack's module."""
    known = module.Options.model_fields
    if eps is not None and "eps" in known:
        values = {"eps": eps, **values}
    try:
        options = module.Options.model_validate(values)
    except ValidationError as error:
        raise Refused(error, known) from None
    _require_fit(module, options)
    forwards = module.forwards(options) if hasattr(module, "forwards") else 2 * getattr(options, "steps", 1) + 1
    return {
        "options": options.model_dump(mode="json"),
        "plain": plain(options),
        "readings": list(readings_of(options)),
        "label": _printed(module, "LABEL", getattr(module, "LABEL", module.__name__.rpartition(".")[2]), words.label),
        "sentence": _template(module, "sentence", options),
        "caveat": _template(module, "caveat", options),
        "paper_note": _printed(module, "PAPER_NOTE", getattr(module, "PAPER_NOTE", ""), words.latex),
        "beats": _beats(module),
        "checks": [asdict(check) for check in getattr(module, "CHECKS", ())],
        "forwards": forwards,
        "chunk_forwards": module.chunk_forwards(options) if hasattr(module, "chunk_forwards") else forwards,
        "chunk": options.chunk if hasattr(module, "attack_chunk") else None,  # type: ignore[attr-defined]
        "module": module.__name__,
        "diagnosis": getattr(module, "DIAGNOSIS", ""),
        "files": list(module.files(options)) if hasattr(module, "files") else [],
    }


def placeholders(template: str) -> list[str]:
    """The names in braces, each once, in their order."""
    return list(dict.fromkeys(re.findall(r"\{(\w+)\}", template)))


def _validated(value: Any, info: ValidationInfo) -> AttackEntry:
    """A YAML's entry, described; the study's own budget comes as the context ``eps``."""
    if isinstance(value, AttackEntry):
        return value
    if not isinstance(value, dict):
        raise PydanticKnownError("dict_type")
    options = {key: given for key, given in value.items() if key != "kind"}
    if not isinstance(value.get("kind"), str):
        raise PydanticCustomError("no_kind", "has no kind: give one")
    try:
        return describe(value["kind"], options, eps=(info.context or {}).get("eps"))
    except UserError as error:
        raise PydanticCustomError("no_attack", "{reason}", {"reason": str(error)}) from None


def _require_fit(module: ModuleType, options: AttackOptions) -> None:
    """UserError unless the attack takes its options: found now, not when the first network has been trained."""
    name, given = "attack", set(type(options).model_fields) - {"images"}
    if hasattr(module, "files") and "folder" not in given:
        raise UserError(f"'{module.__name__}': it has files, so its Options need folder, where these lie")
    if hasattr(module, "attack_chunk"):
        name, given = "attack_chunk", _of_a_chunk(module, given)
    if hasattr(module, "draw"):
        given |= {"start"}
    try:
        inspect.signature(getattr(module, name)).bind("model", "x", "y", **dict.fromkeys(given))
    except TypeError as error:
        raise UserError(f"'{module.__name__}': its function {name} and its Options don't fit: {error}") from None


def _of_a_chunk(module: ModuleType, options: set[str]) -> set[str]:
    """The names of what ``attack_chunk`` is given: ``options`` but the chunk's size, and of its place what it names."""
    if "chunk" not in options:
        raise UserError(f"'{module.__name__}': it has attack_chunk, so its Options need chunk, a chunk's images")
    place = {"seed", "index", "point", "keep"} & set(inspect.signature(module.attack_chunk).parameters)
    if place & {"point", "keep"} and not hasattr(module, "Point"):
        raise UserError(f"'{module.__name__}': its attack_chunk resumes at a Point, which it must define")
    return options - {"chunk"} | place


def _template(module: ModuleType, name: str, options: AttackOptions) -> str:
    """A sentence of the module; UserError for braces around what is no option."""
    template: str = getattr(module, name)(options) if hasattr(module, name) else ""
    for field in placeholders(template):
        if field not in ("heading", *type(options).model_fields):
            raise UserError(f"'{module.__name__}': its {name} names {{{field}}}, which is none of its Options")
    return _printed(module, name, template, words.latex)


def _printed(module: ModuleType, name: str, text: str, check: Callable[[str], str]) -> str:
    """``text``, which tables print; UserError where ``check`` finds that LaTeX would not set it."""
    try:
        check(text)
    except ValueError as error:
        raise UserError(f"'{module.__name__}': its {name}: {error}") from None
    return text


def _beats(module: ModuleType) -> list[str]:
    """The kinds in BEATS; UserError for what is no kind, with which the attack's number would never be compared."""
    beats = getattr(module, "BEATS", ("clean",))
    if isinstance(beats, str):
        raise UserError(f"'{module.__name__}': its BEATS is a string; write a tuple, ({beats!r},)")
    for kind in beats:
        if "." not in kind and kind not in kinds():
            raise UserError(f"'{module.__name__}': its BEATS has no attack of kind '{kind}'{unknown(kind, kinds())}")
    return list(beats)


def _schema_of(kind: str) -> dict[str, Any]:
    """The JSON schema of an entry of this kind, for editors."""
    schema: dict[str, Any] = find(kind).Options.model_json_schema()
    return schema | {"title": kind, "properties": {"kind": {"const": kind, "type": "string"}, **schema["properties"]}}
