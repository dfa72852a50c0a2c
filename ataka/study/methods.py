"""The rows of the tables: the objective that trains each, and the networks that it learns from."""

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from ataka.errors import UserError
from ataka.files.disk import sha256
from ataka.files.locate import locate
from ataka.study.fields import Settings, reading
from ataka.study.words import Label


class Shared(Settings):
    """A larger tape, or one of another generator, whose first teachers may serve."""

    generator: str
    n: int = Field(ge=1)


class Ensemble(Settings):
    """The teachers whose tape a student replays: a generator's name, how many, trained under which set-up."""

    generator: str
    n: int = Field(3, ge=1)
    setup: str = "table2"
    shares: Shared | None = Field(
        None, description="the tape whose first n teachers these are, wherever its kernel was exactly the identity (A1)"
    )


class Normalisation(Settings):
    """The normalisation of a network's images: one number a channel, in [0, 1] units."""

    mean: tuple[float, ...] = Field(min_length=1)
    std: tuple[Annotated[float, Field(gt=0)], ...] = Field(min_length=1)


class Checkpoint(Settings):
    """A network that others trained."""

    dataset: str
    arch: str = Field(description="this scale's own name of the network")
    path: str = Field(description="a file, or PACKAGE:FILE for one within an installed package")
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]
    weights: str | None = Field(
        None, description="the key, or keys joined by dots, of the weights that are meant in a file that holds several"
    )
    normalise: Normalisation | None = Field(
        None, description="the normalisation that the authors' code applies to images before the network sees them"
    )

    @model_validator(mode="before")
    @classmethod
    def _offer_digest(cls, given: Any) -> Any:
        """The digest of the file that is there, where none is given."""
        if isinstance(given, dict) and "sha256" not in given and isinstance(path := given.get("path"), str):
            try:
                digest = sha256(locate(path))
            except UserError as error:
                raise ValueError(f"sha256 is missing, and {error}") from None
            raise ValueError(
                f"sha256 is missing: the file there has {digest}; compare it with its authors', and add it"
            )
        return given

    @property
    def content(self) -> str | dict[str, Any]:
        """The part of the settings that decides the network: the file's digest, and how the file is read."""
        options = self.model_dump(mode="json", include={"weights", "normalise"}, exclude_none=True)
        return {"sha256": self.sha256, **options} if options else self.sha256


class Where(Settings):
    """The differences for one data set or network."""

    options: dict[str, Any]


class Method(Settings):
    """A row of a table: what trains it, under which set-up and readings."""

    label: Label = Field(description="as the tables print it; may hold LaTeX, as $S_1$")
    like: str | None = Field(
        None, description="the method that this one is a variant of; it inherits what it leaves out"
    )
    objective: str | None = Field(None, description="module of the objective; null: planned, shown as a dash")
    checkpoints: tuple[Checkpoint, ...] = Field((), description="networks of others, in place of an objective")
    setup: str = "table2"
    options: dict[str, Any] = Field(default_factory=dict, description="hyper-parameters of the objective")
    where: dict[str, Where] = Field(
        default_factory=dict, description="what differs for a data set or a network, by the paper's name of it"
    )
    members: int = Field(1, ge=1, description="networks that are averaged when evaluated, each with a seed of its own")
    average: Literal["probabilities", "logits"] = reading(
        "probabilities",
        id="E1",
        sentence="we deploy an ensemble model with the same number of sub-models",
        values={"probabilities": "the mean of the members' probabilities", "logits": "the mean of the members' logits"},
    )
    attacked: Literal["average", "member"] = reading(
        "average",
        id="E1",
        sentence="we deploy an ensemble model with the same number of sub-models",
        values={
            "average": "attacks see the evaluated network: the average, end to end",
            "member": "attacks see the first member alone, and the average is evaluated on the resulting images",
        },
    )
    average_of: str | None = Field(None, description="the method whose members are averaged here, trained for it")
    generator: str | None = Field(
        None, description="the particles on which the members train together, in one run (CAT-AKA)"
    )
    member_of: str | None = Field(None, description="the method whose members trained together; this is one of them")
    member: Annotated[int, Field(ge=0)] | Literal["chosen"] | None = reading(
        None,
        id="D4",
        sentence="the student with the best robustness can be selected",
        values="the member's number from 0, or 'chosen': the most robust on the split that chooses alpha",
    )
    teachers: dict[str, str] = Field(
        default_factory=dict, description="frozen teachers: the part they play, and the method that trained them"
    )
    architectures: dict[str, str] = reading(
        {},
        neutral={},
        id="E3",
        sentence="for the benchmark methods we follow their original settings",
        values="networks of frozen teachers that differ from the data set's network of teachers, as the paper's name "
        "by "
        "the teacher's part: the clean teacher of MTARD's paper is a ResNet-56",
    )
    ensemble: Ensemble | None = Field(None, description="the teachers, for a student of AT-AKA")
    online: bool = Field(False, description="train beside the teachers instead of replaying their tape")
    alpha: Literal["tuned"] | Annotated[float, Field(ge=0, le=1)] | None = Field(
        None, description="tuned: chosen from selection.alphas"
    )
    chosen_on: Literal["validation", "test"] | None = Field(
        None, description="the split that chooses alpha, where it is not selection.split (C1)"
    )

    @property
    def planned(self) -> bool:
        """Whether the method is a row of a table that nothing trains yet."""
        return self.objective is None and not self.checkpoints and self.member_of is None

    @property
    def joint(self) -> bool:
        """Whether the ensemble's members train together, in one run."""
        return self.generator is not None
