"""Networks that train together, on several processes (machine/ranks.py): each computes the steps of its own networks.

The first process runs the one loop, as alone: it has weights, optimisers, history, checkpoints and tape, and the
student beside an ensemble. In each step it sends the other processes the weights of their networks, and gets back
particles, logits, the gradients of weights, and batch statistics. Gradients at particles pass between processes where
eq. 2's kernel is asked for, and gradients at logits where a loss is one of all networks' logits. Each number is
computed by the functions that compute it in one process, on the same numbers and in the same order, so that results
have the same bits for any number of processes. Therefore the module lies among the stages, which are not hashed.
"""

from collections.abc import Callable, Iterator, Mapping, MutableMapping, Sequence
from dataclasses import replace
from typing import Any, TypeVar

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.nn import functional

from ataka.attacks import acceleration, svgd
from ataka.attacks.acceleration import accelerated
from ataka.attacks.check import AttackError, checked
from ataka.attacks.finite import NotFinite
from ataka.attacks.gradient import input_gradient
from ataka.attacks.linf import project
from ataka.attacks.mode import BatchNorm, attack_mode
from ataka.generation import draw, particles
from ataka.machine.ranks import Group
from ataka.objectives.at_aka import Online
from ataka.objectives.cat_aka import Students
from ataka.objectives.teachers import Teachers
from ataka.study import Generator, Setup
from ataka.study.fields import number
from ataka.training import Batch
from ataka.training.forwards import drawing
from ataka.training.objective import Objective
from ataka.training.precision import generating, updating

T = TypeVar("T")
_FAULTS = AttackError, NotFinite
"""The errors of an attack that the loop of the first process answers to."""


class Spread(Teachers):
    """The teachers' objective in the first process, which lets the other processes compute the steps of theirs."""

    def __init__(self, generator: Generator, setup: Setup, group: Group, classes: int) -> None:
        super().__init__(generator)
        self.setup, self.group, self.classes = setup, group, classes
        self._sent = False
        """Whether the other processes have this step's weights."""

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        made = self.begin(networks, batch)
        self.order("update", batch, networks)
        self.group.spread(made[0].contiguous())
        answering = [
            Elsewhere(network, self.group.owner(i), self.group, self.classes) if self.group.owner(i) else network
            for i, network in enumerate(networks)
        ]
        yield from super().losses(answering, with_particles(batch, made))
        self.group.delivered()

    def begin(self, networks: Sequence[nn.Module], batch: Batch, *, attacked: bool = True) -> Any:
        """Begin a step, of which nothing was sent yet; its particles with their report, None if not ``attacked``."""
        self._sent = False
        return batch.once("particles", lambda: self._made(networks, batch)) if attacked else None

    def _made(self, networks: Sequence[nn.Module], batch: Batch) -> tuple[Tensor, dict[str, Tensor]]:
        """As objectives.teachers makes them."""
        start = draw(self.generator, batch.x, [batch.stream("start", i) for i in range(len(networks))])
        report: dict[str, Tensor] = {}
        if self.generator.kind == "svgd" and self.generator.gradient_of == "ensemble":  # one gradient through all
            moved = particles(self.generator, networks, batch.x, batch.y, start, report)
        else:
            self.order("generate", batch, networks)
            self.group.spread(batch.x.contiguous(), start.contiguous())
            own = {i: networks[i] for i in self.group.mine(len(networks))}
            moved = generated(self.group, self.generator, own, batch.x, batch.y, start, report)
            if self.generator.batchnorm == "train":
                for i, network in enumerate(networks):
                    if i not in own:
                        self.group.receive([*network.buffers()], self.group.owner(i))
        if self.generator.assignment == "shuffled":
            source = batch.stream("assignment")
            moved = moved[torch.randperm(len(moved), generator=source, device=source.device)]
        return moved, report

    def order(self, verb: str, batch: Batch, networks: Sequence[nn.Module]) -> None:
        """Tell the other processes what to do with the images of ``batch``, and send weights that they don't have."""
        epoch = round(batch.progress * self.setup.epochs)
        self.group.order({"verb": verb, "epoch": epoch, "shape": tuple(batch.x.shape), "weights": not self._sent})
        self.group.spread(batch.y)
        for i, network in enumerate(networks) if not self._sent else ():
            if self.group.owner(i):
                self.group.post(_state(network), self.group.owner(i))
        self._sent = True


