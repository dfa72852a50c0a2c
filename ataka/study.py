"""The typed settings of a study: what may stand in config/*.yaml, and which values are possible."""

import re
from collections.abc import Collection, Mapping
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from ataka import models
from ataka.errors import UserError, nearest
from ataka.settings import Budget, Settings, StepSize, reading

_NAME = re.compile(r"[a-z0-9][a-z0-9-]*(\.[a-z0-9-]+)*")


class Data(Settings):
    """Where the data sets lie and how many images of each split a study uses (null: all)."""

    folder: str = Field("data", description="where archives are looked for; ATAKA_DATA takes precedence")
    train: int | None = Field(None, ge=2, description="training images, after validation was held out")
    validation: int = reading(
        5000,
        id="C1",
        sentence="alpha is greedily tuned and the best result in terms of accuracy is reported",
        values="training images that are held out, to choose alpha on",
        ge=1,
    )
    test: int | None = Field(None, ge=1, description="the first so many images of the official test set")
    split_seed: int = Field(0, ge=0, description="decides which training images are held out for validation")


class Probe(Settings):
    """A short PGD as each epoch ends, on networks that train on adversarial images of themselves (ataka.probe)."""

    images: int = Field(
        default=128, ge=64, description="the first so many validation images, or all where there are fewer"
    )
    steps: int = Field(default=10, ge=1, description="of a quarter of the budget that the network is trained within")
    overfitted: Literal["stop", "record"] = Field(
        default="stop",
        description="whether catastrophic overfitting ends a training: record, where it is the finding of a study",
    )


class Setup(Settings):
    """How a network is trained (appendix A): SGD with momentum and steps in the learning rate."""

    epochs: int = Field(ge=1)
    batch_size: int = Field(ge=2)
    learning_rate: float = Field(gt=0)
    momentum: float = Field(ge=0, lt=1)
    weight_decay: float = Field(ge=0)
    decayed: Literal["all", "weights"] = reading(
        "all",
        id="G2",
        sentence="momentum 0.9 and weight-decay 2e-4",
        values={
            "all": "every parameter, as the authors of the baselines do",
            "weights": "those of convolutions and linear layers: neither biases nor normalisation",
        },
    )
    augmentation: Literal["crop-flip", "none"] = reading(
        "crop-flip",
        id="G6",
        sentence="we train the networks for 100 epochs on clean images with standard data augmentations",
        values={
            "crop-flip": "a random crop of the padded image (CIFAR by 4 pixels) and a random flip",
            "none": "images as they are, in a random order",
        },
    )
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = reading(
        ...,
        id="G1",
        sentence="the learning rate is divided by 10 at the 200-th, 250-th and 270-th epoch",
        values="how many epochs are completed when the rate drops; one less reads 'as that epoch begins'",
    )
    decay: float = Field(0.1, gt=0, le=1)
    checkpoint: Literal["last", "best"] = reading(
        "last",
        id="G5",
        sentence="(which epoch's network is reported is not stated)",
        values={
            "last": "that of the last epoch",
            "best": "that of the epoch which withstood the probe's PGD on most validation images, the first of equals",
        },
    )
    probe: Probe | None = Field(Probe(), description="looks for catastrophic overfitting; null: nobody looks")
    like: str | None = Field(None, description="the set-up that this one is a variant of")
    where: dict[str, dict[str, Any]] = Field(
        default_factory=dict, description="what differs for a data set or a network, by the paper's name of it"
    )

    @field_validator("milestones")
    @classmethod
    def _ascending(cls, milestones: tuple[int, ...]) -> tuple[int, ...]:
        if list(milestones) != sorted(set(milestones)):
            raise ValueError(f"milestones must ascend, in completed epochs: {list(milestones)}")
        return milestones

    @model_validator(mode="after")
    def _differences_are_settings_too(self) -> "Setup":
        if self.checkpoint == "best" and self.probe is None:
            raise ValueError("checkpoint: best is chosen by the probe, which is null here")
        for name, change in self.where.items():
            for key in change:
                if key not in type(self).model_fields or key in ("where", "like"):
                    raise ValueError(f"where.{name}.{key}: unknown key{nearest(key, set(type(self).model_fields))}")
            try:
                self.at([name])
            except ValidationError as error:
                first = error.errors()[0]
                raise ValueError(f"where.{name}.{first['loc'][0]}: {first['msg']}") from None
        return self

    def at(self, names: Collection[str]) -> "Setup":
        """This set-up with what differs for the ``names`` of a data set and a network."""
        settings = self.model_dump(mode="json", exclude={"where", "like"})
        for name, change in self.where.items():
            settings |= change if name in names else {}
        return Setup.model_validate(settings)


