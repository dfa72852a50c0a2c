"""The calls of other libraries, a function each. The page shows their bodies, so that what is read has run.

A call gets the network, a batch of images x (B,C,H,W) in [0,1] with labels y (B,), and those settings of the cell that
it names. It returns the images of its attack, or the share of x that is classified rightly.
"""

import ast
import inspect
import textwrap
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import metadata as metadata
from importlib.metadata import PackageNotFoundError as PackageNotFoundError
from typing import Any

import torch
from torch import Tensor, nn
from torch.overrides import TorchFunctionMode

Result = Any
"""A tensor of images, or a share; the libraries have no types."""
Function = Callable[..., Any]


@dataclass(frozen=True)
class Call:
    """A call of ``library`` for a ``cell``."""

    library: str
    cell: str
    function: Function
    remark: str = ""
    """A sentence on its relation to our cell."""
    alone: bool = False
    """Whether it is called with one image at a time."""

    @property
    def text(self) -> str:
        """The body of the function, as a reader would type it."""
        source = textwrap.dedent(inspect.getsource(self.function))
        (definition,) = ast.parse(source).body
        assert isinstance(definition, ast.FunctionDef)
        lines = source.splitlines()[definition.body[0].lineno - 1 :]
        return textwrap.dedent("\n".join(lines))

    @property
    def needs(self) -> list[str]:
        """The names of the settings that it takes."""
        return [*inspect.signature(self.function).parameters][3:]


CALLS: list[Call] = []
DISTRIBUTIONS = {"ART": "adversarial-robustness-toolbox"}
"""Names of libraries on the package index, where they have another."""


def version(library: str) -> str:
    """The library's installed version; PackageNotFoundError if there is none."""
    return metadata.version(DISTRIBUTIONS.get(library, library))


def peer(library: str, *cells: str, remark: str = "", alone: bool = False) -> Callable[[Function], Function]:
    """Register a function as a call of ``library`` for each of the ``cells``."""

    def register(function: Function) -> Function:
        CALLS.extend(Call(library, cell, function, remark, alone) for cell in cells)
        return function

    return register


def of(cell: str) -> Iterator[Call]:
    """The calls for ``cell``."""
    return (call for call in CALLS if call.cell == cell)


class OnTheCpu(TorchFunctionMode):
    """A context in which code that asks for "cuda" gets the CPU: advex-uar asks for nothing else."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = dict(kwargs or {})
        if function is Tensor.cuda:
            return args[0]
        if kwargs.get("device") == "cuda":
            kwargs["device"] = "cpu"
        return function(*args, **kwargs)


@contextmanager
def with_autoattack() -> Iterator[None]:
    """Let robustbench, which imports a module ``autoattack``, find pyautoattack under that name."""
    import sys

    import pyautoattack

    sys.modules["autoattack"] = pyautoattack
    try:
        yield
    finally:
        del sys.modules["autoattack"]


class FromImagenet(nn.Module):
    """``network`` for images that are normalised as ImageNet's, which are what advex-uar's attacks take and give."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Any:
        return self.network(x * STD + MEAN)


MEAN = torch.tensor([0.485, 0.456, 0.406])[:, None, None]
STD = torch.tensor([0.229, 0.224, 0.225])[:, None, None]


def margin_loss(logits: Tensor, y: Tensor) -> Tensor:
    """The negative margin of Carlini and Wagner, summed: the loss that our CW climbs while a margin is above -50."""
    others = logits.scatter(1, y[:, None], -torch.inf).amax(1)
    return (others - logits.gather(1, y[:, None])[:, 0]).sum()


# ---- clean


@peer("robustbench", "clean", remark="Imported with pyautoattack under the name autoattack.")
def _(net: nn.Module, x: Tensor, y: Tensor) -> Result:
    with with_autoattack():
        from robustbench.utils import clean_accuracy

    return float(clean_accuracy(net, x, y, batch_size=len(x)))


@peer("foolbox", "clean")
def _(net: nn.Module, x: Tensor, y: Tensor) -> Result:
    import foolbox

    return foolbox.utils.accuracy(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y)


@peer("ART", "clean")
def _(net: nn.Module, x: Tensor, y: Tensor) -> Result:
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(net, nn.CrossEntropyLoss(), (3, 32, 32), 10, clip_values=(0.0, 1.0))
    return float((classifier.predict(x.numpy()).argmax(1) == y.numpy()).mean())


# ---- FGSM


@peer("torchattacks", "fgsm")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Result:
    import torchattacks

    return torchattacks.FGSM(net, eps=eps)(x, y)