def with_particles(batch: Batch, made: Any) -> Batch:
    """A batch whose particles are ``made`` already."""

    def once(name: str, make: Callable[[], T]) -> T:
        thing: T = made if name == "particles" else batch.once(name, make)
        return thing

    return replace(batch, once=once)


class Together:
    """An objective whose first networks all answer before the first loss, in the first process.

    CAT-AKA's students, and the teachers of a student whose loss reaches them. ``spread`` shares out these ``count``
    networks. The gradient of each loss at the logits goes to the process that has the network.
    """

    def __init__(self, objective: Students | Online, spread: Spread, count: int) -> None:
        self.objective, self.spread, self.count = objective, spread, count
        self._attacked = not (isinstance(objective, Students) and objective.options.input == "clean")

    def budgets(self, count: int) -> list[float]:
        return self.objective.budgets(count)

    def losses(self, networks: Sequence[nn.Module], batch: Batch) -> Iterator[Tensor]:
        group, shared = self.spread.group, networks[: self.count]
        made = self.spread.begin(shared, batch, attacked=self._attacked)
        self.spread.order("answer", batch, shared)
        group.spread(made[0].contiguous() if made else torch.stack([batch.x] * len(shared)))
        asked = {
            i: Asked(network, group.owner(i), group, self.spread.classes)
            for i, network in enumerate(shared)
            if group.owner(i)
        }
        answering = [asked.get(i, network) for i, network in enumerate(networks)]
        losses = [*self.objective.losses(answering, with_particles(batch, made) if made else batch)]
        for i, network in asked.items():
            (gradient,) = torch.autograd.grad(losses[i], [network.logits])
            group.post([gradient], group.owner(i))
        for i, loss in enumerate(losses):
            yield asked[i].lowering(loss) if i in asked else loss
        group.delivered()


def shared_out(objective: Students | Online, setup: Setup, group: Group, *, classes: int, count: int) -> Objective:
    """``objective`` in the first process of a ``group``, which shares out its first ``count`` networks."""
    if isinstance(objective, Students):
        return Together(objective, Spread(objective.generator, setup, group, classes), count)
    teachers = Spread(objective.teachers.generator, setup, group, classes)
    if objective.student.options.target == "live":
        return Together(objective, teachers, count)
    return Online(teachers, objective.student)


class Elsewhere(nn.Module):
    """A network whose step another process computes; in evaluation mode the network itself."""

    def __init__(self, network: nn.Module, owner: int, group: Group, classes: int) -> None:
        super().__init__()
        self.network, self.training = network, network.training
        self._owner, self._group, self._classes = owner, group, classes

    def forward(self, images: Tensor) -> Tensor:
        """Logits (B, C) of images (B, ...), whose loss the other process has back-propagated already."""
        if not self.network.training:
            evaluated: Tensor = self.network(images)
            return evaluated
        return self.answer(images)

    def answer(self, images: Tensor) -> Tensor:
        """The logits in training mode."""
        logits = images.new_empty(len(images), self._classes)
        return self._learnt(logits, [logits])

    def _learnt(self, value: Tensor, before: Sequence[Tensor]) -> Tensor:
        """``value``, through which the weights get the gradients that the other process sends, ``before`` these."""
        weights, buffers = _trained(self.network), [*self.network.buffers()]
        gradients = [torch.empty_like(weight) for weight in weights]
        used = torch.empty(len(weights), dtype=torch.bool, device=value.device)
        self._group.receive([*before, *gradients, used, *buffers], self._owner)
        known = [gradient if yes else None for gradient, yes in zip(gradients, used.tolist(), strict=True)]
        answered: Tensor = _Answered.apply(value, known, *weights)
        return answered


class Asked(Elsewhere):
    """A network of which another process computes the logits, and the gradients once it has those at the logits."""

    logits: Tensor

    def answer(self, images: Tensor) -> Tensor:
        logits = images.new_empty(len(images), self._classes)
        self._group.receive([logits], self._owner)
        self.logits = logits.requires_grad_()
        return self.logits

    def lowering(self, loss: Tensor) -> Tensor:
        """``loss``, whose gradients the other process has computed by now."""
        return self._learnt(loss.detach(), [])


