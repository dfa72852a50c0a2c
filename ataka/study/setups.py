"""How a network is trained."""

from collections.abc import Collection, Iterator
from itertools import combinations
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, field_validator, model_validator

from ataka.errors import nearest
from ataka.study.averaging import EMA, SWA
from ataka.study.awp import AWP
from ataka.study.fields import Settings, Share, added, number, reading


class Probe(Settings):
    """A short PGD as each epoch ends, on networks that train on adversarial images of themselves (probe.py)."""

    images: int = Field(
        default=128, ge=64, description="the first so many validation images, or all where there are fewer"
    )
    steps: int = Field(default=10, ge=1, description="of a quarter of the budget that the network is trained within")
    overfitted: Literal["stop", "record"] = Field(
        default="stop",
        description="whether catastrophic overfitting ends a training: record, where it is the finding of a study",
    )


class Precision(Settings):
    """Half precision, which the paper doesn't mention; whatever is measured is measured in float32."""

    generate: Literal["float32", "bfloat16"] = reading(
        "float32",
        id="G12",
        sentence="(the precision of the computations is not stated)",
        values={
            "float32": "adversarial images of a training come from gradients in float32",
            "bfloat16": "gradients under autocast, a few of which have another sign",
        },
        neutral="float32",
    )
    update: Literal["float32", "bfloat16"] = reading(
        "float32",
        id="G12",
        sentence="(the precision of the computations is not stated)",
        values={
            "float32": "losses and their gradients to the weights in float32",
            "bfloat16": "forwards in training mode under autocast; weights, momentum and losses in float32",
        },
        neutral="float32",
    )


