"""The arguments of an audit, and its steps. What needs torch is imported by the step that needs it."""

import argparse
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ataka import plan
from ataka.errors import UserError
from ataka.files.locate import expanded
from ataka.plan import Cell
from ataka.study import Study, config
from ataka.study.config import DEFAULT_SCALE
from ataka.study.layers import overlay
from report.grammar import counted

_EXAMPLES = """
networks:
  my.pt                          weights in a file (torch.save or safetensors), with --arch
  timm/NAME                      a network of timm with its weights; NAME may also be local-dir:FOLDER
  package.module:function        a function that returns an nn.Module, in this folder or on the Python path
  results/.../model.safetensors  the network of a run; its run.json names arch and data set

examples:
  %(prog)s my.pt --arch resnet18 --dataset cifar10 --images 1000
  %(prog)s mynets:robust --dataset digits --scale demo --attacks fgsm pgd
"""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Give ``parser`` the arguments of an audit."""
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.epilog = _EXAMPLES
    add = parser.add_argument
    add("network", metavar="NETWORK", help="a file, timm/NAME or package.module:function; see below")
    add("--arch", help="the network whose weights the file holds: resnet18, wrn28-10, timm/NAME, yourmodule, ...")
    add("--dataset", help="the data set of the test images: cifar10, cifar100, digits (needs no download)")
    add(
        "--attacks",
        nargs="+",
        type=_names,
        metavar="ATTACK",
        help="attacks by their names in the scale's settings, as fgsm pgd or fgsm,pgd; default: the tables', one of "
        "each kind",
    )
    add(
        "--images", type=int, metavar="N", help="the first N test images are attacked; default: as many as at the scale"
    )
    add("--eps", help="the l_inf budget, such as 8/255; default: the scale's")
    add(
        "--scale",
        help=f"the scale of the attacks' settings; default: that of --against or of the run, else {DEFAULT_SCALE}",
    )
    add("--seed", type=int, default=0, help="the seed of random starts, as of a table's row; default: 0")
    add("--weights", metavar="KEY", help="the key of the weights, in a file with several sets")
    add(
        "--mean",
        type=_numbers,
        nargs="+",
        metavar="NUMBER",
        help="the mean by which the network's own code normalises, a number a channel",
    )
    add("--std", type=_numbers, nargs="+", metavar="NUMBER", help="the deviation of that normalisation")
    add("--name", help="the network's name in the audit; default: from the file")
    add("--out", metavar="FOLDER", help="the folder of the audit; default: audits/NAME")
    add(
        "--against",
        metavar="RESULTS",
        help="a results folder, such as results/demo, with whose rows to compare on the same images",
    )
    add("--save-images", action="store_true", help="keep the adversarial images, in FOLDER/images")
    add("--device", choices=("auto", "cpu", "cuda"), help="default: the scale's, a GPU if there is one")
    add("--threads", type=int, metavar="N", help="torch's threads; default: the scale's, or as many as there are cores")


def _names(text: str) -> list[str]:
    """The names in ``text``, between commas."""
    return [name.strip() for name in text.split(",") if name.strip()]


def _numbers(text: str) -> list[float]:
    """The numbers in ``text``, between commas; ArgumentTypeError for what is no number."""
    try:
        return [float(name) for name in _names(text)]
    except ValueError:
        raise argparse.ArgumentTypeError(f"'{text}' is no number, nor numbers between commas") from None


def audit(options: argparse.Namespace) -> None:
    """Attack a network of others; writes the cells and the page of the audit below its folder."""
    from ataka.library import networks
    from ataka.library.evaluation import UNNAMED, require_gradient, test_split
    from ataka.stages.common import device_of
    from ataka.stages.evaluate import Subject
    from report.audit import against, evaluation, page

    _see_this_folder()
    if options.against:
        against.require_results(options.against)
    dataset, arch = networks.described(options.network, dataset=options.dataset, arch=options.arch)
    scale = options.scale or _scale(options)
    changes = config.overrides(options.config)
    known = config.load(scale, changes, methods=UNNAMED)
    facts = known.dataset(dataset).specification
    _require_images(options.images, known, dataset)
    attacks = _attacks(known, _joined(options.attacks))
    settings = overlay(changes, _changes(options, attacks))
    settings.setdefault("threads", min(known.threads, len(os.sched_getaffinity(0))))
    given = {"weights": options.weights, "mean": _joined(options.mean), "std": _joined(options.std)}
    source = networks.obtain(options.network, dataset, facts, arch=arch, **given)
    name = _name(options.name or options.network)
    study = config.load(
        scale, settings, methods={name: {"label": options.name or name, "checkpoints": [source.checkpoint]}}
    )
    device = device_of(study)
    split = test_split(study, dataset)
    if any(study.attack(attack).climbs for attack in attacks):
        require_gradient(source.network, options.network, split)
    root = str(expanded(options.out or f"audits/{name}"))
    cells = [Cell(dataset, source.checkpoint["arch"], name, options.seed, attack) for attack in attacks]
    rivals = None
    if options.against:
        rivals = against.rivals(study, cells, source.checkpoint["sha256"], split, options.against, changes)
    about = {"network": options.network, "name": name, "dataset": dataset, "checkpoint": dict(source.checkpoint)}
    page.begin(Path(root), about)
    print(f"audit {name}: {source.words}", file=sys.stderr)
    network = source.network.to(device)
    subject = Subject(network, network, options.network, source.checkpoint["sha256"])
    done = evaluation.Audit(study, root, subject, split.to(device))
    for cell in cells:
        done.measure(cell, images=options.save_images)
    compared = against.compare(done.bits, rivals) if rivals else None
    written = page.write(done, about | {"words": source.words}, compared)
    print("\n".join(page.lines(done)))
    if compared:
        print(f"compared with {counted(len(compared.differences), 'cell')} of {compared.root}: see {written[0]}")
    print(f"written: {' '.join(map(str, written))}")


def _joined(parts: Sequence[Sequence[Any]] | None) -> list[Any] | None:
    """The values of an option that was given in one or in several parts; None if it wasn't given."""
    return None if parts is None else [value for part in parts for value in part]


