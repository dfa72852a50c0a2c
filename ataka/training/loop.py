"""The one training loop. A method is an objective; epochs, optimisers, devices and files are the loop's.

Four shapes of training are the same loop: independent networks (natural, SAT, TRADES, MART), distillation from frozen
teachers (ARD, IAD, RSLAD), a student that replays a tape (AT-AKA), and networks trained jointly (AT-AKA's
teachers, CAT-AKA).
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Literal, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.optim.sgd import sgd

from ataka import streams
from ataka.attacks.check import AttackError
from ataka.attacks.mode import attack_mode
from ataka.datasets import Specification
from ataka.datasets.images import Split, to_unit
from ataka.datasets.views import view
from ataka.errors import UserError
from ataka.files import tape
from ataka.files.resume import State, States
from ataka.machine.progress import Progress
from ataka.training.probe import Probes
from ataka.training.probe import Settings as ProbeSettings

CHECK = 50
"""Steps between two looks at the losses: a look waits for the device."""
PROBE = 64
"""Validation images on which a collapse is looked for at each epoch's end; fewer would say too little, of
catastrophic overfitting, too."""


def _ignore(name: str, value: Tensor) -> None:
    """Where nothing is recorded or logged."""


def _stay() -> None:
    """Where no loop updates any network."""


@dataclass(frozen=True)
class Batch:
    """What an objective sees of a step: x (B, channels, H, W) in [0, 1], y (B,), the images' index (B,)."""

    x: Tensor
    y: Tensor
    index: Tensor
    stream: Callable[..., torch.Generator]
    """``stream("start", 2)``: this epoch's generator of that purpose and index, on the batch's device."""
    recorded: Mapping[str, Tensor] = field(default_factory=dict)
    """The tape's channels for these images, each (n, B, C)."""
    record: Callable[[str, Tensor], None] = _ignore
    """``record(channel, logits (n, B, C))`` offers logits to the tape."""
    log: Callable[[str, Tensor], None] = _ignore
    """``log(name, scalar)`` adds to the history: its mean over the epoch, its maximum if the name ends in ``_max``."""
    update: Callable[[], None] = _stay
    """``update()`` updates at once the networks whose losses have been yielded, instead of after the last (C11)."""
    progress: float = 0.0
    """The share of all epochs that were completed before this one, for losses with a schedule of their own (IAD)."""


class Objective(Protocol):
    """What a method computes in a step.

    ``losses`` yields one scalar for each network to train, in order. Each is back-propagated as it is yielded, so that
    only one network's graph is alive at a time; the updates follow after the last, or when it calls ``batch.update``.
    An objective keeps nothing from one epoch to the next: an interrupted training goes on with a new one.
    """

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]: ...


@runtime_checkable
class Adversarial(Objective, Protocol):
    """An objective that trains networks on adversarial images of themselves, and says so: these are probed.

    ``budgets`` gives, for each of ``count`` networks, the l_inf budget of its images; 0 for one that is not trained so,
    as a student that sees clean images: whether that is robust is the question, not a condition.
    """

    def budgets(self, count: int) -> Sequence[float]: ...


class Setup(Protocol):
    """The part of a set-up that the loop reads (ataka.study.Setup)."""

    @property
    def epochs(self) -> int: ...
    @property
    def batch_size(self) -> int: ...
    @property
    def learning_rate(self) -> float: ...
    @property
    def milestones(self) -> Sequence[int]: ...
    @property
    def decay(self) -> float: ...
    @property
    def momentum(self) -> float: ...
    @property
    def weight_decay(self) -> float: ...
    @property
    def decayed(self) -> Literal["all", "weights"]: ...
    @property
    def augmentation(self) -> Literal["crop-flip", "none"]: ...
    @property
    def checkpoint(self) -> Literal["last", "best"]: ...
    @property
    def probe(self) -> ProbeSettings | None: ...


def learning_rate(setup: Setup, epoch: int) -> float:
    """The rate in force when ``epoch`` epochs have been completed (G1)."""
    return setup.learning_rate * setup.decay ** sum(milestone <= epoch for milestone in setup.milestones)


class Failed(RuntimeError):
    """A training that came to nothing in ``epoch``, from 1; ``history`` has that epoch's row, too."""

    status: str

    def __init__(self, text: str, epoch: int, history: list[dict[str, float]]) -> None:
        super().__init__(text)
        self.epoch, self.history = epoch, history