class Setup(Settings):
    """How a network is trained (appendix A): SGD with momentum and steps in the learning rate.

    The paper doesn't mention the options behind ``decay``; docs/training.md describes these.
    """

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
            "all": "every parameter, as the authors of TRADES, MART, ARD, IAD and RSLAD do",
            "weights": "the weights of convolutions and linear layers, as Madry et al. do: no biases and no "
            "normalisation",
        },
    )
    augmentation: Literal["crop-flip", "none"] = reading(
        "crop-flip",
        id="G6",
        sentence="we train the networks for 100 epochs on clean images with standard data augmentations",
        values={
            "crop-flip": "a random crop of the padded image (CIFAR by 4 pixels; Madry et al.: 2) and a random flip",
            "none": "images as they are, in a random order",
        },
    )
    milestones: tuple[Annotated[int, Field(ge=1)], ...] = reading(
        ...,
        id="G1",
        sentence="the learning rate is divided by 10 at the 200-th, 250-th and 270-th epoch",
        values="the rate drops after so many completed epochs; milestones less by 1 let the rate drop as those epochs "
        "begin",
    )
    images: Literal["rest", "all"] = reading(
        "rest",
        neutral="rest",
        id="C1",
        sentence="alpha is greedily tuned and the best result in terms of accuracy is reported",
        values={
            "rest": "training leaves out the validation images",
            "all": "training sees the validation images too, as in the authors' scripts; nothing may then be chosen "
            "on them",
        },
    )
    initialisation: Literal["network", "torch", "fan-in"] = reading(
        "network",
        neutral="network",
        id="G8",
        sentence="WideResNet-34-10 for CIFAR-10 and WideResNet-70-16 for CIFAR-100",
        values={
            "network": "the weights are drawn as in the network's file: wide ResNets as TRADES draws them",
            "torch": "torch's default for every convolution and linear layer, as in RSLAD's file of the WRN-70-16",
            "fan-in": "normal, of variance 1 / fan-in, cut at two deviations; zero logits, as DeepMind's WRN-70-16",
        },
    )
    batchnorm_momentum: float | None = reading(
        None,
        neutral=None,
        id="G8",
        sentence="WideResNet-34-10 for CIFAR-10 and WideResNet-70-16 for CIFAR-100",
        values="the weight of a batch in the running statistics, DeepMind's 0.01 being a decay of 0.99; null: the "
        "network's own, torch's 0.1 in each of ours",
        gt=0,
        le=1,
    )
    decay: float = Field(0.1, gt=0, le=1)
    schedule: Literal["steps", "cosine", "cyclic"] = added(
        "steps",
        neutral="steps",
        description="the learning rate's course: steps, down at the milestones; cosine, down to 0 along half a cosine; "
        "cyclic, linearly up from 0 to the peak and down to 0 again",
    )
    peak: Share = added(
        "2/5",
        neutral="2/5",
        description="share of the training after which the learning rate of schedule: cyclic is reached",
    )
    warmup: Share = added(
        "0", neutral="0", description="share of the training in which the learning rate rises linearly from 0"
    )
    smoothing: float = added(
        0.0,
        neutral=0.0,
        ge=0,
        lt=1,
        description="label smoothing: the share of each label that all classes get alike, in a loss's cross-entropy",
    )
    awp: AWP | None = added(None, neutral=None, description="adversarial weight perturbation; null: none")
    ema: EMA | None = added(
        None, neutral=None, description="evaluate an exponential moving average of the weights; null: no average"
    )
    swa: SWA | None = added(
        None, neutral=None, description="evaluate the mean of the weights after the last epochs; null: no average"
    )
    checkpoint: Literal["last", "best"] = reading(
        "last",
        id="G5",
        sentence="(which epoch's network is reported is not stated)",
        values={
            "last": "the network of the last epoch",
            "best": "the network of the epoch that withstood the probe's PGD on most validation images, the first of "
            "equals",
        },
    )
    probe: Probe | None = Field(Probe(), description="looks for catastrophic overfitting; null: nobody looks")
    precision: Precision = added(Precision(), neutral={})
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
    def _average_is_one(self) -> "Setup":
        if self.ema and self.swa:
            raise ValueError("ema and swa exclude each other: one network is evaluated")
        return self

    @model_validator(mode="after")
    def _schedule_is_one(self) -> "Setup":
        if self.schedule != "steps" and self.milestones:
            raise ValueError(f"milestones: no rate drops there under schedule: {self.schedule}; write milestones: []")
        if self.schedule == "cyclic" and number(self.warmup):
            raise ValueError("warmup: schedule: cyclic rises by itself, up to its peak; leave warmup out")
        if self.schedule != "cyclic" and self.peak != type(self).model_fields["peak"].default:
            raise ValueError(f"peak: schedule: {self.schedule} has no peak; leave it out")
        return self

    @model_validator(mode="after")
    def _rate_drops_before_the_end(self) -> "Setup":
        if late := [milestone for milestone in self.milestones if milestone >= self.epochs]:
            raise ValueError(
                f"the learning rate would never drop at {', '.join(map(str, late))}, as training ends after epoch "
                f"{self.epochs}: give milestones below that, or [] for a rate that stays"
            )
        return self

    @model_validator(mode="after")
    def _differences_are_settings_too(self) -> "Setup":
        if self.checkpoint == "best" and self.probe is None:
            raise ValueError("checkpoint: best is chosen by the probe, which is null here")
        if self.checkpoint == "best" and self.images == "all":
            raise ValueError(
                "checkpoint: best is chosen on validation images, which images: all trains on; take checkpoint: last, "
                "or images: rest"
            )
        for name, change in self.where.items():
            for key in change:
                if key not in type(self).model_fields or key in ("where", "like"):
                    raise ValueError(f"where.{name}.{key}: unknown key{nearest(key, set(type(self).model_fields))}")
        for names in (*((name,) for name in self.where), *combinations(self.where, 2)):  # a data set and a network
            try:
                self.at(names)
            except ValidationError as error:
                first = error.errors()[0]
                place = ".".join(("where", " and ".join(names), *map(str, first["loc"])))
                raise ValueError(f"{place}: {first['msg'].removeprefix('Value error, ')}") from None
        return self

    @property
    def split(self) -> Literal["train", "all"]:
        """The prepared images that a training sees."""
        return "all" if self.images == "all" else "train"

    @property
    def averaging(self) -> EMA | SWA | None:
        """The average of the weights that is evaluated, if one is."""
        return self.ema or self.swa

    @property
    def additions(self) -> list[str]:
        """The set-up's additions to a training that change the meaning of a table's row, in words."""
        smoothing = [f"label smoothing {self.smoothing:g}"] if self.smoothing else []
        return [option.words for option in (self.averaging, self.awp) if option] + smoothing

    def variants(self) -> Iterator["Setup"]:
        """This set-up as it is, and with each of its differences."""
        yield self
        yield from (self.at([name]) for name in self.where)

    def at(self, names: Collection[str]) -> "Setup":
        """This set-up with what differs for the ``names`` of a data set and a network."""
        changes = [change for name, change in self.where.items() if name in names]
        if not changes:  # most often, and a table asks thousands of times
            return self.model_copy(update={"where": {}, "like": None})
        settings = self.model_dump(mode="json", exclude={"where", "like"})
        for change in changes:
            settings |= change
        return Setup.model_validate(settings)
