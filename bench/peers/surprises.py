"""What surprises about other libraries, each shown again by running it.

A surprise is a function: its docstring has a sentence, and the advice after a blank line; it returns what was seen, and
raises AssertionError where the library has changed. It gets a robust network with images x and labels y.
"""

import copy
import inspect
import logging
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

import ataka
from ataka import datasets, streams
from ataka.library.evaluation import test_split
from ataka.models.mixture import Mixture
from ataka.study import config
from bench.peers import calls

EPS = 8 / 255
IMAGES = 16
Function = Callable[[nn.Module, Tensor, Tensor], str]


@dataclass(frozen=True)
class Surprise:
    """A line of docs/peers/surprises.csv."""

    library: str
    version: str
    surprise: str
    seen: str
    advice: str


FUNCTIONS: list[tuple[str, Function]] = []


def of(library: str) -> Callable[[Function], Function]:
    """Register a function as a surprise about ``library``."""

    def register(function: Function) -> Function:
        FUNCTIONS.append((library, function))
        return function

    return register


def words(function: Function) -> tuple[str, str]:
    """The surprise and the advice, each on one line."""
    surprise, advice = (inspect.getdoc(function) or "").split("\n\n")
    return " ".join(surprise.split()), " ".join(advice.split())


def run(file: str) -> Iterator[Surprise]:
    """Each surprise, shown with the network of ``file``; those about libraries that aren't installed are left out."""
    torch.set_num_threads(1)
    logging.getLogger("auto-attack").setLevel(logging.ERROR)  # its warnings are in its cells
    network = ataka.load(file, dataset="cifar10").requires_grad_(False)
    split = test_split(config.load("paper"), "cifar10")
    with torch.no_grad():
        right = network(split.first(8 * IMAGES).pixels()).argmax(1) == split.labels[: 8 * IMAGES]
    chosen = right.nonzero()[:IMAGES, 0]  # images that an attack has something to do with
    x, y = split.first(8 * IMAGES).pixels()[chosen], split.labels[chosen]
    for library, function in FUNCTIONS:
        try:
            version = calls.version(library)
        except calls.PackageNotFoundError:
            print(f"left out: {library} is not installed", flush=True)
            continue
        with streams.undisturbed():
            streams.seed_globally(0, library)
            seen = function(copy.deepcopy(network).eval(), x.clone(), y.clone())
        print(f"{library}: {seen}", flush=True)
        yield Surprise(library, version, words(function)[0], seen, words(function)[1])


def changed(x_adv: Tensor, x: Tensor) -> int:
    """How many images differ from x."""
    return int((x_adv != x).flatten(1).any(1).sum())


def refusal(work: Callable[[], object]) -> str:
    """The error that ``work`` ends in, "" if there is none."""
    try:
        work()
    except Exception as error:
        return textwrap.shorten(f"{type(error).__name__}: {error}", 120, placeholder="").rstrip(". ")
    return ""


@of("torchattacks")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """AutoAttack's version "standard" runs fewer iterations than AutoAttack does: numbers under it are too high.

    Put the components into a MultiAttack yourself, with steps=100 each (see aa), or use pyautoattack.
    """
    import pyautoattack
    import torchattacks

    parts = torchattacks.AutoAttack(net, eps=EPS, version="standard")._autoattack.attacks
    theirs = [part.steps for part in parts if hasattr(part, "steps")]
    original = pyautoattack.AutoAttack(net, eps=EPS)
    published = [original.apgd.n_iter, original.apgd_targeted.n_iter, original.fab.n_iter]
    assert theirs != published
    return f"APGD, APGD-T and FAB have {theirs} iterations, in pyautoattack {published}"


