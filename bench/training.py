"""Steps of each training beside a plain transcription of its published algorithm.

Each contestant makes an epoch of one batch: order, crops and flips, the attack of 10 steps, the loss, the update.
The transcriptions do no more than that, in float32 and contiguous. A frozen network of the same kind teaches ARD, IAD
and RSLAD.
"""

from collections.abc import Callable, Iterator
from functools import partial
from types import ModuleType

import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka import datasets
from ataka.attacks import acceleration
from ataka.attacks.acceleration import OFF, Switches, switched
from ataka.datasets.images import Split
from ataka.models.mixture import Mixture
from ataka.study import Setup
from ataka.training import Objective, loop
from ataka.training.averaging import Averages
from ataka.training.epoch import Epoch
from ataka.training.meters import Watch
from ataka.training.precision import generating, updating
from ataka.training.state import Training
from baselines import ard, iad, mart, natural, rslad, sat, trades
from bench.networks import FAST, Task, build
from bench.timing import Row, in_turn, rows

EPS, STEP, STEPS = 8 / 255, 2 / 255, 10
ATTACK = {"eps": "8/255", "step_size": "2/255", "steps": STEPS}
TASKS = (Task("resnet18", 16, 1), Task("resnet10-w8", 64, 1))
METHODS = (natural, sat, trades, mart, ard, iad, rslad)


def measure(*, smoke: bool) -> Iterator[Row]:
    """A training step of each method beside a transcription: a row for each contestant. ``smoke`` takes one size."""
    for task in (Task("resnet10-w8", 4, 1),) if smoke else TASKS:
        torch.set_num_threads(task.threads)
        for method in METHODS:
            yield from _method(task, method, batches=1, rounds=1 if smoke else 3)


def _method(task: Task, method: ModuleType, batches: int, rounds: int) -> Iterator[Row]:
    name = method.__name__.rpartition(".")[2]
    source = torch.Generator().manual_seed(1)
    images = torch.randint(0, 256, (batches * task.batch, 3, 32, 32), generator=source, dtype=torch.uint8)
    data = Split(images, torch.arange(len(images)) % 10)
    contestants: dict[str, Callable[[], object]] = {
        "ours": partial(_ours(task, method, data), FAST),
        "ours, switches off": partial(_ours(task, method, data), OFF),
        "plain transcription": _plain(task, PLAIN[name], data),
    }
    title = f"{name}, a step, {task}"
    yield from rows(title, in_turn(contestants, rounds), "plain transcription")


def _ours(task: Task, method: ModuleType, data: Split) -> Callable[[Switches], None]:
    network, objective = build(task.arch, 0), objective_of(method, build(task.arch, 1))
    rates = {"learning_rate": 0.01, "momentum": 0.9, "weight_decay": 5e-4, "milestones": []}
    setup = Setup.model_validate({"epochs": 1, "batch_size": task.batch, "probe": None, **rates})
    facts = datasets.find("cifar10").specification
    training = Training([network], setup, Averages([network], setup, 1))
    watch = Watch([network])

    def epoch(switches: Switches) -> None:
        with switched(switches):
            acceleration.arrange(network, data.images[:2] / 255)
            network.train()
            for batch in Epoch(0, data, facts, setup, seed=0).batches(None, None, training.update):
                with generating(setup.precision), updating([network], setup.precision):
                    loop._step(training, objective, batch, watch)

    return epoch


def objective_of(method: ModuleType, teacher: nn.Module) -> Objective:
    """``method`` as its authors set it, taught by ``teacher``, which is frozen, wherever it wants a teacher."""
    options = method.Options(**({} if method is natural else ATTACK))
    roles = method.teachers(options) if hasattr(method, "teachers") else ()
    taught = {"teachers": dict.fromkeys(roles, Mixture([teacher.requires_grad_(False)]))} if roles else {}
    objective: Objective = method.create(options, **taught)
    return objective


# ---- the published algorithms

Loss = Callable[[nn.Module, nn.Module, Tensor, Tensor], Tensor]


def _plain(task: Task, loss: Loss, data: Split) -> Callable[[], None]:
    network, teacher = build(task.arch, 0), build(task.arch, 1)
    optimiser = torch.optim.SGD(network.parameters(), lr=0.01, momentum=0.9, weight_decay=5e-4)

    def epoch() -> None:
        for index in torch.split(torch.randperm(len(data)), task.batch):
            x, y = _augmented(data.images[index]) / 255, data.labels[index]
            network.train()
            value = loss(network, teacher, x, y)
            optimiser.zero_grad()
            value.backward()  # type: ignore[no-untyped-call]
            optimiser.step()

    return epoch