@peer("foolbox", "fgsm")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Result:
    import foolbox

    attack = foolbox.attacks.FGSM(random_start=False)
    _, x_adv, _ = attack(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=eps)
    return x_adv


@peer("ART", "fgsm")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Result:
    from art.attacks.evasion import FastGradientMethod
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(net, nn.CrossEntropyLoss(), (3, 32, 32), 10, clip_values=(0.0, 1.0))
    attack = FastGradientMethod(classifier, norm="inf", eps=eps, batch_size=len(x))
    return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


@peer(
    "adv-lib",
    "fgsm",
    remark="There is no FGSM. PGD of two steps looks at the clean image and at the first step; images that stand come "
    "back clean, those that were wrong beforehand too if the step mends them.",
)
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Result:
    from adv_lib.attacks import pgd_linf

    return pgd_linf(net, x, y, ε=eps, steps=2, random_init=False, absolute_step_size=eps)


@peer("secml-torch", "fgsm", remark='The backend "advlib" returns clean images.')
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Result:
    from secmlt.adv.evasion.fgsm import FGSM
    from torch.utils.data import DataLoader, TensorDataset

    attack = FGSM("linf", epsilon=eps, backend="foolbox")
    return attack(net, DataLoader(TensorDataset(x, y), batch_size=len(x))).dataset.tensors[0]