class Generator(Settings):
    """The generator of the teachers' particles, eq. 2 and appendix A."""

    kind: Literal["svgd", "pgd"] = Field(
        "svgd", description="pgd: independent runs from the same starts, the paper's first ablation"
    )
    like: str | None = Field(None, description="the generator that this one is a variant of")
    eps: Budget
    step_size: StepSize
    steps: int = Field(ge=0)
    start: Literal["uniform", "gaussian"] = reading(
        "uniform",
        id="A11",
        sentence="we use uniform prior distribution in our experiments",
        values={
            "uniform": "x + U(-eps, eps)",
            "gaussian": "x + 0.001 N(0, 1), as TRADES starts: the particles begin, and stay, much nearer to each other",
        },
    )
    clamp_start: bool = reading(
        True,
        id="A11",
        sentence="we use uniform prior distribution in our experiments",
        values={
            "true": "the start is clamped to [0, 1] before the first gradient",
            "false": "the networks see the start as it was drawn, and the first projection follows the first step",
        },
    )
    update: Literal["sign", "raw", "normalised"] = reading(
        "sign",
        id="A7",
        sentence="x'_{t+1} = pi_C(x'_t + eta phi(x'_t)), eta = 0.003",
        values={
            "sign": "the sign of phi, so that 20 steps of 0.003 are PGD_TRADES'",
            "raw": "phi itself, the gradient of a sum over the batch: with this eta most pixels hardly move",
            "normalised": "phi over its largest pixel in the image: a step is 0.003 somewhere and less elsewhere",
        },
    )
    bandwidth: Annotated[float, Field(gt=0)] | Literal["median"] = reading(
        1e-3,
        id="A1",
        sentence="we use Gaussian RBF kernel ... with sigma = 1e-3",
        values="sigma in units of [0, 1], or 'median' (Liu and Wang's heuristic, for each image). At 1e-3 the kernel "
        "of any two particles that differ visibly is exactly 0, and SVGD is n independent PGDs",
    )
    gamma: float = reading(
        1.0,
        id="A3",
        sentence="gamma is a hyper-parameter",
        values="the weight of the repulsion; without effect where the kernel is the identity",
        ge=0,
    )
    one_over_n: Literal["repulsion", "both"] = reading(
        "repulsion",
        id="A6",
        sentence="phi(x) = sum_j [k(x'_j, x) grad L(f_{T_i}(x'_j), y) gamma/n grad k(x'_j, x)]",
        values={"repulsion": "1/n on the second term only, as printed", "both": "1/n on both, as Liu and Wang have it"},
    )
    repulsion: Literal["away", "towards"] = reading(
        "away",
        id="A5",
        sentence="the second term behaves as a repulsive force",
        values={
            "away": "a '+' where eq. 2 prints no sign [A4], and the gradient by x'_j: particles repel each other",
            "towards": "a '-', or the gradient by x: they attract each other; without effect where the kernel is the "
            "identity",
        },
    )
    loss: Literal["sum", "mean"] = reading(
        "sum",
        id="A8",
        sentence="grad_{x'_j} L(f_{T_i}(x'_j), y)",
        values={
            "sum": "of the loss summed over the batch: an image's gradient is its own, whatever is in its batch",
            "mean": "of the batch's mean loss: the first term divided by the number of images. Signs are the same, "
            "so without effect on PGD, and on signed steps where the kernel is the identity",
        },
    )
    interact: Literal["image", "batch"] = reading(
        "image",
        id="A10",
        sentence="the empirical distribution of these samples tends to that of adversarial samples for x",
        values={
            "image": "x'_1 to x'_n are the particles of one image",
            "batch": "those of all images of a batch, as the code of ALD-Regularization has it; n is then their "
            "number, in 1/n and in the median heuristic, whose median is over all their pairs",
        },
    )
    gradient_of: Literal["own", "particle", "ensemble"] = reading(
        "own",
        id="A9",
        sentence="grad_{x'_j} L(f_{T_i}(x'_j), y)",
        values={
            "own": "teacher i's gradient at every particle j, as printed",
            "particle": "teacher j's gradient at its own particle j",
            "ensemble": "the gradient of all teachers' averaged probabilities at particle j",
        },
    )
    batchnorm: Literal["eval", "train"] = reading(
        "eval",
        id="A12",
        sentence="(the mode of batch normalisation while generating is not stated)",
        values={
            "eval": "running statistics, which generating leaves alone",
            "train": "the batch's statistics; each step of generating moves the running ones",
        },
    )
    channels: tuple[Literal["train_adv", "eval_adv", "updated"], ...] = Field(
        ("train_adv",), min_length=1, description="the teachers' logits that the tape keeps"
    )
    assignment: Literal["fixed", "shuffled"] = reading(
        "fixed",
        id="G10",
        sentence="we feed each of these distinct samples into distinct teacher models",
        values={
            "fixed": "x'_i to teacher i, whose gradient made it",
            "shuffled": "the particles of each step are dealt out at random",
        },
    )


