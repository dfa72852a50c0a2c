"""Our networks beside RobustBench's own classes for CIFAR-10, with random weights: a check to run by hand.

RobustBench pins timm, so it needs an environment of its own:

    python -m venv /tmp/peer
    /tmp/peer/bin/pip install 'setuptools<81' robustbench==1.1.1 pydantic pyyaml safetensors
    PYTHONPATH=. /tmp/peer/bin/python tests/models/robustbench_peer.py [NAME ...]

Each class of its CIFAR-10 files is built, gets random weights, and is saved as its authors save it. Our loader either
takes the file, and the logits agree to 1e-5, or refuses it by what is different.
"""

import hashlib
import sys
import tempfile
import warnings
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import pyautoattack
import timm
import torch
from torch import Tensor, nn

sys.modules["autoattack"] = pyautoattack  # robustbench 1.1.1 requires the one and imports the other
warnings.filterwarnings("ignore")

from robustbench.model_zoo.models import model_dicts  # noqa: E402

from ataka import models  # noqa: E402
from ataka.errors import UserError  # noqa: E402
from ataka.models import checkpoints  # noqa: E402

NETWORKS = {
    "PreActResNet": "preactresnet18-fast",
    "Wong2020FastNet": "preactresnet18-fast",
    "Rice2020OverfittingNetL2": "preactresnet18",
    "Kireev2021EffectivenessNet": "preactresnet18",
    "DMPreActResNet": "preactresnet18-silu",
    "ResNet": "resnet18",
    "Modas2021PRIMEResNet18": "resnet18",
}
"""Our names of RobustBench's classes; those of wide ResNets follow from their sizes."""
OUTSIDE: dict[str, tuple[float, float]] = {"Hendrycks2019UsingNet": (0.5, 0.5)}
"""Mean and deviation of the normalisations that stand in code alone."""
UNSEEN = ("Ding2020MMANet",)
"""Networks whose code does to images what neither a file nor a mean and a deviation can say."""


def entries() -> Iterator[tuple[str, Callable[[], nn.Module]]]:
    """Every model of RobustBench for CIFAR-10 under its first name, each class and size once."""
    seen = set()
    for dataset, threats in model_dicts.items():
        for entries_of_threat in threats.values() if dataset.value == "cifar10" else ():
            for name, entry in entries_of_threat.items():
                registered = f"{name.lower().replace('-', '_')}_cifar10_linf"
                build = partial(timm.create_model, registered) if timm.is_model(registered) else entry["model"]
                try:
                    network = without_memory(build)
                except Exception as error:
                    print(f"{name}: not built: {type(error).__name__}: {str(error)[:80]}")
                    continue
                key = type(network).__name__, tuple((n, t.shape) for n, t in network.state_dict().items())
                if key not in seen:
                    seen.add(key)
                    yield name, build


def without_memory(build: Callable[[], nn.Module]) -> nn.Module:
    """A network of the same keys and shapes, on the meta device if its code can do without numbers."""
    try:
        with torch.device("meta"):
            return build()
    except RuntimeError:
        return build()


def ours(network: nn.Module) -> str:
    """Our name of the network nearest to one of RobustBench's."""
    if (kind := type(network).__name__) in NETWORKS and not hasattr(network, "blocks"):
        return NETWORKS[kind]
    state = {name.removeprefix("model."): tensor for name, tensor in network.state_dict().items()}
    if (last := state.get("logits.weight")) is not None:
        blocks = len({name.split(".")[3] for name in state if name.startswith("layer.0.block.")})
        size = f"{6 * blocks + 4}-{last.shape[1] // 64}"
        return "wrn70-16" if size == "70-16" else f"wrn{size}-silu"
    blocks = len({name.split(".")[2] for name in state if name.startswith("block1.layer.")})
    if blocks and "fc.weight" in state:
        size = f"{6 * blocks + 4}-{state['fc.weight'].shape[1] // 64}"
        return "wrn70-16-relu" if size == "70-16" else f"wrn{size}"
    return "resnet18"


def scramble(network: nn.Module) -> nn.Module:
    """Evaluation mode, every tensor random, statistics and affines away from the identity."""
    generator = torch.Generator().manual_seed(1)
    for name, tensor in network.state_dict().items():
        if not tensor.is_floating_point():
            continue
        if name.endswith(("running_var", "std", "sigma")) or (tensor.ndim == 1 and name.endswith("weight")):
            tensor.uniform_(0.5, 1.5, generator=generator)
        elif tensor.ndim > 1 and not name.endswith(("mean", "mu")):
            tensor.normal_(0, (1 / tensor[0].numel()) ** 0.5, generator=generator)
        else:
            tensor.uniform_(-0.5, 0.5, generator=generator)
    return network.eval()


@torch.no_grad()
def compare(name: str, build: Callable[[], nn.Module], folder: Path) -> str:
    """What the loader makes of a model: the largest difference of logits, or the words of the refusal."""
    theirs = scramble(build())
    file, arch, kind = folder / f"{name}.pt", ours(theirs), type(theirs).__name__
    torch.save({"state_dict": {f"module.{key}": tensor for key, tensor in theirs.state_dict().items()}}, file)
    with file.open("rb") as content:
        sha256 = hashlib.file_digest(content, "sha256").hexdigest()
    given: dict[str, Any] = {}
    if kind in OUTSIDE:
        given = {name: [number] * 3 for name, number in zip(("mean", "std"), OUTSIDE[kind], strict=True)}
    try:
        network = models.build(arch, classes=10)
        network = checkpoints.load(str(file), sha256=sha256, network=network, **given).network.eval()
    except UserError as error:
        return f"refused: {str(error).removeprefix(str(file))[:400]}"
    finally:
        file.unlink()
    x = torch.rand(2, 3, 32, 32, generator=torch.Generator().manual_seed(2))
    logits: Tensor = network(x)
    expected: Tensor = theirs(x)
    difference = ((logits - expected).abs() / expected.abs().clamp(min=1)).max().item()
    assert expected.std(dim=0).max() > 1e-3, "nothing reaches the logits"
    if kind in UNSEEN:
        return f"loads as {arch}, but its code changes images in a way no file shows: logits differ by {difference:.1e}"
    assert difference < 1e-5, f"{name}: logits of {arch} differ by {difference:.1e}"
    return f"{arch}: logits agree to {difference:.1e}"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as temporary:
        for name, build in entries():
            if sys.argv[1:] and name not in sys.argv[1:]:
                continue
            print(f"{name} ({type(build()).__name__}): {compare(name, build, Path(temporary))}", flush=True)