class Diverged(Failed):
    """A loss or a weight is no longer finite; ``step``, from 1, is the first with such a loss."""

    status = "diverged"

    def __init__(self, epoch: int, history: list[dict[str, float]], step: int | None = None) -> None:
        where = f"epoch {epoch}" if step is None else f"epoch {epoch}, step {step}"
        super().__init__(f"a loss or a weight is no longer finite in {where}", epoch, history)
        self.step = step


class Collapsed(Failed):
    """A network has predicted one class for every probed image for so long that it is taken for dead."""

    status = "collapsed"

    def __init__(self, since: int, epoch: int, history: list[dict[str, float]]) -> None:
        text = f"a network has predicted one class for every image of the probe from epoch {since} to {epoch}"
        super().__init__(text, epoch, history)


class Overfitted(Failed):
    """A network has suddenly lost the robustness that it had been trained to; seen after ``step``, an epoch's last."""

    status = "overfitted"

    def __init__(self, text: str, epoch: int, history: list[dict[str, float]], step: int) -> None:
        super().__init__(f"{text}; seen as epoch {epoch} ended, after its step {step}", epoch, history)
        self.step = step


def patience(epochs: int) -> int:
    """Epochs in a row that end with a constant prediction before a training of ``epochs`` has collapsed.

    A young network may predict one class, and a lower rate may wake one: a tenth of the training, three at least.
    """
    return max(3, math.ceil(epochs / 10))


def train(
    networks: Sequence[nn.Module],
    objective: Objective,
    data: Split,
    specification: Specification,
    setup: Setup,
    *,
    seed: int,
    reader: tape.Reader | None = None,
    writer: tape.Writer | None = None,
    progress: Progress | None = None,
    states: States | None = None,
    probe: Split | None = None,
    eps: float = 0.0,
) -> list[dict[str, float]]:
    """Train ``networks`` in place on ``data`` (on their device); returns the history, a row an epoch.

    With ``states`` it goes on where an interrupted training stopped: an epoch's end. Raises Diverged in the epoch in
    which a loss or a weight was not finite, within CHECK steps of a loss; Collapsed when PROBE images of ``probe`` have
    been of one class to a network for ``patience`` epochs; Overfitted as soon as the probe of an Adversarial objective
    sees it (probe.py), unless ``setup.probe`` says to record it. Where the set-up wants the best epoch's networks
    (G5), those that are trained within no budget are probed within ``eps``; UserError where nothing can be.
    """
    progress = progress or Progress.silent()
    device = data.images.device
    optimisers = [SGD(network, setup) for network in networks]
    augments = setup.augmentation == "crop-flip"
    shift, flip = (specification.shift, specification.flip) if augments else (0, False)
    history: list[dict[str, float]] = []
    probe = probe if probe and len(probe) >= PROBE else None
    budgets = objective.budgets(len(networks)) if isinstance(objective, Adversarial) else [0.0] * len(networks)
    otherwise = eps if setup.checkpoint == "best" else 0.0
    facts = {"seed": seed, "classes": specification.classes}
    probes = Probes(networks, budgets, probe, setup.probe, **facts, otherwise=otherwise)
    best = Best(networks) if setup.checkpoint == "best" else None
    if best and not probes:
        raise UserError(
            f"checkpoint: best is chosen by a probe, which needs {PROBE} validation images or more (data.validation)"
        )
    if states:
        states.restore(partial(_take, networks, optimisers, history, writer, best))
    progress.start(setup.epochs, len(data), done=len(history) * len(data))
    for epoch in range(len(history), setup.epochs):
        epoch_view = view(seed, epoch, len(data), shift=shift, flip=flip)
        recorded = reader.epoch(epoch, epoch_view, device) if reader else {}
        meter, watch = Meter(), Watch()
        stream = _streams(seed, epoch, device)
        images, order = epoch_view.apply(data.images), epoch_view.order.to(device)
        for network in networks:
            network.train()
        for start, stop in batches(len(data), setup.batch_size):
            index = order[start:stop]
            waiting: list[SGD] = []
            batch = Batch(
                x=to_unit(images[start:stop]),
                y=data.labels[index],
                index=index,
                stream=stream,
                recorded={name: logits[:, index] for name, logits in recorded.items()},
                record=partial(writer.record, index) if writer else _ignore,
                log=partial(meter.add, stop - start),
                update=partial(_update, waiting, learning_rate(setup, epoch)),
                progress=epoch / setup.epochs,
            )
            bad = _backward(networks, objective, optimisers, batch, waiting, watch)
            if bad:
                row = {"epoch": epoch + 1, "learning_rate": learning_rate(setup, epoch), **meter.row()}
                raise Diverged(epoch + 1, [*history, row], bad)
            batch.update()
            progress.step(stop - start, meter.latest_loss)
        row = {"epoch": epoch + 1, "learning_rate": learning_rate(setup, epoch), **meter.row()}
        losses = [value for name, value in row.items() if name.startswith("loss")]
        bad = watch.look()
        sound = not bad and all(map(math.isfinite, losses)) and _finite(networks)
        if probe:
            row["classes"] = min(_classes(network, probe) for network in networks)
        try:
            row |= probes.columns() if sound else {}
        except AttackError:  # its outputs overflow, though its weights do not yet
            sound = False
        history.append(row)
        progress.end_epoch(epoch + 1, row)
        if not sound:
            raise Diverged(epoch + 1, history, bad)
        dead = next((age for age, past in enumerate(reversed(history)) if past.get("classes") != 1), len(history))
        if dead >= patience(setup.epochs):
            raise Collapsed(epoch + 2 - dead, epoch + 1, history)
        if text := probes.overfitted(history):
            overfitted = Overfitted(text, epoch + 1, history, watch.steps)
            if setup.probe and setup.probe.overfitted == "stop":
                raise overfitted
            progress.say(f"WARNING: {overfitted}; this is recorded, and the training goes on")
        if best:
            best.see(probes.robust(row))
        if writer:
            writer.end_epoch(epoch, epoch_view)
        if states:
            make = partial(_state, networks, optimisers, history, writer, best)
            states.keep(f"epoch {epoch + 1} of {setup.epochs}", make)
    if best:
        best.give_back()
    return history