class Clean(Settings):
    """The images as they are."""

    kind: Literal["clean"]
    images: int | None = Field(None, ge=1, description="evaluate the first so many test images (null: all)")


class FGSM(Settings):
    """One signed step of eps, no random start."""

    kind: Literal["fgsm"]
    eps: Budget
    images: int | None = Field(None, ge=1)


class PGD(Settings):
    """Projected gradient descent; with step 0.003 and 20 steps it is the paper's PGD_TRADES."""

    kind: Literal["pgd"]
    eps: Budget
    step_size: StepSize
    steps: int = Field(ge=0)
    clamp_start: bool = reading(
        False,
        id="F3",
        sentence="PGD_TRADES differs from the original PGD attack ... in its step-size",
        values="whether the random start is clamped to [0, 1] before the first forward; the authors of TRADES don't",
    )
    images: int | None = Field(None, ge=1)


class AutoAttack(Settings):
    """AutoAttack in canonical chunks; ``shortened`` runs the same four components cut down, for smoke runs."""

    kind: Literal["aa"]
    eps: Budget
    version: Literal["standard", "shortened"] = reading(
        "standard",
        id="F3",
        sentence="AutoAttack (AA)",
        values={"standard": "APGD-CE, APGD-T, FAB-T, Square", "shortened": "the same cut short, for smoke runs"},
    )
    chunk: int = Field(128, ge=1, description="images a chunk; part of the result, see docs/architecture.md")
    iterations: int | None = Field(None, ge=1, description="shortened only: steps of APGD and FAB")
    target_classes: int | None = Field(None, ge=1, description="shortened only: targets of APGD-T and FAB-T")
    queries: int | None = Field(None, ge=1, description="shortened only: queries of Square")
    images: int | None = Field(None, ge=1)

    @model_validator(mode="after")
    def _shortened_says_how(self) -> "AutoAttack":
        cuts = {"iterations": self.iterations, "target_classes": self.target_classes, "queries": self.queries}
        given = [name for name, value in cuts.items() if value is not None]
        if self.version == "standard" and given:
            raise ValueError(f"{given[0]} is for version: shortened; the standard version has no such setting")
        if self.version == "shortened" and len(given) < len(cuts):
            raise ValueError("version: shortened needs iterations, target_classes and queries")
        return self


class CW(Settings):
    """CW_inf: PGD on Carlini and Wagner's margin loss (F1)."""

    kind: Literal["cw"]
    eps: Budget
    step_size: StepSize
    steps: int = Field(ge=0)
    confidence: float = Field(50.0, ge=0, description="how far a margin is still widened")
    images: int | None = Field(None, ge=1)


class CarliniWagnerL2(Settings):
    """Carlini and Wagner's own attack: the nearest misclassified image in l_2, by a binary search over c (F1)."""

    kind: Literal["cw_l2"]
    radius: float | None = Field(None, gt=0, description="how far in l_2 an image may go; null: any distance")
    steps: int = Field(ge=1, description="of Adam, for each c")
    searches: int = Field(9, ge=1, description="values of c that are tried")
    learning_rate: float = Field(0.01, gt=0)
    initial_c: float = Field(1e-3, gt=0)
    kappa: float = Field(0.0, ge=0)
    images: int | None = Field(None, ge=1)