@of("torchattacks")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """CW changes nothing where all outputs are negative, as log-probabilities are, and so those of our averages.

    Its mask multiplies the label's output by zero and takes the maximum over all, which is then that zero. Attack a
    network that adds a large constant to its outputs, or use another library.
    """
    import torchattacks

    average = Mixture([net, net])
    moved = changed(torchattacks.CW(average, c=1, steps=50, lr=0.01)(x, y), x)
    of_logits = changed(torchattacks.CW(net, c=1, steps=50, lr=0.01)(x, y), x)

    class Raised(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            raised: Tensor = average(images) + 100
            return raised

    of_raised = changed(torchattacks.CW(Raised(), c=1, steps=50, lr=0.01)(x, y), x)
    assert moved < of_raised
    return (
        f"of {len(x)} images it changes {moved} where an average of two copies gives log-probabilities, {of_raised} "
        f"where 100 is added to these, {of_logits} where the network gives its logits"
    )


@of("adv-lib")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """pgd_linf never looks at its last step: it returns the last but one, and clean images where none was fooled.

    Ask for one step more than are meant, and judge the images yourself.
    """
    from adv_lib.attacks import pgd_linf

    first = changed(pgd_linf(net, x, y, ε=EPS, steps=1, random_init=False, absolute_step_size=EPS), x)
    second = changed(pgd_linf(net, x, y, ε=EPS, steps=2, random_init=False, absolute_step_size=EPS), x)
    assert first == 0 < second
    return f"of {len(x)} images a single step of ε changes {first}, two steps {second}"


@of("adv-lib")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """apgd_targeted attacks an image that the network has wrong towards its own label, and makes it right.

    Give it the images alone that the network has right. It also counts an image as fallen only where it reaches the
    target, and leaves images standing that AutoAttack's APGD-T fells.
    """
    from adv_lib.attacks import apgd, apgd_targeted

    label = net(x).argsort(1, descending=True)[:, 1]  # the network has every image wrong
    untargeted, targeted = (
        int((net(attack(net, x, label, EPS, norm=float("inf"), n_iter=20)).argmax(1) == label).sum())
        for attack in (apgd, apgd_targeted)
    )
    assert untargeted == 0 < targeted
    return f"of {len(x)} images with the label of the second class it makes {targeted} right, apgd {untargeted}"


@of("secml-torch")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """Its own PGD (backend "native") never looks at its last step either.

    Ask for one step more than are meant; the image returned is that of the highest loss, not the last.
    """
    from secmlt.adv.evasion.pgd import PGD

    loader = DataLoader(TensorDataset(x, y), batch_size=len(x))
    moved = []
    for steps in (1, 2):
        attack = PGD("linf", EPS, steps, EPS, random_start=False, backend="native")
        moved.append(changed(attack(net, loader).dataset.tensors[0], x))
    assert moved[0] == 0 < moved[1]
    return f"of {len(x)} images a single step changes {moved[0]}, two steps {moved[1]}"


@of("secml-torch")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """FGSM with the backend "advlib" returns clean images, whatever the network: robust accuracy is the clean one.

    Take the backend "foolbox", which is the default.
    """
    from secmlt.adv.evasion.fgsm import FGSM

    loader = DataLoader(TensorDataset(x, y), batch_size=len(x))
    moved = {
        name: changed(FGSM("linf", EPS, backend=name)(net, loader).dataset.tensors[0], x)
        for name in ("advlib", "foolbox")
    }
    assert moved["advlib"] == 0 < moved["foolbox"]
    return f"of {len(x)} images it changes {moved['advlib']}, with foolbox {moved['foolbox']}"


@of("secml-torch")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """After torch.manual_seed its random starts aren't foolbox's: iterating the DataLoader draws a number first.

    Give the DataLoader a generator of its own, generator=torch.Generator().
    """
    import foolbox
    from secmlt.adv.evasion.pgd import PGD

    def theirs(**loader: Any) -> Tensor:
        torch.manual_seed(0)
        attack = PGD("linf", EPS, 1, EPS / 4, random_start=True, backend="foolbox")
        tensors = attack(net, DataLoader(TensorDataset(x, y), batch_size=len(x), **loader)).dataset.tensors
        return Tensor(tensors[0])

    torch.manual_seed(0)
    attack = foolbox.attacks.LinfPGD(abs_stepsize=EPS / 4, steps=1)
    _, x_adv, _ = attack(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=EPS)
    without, with_own = changed(theirs(), x_adv), changed(theirs(generator=torch.Generator()), x_adv)
    assert with_own == 0 < without
    return f"of {len(x)} images {without} differ from foolbox's, with a generator {with_own}"


@of("foolbox")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """L2CarliniWagnerAttack returns black images where it finds nothing, and some of these count as successes.

    Give it a bound on the distance (epsilons=...), or count an image as fallen only where it isn't black.
    """
    import foolbox

    attack = foolbox.attacks.L2CarliniWagnerAttack(binary_search_steps=1, steps=2, initial_const=1e-3)
    x_adv, _, success = attack(foolbox.PyTorchModel(net, bounds=(0, 1)), x, y, epsilons=None)
    black = (x_adv == 0).flatten(1).all(1)
    counted = int((black & success).sum())
    assert counted > 0
    return f"of {len(x)} images {int(black.sum())} come back black, and {counted} of these count as successes"


@of("ART")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """An attack leaves the network in evaluation mode: a training that goes on trains without dropout and statistics.

    Call network.train() after each attack.
    """
    from art.attacks.evasion import FastGradientMethod

    net.train()
    FastGradientMethod(_classifier(net), "inf", EPS).generate(x.numpy(), y.numpy())
    assert not net.training
    return f"network.training is {net.training} after FastGradientMethod, and was True"


@of("ART")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """PGD's random starts come from numpy's global generator: torch.manual_seed does nothing for them.

    Call numpy.random.seed, too.
    """
    from art.attacks.evasion import ProjectedGradientDescentPyTorch

    def theirs(seed: Callable[[int], object]) -> Tensor:
        seed(0)
        attack = ProjectedGradientDescentPyTorch(
            _classifier(net), "inf", EPS, EPS / 4, max_iter=1, num_random_init=1, verbose=False
        )
        return torch.from_numpy(attack.generate(x.numpy(), y.numpy()))

    by_torch = changed(theirs(torch.manual_seed), theirs(torch.manual_seed))
    by_numpy = changed(theirs(numpy.random.seed), theirs(numpy.random.seed))
    assert by_numpy == 0 < by_torch
    return (
        f"of {len(x)} images of two attacks, {by_torch} differ under one seed of torch, {by_numpy} under one of numpy"
    )


@of("ART")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """PGD keeps a step of 0.1 whatever eps is: at 8/255 each step leads to a corner of the ball, and back.

    Always give eps_step.
    """
    from art.attacks.evasion import ProjectedGradientDescentPyTorch

    attack = ProjectedGradientDescentPyTorch(_classifier(net), "inf", EPS, verbose=False)
    assert attack.eps_step > attack.eps
    return f"eps is {attack.eps:.4f}, eps_step {attack.eps_step}"


@of("pyautoattack")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """run_standard_evaluation_individual leaves the object with its last component alone: a later evaluation runs that.

    Make a new object for each evaluation.
    """
    import pyautoattack

    names = ["apgd-ce", "square"]  # the last two of the standard version's, without its hours
    attack = pyautoattack.AutoAttack(net, eps=EPS, version="custom", attacks=[*names], seed=0)
    attack.apgd.n_iter = attack.apgd.n_restarts = attack.square.n_queries = 2
    attack.run_standard_evaluation_individual(x[:4], y[:4])
    assert attack.attacks_to_run != names
    return f"attacks_to_run is {attack.attacks_to_run}, and was {names}"


@of("pyautoattack")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """APGD-T refuses images in the memory format channels_last, where the other components take them.

    Call x.contiguous() first; the network may be channels_last.
    """
    import pyautoattack

    def theirs(name: str) -> str:
        attack = pyautoattack.AutoAttack(net, eps=EPS, version="custom", attacks=[name], seed=0)
        attack.apgd.n_restarts, attack.square.n_queries = 1, 2
        attack.apgd_targeted.n_target_classes = 1
        images = x[:4].contiguous(memory_format=torch.channels_last)
        return refusal(lambda: attack.run_standard_evaluation(images, y[:4]))

    refused, taken = theirs("apgd-t"), theirs("square")
    assert refused
    assert not taken, taken
    return f"apgd-t ends in {refused}; square takes the same images"


@of("pyautoattack")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """Square refuses a network with half-precision outputs, after the components with gradients have taken it.

    Let the network return logits.float().
    """
    import pyautoattack

    class Half(nn.Module):
        def forward(self, images: Tensor) -> Tensor:
            logits: Tensor = net(images).to(torch.bfloat16)
            return logits

    def theirs(name: str) -> str:
        attack = pyautoattack.AutoAttack(Half(), eps=EPS, version="custom", attacks=[name], seed=0)
        attack.apgd.n_restarts, attack.square.n_queries = 1, 5
        return refusal(lambda: attack.run_standard_evaluation(x, y))

    refused, taken = theirs("square"), theirs("apgd-ce")
    assert refused
    assert not taken, taken
    return f"square ends in {refused}; apgd-ce takes the same network"


@of("advex-uar")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """An image's fog depends on the others of its batch, since the fields are normalised together.

    Call it with one image at a time (our normalised: image), or compare batch for batch (our default, with chunk).
    """

    def theirs(count: int) -> Tensor:
        numbers = torch.rand(IMAGES, 4096, generator=torch.Generator().manual_seed(0))
        return Tensor(calls._fog(net, x[:count], y[:count], 128.0, 0.02, 0, numbers[:count]))

    difference = (theirs(1)[0] - theirs(IMAGES)[0]).abs().max().item()
    assert difference > 1e-3
    return f"pixels of the first image move by up to {difference:.2f} when {IMAGES - 1} others join it, before any step"


@of("advex-uar")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """It needs CUDA: every attack asks for it by name, its constructor already.

    On a CPU, call it inside a TorchFunctionMode that turns the device "cuda" into "cpu" (OnTheCpu in
    bench/peers/calls.py).
    """
    from advex_uar.attacks import FogAttack

    if torch.cuda.is_available():
        return "not looked at: this machine has CUDA"
    refused = refusal(lambda: FogAttack(1, 128.0, 0.02, 32))
    assert refused
    with calls.OnTheCpu():
        FogAttack(1, 128.0, 0.02, 32)
    return f"FogAttack(...) ends in {refused}"


@of("advex-uar")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """Fog cuts a border of 16 off its map, whatever the image's side: it fits sides of 32, 96 and 224 pixels only.

    For other sides use ours, which cuts the middle out.
    """

    def theirs(side: int) -> str:
        images = torch.rand(2, 3, side, side)
        with calls.OnTheCpu():
            from advex_uar.attacks import FogAttack

            attack = FogAttack(0, 128.0, 0.02, side)
            anything = nn.Sequential(nn.Flatten(), nn.Linear(3 * side**2, 10))
            return refusal(lambda: attack(anything, images, torch.zeros(2, dtype=torch.int64)))

    fits = [side for side in (28, 32, 48, 64, 96, 112, 224, 256) if not theirs(side)]
    assert fits == [32, 96, 224], fits
    return f"of the sides 28, 32, 48, 64, 96, 112, 224 and 256 it takes {fits}"


@of("torchattacks")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """It installs a package robustbench of its own, older and without benchmark(), over RobustBench's.

    Install robustbench last, with --force-reinstall --no-deps (findings/torchattacks_overwrites_robustbench.sh).
    """
    shared = {str(file) for file in calls.metadata.files("torchattacks") or []}
    both = [file for file in calls.metadata.files("robustbench") or [] if str(file) in shared and file.suffix == ".py"]
    assert both
    return f"{len(both)} files belong to both packages, robustbench/eval.py among them"


@of("robustbench")
def _(net: nn.Module, x: Tensor, y: Tensor) -> str:
    """benchmark() fails with the AutoAttack that it requires, also once it is imported.

    Call pyautoattack yourself, and robustbench.utils.clean_accuracy; import robustbench with pyautoattack under the
    name autoattack. With upstream's autoattack, which is on no index, benchmark() gives no seed.
    """
    with calls.with_autoattack():
        import robustbench

    folder = str(datasets.archive_folder(config.load("paper").data.folder))
    refused = refusal(lambda: robustbench.benchmark(net, n_examples=4, data_dir=folder, eps=EPS))
    assert refused
    return f"it ends in {refused}"


def _classifier(net: nn.Module) -> Any:
    from art.estimators.classification import PyTorchClassifier

    return PyTorchClassifier(net, nn.CrossEntropyLoss(), (3, 32, 32), 10, clip_values=(0.0, 1.0))