@peer("advex-uar", "fgsm", remark="Computes in pixels of 0 to 255, hence roundings.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float) -> Result:
    with OnTheCpu():
        from advex_uar.attacks import PGDAttack

        attack = PGDAttack(1, 255 * eps, 255 * eps, 32, rand_init=False)
        return (attack(FromImagenet(net), (x - MEAN) / STD, y) * STD + MEAN).detach()


# ---- PGD


@peer("torchattacks", "pgd")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    import torchattacks

    return torchattacks.PGD(net, eps=eps, alpha=step_size, steps=steps, random_start=True)(x, y)


@peer("foolbox", "pgd")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    import foolbox

    attack = foolbox.attacks.LinfPGD(abs_stepsize=step_size, steps=steps, random_start=True)
    _, x_adv, _ = attack(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=eps)
    return x_adv


@peer("ART", "pgd", remark="Its starts come from numpy's generator and are others than ours.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(net, nn.CrossEntropyLoss(), (3, 32, 32), 10, clip_values=(0.0, 1.0))
    attack = ProjectedGradientDescentPyTorch(
        classifier, "inf", eps, step_size, max_iter=steps, num_random_init=1, batch_size=len(x), verbose=False
    )
    return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


@peer(
    "adv-lib",
    "pgd",
    remark="One step more, since the last one is never looked at. An image counts as fallen if any of the steps fooled "
    "the network, ours only if the last one does.",
)
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    from adv_lib.attacks import pgd_linf

    return pgd_linf(net, x, y, ε=eps, steps=steps + 1, absolute_step_size=step_size)


@peer(
    "secml-torch",
    "pgd",
    remark="The loader has a generator of its own: one without draws a number from torch's global generator, and the "
    "starts are others.",
)
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    from secmlt.adv.evasion.pgd import PGD
    from torch.utils.data import DataLoader, TensorDataset

    attack = PGD("linf", eps, steps, step_size, random_start=True, backend="foolbox")
    loader = DataLoader(TensorDataset(x, y), batch_size=len(x), generator=torch.Generator())
    return attack(net, loader).dataset.tensors[0]


@peer(
    "advex-uar", "pgd", remark="The one library that doesn't clamp the start to [0,1]; computes in pixels of 0 to 255."
)
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    with OnTheCpu():
        from advex_uar.attacks import PGDAttack

        attack = PGDAttack(steps, 255 * eps, 255 * step_size, 32, norm="linf", rand_init=True)
        return (attack(FromImagenet(net), (x - MEAN) / STD, y) * STD + MEAN).detach()


# ---- PGD from the image


@peer("torchattacks", "pgd-image")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    import torchattacks

    return torchattacks.PGD(net, eps=eps, alpha=step_size, steps=steps, random_start=False)(x, y)


@peer("foolbox", "pgd-image")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    import foolbox

    attack = foolbox.attacks.LinfPGD(abs_stepsize=step_size, steps=steps, random_start=False)
    _, x_adv, _ = attack(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=eps)
    return x_adv


@peer("ART", "pgd-image")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(net, nn.CrossEntropyLoss(), (3, 32, 32), 10, clip_values=(0.0, 1.0))
    attack = ProjectedGradientDescentPyTorch(
        classifier, "inf", eps, step_size, max_iter=steps, num_random_init=0, batch_size=len(x), verbose=False
    )
    return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


@peer("secml-torch", "pgd-image", remark="One step more; it returns the step of the highest loss, not the last.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    from secmlt.adv.evasion.pgd import PGD
    from torch.utils.data import DataLoader, TensorDataset

    attack = PGD("linf", eps, steps + 1, step_size, random_start=False, backend="native")
    return attack(net, DataLoader(TensorDataset(x, y), batch_size=len(x))).dataset.tensors[0]


# ---- PGD with restarts, and towards targets


@peer("torchattacks", "pgd-restarts", remark="The first start of an image is ours, clamped; the later ones are others.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int, restarts: int) -> Result:
    import torchattacks

    attack = torchattacks.PGD(net, eps=eps, alpha=step_size, steps=steps)
    return torchattacks.MultiAttack([attack] * restarts)(x, y)


@peer("foolbox", "pgd-restarts", remark="The first start of an image is ours, clamped; the later ones are others.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int, restarts: int) -> Result:
    import foolbox

    attack = foolbox.attacks.LinfPGD(abs_stepsize=step_size, steps=steps).repeat(restarts)
    _, x_adv, _ = attack(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=eps)
    return x_adv


@peer("adv-lib", "pgd-restarts", remark="Any step counts, not only the last; starts as with torchattacks.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int, restarts: int) -> Result:
    from adv_lib.attacks import pgd_linf

    return pgd_linf(net, x, y, ε=eps, steps=steps + 1, restarts=restarts, absolute_step_size=step_size)


@peer(
    "torchattacks",
    "pgd-targeted",
    remark="Every target is attacked from a start of its own, where ours has one start for all. With all nine other "
    "classes, their order does not matter for the verdict.",
)
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    import torchattacks

    attacks = []
    for k in range(9, 0, -1):
        attack = torchattacks.PGD(net, eps=eps, alpha=step_size, steps=steps)
        attack.set_mode_targeted_least_likely(kth_min=k, quiet=True)
        attacks.append(attack)
    return torchattacks.MultiAttack(attacks)(x, y)


# ---- CW within l_inf


@peer("foolbox", "cw", remark="LinfPGD with another loss: there is no call for it.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    import eagerpy
    import foolbox

    class MarginPGD(foolbox.attacks.LinfPGD):  # type: ignore[misc]
        def get_loss_fn(self, model: Any, labels: Any) -> Any:
            return lambda x: eagerpy.astensor(margin_loss(model(x).raw, labels.raw))

    attack = MarginPGD(abs_stepsize=step_size, steps=steps)
    _, x_adv, _ = attack(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=eps)
    return x_adv


@peer("ART", "cw", remark="PGD on a classifier with another loss. Its starts come from numpy and are others than ours.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    def loss(logits: Tensor, one_hot: Tensor) -> Tensor:
        return margin_loss(logits, one_hot.argmax(1) if one_hot.ndim > 1 else one_hot)

    classifier = PyTorchClassifier(net, loss, (3, 32, 32), 10, clip_values=(0.0, 1.0))
    attack = ProjectedGradientDescentPyTorch(
        classifier, "inf", eps, step_size, max_iter=steps, num_random_init=1, batch_size=len(x), verbose=False
    )
    return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


@peer("adv-lib", "cw", remark="One step more; any step counts, not only the last.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, step_size: float, steps: int) -> Result:
    from adv_lib.attacks import pgd_linf

    return pgd_linf(net, x, y, ε=eps, steps=steps + 1, absolute_step_size=step_size, loss_function="dl")


# ---- l_2


@peer("torchattacks", "cw-l2", remark="It never searches for c, and stops the whole batch when the loss of all rises.")
def _(net: nn.Module, x: Tensor, y: Tensor, steps: int) -> Result:
    import torchattacks

    return torchattacks.CW(net, c=1, kappa=0, steps=steps, lr=0.01)(x, y)


@peer("foolbox", "cw-l2", remark="Images for which nothing is found come back black, and are put back here.")
def _(net: nn.Module, x: Tensor, y: Tensor, steps: int, searches: int) -> Result:
    import foolbox

    attack = foolbox.attacks.L2CarliniWagnerAttack(
        binary_search_steps=searches, steps=steps, stepsize=0.01, initial_const=1e-3, abort_early=False
    )
    x_adv, _, _ = attack(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=None)
    return torch.where((x_adv == 0).flatten(1).all(1)[:, None, None, None], x, x_adv)


@peer("ART", "cw-l2", remark="Gradient descent with a line search in place of Adam, its rate halved and doubled.")
def _(net: nn.Module, x: Tensor, y: Tensor, steps: int, searches: int) -> Result:
    from art.attacks.evasion import CarliniL2Method
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(net, nn.CrossEntropyLoss(), (3, 32, 32), 10, clip_values=(0.0, 1.0))
    attack = CarliniL2Method(
        classifier, binary_search_steps=searches, max_iter=steps, initial_const=1e-3, batch_size=len(x), verbose=False
    )
    return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


@peer("adv-lib", "cw-l2", remark="Our loop but for roundings.")
def _(net: nn.Module, x: Tensor, y: Tensor, steps: int, searches: int) -> Result:
    from adv_lib.attacks import carlini_wagner_l2

    return carlini_wagner_l2(net, x, y, binary_search_steps=searches, max_iterations=steps, abort_early=False)


@peer("secml-torch", "cw-l2", remark="The same code, by another way.")
def _(net: nn.Module, x: Tensor, y: Tensor, steps: int, searches: int) -> Result:
    from secmlt.adv.evasion.cw import CW
    from torch.utils.data import DataLoader, TensorDataset

    attack = CW(binary_search_steps=searches, num_steps=steps, abort_early=False, backend="advlib")
    return attack(net, DataLoader(TensorDataset(x, y), batch_size=len(x))).dataset.tensors[0]


@peer("torchattacks", "pgd-l2")
def _(net: nn.Module, x: Tensor, y: Tensor, radius: float, step_size: float, steps: int) -> Result:
    import torchattacks

    return torchattacks.PGDL2(net, eps=radius, alpha=step_size, steps=steps, random_start=False)(x, y)


@peer("foolbox", "pgd-l2")
def _(net: nn.Module, x: Tensor, y: Tensor, radius: float, step_size: float, steps: int) -> Result:
    import foolbox

    attack = foolbox.attacks.L2PGD(abs_stepsize=step_size, steps=steps, random_start=False)
    _, x_adv, _ = attack(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=radius)
    return x_adv


@peer(
    "ART", "pgd-l2", remark="Clamps to [0,1] before it projects into the ball, where ours and the others project first."
)
def _(net: nn.Module, x: Tensor, y: Tensor, radius: float, step_size: float, steps: int) -> Result:
    from art.attacks.evasion import ProjectedGradientDescentPyTorch
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(net, nn.CrossEntropyLoss(), (3, 32, 32), 10, clip_values=(0.0, 1.0))
    attack = ProjectedGradientDescentPyTorch(
        classifier, 2, radius, step_size, max_iter=steps, num_random_init=0, batch_size=len(x), verbose=False
    )
    return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


@peer("secml-torch", "pgd-l2", remark="One step more; it returns the step of the highest loss, not the last.")
def _(net: nn.Module, x: Tensor, y: Tensor, radius: float, step_size: float, steps: int) -> Result:
    from secmlt.adv.evasion.pgd import PGD
    from torch.utils.data import DataLoader, TensorDataset

    attack = PGD("l2", radius, steps + 1, step_size, random_start=False, backend="native")
    return attack(net, DataLoader(TensorDataset(x, y), batch_size=len(x))).dataset.tensors[0]


@peer("advex-uar", "pgd-l2", remark="Computes in pixels of 0 to 255.")
def _(net: nn.Module, x: Tensor, y: Tensor, radius: float, step_size: float, steps: int) -> Result:
    with OnTheCpu():
        from advex_uar.attacks import PGDAttack

        attack = PGDAttack(steps, 255 * radius, 255 * step_size, 32, norm="l2", rand_init=False)
        return (attack(FromImagenet(net), (x - MEAN) / STD, y) * STD + MEAN).detach()


# ---- APGD and AutoAttack; ``seed`` is that of the chunk


@peer("pyautoattack", "apgd-ce", "apgd-dlr")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int, loss: str) -> Result:
    import pyautoattack

    attack = pyautoattack.AutoAttack(net, norm="Linf", eps=eps, seed=seed, version="custom", attacks=[f"apgd-{loss}"])
    attack.apgd.n_restarts = 1
    return attack.run_standard_evaluation(x, y, batch_size=len(x))[0]


@peer("torchattacks", "apgd-ce", "apgd-dlr", remark="100 steps, where its default is 10.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int, loss: str) -> Result:
    import torchattacks

    return torchattacks.APGD(net, eps=eps, steps=100, seed=seed, loss=loss)(x, y)


@peer("adv-lib", "apgd-ce", "apgd-dlr", remark="It attacks misclassified images, too.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int, loss: str) -> Result:
    from adv_lib.attacks import apgd

    torch.manual_seed(seed)
    return apgd(net, x, y, eps, norm=float("inf"), n_iter=100, loss_function=loss)


@peer("ART", "apgd-ce", remark="Its starts come from numpy; step sizes, checkpoints and restarts are its own.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int) -> Result:
    from art.attacks.evasion import AutoProjectedGradientDescent
    from art.estimators.classification import PyTorchClassifier

    classifier = PyTorchClassifier(net, nn.CrossEntropyLoss(), (3, 32, 32), 10, clip_values=(0.0, 1.0))
    attack = AutoProjectedGradientDescent(
        classifier, eps=eps, eps_step=2 * eps, max_iter=100, nb_random_init=1, batch_size=len(x), verbose=False
    )
    return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))


@peer("pyautoattack", "apgd-t")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int) -> Result:
    import pyautoattack

    attack = pyautoattack.AutoAttack(net, norm="Linf", eps=eps, seed=seed, version="custom", attacks=["apgd-t"])
    return attack.run_standard_evaluation(x, y, batch_size=len(x))[0]


@peer("torchattacks", "apgd-t", remark="100 steps, where its default is 10.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int) -> Result:
    import torchattacks

    return torchattacks.APGDT(net, eps=eps, steps=100, seed=seed)(x, y)


@peer(
    "adv-lib",
    "apgd-t",
    remark="An image falls only where the target itself is reached. Misclassified images are attacked, too.",
)
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int) -> Result:
    from adv_lib.attacks import apgd_targeted

    torch.manual_seed(seed)
    return apgd_targeted(net, x, y, eps, norm=float("inf"), n_iter=100)


@peer("pyautoattack", "aa", "aa-plus")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int, version: str) -> Result:
    import pyautoattack

    attack = pyautoattack.AutoAttack(net, norm="Linf", eps=eps, seed=seed, version=version)
    return attack.run_standard_evaluation(x, y, batch_size=len(x))[0]


@peer("torchattacks", "aa", remark="As it comes: 10 iterations, where AutoAttack has 100.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int) -> Result:
    import torchattacks

    return torchattacks.AutoAttack(net, eps=eps, version="standard", seed=seed)(x, y)


@peer("torchattacks", "aa", remark="The same components by hand, with 100 iterations.")
def _(net: nn.Module, x: Tensor, y: Tensor, eps: float, seed: int) -> Result:
    import torchattacks

    apgd = torchattacks.APGD(net, eps=eps, steps=100, seed=seed, loss="ce")
    targeted = torchattacks.APGDT(net, eps=eps, steps=100, seed=seed)
    fab = torchattacks.FAB(net, eps=eps, steps=100, seed=seed, multi_targeted=True)
    square = torchattacks.Square(net, eps=eps, n_queries=5000, seed=seed)
    return torchattacks.MultiAttack([apgd, targeted, fab, square])(x, y)


@peer("pyautoattack", "aa-l2")
def _(net: nn.Module, x: Tensor, y: Tensor, radius: float, seed: int) -> Result:
    import pyautoattack

    attack = pyautoattack.AutoAttack(net, norm="L2", eps=radius, seed=seed, version="standard")
    return attack.run_standard_evaluation(x, y, batch_size=len(x))[0]


# ---- Fog; ``start`` is ``fog.draw``'s, (B, 4096)


def _fog(net: nn.Module, x: Tensor, y: Tensor, strength: float, step_size: float, steps: int, start: Tensor) -> Result:
    with OnTheCpu():
        from advex_uar.attacks import FogAttack

        class FromOurStart(FogAttack):  # type: ignore[misc]
            def _init(self, batch: int, side: int) -> list[Tensor]:
                sizes = [4**i for i in range(side.bit_length() - 1)]
                levels = torch.split(start[:, :-1], [3 * size for size in sizes], 1)
                maps = [
                    level.reshape(batch, 3, *[int(size**0.5)] * 2) for level, size in zip(levels, sizes, strict=True)
                ]
                return [each.clone().requires_grad_() for level in maps for each in level.unbind(1)]

        attack = FromOurStart(steps, strength, step_size, 32)
        return (attack(FromImagenet(net), (x - MEAN) / STD, y) * STD + MEAN).detach()


peer("advex-uar", "fog", remark="The fields of a whole batch are normalised together, as in our default.")(_fog)
peer("advex-uar", "fog-image", remark="Called with one image at a time.", alone=True)(_fog)