class _Answered(torch.autograd.Function):
    """A value from which the weights get gradients that are known, whatever is back-propagated."""

    @staticmethod
    def forward(ctx: Any, value: Tensor, known: list[Tensor | None], *weights: Tensor) -> Tensor:
        ctx.known = known
        return value.clone()

    @staticmethod
    @once_differentiable  # type: ignore[untyped-decorator]
    def backward(ctx: Any, _gradient: Tensor) -> tuple[Tensor | None, ...]:
        return (None, None, *ctx.known)


def assist(
    group: Group,
    generator: Generator,
    setup: Setup,
    networks: Sequence[nn.Module],
    images: Tensor,
    *,
    seed: int,
    ensemble: bool = True,
) -> None:
    """Compute the steps of this process's ``networks`` as the first process orders, until it has no more orders.

    ``networks`` are all that are shared out, with their initial weights: an ``ensemble`` of teachers, or students.
    ``images`` (2, ...) look like those of a batch.
    """
    own = {i: networks[i] for i in group.mine(len(networks))}
    for network in own.values():
        acceleration.arrange(network, images, bfloat16=setup.precision.update == "bfloat16")
        network.train()
    names = [own.get(i, nn.Identity()) for i in range(len(networks))]  # a stream belongs to a place
    epoch = None
    with drawing(names, len(names) if ensemble else 0, seed=seed) as begin:
        while order := group.order():
            if order["epoch"] != epoch:
                epoch = order["epoch"]
                begin(epoch)
            y = torch.empty(order["shape"][:1], dtype=torch.int64, device=images.device)
            group.spread(y)
            for network in own.values() if order["weights"] else ():
                group.receive(_state(network), 0)
            with generating(setup.precision), updating([*own.values()], setup.precision):
                _VERBS[order["verb"]](group, generator, setup, own, y, images.new_empty(len(names), *order["shape"]))
            group.delivered()


def _generate(
    group: Group, generator: Generator, _setup: Setup, own: Mapping[int, nn.Module], y: Tensor, start: Tensor
) -> None:
    x = start.new_empty(start.shape[1:])
    group.spread(x, start)
    try:
        generated(group, generator, own, x, y, start)
    except _FAULTS:
        return  # the first process has the same error, and the last word
    for network in own.values() if generator.batchnorm == "train" else ():
        group.post([*network.buffers()], 0)


def _update(
    group: Group, _generator: Generator, setup: Setup, own: Mapping[int, nn.Module], y: Tensor, made: Tensor
) -> None:
    group.spread(made)
    for i, network in own.items():
        weights = _trained(network)
        logits = network(made[i])
        loss = functional.cross_entropy(logits, y, label_smoothing=setup.smoothing)
        gradients = torch.autograd.grad(loss, weights, allow_unused=True)
        group.post([logits, *_told(weights, gradients), *network.buffers()], 0)


def _answer(
    group: Group, _generator: Generator, _setup: Setup, own: Mapping[int, nn.Module], _y: Tensor, shown: Tensor
) -> None:
    group.spread(shown)
    answers = {i: network(shown[i]) for i, network in own.items()}
    for logits in answers.values():
        group.post([logits], 0)
    for i, logits in answers.items():
        weights, gradient = _trained(own[i]), torch.empty_like(logits)
        group.receive([gradient], 0)
        gradients = torch.autograd.grad(logits, weights, gradient, allow_unused=True)
        group.post([*_told(weights, gradients), *own[i].buffers()], 0)