def _augmented(images: Tensor) -> Tensor:
    padded = functional.pad(images, (4, 4, 4, 4))
    shifts = torch.randint(0, 9, (len(images), 2)).tolist()
    crops = [
        image[:, down : down + 32, right : right + 32] for image, (down, right) in zip(padded, shifts, strict=True)
    ]
    flips = torch.rand(len(images)) < 0.5
    return torch.stack([crop.flip(2) if flip else crop for crop, flip in zip(crops, flips, strict=True)])


def _pgd(x: Tensor, start: Tensor, loss: Callable[[Tensor], Tensor]) -> Tensor:
    x_adv = start
    for _ in range(STEPS):
        x_adv = x_adv.detach().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(x_adv), x_adv)
        x_adv = x_adv.detach() + STEP * gradient.sign()
        x_adv = torch.min(torch.max(x_adv, x - EPS), x + EPS).clamp(0, 1)
    return x_adv


def _uniform(x: Tensor) -> Tensor:
    return x + torch.empty_like(x).uniform_(-EPS, EPS)


def _gaussian(x: Tensor) -> Tensor:
    return x + 0.001 * torch.randn_like(x)


def _kl(target: Tensor, logits: Tensor, *, over_classes: bool = False) -> Tensor:
    kl = functional.kl_div(logits.log_softmax(1), target.softmax(1), reduction="none")
    return kl.mean() if over_classes else kl.sum(1).mean()


def _natural(network: nn.Module, _teacher: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    return functional.cross_entropy(network(x), y)


def _sat(network: nn.Module, _teacher: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    x_adv = _pgd(x, _uniform(x).clamp(0, 1), lambda each: functional.cross_entropy(network(each), y))
    return functional.cross_entropy(network(x_adv), y)


def _trades(network: nn.Module, _teacher: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    network.eval()
    with torch.no_grad():
        target = network(x)
    x_adv = _pgd(x, _gaussian(x), lambda each: _kl(target, network(each)))
    network.train()
    logits, adversarial_logits = network(x), network(x_adv)
    with torch.no_grad():
        network(x)  # theirs computes f(x) twice
    return functional.cross_entropy(logits, y) + 6 * _kl(logits, adversarial_logits)


def _mart(network: nn.Module, _teacher: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    network.eval()
    x_adv = _pgd(x, _gaussian(x), lambda each: functional.cross_entropy(network(each), y))
    network.train()
    logits, adversarial_logits = network(x), network(x_adv)
    natural, adversarial = logits.softmax(1), adversarial_logits.softmax(1)
    others = adversarial.scatter(1, y[:, None], 0.0).max(1).values
    boosted = functional.cross_entropy(adversarial_logits, y) - (1.0001 - others + 1e-12).log().mean()
    kl = functional.kl_div((adversarial + 1e-12).log(), natural, reduction="none").sum(1)
    unsure = 1.0000001 - natural.gather(1, y[:, None])[:, 0]
    loss: Tensor = boosted + 5 * (kl * unsure).mean()
    return loss


def _ard(network: nn.Module, teacher: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    x_adv = _pgd(x, _uniform(x), lambda each: functional.cross_entropy(network(each), y))
    with torch.no_grad():
        target = teacher(x)
    adversarial_logits, _ = network(x_adv), network(x)
    return 30**2 * _kl(target / 30, adversarial_logits / 30, over_classes=True)


def _iad(network: nn.Module, teacher: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    x_adv = _pgd(x, _uniform(x), lambda each: functional.cross_entropy(network(each), y))
    with torch.no_grad():
        target, _ = teacher(x), teacher(x_adv)
        network(x_adv)  # theirs computes it once more
    adversarial_logits = network(x_adv)
    trust = 1.0  # before ``begin``
    return _kl(target, adversarial_logits) + (1 - trust) * _kl(network(x), adversarial_logits)


def _rslad(network: nn.Module, teacher: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        target = teacher(x)
    network.eval()
    x_adv = _pgd(x, _gaussian(x), lambda each: _kl(target, network(each)))
    network.train()
    return 5 / 6 * _kl(target, network(x_adv), over_classes=True) + 1 / 6 * _kl(target, network(x), over_classes=True)


PLAIN: dict[str, Loss] = {
    "natural": _natural,
    "sat": _sat,
    "trades": _trades,
    "mart": _mart,
    "ard": _ard,
    "iad": _iad,
    "rslad": _rslad,
}
