"""How many verdicts change with the size of an evaluation's batches: the figures of docs/reproducibility.md.

    ATAKA_DATA=FOLDER python -m tests.cutting

Trains two small networks by SAT for two epochs on the pocket scale's 5,000 real CIFAR-10 images, on one thread, and
attacks its 1,000 test images by its PGD in batches of several sizes. Takes twenty minutes on one core.
"""

import argparse
from importlib import import_module

import torch
from torch import Tensor, nn

from ataka import datasets, networks
from ataka.attacks.mode import attack_mode
from ataka.datasets import splits
from ataka.datasets.images import Split
from ataka.evaluation import evaluate
from ataka.machine import memory
from ataka.study import Study, config
from ataka.training import train

DATASET, METHOD = "cifar10", "en-sat"
ARCHS = ("resnet10-w16", "mobilenetv2-x0.5")
SIZES = (1, 7, 33)
"""Sizes of batches beside the usual one, ``memory.BATCH``."""


def prepared(study: Study) -> dict[str, Split]:
    """The scale's splits of CIFAR-10."""
    loaded = study.dataset(DATASET).load(datasets.archive_folder(study.data.folder))
    sizes = {name: getattr(study.data, name) for name in ("train", "validation", "test", "split_seed")}
    return splits.cut(DATASET, loaded, **sizes)


def trained(study: Study, cut: dict[str, Split], arch: str, epochs: int) -> nn.Module:
    """One network of SAT after so many epochs at the first learning rate."""
    method, facts = study.method(METHOD), study.dataset(DATASET).specification
    setup = study.setup(method.setup, DATASET, arch).model_copy(update={"epochs": epochs, "milestones": ()})
    network = networks.student(arch, facts, seed=0, device=torch.device("cpu"))
    objective = import_module(str(method.objective)).create(config.options(study, METHOD, DATASET, arch))
    train([network], objective, cut["train"], facts, setup, seed=0)
    return network.eval()


def verdicts(network: nn.Module, study: Study, test: Split, size: int) -> Tensor:
    """Which images are right under PGD, (N,), in batches of ``size``."""
    usual, memory.BATCH = memory.BATCH, size
    try:
        return evaluate(network, study.attack("pgd").settings, test, seed=0).correct
    finally:
        memory.BATCH = usual


@torch.no_grad()
def logits(network: nn.Module, test: Split, size: int) -> Tensor:
    """Of the clean images, (N,C), in batches of ``size``."""
    with attack_mode(network):
        return torch.cat([network(x) for x in test.pixels().split(size)])


def compare(study: Study, cut: dict[str, Split], arch: str, epochs: int) -> None:
    """Print a row for each of SIZES: what differs from batches of the usual size."""
    network, test = trained(study, cut, arch, epochs), cut["test"]
    usual_verdicts, usual_logits = verdicts(network, study, test, memory.BATCH), logits(network, test, memory.BATCH)
    for size in SIZES:
        difference = (logits(network, test, size) - usual_logits).abs().max().item()
        changed = int((verdicts(network, study, test, size) != usual_verdicts).sum())
        print(f"| {arch} | {int(usual_verdicts.sum())} | {size} | {difference:.1e} | {changed} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.cutting", description="Verdicts by the size of batches.")
    parser.add_argument("archs", nargs="*", default=ARCHS, metavar="ARCH")
    parser.add_argument("--epochs", type=int, default=2)
    given = parser.parse_args()
    torch.set_num_threads(1)
    study = config.load("pocket")
    cut = prepared(study)
    print(f"torch {torch.__version__}, {len(cut['test']):,} images; batches of {memory.BATCH} are compared with:")
    print("| network | right under PGD | images in a batch | largest difference of a logit | verdicts that change |")
    print("| --- | ---: | ---: | ---: | ---: |", flush=True)
    for arch in given.archs:
        compare(study, cut, arch, given.epochs)


if __name__ == "__main__":
    main()