class Fog(Settings):
    """Kang et al.'s fog: sign steps on the random fields of a diamond-square cloud (F2)."""

    kind: Literal["fog"]
    strength: float = reading(
        ...,
        id="F2",
        sentence="we further use two strong attacks, namely CW and Fog attacks",
        values="Kang et al. calibrated 128, 256, 512, 2048, 4096 and 8192, on ImageNet; the paper names none",
        ge=0,
    )
    step_size: StepSize
    steps: int = Field(ge=0)
    images: int | None = Field(None, ge=1)


Attack = Annotated[Clean | FGSM | PGD | AutoAttack | CW | CarliniWagnerL2 | Fog, Field(discriminator="kind")]
WITHOUT_EPS = ("clean", "cw_l2", "fog")
"""Kinds of attack that the study's l_inf budget says nothing to."""


class Selection(Settings):
    """How alpha is chosen among the candidates, once, on the first seed."""

    alphas: tuple[Annotated[float, Field(ge=0, le=1)], ...] = Field(min_length=1)
    attack: PGD
    split: Literal["validation", "test"] = reading(
        "validation",
        id="C1",
        sentence="alpha is greedily tuned and the best result in terms of accuracy is reported",
        values={"validation": "by accuracy on held-out training images", "test": "by accuracy on the test set itself"},
    )
    collapsed: Literal["refuse", "allow"] = Field(
        "refuse", description="whether a candidate that predicts one class for every image may be chosen"
    )

    @field_validator("alphas")
    @classmethod
    def _distinct(cls, alphas: tuple[float, ...]) -> tuple[float, ...]:
        if len(set(alphas)) < len(alphas):
            raise ValueError(f"a candidate is listed twice: {list(alphas)}")
        for alpha in alphas:
            if "e" in f"{alpha:g}" or float(f"{alpha:g}") != alpha:
                raise ValueError(f"{alpha!r} names a folder: write it with six digits at most, from 0.0001 up")
        return alphas


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


class Checkpoint(Settings):
    """A network that others trained."""

    dataset: str
    arch: str
    path: str = Field(description="a file, or PACKAGE:FILE for one within an installed package")
    sha256: Annotated[str, Field(pattern="^[0-9a-f]{64}$")]


class Where(Settings):
    """What differs for one data set or network."""

    options: dict[str, Any]