def _told(weights: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> list[Tensor]:
    """A gradient for each weight, and which of them are none."""
    used = torch.tensor([gradient is not None for gradient in gradients], device=weights[0].device)
    full = [
        torch.zeros_like(weight) if gradient is None else gradient
        for weight, gradient in zip(weights, gradients, strict=True)
    ]
    return [*full, used]


_VERBS = {"generate": _generate, "update": _update, "answer": _answer}


def _state(network: nn.Module) -> list[Tensor]:
    return [*network.parameters(), *network.buffers()]


def _trained(network: nn.Module) -> list[nn.Parameter]:
    return [weight for weight in network.parameters() if weight.requires_grad]


# ---- the particles


def generated(
    group: Group,
    generator: Generator,
    own: Mapping[int, nn.Module],
    x: Tensor,
    y: Tensor,
    start: Tensor,
    report: MutableMapping[str, Tensor] | None = None,
) -> Tensor:
    """``generation.particles`` in every process, each of which has its ``own`` of the networks, by number.

    Raises the same AttackError or NotFinite in all of them: of those that were met, the one that says the most.
    """
    runs: dict[int, Tensor] = {}
    moved, fault = start, None
    try:
        if generator.kind == "svgd":
            moved = attack(
                [*own.values()],
                x,
                y,
                eps=number(generator.eps),
                step_size=number(generator.step_size),
                steps=generator.steps,
                start=start,
                generator=generator,
                places=[*own],
                group=group,
                report=report,
            )
        else:
            for i, network in own.items():
                runs[i] = particles(generator, [network], x, y, start[i : i + 1])[0]
    except _FAULTS as error:
        fault = str(error), getattr(error, "of_logits", None)
    for text, of_logits in sorted(filter(None, group.all_of(fault)), key=lambda met: (met[1] is None, not met[1])):
        raise AttackError(text) if of_logits is None else NotFinite(text, of_logits=of_logits)
    return torch.stack(group.exchange(runs, len(start))) if runs else moved


@checked(name="svgd")
def attack(
    models: Sequence[nn.Module],
    x: Tensor,
    y: Tensor,
    *,
    eps: float,
    step_size: float,
    steps: int,
    start: Tensor,
    generator: Generator,
    places: Sequence[int],
    group: Group,
    report: MutableMapping[str, Tensor] | None,
) -> Tensor:
    """``svgd.attack`` where ``models`` are those of the networks that this process has, at ``places`` among all.

    Each process moves all particles (n,B,...). Gradients come from the process that has the network: those at its own
    particle, and where the kernel is not 0 those at the others'. Gradients of an ensemble are not spread.
    """
    n, own = len(start), dict(zip(places, models, strict=True))
    g = generator
    current = project(start, x, eps) if g.clamp_start or steps == 0 else start
    observed = []
    with attack_mode(*models, batchnorm=g.batchnorm), accelerated(*models, images=x):
        for _ in range(steps):
            k, sigma_squared = svgd.kernel(current, g.bandwidth, g.interact)
            if report is not None:
                observed.append(svgd._offdiagonal(k))
            felt = svgd._felt(k, n)
            pairs = svgd.coupled(felt)
            gradients = _gradients(
                group, own, current, y, felt, {} if g.gradient_of == "particle" else pairs, g.batchnorm
            )
            step = svgd._direction(
                current, gradients, k, sigma_squared, pairs, g.gamma, g.one_over_n, g.repulsion, g.loss
            )
            current = project(current + step_size * svgd._scaled(step, g.update), x, eps)
    if report is not None:
        values = torch.cat(observed) if observed and len(k) > 1 else x.new_zeros(1, dtype=torch.float64)
        report["kernel_offdiagonal_max"] = values.max()
        report["kernel_offdiagonal_mean"] = values.mean()
    return current.detach()


def _gradients(
    group: Group,
    own: Mapping[int, nn.Module],
    current: Tensor,
    y: Tensor,
    felt: Tensor,
    pairs: Mapping[tuple[int, int], int],
    batchnorm: BatchNorm,
) -> Tensor:
    """The gradients (n,B,...) of network j at particle j; with ``pairs`` (n,n,B,...), of network i at particle j."""
    n, images = current.shape[:2]
    diagonal = {i: input_gradient(network, current[i], y) for i, network in own.items()}
    if not pairs:
        return torch.stack(group.exchange(diagonal, n))
    rows = {i: current.new_zeros(current.shape) for i in own}
    for i, row in rows.items():
        row[i] = diagonal[i]
    for (i, j), count in pairs.items():
        if i not in own:
            continue
        if batchnorm == "train" or count == images:
            rows[i][j] = input_gradient(own[i], current[j], y)
        else:
            those = felt[i, j].nonzero().squeeze(1)
            rows[i][j, those] = input_gradient(own[i], current[j, those], y[those])
    return torch.stack(group.exchange(rows, n))