def _backward(
    networks: Sequence[nn.Module],
    objective: Objective,
    optimisers: Sequence["SGD"],
    batch: Batch,
    waiting: list["SGD"],
    watch: "Watch",
) -> int | None:
    """Back-propagate each network's loss as it comes, so that only one graph is alive; its optimiser then waits.

    Returns the step with the first loss that is not finite, if it is known already.
    """
    try:
        for position, loss in enumerate(objective.losses(networks, batch)):
            optimisers[position].zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            waiting.append(optimisers[position])
            batch.log(f"loss{position}" if len(networks) > 1 else "loss", loss.detach())
            watch.see(loss.detach())
    except AttackError:
        if _finite(networks):
            raise
        return watch.look() or watch.steps + 1  # an attack loses its way in NaN
    return watch.end_step()


class Best:
    """The networks as they were after their best epoch, the first of equals (G5)."""

    def __init__(self, networks: Sequence[nn.Module]) -> None:
        self.networks, self.score = networks, -1.0
        self.weights: list[dict[str, Tensor]] = [{} for _ in networks]

    def see(self, score: float) -> None:
        """An epoch has ended with this score."""
        if score > self.score:
            self.score = score
            for kept, network in zip(self.weights, self.networks, strict=True):
                kept |= {name: tensor.clone() for name, tensor in network.state_dict().items()}

    def give_back(self) -> None:
        for kept, network in zip(self.weights, self.networks, strict=True):
            network.load_state_dict(kept)


def _update(waiting: list["SGD"], rate: float) -> None:
    """Let the optimisers that are waiting take their step, once."""
    while waiting:
        waiting.pop(0).step(rate)


def _state(
    networks: Sequence[nn.Module],
    optimisers: Sequence["SGD"],
    history: list[dict[str, float]],
    writer: tape.Writer | None,
    best: Best | None,
) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """All that the next epoch depends on, beside its number: streams and views are functions of it."""
    tensors: dict[str, Tensor] = {}
    for index, (network, optimiser) in enumerate(zip(networks, optimisers, strict=True)):
        buffers = {str(place): buffer for place, buffer in enumerate(optimiser.buffers) if buffer is not None}
        for kind, held in (("network", network.state_dict()), ("momentum", buffers)):
            tensors |= {f"{kind}{index}.{name}": tensor for name, tensor in held.items()}
    for index, kept in enumerate(best.weights if best else ()):
        tensors |= {f"best{index}.{name}": tensor for name, tensor in kept.items()}
    score = best.score if best else None
    return tensors, {"history": history, "tape": writer.epochs if writer else [], "best": score}


def _take(
    networks: Sequence[nn.Module],
    optimisers: Sequence["SGD"],
    history: list[dict[str, float]],
    writer: tape.Writer | None,
    best: Best | None,
    state: State,
) -> None:
    if writer:
        writer.go_on(state.facts["tape"])
    if best:
        best.score = state.facts["best"]
    for index, (network, optimiser) in enumerate(zip(networks, optimisers, strict=True)):
        network.load_state_dict(_below(state.tensors, f"network{index}."))
        if best:
            best.weights[index] |= _below(state.tensors, f"best{index}.")
        for place, buffer in _below(state.tensors, f"momentum{index}.").items():
            optimiser.buffers[int(place)] = buffer.to(optimiser.parameters[int(place)].device)
    history[:] = state.facts["history"]