class Method(Settings):
    """A row of a table: what trains it, under which set-up and readings."""

    label: str = Field(description="as the tables print it")
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
        values={"probabilities": "the mean of the members' probabilities", "logits": "the mean of their logits"},
    )
    attacked: Literal["average", "member"] = reading(
        "average",
        id="E1",
        sentence="we deploy an ensemble model with the same number of sub-models",
        values={
            "average": "attacks see what is evaluated: the average, end to end",
            "member": "they see the first member alone, and what they make is shown to the average",
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
        """Nothing says yet how to make it."""
        return self.objective is None and not self.checkpoints and self.member_of is None

    @property
    def joint(self) -> bool:
        """Its members train together, in one run."""
        return self.generator is not None


class Measured(Settings):
    """A network whose particles Table 1 measures; the names are this scale's own."""

    arch: str
    method: str


class Particles(Settings):
    """Table 1: how far apart a generator's particles lie, and how strong they are."""

    dataset: str = Field("cifar10", description="the paper's name")
    networks: tuple[Measured, ...] = Field(min_length=1)
    count: int = reading(
        10,
        id="B4",
        sentence="two sets of 10 attacked samples",
        values="particles of an image; deviations divide by n - 1",
        ge=2,
    )
    images: int = reading(
        100,
        id="B2",
        sentence="we randomly pick a sample in CIFAR-10 dataset",
        values="the first so many test images, each a row; the first alone is printed as well",
        ge=1,
    )


class Resources(Settings):
    """What one job of a stage asks of a cluster."""

    gpu: int = Field(0, ge=0)
    mem_mb: int = Field(4000, ge=1)
    runtime: int = Field(60, ge=1, description="minutes")


class Study(Settings):
    """Everything that decides a study's numbers, and what its jobs ask of the machine."""

    scale: str
    about: str = Field(description="one sentence for captions: what this scale is")
    seeds: tuple[Annotated[int, Field(ge=0)], ...] = reading(
        ...,
        id="G5",
        sentence="(no number of seeds is reported)",
        values="the root seeds of independent repetitions",
        min_length=1,
    )
    device: Literal["auto", "cpu", "cuda"] = "auto"
    without_gpu: Literal["stop", "go-on"] = Field(
        "stop", description="whether a study that would take days may start on this machine without a GPU"
    )
    warm_start: bool = Field(False, description="fork jobs from a process that has loaded torch: for short ones")
    threads: int = Field(1, ge=1, le=1024, description="torch's threads in each job; changes bits, so it is recorded")
    eps: Budget = Field(description="the adversarial budget wherever none is given")
    data: Data
    stand_ins: dict[str, str | None] = Field(
        default_factory=dict,
        description="what this scale uses in place of the paper's data sets and networks",
    )
    teachers: dict[str, str] = Field(description="the teachers' architecture for each data set of the tables")
    setups: dict[str, Setup]
    generators: dict[str, Generator]
    attacks: dict[str, Attack | None] = Field(description="by the name of their column; null: left out at this scale")
    selection: Selection
    particles: Particles
    resources: dict[Literal["prepare", "record", "train", "select", "evaluate", "particles"], Resources]
    methods: dict[str, Method]

    @field_validator("seeds")
    @classmethod
    def _distinct_seeds(cls, seeds: tuple[int, ...]) -> tuple[int, ...]:
        if len(set(seeds)) < len(seeds):
            raise ValueError(f"a seed is listed twice: {list(seeds)}")
        return seeds

    @model_validator(mode="after")
    def _names_exist(self) -> "Study":
        for name, method in self.methods.items():
            self._check_method(name, method)
        different = {f"setups.{name}": setup.where for name, setup in self.setups.items()}
        for place, where in (different | {f"methods.{name}": one.where for name, one in self.methods.items()}).items():
            for key in where:
                if key not in self.teachers and not _is_architecture(key):
                    raise ValueError(f"{place}.where: '{key}' is neither a data set of the tables nor a network")
        for measured in self.particles.networks:
            _known(measured.method, self.methods, "particles.networks")
            _architecture(measured.arch, "particles.networks")
        _known(self.particles.dataset, self.teachers, "particles.dataset")
        for dataset, arch in self.teachers.items():
            _architecture(self.stand_ins.get(arch, arch), f"teachers.{dataset}")
        for name, used in self.stand_ins.items():
            if _is_architecture(name):
                _architecture(used, f"stand_ins.{name}")
        return self

    def _check_method(self, name: str, method: Method) -> None:
        if not _NAME.fullmatch(name):
            raise ValueError(f"methods.{name}: a name is lower case, digits and '-', variants after a '.'")
        _known(method.setup, self.setups, f"methods.{name}.setup")
        ways = {"objective": method.objective, "checkpoints": method.checkpoints, "member_of": method.member_of}
        given = [way for way, value in ways.items() if value]
        if len(given) > 1:
            raise ValueError(f"methods.{name}: {' and '.join(given)} exclude each other")
        if method.generator is not None:
            _known(method.generator, self.generators, f"methods.{name}.generator")
        for role, teacher in method.teachers.items():
            _known(teacher, self.methods, f"methods.{name}.teachers.{role}")
            if self.methods[teacher].teachers:
                raise ValueError(f"methods.{name}.teachers.{role}: {teacher} has teachers itself")
        if method.chosen_on is not None and method.alpha != "tuned" and method.member != "chosen":
            raise ValueError(f"methods.{name}.chosen_on: nothing is chosen, alpha is {method.alpha}")
        if method.average_of is not None:
            _known(method.average_of, self.methods, f"methods.{name}.average_of")
            if method.members < 2 or self.methods[method.average_of].members != method.members or method.joint:
                raise ValueError(
                    f"methods.{name}.average_of: {method.average_of} has no {method.members} members for it"
                )
        if method.attacked == "member" and method.members == 1:
            raise ValueError(f"methods.{name}.attacked: it is one network, which has no members")
        if method.member_of is not None:
            _known(method.member_of, self.methods, f"methods.{name}.member_of")
            together = self.methods[method.member_of]
            if not together.joint:
                raise ValueError(f"methods.{name}.member_of: the members of {method.member_of} don't train together")
            if method.member is None or (method.member != "chosen" and method.member >= together.members):
                raise ValueError(f"methods.{name}.member: say 'chosen', or 0 to {together.members - 1}")
        elif method.member is not None:
            raise ValueError(f"methods.{name}.member needs member_of")
        if method.ensemble:
            self._check_ensemble(name, method, method.ensemble)
        elif method.online:
            raise ValueError(f"methods.{name}.online needs an ensemble to train beside")
        elif method.members > 1 and method.alpha == "tuned" and not method.joint:
            raise ValueError(f"methods.{name}.members: alpha is tuned for one network, not for several")

    def _check_ensemble(self, name: str, method: Method, ensemble: Ensemble) -> None:
        _known(ensemble.generator, self.generators, f"methods.{name}.ensemble.generator")
        _known(ensemble.setup, self.setups, f"methods.{name}.ensemble.setup")
        teacher, student = self.setups[ensemble.setup], self.setups[method.setup]
        if student.augmentation != teacher.augmentation:
            raise ValueError(
                f"methods.{name}: the student sees the images that its teachers saw, but augmentation is "
                f"{student.augmentation} (set-up {method.setup}) and {teacher.augmentation} (set-up {ensemble.setup})"
            )
        if student.epochs > teacher.epochs:
            raise ValueError(
                f"methods.{name}: the student trains {student.epochs} epochs (set-up {method.setup}) "
                f"but its tape has only {teacher.epochs} (set-up {ensemble.setup})"
            )
        if method.members > 1:
            raise ValueError(f"methods.{name}.members: a student of an ensemble is one network, not several")
        if ensemble.shares:
            _known(ensemble.shares.generator, self.generators, f"methods.{name}.ensemble.shares.generator")
            if ensemble.shares.n < ensemble.n:
                raise ValueError(f"methods.{name}.ensemble.shares.n: {ensemble.shares.n} are fewer than {ensemble.n}")

    def selection_of(self, name: str) -> Selection:
        """How alpha of the method ``name`` is chosen."""
        split = self.method(name).chosen_on
        return self.selection if split is None else self.selection.model_copy(update={"split": split})

    def stand_in(self, name: str) -> str | None:
        """What this scale uses where the paper has ``name``; None where it leaves it out."""
        return self.stand_ins.get(name, name)

    def teacher(self, dataset: str) -> str:
        """The teachers' architecture on ``dataset`` (a name of this scale, not the paper's)."""
        for paper_name, arch in self.teachers.items():
            if self.stand_in(paper_name) == dataset:
                used = self.stand_in(arch)
                if used is None:
                    raise UserError(f"stand_ins.{arch} is null, but it teaches {dataset}: name a network")
                return used
        raise UserError(f"teachers: no architecture is given for '{dataset}'{nearest(dataset, self.teachers)}")

    def setup(self, name: str, dataset: str, arch: str) -> Setup:
        """The set-up ``name`` for a data set and a network of this scale."""
        return self.setups[name].at(self.at(dataset, arch, self.setups[name].where))

    def at(self, dataset: str, arch: str, names: Collection[str]) -> list[str]:
        """Those of the paper's ``names`` that stand for ``dataset`` or ``arch`` at this scale."""
        return [name for name in names if self.stand_in(name) in (dataset, arch)]

    def attack(self, name: str) -> Attack:
        """The attack of that column, or a UserError that names the nearest."""
        if name not in self.attacks:
            raise UserError(f"no attack '{name}' in the configuration{nearest(name, self.attacks)}")
        found = self.attacks[name]
        if found is None:
            raise UserError(f"scale '{self.scale}' leaves out the attack '{name}': attacks.{name} is null")
        return found

    def method(self, name: str) -> Method:
        """The method of that name, or a UserError that names the nearest."""
        if name not in self.methods:
            raise UserError(f"no method '{name}' in config/methods.yaml{nearest(name, self.methods)}")
        return self.methods[name]


def _known(name: str, names: Mapping[str, object], where: str) -> None:
    if name not in names:
        raise ValueError(f"{where}: '{name}' is not defined{nearest(name, names)}")


def _architecture(arch: str | None, where: str) -> None:
    if arch is not None:
        try:
            models.check(arch)
        except ValueError as error:
            raise ValueError(f"{where}: {error}") from None


def _is_architecture(name: str) -> bool:
    try:
        models.check(name)
    except ValueError:
        return False
    return True