def _see_this_folder() -> None:
    """Let a module of the user's in the working folder be found by an installed command, too."""
    if not {"", str(Path.cwd())} & set(sys.path):
        sys.path.append(str(Path.cwd()))


def _scale(options: argparse.Namespace) -> str:
    """The scale of the study that the network is compared with, or else of the study that it comes from."""
    if options.against:
        return plan.scale_of(options.against)
    try:
        scale = plan.scale_of(plan.parse(options.network)[0])
    except UserError:  # no network of a study
        return DEFAULT_SCALE
    return scale if scale in config.scales() else DEFAULT_SCALE


def _attacks(study: Study, asked: Sequence[str] | None) -> list[str]:
    """The attacks asked for, clean images first; by default each entry that is called as its kind.

    UserError for a name that the scale doesn't have.
    """
    known = [name for name, entry in study.attacks.items() if entry and name == entry.kind]
    for name in asked or ():
        study.attack(name)
    natural = [name for name in known if not study.attack(name).beats]
    return list(dict.fromkeys([*natural, *(asked or known)]))


def _require_images(images: int | None, study: Study, dataset: str) -> None:
    """UserError unless the first ``images`` of a data set's test images can be attacked."""
    tested = study.data.test or study.dataset(dataset).specification.images[1]
    if images is not None and images < 1:
        raise UserError(f"--images {images}: an audit attacks one image at least")
    if images is not None and images > tested:
        raise UserError(f"--images {images}: {dataset} has {tested} test images at scale '{study.scale}'")


def _changes(options: argparse.Namespace, attacks: Sequence[str]) -> dict[str, Any]:
    """The settings that the arguments state."""
    images = {"attacks": {name: {"images": options.images} for name in attacks}} if options.images else {}
    stated = {name: getattr(options, name) for name in ("eps", "device", "threads")}
    return {**images, **{name: value for name, value in stated.items() if value is not None}}


def _name(network: str) -> str:
    """A method's name for the network: lower case, digits and '-'."""
    path = Path(network.rpartition(":")[2])
    stem = "-".join(path.parts[-3:-1]) if path.name == "model.safetensors" else path.stem
    return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "network"