def _below(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}


def _classes(network: nn.Module, probe: Split) -> int:
    """How many classes the network predicts for the first PROBE images; leaves it as it was."""
    with torch.no_grad(), attack_mode(network):
        return len(network(to_unit(probe.images[:PROBE])).argmax(1).unique())


def _finite(networks: Sequence[nn.Module]) -> bool:
    return all(bool(tensor.isfinite().all()) for network in networks for tensor in network.state_dict().values())


def batches(count: int, size: int) -> Iterator[tuple[int, int]]:
    """The (start, stop) of an epoch's batches. A last batch of one image is left out: it has no batch statistics."""
    for start in range(0, count, size):
        stop = min(start + size, count)
        if stop - start > 1:
            yield start, stop


def _streams(seed: int, epoch: int, device: torch.device) -> Callable[..., torch.Generator]:
    open_streams: dict[tuple[str | int, ...], torch.Generator] = {}

    def stream(*name: str | int) -> torch.Generator:
        if name not in open_streams:
            open_streams[name] = streams.generator(seed, *name, "epoch", epoch, device=device)
        return open_streams[name]

    return stream


class SGD:
    """SGD with momentum and weight decay, on every parameter or on weights alone (G2): torch's, in its functional form.

    The class torch.optim.SGD does the same but loads torch's compiler, which costs each job more than a second.
    """

    def __init__(self, network: nn.Module, setup: Setup) -> None:
        self.parameters = [parameter for parameter in network.parameters() if parameter.requires_grad]
        self.buffers: list[Tensor | None] = [None] * len(self.parameters)
        self.momentum = setup.momentum
        self.groups: dict[float, list[int]] = {}
        """Which parameters decay by how much."""
        for place, parameter in enumerate(self.parameters):
            spared = setup.decayed == "weights" and parameter.ndim < 2
            self.groups.setdefault(0.0 if spared else setup.weight_decay, []).append(place)

    def zero_grad(self) -> None:
        for parameter in self.parameters:
            parameter.grad = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update the parameters that have a gradient."""
        gradients = [parameter.grad for parameter in self.parameters]
        for weight_decay, group in self.groups.items():
            live = [place for place in group if gradients[place] is not None]
            buffers = [self.buffers[place] for place in live]
            sgd(
                [self.parameters[place] for place in live],
                [gradient for place in live if (gradient := gradients[place]) is not None],
                buffers,
                lr=learning_rate,
                momentum=self.momentum,
                weight_decay=weight_decay,
                dampening=0.0,
                nesterov=False,
                maximize=False,
            )
            for place, buffer in zip(live, buffers, strict=True):
                self.buffers[place] = buffer


class Watch:
    """Finds the first step of an epoch whose loss was not finite, waiting for the device once in CHECK steps."""

    def __init__(self) -> None:
        self.steps = 0
        """Steps that have ended."""
        self._step: list[Tensor] = []
        self._seen: list[Tensor] = []

    def see(self, loss: Tensor) -> None:
        self._step.append(loss)

    def end_step(self) -> int | None:
        """After the last loss of a step: what ``look`` finds, if it is time to look."""
        self._seen.append(torch.stack(self._step).isfinite().all())
        self._step = []
        self.steps += 1
        return self.look() if len(self._seen) == CHECK else None

    def look(self) -> int | None:
        """The first step, from 1, among those since the last look."""
        finite = torch.stack(self._seen).tolist() if self._seen else []
        self._seen = []
        return self.steps - len(finite) + finite.index(False) + 1 if False in finite else None


class Meter:
    """An epoch's scalars, kept on the device until the epoch ends."""

    def __init__(self) -> None:
        self._sums: dict[str, Tensor] = {}
        self._sizes: dict[str, int] = {}
        self.latest_loss: Tensor | None = None

    def add(self, size: int, name: str, value: Tensor) -> None:
        """Add the ``value`` of a step over ``size`` images."""
        if name.endswith("_max"):
            self._sums[name] = torch.maximum(self._sums[name], value) if name in self._sums else value
            return
        if name.startswith("loss"):
            self.latest_loss = value
        self._sums[name] = self._sums[name] + value * size if name in self._sums else value * size
        self._sizes[name] = self._sizes.get(name, 0) + size

    def row(self) -> dict[str, float]:
        return {name: float(total) / self._sizes.get(name, 1) for name, total in self._sums.items()}
