"""PGD-20 and FGSM beside a bare loop, torchattacks, foolbox, ART and adv-lib: speed, and verdicts image by image.

All start at the image itself, so that all climb the same path: what differs are roundings, and what each library does
beside the steps.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import partial

import numpy
import torch
from torch import Tensor, nn
from torch.nn import functional

from ataka.attacks import ascent, fgsm
from ataka.attacks.acceleration import switched
from bench.networks import FAST, SMOKE, TASKS, build, images
from bench.timing import Row, in_turn, rows

EPS, STEP, STEPS = 0.5 / 255, 0.1 / 255, 20
"""Small: networks that are not trained are fooled by more, and where none stands, agreement says nothing."""
Attack = Callable[[], Tensor]


def measure(*, smoke: bool) -> Iterator[Row]:
    """PGD and FGSM beside other libraries: a row for each contestant. ``smoke`` takes the smallest sizes."""
    for task in SMOKE if smoke else TASKS:
        torch.set_num_threads(task.threads)
        network = build(task.arch)
        x, y = images(network, task.batch)
        for name, contestants in (("PGD-20", _pgd(network, x, y)), ("FGSM", _fgsm(network, x, y))):
            yield from _compare(f"{name}, {task}", network, y, contestants, rounds=1 if smoke else 5)


def _compare(
    title: str, network: nn.Module, y: Tensor, contestants: Mapping[str, Attack], rounds: int
) -> Iterator[Row]:
    standing = {name: _standing(network, attack(), y) for name, attack in contestants.items()}
    ours = standing["ours"]
    notes = {
        name: f"{int(correct.sum())} of {len(y)} images stand; {int((correct != ours).sum())} verdicts differ from ours"
        for name, correct in standing.items()
    }
    yield from rows(title, in_turn(contestants, rounds), "ours", notes)


def _standing(network: nn.Module, x_adv: Tensor, y: Tensor) -> Tensor:
    with torch.no_grad():
        stands: Tensor = network(x_adv).argmax(1) == y
        return stands


def _faster(attack: Attack) -> Attack:
    def call() -> Tensor:
        with switched(FAST):
            return attack()

    return call


def _pgd(network: nn.Module, x: Tensor, y: Tensor) -> dict[str, Attack]:
    plain: Attack = partial(ascent.ascend, network, x, y, eps=EPS, step_size=STEP, steps=STEPS, start=x)
    bare: Attack = partial(_bare, network, x, y)
    peers = {name: attack for name, attack in _peers(network, x, y).items() if not name.endswith("FGSM")}
    return {"ours": _faster(plain), "ours, switches off": plain, "a bare loop": bare} | peers


def _fgsm(network: nn.Module, x: Tensor, y: Tensor) -> dict[str, Attack]:
    plain: Attack = partial(fgsm.attack, network, x, y, eps=EPS)
    peers = {name.removesuffix(" FGSM"): a for name, a in _peers(network, x, y).items() if name.endswith("FGSM")}
    return {"ours": _faster(plain), "ours, switches off": plain} | peers


def _bare(network: nn.Module, x: Tensor, y: Tensor) -> Tensor:
    """Nothing but the steps; weights need no gradient meanwhile."""
    network.requires_grad_(False)
    x_adv = x.clone()
    for _ in range(STEPS):
        x_adv.requires_grad_()
        (gradient,) = torch.autograd.grad(functional.cross_entropy(network(x_adv), y, reduction="sum"), x_adv)
        x_adv = (x_adv.detach() + STEP * gradient.sign()).clamp(x - EPS, x + EPS).clamp(0, 1)
    network.requires_grad_(True)  # as the other contestants get it: most of them compute the weights' gradients, too
    return x_adv


def _peers(network: nn.Module, x: Tensor, y: Tensor) -> dict[str, Attack]:
    """Each library's own call, by its name; its FGSM where it has one. Those that aren't installed are left out."""
    found: dict[str, Attack] = {}
    for add in (_torchattacks, _foolbox, _art, _adv_lib):
        try:
            found |= add(network, x, y)
        except ModuleNotFoundError as error:
            print(f"left out: {error}")
    return found


def _torchattacks(network: nn.Module, x: Tensor, y: Tensor) -> dict[str, Attack]:
    import torchattacks

    pgd = torchattacks.PGD(network, eps=EPS, alpha=STEP, steps=STEPS, random_start=False)
    single = torchattacks.FGSM(network, eps=EPS)
    return {"torchattacks": partial(pgd, x, y), "torchattacks FGSM": partial(single, x, y)}


def _foolbox(network: nn.Module, x: Tensor, y: Tensor) -> dict[str, Attack]:
    import foolbox

    model = foolbox.PyTorchModel(network, bounds=(0, 1))
    pgd = foolbox.attacks.LinfPGD(abs_stepsize=STEP, steps=STEPS, random_start=False)
    single = foolbox.attacks.FGSM(random_start=False)
    return {
        "foolbox": lambda: pgd(model, x, y, epsilons=EPS)[1],
        "foolbox FGSM": lambda: single(model, x, y, epsilons=EPS)[1],
    }


def _art(network: nn.Module, x: Tensor, y: Tensor) -> dict[str, Attack]:
    from art.attacks.evasion import FastGradientMethod, ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    model = PyTorchClassifier(network, nn.CrossEntropyLoss(), (3, 32, 32), 10, clip_values=(0.0, 1.0))
    pgd = ProjectedGradientDescentPyTorch(
        model, numpy.inf, EPS, STEP, max_iter=STEPS, batch_size=len(x), num_random_init=0, verbose=False
    )
    single = FastGradientMethod(model, numpy.inf, EPS, batch_size=len(x))
    given = x.numpy(), y.numpy()
    return {
        "ART": lambda: torch.from_numpy(pgd.generate(*given)),
        "ART FGSM": lambda: torch.from_numpy(single.generate(*given)),
    }


def _adv_lib(network: nn.Module, x: Tensor, y: Tensor) -> dict[str, Attack]:
    from adv_lib.attacks import pgd_linf

    return {
        "adv-lib": partial(pgd_linf, network, x, y, EPS, steps=STEPS, random_init=False, absolute_step_size=STEP),
    }
