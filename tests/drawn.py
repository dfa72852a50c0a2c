"""Digests of everything that is drawn before any network computes: ``python -m tests.drawn`` prints them as JSON.

Torch has a switch for what its kernels may use of the CPU, ATEN_CPU_CAPABILITY, so that one machine can stand for two.
"""

import hashlib
import json
import tempfile
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor, nn

from ataka import datasets, draws, generation, models, networks, streams
from ataka.attacks import linf
from ataka.datasets import splits, views
from ataka.study import attacks, config, plugins
from ataka.study.fields import arguments
from tests import tiny

TIMM = ("test_resnet", "test_vit", "test_vit2", "test_convnext", "test_efficientnet", "rexnet_100", "pit_ti_224")
"""Initialised in various ways: uniform and normal, truncated or scaled, ``torch.randn`` times a factor."""
SCALES = (1 / 255, 8 / 255, 0.3)


class Own(nn.Module):
    """A network of the user's own, each parameter from another of torch's initialisations."""

    def __init__(self) -> None:
        super().__init__()
        init = nn.init
        for fill in (init.uniform_, init.normal_, init.trunc_normal_, init.xavier_uniform_, init.kaiming_normal_):
            setattr(self, fill.__name__, nn.Parameter(fill(torch.empty(40, 30))))
        self.narrow = nn.Parameter(init.trunc_normal_(torch.empty(40, 30), 0.0, 1.0, 0.1, 0.2))
        self.off_centre = nn.Parameter(torch.empty(40, 30).uniform_(-0.123, 0.765))
        self.scaled = nn.Parameter(torch.randn(40, 30) * 0.02)
        self.like = nn.Parameter(torch.randn_like(self.scaled))
        self.shifted = nn.Parameter(torch.normal(0.3, 0.7, (40, 30)))
        self.around = nn.Parameter(torch.normal(self.scaled.detach(), 0.7))
        self.embedding = nn.Embedding(40, 30)


def parameters(arch: str) -> int:
    with torch.device("meta"):
        return sum(parameter.numel() for parameter in models.build(arch, classes=10).parameters())


def of_networks() -> Iterator[tuple[str, list[Tensor]]]:
    family = [name for name in models.examples() if "{" not in name]
    small = [name for name in family if parameters(name) < 20e6]  # wide ResNets as wrn10-1 and wrn10-1-silu
    facts = datasets.find("cifar10").specification
    for arch in [*small, "resnet10-w8", "wrn10-1", *(f"timm/{name}" for name in TIMM)]:
        network = networks.student(arch, facts, seed=3, device=torch.device("cpu"))
        yield arch, list(network.parameters())
    for scheme in ("torch", "fan-in"):
        setup = tiny.setup(initialisation=scheme)
        for arch in ("resnet10-w8", "wrn10-1-silu"):
            network = networks.student(arch, facts, seed=3, device=torch.device("cpu"), setup=setup)
            yield f"{arch} {scheme}", list(network.parameters())
    with streams.global_stream(3, "own"), draws.Alike():
        yield "own", list(Own().parameters())


def of_starts() -> Iterator[tuple[str, list[Tensor]]]:
    x = tiny.split(64).pixels()
    for eps in SCALES:
        yield f"uniform {eps}", [linf.uniform_start(x, eps=eps, generator=streams.generator(0, "start"))]
        yield f"gaussian {eps}", [linf.gaussian_start(x, deviation=eps, generator=streams.generator(0, "start"))]
    study = config.load()
    for name, entry in study.attacks.items():
        module = attacks.find(entry.kind) if entry else None
        if entry and hasattr(module, "draw"):
            given = arguments(module.Options(**entry.options))
            wanted = {key: given[key] for key in given if key in module.draw.__annotations__}
            yield f"attack {name}", [module.draw(x, generator=streams.generator(0, "start"), **wanted)]
    for name, generator in study.generators.items():
        yield f"generator {name}", [generation.draw(generator, x, [streams.generator(0, "start", i) for i in range(3)])]


def of_data() -> Iterator[tuple[str, list[Tensor]]]:
    view = views.view(0, 5, 1000, shift=2, flip=True)
    yield "view", [view.order, view.shifts, view.flips]
    yield "stratified", list(splits.stratified(torch.arange(1000) % 10, 100, streams.generator(0, "split")))


def digests() -> dict[str, str]:
    """By name, SHA-256 of the bytes of all tensors."""
    drawn = {**dict(of_networks()), **dict(of_starts()), **dict(of_data())}
    return {name: hashlib.sha256(b"".join(map(content, tensors))).hexdigest() for name, tensors in drawn.items()}


def content(tensor: Tensor) -> bytes:
    return tensor.detach().contiguous().numpy().tobytes()


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        plugins.STORE = Path(folder, "facts.json")  # facts that this process finds are not for the checkout's results
        print(json.dumps(digests()))
